"""How well a few labelled examples tell new classes apart in a model's features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from fierce_tools.analysis._features import (
    all_the_same,
    check_features,
    check_labels,
    check_seed,
    moments,
    row_blocks,
    same_note,
)
from fierce_tools.analysis._intervals import Z95
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Report, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2

# Numbers of features gathered for the draws that are scored together.
GATHERED = 1 << 22
# Not by the features' width: the draws are the same for every model.
DRAWN_AT_ONCE = 512
MEASURES = {"euclidean": "Euclidean distance", "cosine": "the cosine"}


@dataclass(frozen=True)
class FewShot:
    """Mean accuracy [S] as a fraction for each of `shots` [S]; `half_interval` is half the 95 % interval over draws.

    `classes` are those with enough examples to be drawn, `classes_left_out` those without. `constant`: every feature
    vector is the same, and the accuracy is chance. `zero_vectors` counts those of norm 0, which have no cosine.
    """

    shots: tuple[int, ...]
    accuracy: tuple[float, ...]
    half_interval: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    ways: int
    queries: int
    draws: int
    similarity: str
    centred: bool
    classes: int
    classes_left_out: int
    on: str = "labels"
    examples: int = 0
    constant: bool = False
    zero_vectors: int = 0

    def report(self) -> Report:
        """A row for each number of shots."""
        heads = ("ways", "shots", "accuracy", "± (95 %)", "sd of a draw", "chance")
        rows = tuple(
            (self.ways, s, a, half, sd, 1 / self.ways)
            for s, a, half, sd in zip(
                self.shots, self.accuracy, self.half_interval, self.standard_deviation, strict=True
            )
        )
        placed = "less the mean of training" if self.centred else "as they are"
        notes = [
            f"Nearest class mean by {MEASURES[self.similarity]}, features {placed}; {self.queries} queries a class.",
            f"Accuracies are fractions; the interval is over {self.draws} draws from these examples.",
        ]
        if self.on == "targets":
            notes.append("The classes are the targets, such as the fine labels of a model trained on coarse ones.")
        if self.constant:
            notes.append(
                same_note(self.examples, f"no class can be told from another, and {1 / self.ways:.4g} is chance")
            )
        elif self.zero_vectors:
            notes.append(
                f"{self.zero_vectors} of {self.examples} feature vectors are zero: their cosine is taken as 0."
            )
        if self.classes_left_out:
            notes.append(f"Classes with too few examples, never drawn: {self.classes_left_out}.")
        return Report("Few-shot accuracy of frozen features", (Table("Few-shot accuracy", heads, rows),), tuple(notes))


def few_shot(
    features: np.ndarray,
    labels: np.ndarray,
    train_features: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    *,
    on: Annotated[
        Literal["labels", "targets"], "what the classes are: the labels, or fine labels kept as targets"
    ] = "labels",
    ways: Annotated[int, "classes in a draw, 2 or more"] = 5,
    shots: Annotated[tuple[int, ...], "labelled examples of a class, 1 or more"] = (1, 5),
    queries: Annotated[int, "examples of a class to be told, 1 or more"] = 15,
    draws: Annotated[int, "how many draws, 2 or more"] = 10000,
    similarity: Annotated[
        Literal["euclidean", "cosine"], "nearest by distance, or by the cosine of vectors of unit length"
    ] = "euclidean",
    centre: Annotated[bool, "subtract the mean of the training features first (matters to the cosine)"] = False,
    seed: Annotated[int, "seed of the draws; the same draws for every model"] = 0,
) -> FewShot:
    """n-way k-shot accuracy of the nearest class mean on frozen features, with its 95 % interval over draws.

    Each draw takes `ways` classes, and of each as many examples as shots and queries, all different; a query goes to
    the class whose mean over the shots is nearest (the first of equals). Accuracy is the mean over draws
    ± 1.96·sd/√draws, a fraction. With the cosine, features and then means are brought to unit length. Features that are
    all the same up to rounding give chance. features [N, D], labels [N]; a class with fewer than shots + queries
    examples is not drawn. Classes the model was trained on are easier than new ones: for new ones ask it about other
    data. Targets are whole numbers [N], such as the fine labels of a model trained on coarse ones. Raises UsageError
    for an option out of range, DataError for features not finite, no such targets or too few classes. Source: Snell et
    al. 2017; Baena, Drumetz, Gripon 2023.
    """
    _check_options(ways, shots, queries, draws, seed)
    check_features("features", features)
    if on == "targets" and targets is None:
        raise DataError("--on targets, and there are no targets", "bring targets with the data; or say --on labels")
    truth = labels if on == "labels" or targets is None else targets
    check_labels(on, truth, len(features))
    if centre and train_features is None:
        raise DataError("--centre needs train_features, and there are none", "add an array `train_features` [N, D]")
    if centre and train_features is not None:
        check_features("train_features", train_features, like=("features", features))
    origin = train_features if centre and train_features is not None else features
    # Distances do not change with the origin, but in float32 they are exact only near it.
    shift = moments(origin)[0] if centre or similarity == "euclidean" else np.zeros(features.shape[1])
    same = all_the_same(features)
    placed = _placed(features, shift, unit=similarity == "cosine")
    if same:
        placed[:] = 0  # what differs is rounding
    order, counts = np.argsort(truth, kind="stable"), np.bincount(truth)
    starts = np.cumsum(counts) - counts

    need = max(shots) + queries
    enough = np.flatnonzero(counts >= need)
    if len(enough) < ways:
        raise DataError(
            f"{len(enough)} classes have the {need} examples that {max(shots)} shots and {queries} queries need, "
            f"expected {ways}",
            "ask for fewer ways, shots or queries",
        )
    found = []
    for shot in shots:
        rng = np.random.default_rng([seed, shot])
        accuracy = np.empty(draws)
        for part in _parts(draws, DRAWN_AT_ONCE):
            rows = order[_drawn(rng, starts[enough], counts[enough], part.stop - part.start, ways, shot + queries)]
            size = max(1, GATHERED // (rows[0].size * features.shape[1]))
            for piece in _parts(len(rows), size):
                support, asked = placed[rows[piece, :, :shot]], placed[rows[piece, :, shot:]]
                scored = _scored(support, asked, cosine=similarity == "cosine")
                accuracy[part.start + piece.start : part.start + piece.stop] = scored
        found.append((float(accuracy.mean()), float(accuracy.std(ddof=1))))
    return FewShot(
        shots=tuple(shots),
        accuracy=tuple(mean for mean, _ in found),
        half_interval=tuple(float(Z95 * sd / np.sqrt(draws)) for _, sd in found),
        standard_deviation=tuple(sd for _, sd in found),
        ways=ways,
        queries=queries,
        draws=draws,
        similarity=similarity,
        centred=centre,
        classes=len(enough),
        classes_left_out=int((counts > 0).sum()) - len(enough),
        on=on,
        examples=len(features),
        constant=same,
        zero_vectors=int((~placed.any(axis=1)).sum()) if similarity == "cosine" else 0,
    )


def _check_options(ways: int, shots: tuple[int, ...], queries: int, draws: int, seed: int) -> None:
    for name, value, least in (("ways", ways, 2), ("queries", queries, 1), ("draws", draws, 2)):
        if value < least:
            raise UsageError(f"--{name} is {value}, expected {least} or more")
    if not shots or min(shots) < 1:
        raise UsageError(
            f"--shots is {','.join(map(str, shots)) or 'empty'}, expected 1 or more", "such as --shots 1,5"
        )
    check_seed(seed)


def _placed(features: np.ndarray, shift: np.ndarray, *, unit: bool) -> np.ndarray:
    """Features less the shift, f32 (f64 stays), of unit length where asked for; a zero vector stays zero."""
    out = np.empty(features.shape, dtype=np.float64 if features.dtype == np.float64 else np.float32)
    for part in row_blocks(features):
        block = features[part] - shift
        out[part] = _unit(block) if unit else block
    return out


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _parts(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _drawn(
    rng: np.random.Generator, starts: np.ndarray, counts: np.ndarray, draws: int, ways: int, examples: int
) -> np.ndarray:
    """Places [draws, ways, examples] among the examples sorted by class: different classes, different examples."""
    classes = rng.random((draws, len(counts))).argsort(axis=1)[:, :ways]
    size = counts[classes]
    chosen = np.empty((draws, ways, examples), dtype=np.int64)
    # Floyd's draw without replacement, for all at once: no permutation of a whole class.
    for number in range(examples):
        last = size - examples + number
        drawn = (rng.random((draws, ways)) * (last + 1)).astype(np.int64)
        taken = (chosen[..., :number] == drawn[..., None]).any(axis=-1)
        chosen[..., number] = np.where(taken, last, drawn)
    return starts[classes][..., None] + rng.permuted(chosen, axis=-1)


def _scored(support: np.ndarray, queries: np.ndarray, *, cosine: bool) -> np.ndarray:
    """Share of right queries in each draw: support [draws, ways, shots, D], queries [draws, ways, queries, D]."""
    draws, ways, each, width = queries.shape
    means = _unit(support.mean(axis=2)) if cosine else support.mean(axis=2)
    scores = queries.reshape(draws, ways * each, width) @ means.swapaxes(1, 2)
    if not cosine:
        scores -= 0.5 * np.einsum("bwd,bwd->bw", means, means)[:, None, :]
    return (scores.argmax(axis=-1) == np.repeat(np.arange(ways), each)).mean(axis=-1)

"""Soft labels as a table: the confidence label, the similarity labels, and how much they vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._classes import (
    ROOM,
    WIDE,
    check_temperature,
    class_moments,
    index_of,
    names_of,
    number_of,
    rank_in_class,
    some,
)  # fmt: skip
from fierce_tools.analysis._soft import blocks, check_logits, entropies, probabilities
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Cell, Report, Scalars, Table

# Of more classes than fit side by side, the likest few are named.
LIKEST = 5


@dataclass(frozen=True)
class Figures:
    """Means over some examples: entropy in nats, confidence label, row and column variance of similarity labels.

    The column variance is None where no class has two examples.
    """

    examples: int
    entropy: float
    confidence: float
    row_variance: float
    column_variance: float | None


@dataclass(frozen=True)
class SoftLabels:
    """`probabilities` [R, C] of the examples shown, at `positions` [R] of the split; `index` is their original place.

    `shown` and `split` hold the means over those and over all, `by_class` over each class (None without examples);
    `most_like` is a class's most probable other class on average, with that probability. `of_class` is what was asked.
    """

    temperature: float
    positions: tuple[int, ...]
    index: tuple[int, ...]
    labels: tuple[int, ...]
    probabilities: np.ndarray
    shown: Figures
    split: Figures
    of_class: str | None
    by_class: tuple[Figures | None, ...]
    most_like: tuple[tuple[int, float] | None, ...]
    class_names: tuple[str, ...]

    def report(self) -> Report:
        """The examples' soft labels, the means over them, over the split and over each class."""
        uniform = float(np.log(len(self.class_names)))
        scale = Scalars("Scale", {"temperature": self.temperature, "entropy if uniform": uniform},
                        {"entropy if uniform": "nats"})  # fmt: skip
        rows: list[tuple[Cell, ...]] = [("shown", *_cells(self.shown))]
        if self.of_class is not None:
            found = self.by_class[self.class_names.index(self.of_class)]
            rows.append((f"class {self.of_class}", *_cells(found)))
        rows.append(("split", *_cells(self.split)))
        heads = ("examples", "entropy (nats)", "confidence", "row variance", "column variance")
        figures = Table("Soft labels in figures", ("over", *heads), tuple(rows))
        notes = (
            "example: class and index. own, confidence: the true class's probability (confidence label).",
            "The other classes' probabilities are the similarity labels.",
            "row variance: of the similarity labels within an example, averaged over examples.",
            "column variance: of a similarity label over the examples of a class, averaged over labels and classes.",
        )
        return Report("Soft labels", (scale, self._examples(), figures, self._classes(heads)), notes)

    def _examples(self) -> Table:
        names, rows = self.class_names, []
        heads = names if sum(max(5, len(n)) + 2 for n in names) <= 70 else tuple(n[:5] for n in names)
        wide = len(names) <= WIDE and len(set(heads)) == len(names)
        for place, label, p in zip(self.index, self.labels, self.probabilities, strict=True):
            others: list[Cell] = [None if c == label else round(float(v), 3) for c, v in enumerate(p)]
            if not wide:
                ranked = [c for c in np.argsort(-p, kind="stable")[: LIKEST + 1].tolist() if c != label][:LIKEST]
                others = [f"{names[c]} {p[c]:.3f}" for c in ranked]
            # Class and index share a column: ten classes then fit into a hundred.
            rows.append((f"{names[label]} #{place}", round(float(p[label]), 3), *others))
        if not wide:
            heads = tuple(f"likest {k}" for k in range(1, min(LIKEST, len(names) - 1) + 1))
        return Table("Confidence and similarity labels", ("example", "own", *heads), tuple(rows))

    def _classes(self, heads: tuple[str, ...]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for name, found, like in zip(self.class_names, self.by_class, self.most_like, strict=True):
            kin = "" if like is None else f"{self.class_names[like[0]]} {like[1]:.3f}"
            rows.append((name, *_cells(found), kin))
        title = "Soft labels of each class"
        if len(rows) > ROOM:
            least = sorted(range(len(rows)), key=lambda c: _least(self.by_class[c]))[:ROOM]
            rows, title = [rows[c] for c in sorted(least)], f"{title}, the {ROOM} least confident"
        return Table(title, ("class", *heads, "most like"), tuple(rows))


def _cells(found: Figures | None) -> tuple[Cell, ...]:
    if found is None:
        return (0, None, None, None, None)
    column = found.column_variance
    return (
        found.examples, some(found.entropy, 3), some(found.confidence, 3), _precise(found.row_variance),
        None if column is None else _precise(column),
    )  # fmt: skip


def _precise(value: float) -> float:
    return float(f"{value:.3g}")


def _least(found: Figures | None) -> float:
    return np.inf if found is None else found.confidence


def soft_labels(
    logits: np.ndarray,
    labels: np.ndarray,
    index: np.ndarray | None = None,
    class_names: tuple[str, ...] | None = None,
    *,
    temperature: Annotated[float, "softmax temperature, above 0"] = 9.0,
    examples: Annotated[tuple[int, ...], "examples to show, by position in the split (some of every class)"] = (),
    of_class: Annotated[str | None, "show examples of this class only, by name or number"] = None,
    rows: Annotated[int, "examples to show where none are named, 1 or more"] = 20,
) -> SoftLabels:
    """Soft labels as a table: confidence label (true class) and similarity labels (the others), with their variances.

    p = softmax(z/T) of logits [N, C]; entropy -Σ p log p in nats; row variance = mean over examples of the variance
    of p_k over k ≠ y; column variance = mean over classes c of two examples or more, and over k ≠ c, of the variance
    of p_k over the examples of c (population variances). The first examples of each class are shown unless some are
    named. Raises UsageError for a temperature not above 0, an example or a class there is not, DataError for logits
    not finite or labels out of range. Source: Vats 2021, ch. 3.
    """
    check_temperature(temperature)
    check_logits(logits, labels)
    if rows < 1:
        raise UsageError(f"{rows} rows, expected 1 or more")
    places = index_of(index, labels)
    classes = logits.shape[1]
    names = names_of(class_names, classes)
    wanted = None if of_class is None else number_of(of_class, names)
    positions = _positions(labels, examples, wanted, rows)
    p = probabilities(logits[positions], temperature)
    entropy = entropies(logits, (temperature,))[0].astype(np.float64)
    confidence, variance = _rows(logits, labels, temperature)
    found = class_moments(logits, labels, temperature)
    away = ~np.eye(classes, dtype=bool)
    columns = found.variance.mean(axis=1, where=away)
    likeness = np.where(away, found.mean, -1)
    kin = likeness.argmax(axis=1)
    counts = found.counts.tolist()
    sums = [np.bincount(labels, weights=v, minlength=classes).tolist() for v in (entropy, confidence, variance)]
    several = found.counts > 1
    return SoftLabels(
        temperature=temperature,
        positions=tuple(positions.tolist()),
        index=tuple(places[positions].tolist()),
        labels=tuple(labels[positions].tolist()),
        probabilities=p,
        shown=figures(p, labels[positions]),
        split=Figures(
            examples=len(labels),
            entropy=float(entropy.mean()),
            confidence=float(confidence.mean()),
            row_variance=float(variance.mean()),
            column_variance=float(columns[several].mean()) if several.any() else None,
        ),
        of_class=None if wanted is None else names[wanted],
        by_class=tuple(
            Figures(n, h / n, own / n, var / n, float(column) if n > 1 else None) if n else None
            for n, h, own, var, column in zip(counts, *sums, columns, strict=True)
        ),
        most_like=tuple((int(k), float(likeness[c, k])) if counts[c] else None for c, k in enumerate(kin)),
        class_names=names,
    )


def figures(probabilities: np.ndarray, labels: np.ndarray) -> Figures:
    """The means over soft labels [R, C] as they are, whether or not their rows sum to 1, with labels [R]."""
    p = probabilities.astype(np.float64)
    own = p[np.arange(len(p)), labels]
    away = np.arange(p.shape[1]) != labels[:, None]
    logs = np.log(np.where(p > 0, p, 1))
    members = [p[labels == c][:, np.arange(p.shape[1]) != c] for c in np.unique(labels)]
    columns = [group.var(axis=0).mean() for group in members if len(group) > 1]
    return Figures(
        examples=len(p),
        entropy=float(-(p * logs).sum(axis=1).mean()),
        confidence=float(own.mean()),
        row_variance=float(p.var(axis=1, where=away).mean()),
        column_variance=float(np.mean(columns)) if columns else None,
    )


def _rows(logits: np.ndarray, labels: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Each example's confidence label, and the variance of its similarity labels [N]."""
    confidence, variance = np.empty(len(logits)), np.empty(len(logits))
    for rows, z in blocks(logits):
        p = np.exp(z / temperature)
        p /= p.sum(axis=0)
        places, columns = labels[rows], np.arange(p.shape[1])
        confidence[rows] = p[places, columns]
        p[places, columns] = 0
        others = len(p) - 1
        mean = p.sum(axis=0, dtype=np.float64) / others
        squares = np.square(p, dtype=np.float64).sum(axis=0) / others
        variance[rows] = np.maximum(squares - mean**2, 0)
    return confidence, variance


def _positions(labels: np.ndarray, examples: tuple[int, ...], wanted: int | None, rows: int) -> np.ndarray:
    """Which examples to show, as positions in the split."""
    if examples and wanted is not None:
        raise UsageError("examples by position and by class at once", "give --examples or --of-class")
    bad = [e for e in examples if not 0 <= e < len(labels)]
    if bad:
        raise UsageError(f"example {bad[0]} of a split of {len(labels)}", f"expected 0 to {len(labels) - 1}")
    if examples:
        return np.array(examples, dtype=np.int64)
    if wanted is not None:
        found = np.flatnonzero(labels == wanted)[:rows]
        if not len(found):
            raise DataError(f"the split has no example of class {wanted}")
        return found
    each = max(1, rows // len(np.unique(labels)))
    order = np.argsort(labels, kind="stable")
    return order[rank_in_class(labels)[order] < each][:rows]

"""The examples whose soft labels say most: a small set to distil with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._classes import ROOM, check_temperature, index_of, names_of, rank_in_class, some
from fierce_tools.analysis._metrics import accuracy
from fierce_tools.analysis._soft import check_logits, entropies
from fierce_tools.errors import UsageError
from fierce_tools.report import Cell, Images, Report, Scalars, Table

SHOWN = 20

# Asked of the training examples unless another split is named.
DEFAULT_SPLIT = "train"


@dataclass(frozen=True)
class TransferSet:
    """The chosen examples, highest entropy first: all arrays are [M] and row by row of the same example.

    `index` is the position in the original file (or in the arrays, where they have no index), `scores` the entropy in
    nats. `per_class` is what was asked of each, None for a set that is not balanced. Of the whole split are
    `available` and `split_entropy` by true class [C], `split_mean` and `split_accuracy`.
    """

    index: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    temperature: float
    balanced: bool
    per_class: int | None
    class_names: tuple[str, ...]
    available: tuple[int, ...]
    split_entropy: tuple[float | None, ...]
    split_mean: float
    split_accuracy: float

    def report(self) -> Report:
        """How much was taken of each class and how soft it is; the first pictures with label and prediction."""
        right = self.labels == self.predictions
        values: dict[str, Cell] = {
            "examples": len(self.index),
            "temperature": self.temperature,
            "mean entropy": float(self.scores.mean()),
            "mean entropy of the split": self.split_mean,
            "accuracy on these": float(right.mean()),
            "accuracy on the split": self.split_accuracy,
        }
        units = {"mean entropy": "nats", "mean entropy of the split": "nats"}
        order = np.argsort(self.labels, kind="stable")
        taken = np.bincount(self.labels, minlength=len(self.class_names))
        ends = np.cumsum(taken)
        rows: list[tuple[Cell, ...]] = []
        for c, (n, end) in enumerate(zip(taken.tolist(), ends.tolist(), strict=True)):
            mine = order[end - n : end]
            score = self.scores[mine]
            figures = (some(score[0]), some(score.mean()), some(score[-1])) if n else (None, None, None)
            whole = self.split_entropy[c]
            wrong = int(n - right[mine].sum())
            rows.append((self.class_names[c], n, self.available[c], *figures, whole and round(whole, 4), wrong))
        columns = ("class", "taken", "of", "highest", "mean", "lowest", "mean of class", "misclassified")
        title = "Entropy of the transfer set by class (nats)"
        if len(rows) > ROOM:
            rows = [rows[c] for c in np.sort(np.argsort(-taken, kind="stable")[:ROOM])]
            title += f", the {ROOM} classes with most examples"
        shown = self._first()
        captions = tuple(
            f"label {self.class_names[y]}, predicted {self.class_names[p]}, {h:.3f} nats"
            for y, p, h in zip(self.labels[shown], self.predictions[shown], self.scores[shown], strict=True)
        )
        pictures = Images("Softest examples", tuple(self.index[shown].tolist()), captions)
        notes = []
        short = [self.class_names[c] for c, n in enumerate(taken.tolist()) if self.per_class and n < self.per_class]
        if short:
            more = "" if len(short) <= 5 else f" and {len(short) - 5} more"
            notes.append(f"Fewer than {self.per_class} examples there are of {', '.join(short[:5])}{more}.")
        return Report("Transfer set", (Scalars("Transfer set", values, units), Table(title, columns, tuple(rows)),
                                       pictures), tuple(notes))  # fmt: skip

    def _first(self) -> np.ndarray:
        """Rows to show: the softest, of every class as many where the set is balanced."""
        if not self.balanced:
            return np.arange(min(SHOWN, len(self.index)))
        rank = rank_in_class(self.labels)
        return np.flatnonzero(rank < max(1, SHOWN // len(self.class_names)))[:SHOWN]


def transfer_set(
    logits: np.ndarray,
    labels: np.ndarray,
    index: np.ndarray | None = None,
    class_names: tuple[str, ...] | None = None,
    *,
    temperature: Annotated[float, "softmax temperature, above 0"] = 9.0,
    per_class: Annotated[int, "examples of each class, 1 or more"] = 60,
    balanced: Annotated[bool, "as many of each true class, instead of the softest overall"] = True,
    total: Annotated[int | None, "examples overall with --no-balanced (per class times the number of classes)"] = None,
) -> TransferSet:
    """The examples whose soft labels have the highest entropy, of each class or overall, with their scores.

    Score H(softmax(z/T)) in nats from logits [N, C]; the per_class highest of each true class (labels [N]), or the
    `total` highest of all; equal scores in the order of the split. Most useful on the training split. A class with
    fewer examples gives all it has. Raises UsageError for numbers below 1 or a total of a balanced set, DataError for
    logits not finite, labels out of range or an index that does not fit. Source: Vats 2021, ch. 5.
    """
    check_temperature(temperature)
    if per_class < 1 or (total is not None and total < 1):
        raise UsageError(f"a transfer set of {per_class if per_class < 1 else total} examples", "expected 1 or more")
    if balanced and total is not None:
        raise UsageError("a total cannot be had of a balanced set", "say --per-class N, or --no-balanced --total N")
    check_logits(logits, labels)
    places = index_of(index, labels)
    classes = logits.shape[1]
    names = names_of(class_names, classes)
    scores = entropies(logits, (temperature,))[0].astype(np.float64)
    predictions = logits.argmax(axis=1)
    ranked = np.argsort(-scores, kind="stable")
    if balanced:
        chosen = ranked[rank_in_class(labels[ranked]) < per_class]
    else:
        chosen = ranked[: total if total is not None else per_class * classes]
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=scores, minlength=classes)
    return TransferSet(
        index=places[chosen],
        scores=scores[chosen],
        labels=labels[chosen],
        predictions=predictions[chosen],
        temperature=temperature,
        balanced=balanced,
        per_class=per_class if balanced else None,
        class_names=names,
        available=tuple(counts.tolist()),
        split_entropy=tuple(s / n if n else None for s, n in zip(sums.tolist(), counts.tolist(), strict=True)),
        split_mean=float(scores.mean()),
        split_accuracy=accuracy(logits, labels),
    )

"""Which classes a model takes for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from fierce_tools.analysis._classes import ROOM, WIDE, names_of
from fierce_tools.analysis._soft import check_logits
from fierce_tools.errors import UsageError
from fierce_tools.menu import unknown
from fierce_tools.report import Cell, Heat, Report, Scalars, Table

CELLS = {"none": "examples", "true": "share of the true class", "predicted": "share of the predicted class"}


@dataclass(frozen=True)
class Confusion:
    """`counts` [C, C], rows true and columns predicted; `pairs` (true, predicted, count), the most frequent first.

    precision and recall are fractions; None for a class never predicted, or without examples.
    """

    counts: np.ndarray
    normalize: str
    accuracy: float
    balanced_accuracy: float
    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    pairs: tuple[tuple[int, int, int], ...]
    class_names: tuple[str, ...]

    def matrix(self) -> np.ndarray:
        """The matrix as asked for [C, C]: counts, or shares whose rows or columns sum to 1; NaN where none are."""
        if self.normalize == "none":
            return self.counts
        totals = self.counts.sum(axis=1, keepdims=True) if self.normalize == "true" else self.counts.sum(axis=0)
        return self.counts / np.where(totals > 0, totals, np.nan)

    def report(self) -> Report:
        """The matrix, precision and recall of each class, and the most confused pairs; of many classes the worst."""
        names, support = self.class_names, self.counts.sum(axis=1)
        wrong = support + self.counts.sum(axis=0) - 2 * np.diagonal(self.counts)
        shown, crossed = (np.sort(np.argsort(-wrong, kind="stable")[:most]) for most in (ROOM, WIDE))
        chosen = tuple(names[c] for c in crossed)
        values: dict[str, Cell] = {
            "accuracy": self.accuracy,
            "balanced accuracy": self.balanced_accuracy,
            "errors": int(support.sum() - np.trace(self.counts)),
            "examples": int(support.sum()),
        }
        matrix = Heat(
            f"Confusion: rows true, columns predicted, {CELLS[self.normalize]}{_which(names, WIDE)}",
            chosen,
            chosen,
            tuple(tuple(_cell(v) for v in row) for row in self.matrix()[np.ix_(crossed, crossed)].tolist()),
        )
        each = Table(
            f"Precision and recall{_which(names, ROOM)}",
            ("class", "examples", "predicted", "right", "precision", "recall"),
            tuple(
                (names[c], int(support[c]), int(self.counts[:, c].sum()), int(self.counts[c, c]),
                 self.precision[c], self.recall[c])
                for c in shown
            ),
        )  # fmt: skip
        pairs = Table(
            "Most confused",
            ("true class", "predicted", "examples", "share of the true class"),
            tuple((names[t], names[p], n, n / int(support[t])) for t, p, n in self.pairs),
        )
        notes = () if wrong.any() else ("No example is misclassified.",)
        return Report("Confusion", (Scalars("Confusion in figures", values), matrix, each, pairs), notes)


def _which(names: tuple[str, ...], most: int) -> str:
    return "" if len(names) <= most else f", the {most} classes with most errors"


def _cell(value: float) -> float | int | None:
    return value if isinstance(value, int) else None if np.isnan(value) else round(value, 4)


def confusion(
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...] | None = None,
    *,
    normalize: Annotated[
        Literal["none", "true", "predicted"], "examples, or their share of the true or of the predicted class"
    ] = "none",
    pairs: Annotated[int, "most confused pairs to list, 0 or more"] = 10,
) -> Confusion:
    """Confusion matrix, precision and recall of each class, and the pairs of classes most often confused.

    counts[t, p] = examples of class t whose largest logit is p (ties: the lower class), from logits [N, C] and
    labels [N]. precision = counts[c, c] / column sum, recall = counts[c, c] / row sum, fractions; balanced accuracy
    is the mean recall of the classes that have examples. Raises UsageError for pairs below 0, DataError for logits
    not finite or labels out of range. Source: scikit-learn's confusion_matrix, rows the truth.
    """
    if normalize not in CELLS:
        raise unknown("value for normalize:", normalize, tuple(CELLS))
    if pairs < 0:
        raise UsageError(f"{pairs} pairs, expected 0 or more")
    check_logits(logits, labels)
    classes = logits.shape[1]
    flat = np.bincount(labels * classes + logits.argmax(axis=1), minlength=classes * classes)
    counts = flat.reshape(classes, classes)
    right = np.diagonal(counts)
    recall = _shares(right, counts.sum(axis=1))
    # The largest counts off the diagonal; equal ones in the order of the classes.
    off = np.where(np.eye(classes, dtype=bool), 0, counts).ravel()
    top = [int(i) for i in np.argsort(-off, kind="stable")[:pairs] if off[i] > 0]
    return Confusion(
        counts=counts,
        normalize=normalize,
        accuracy=float(right.sum() / len(labels)),
        balanced_accuracy=float(np.mean([r for r in recall if r is not None])),
        precision=_shares(right, counts.sum(axis=0)),
        recall=recall,
        pairs=tuple((i // classes, i % classes, int(off[i])) for i in top),
        class_names=names_of(class_names, classes),
    )


def _shares(parts: np.ndarray, wholes: np.ndarray) -> tuple[float | None, ...]:
    return tuple(p / n if n else None for p, n in zip(parts.tolist(), wholes.tolist(), strict=True))

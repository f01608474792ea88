"""Classes by name or number, and what soft labels do within each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fierce_tools.analysis._soft import BLOCK, probabilities
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import unknown

# Classes that a table has room for down a screen, and across a hundred columns.
ROOM = 20
WIDE = 12


def names_of(class_names: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """A name for each of C classes: those given, else their numbers. Raises DataError for another count."""
    if class_names is None:
        return tuple(str(c) for c in range(classes))
    if len(class_names) != classes:
        raise DataError(f"{len(class_names)} class names for {classes} classes")
    return tuple(class_names)


def number_of(text: str, names: Sequence[str]) -> int:
    """The number of a class written as its name or its number. Raises UsageError with the nearest right name."""
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise unknown("class", text, tuple(names))


@dataclass(frozen=True)
class Moments:
    """Of the soft labels of each class: `counts` [C], `mean` [C, C] and `variance` [C, C] (row: true class).

    The variance is the population's; a class without examples has NaN in its rows.
    """

    counts: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def class_moments(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> Moments:
    """Mean and variance of softmax(z/T) within each class, from logits [N, C] and labels [N]."""
    return moments(lambda rows: probabilities(logits[rows], temperature), labels, logits.shape[1])


def moments(soft: Callable[[np.ndarray], np.ndarray], labels: np.ndarray, classes: int) -> Moments:
    """The same of any soft labels: `soft(rows)` gives those of some rows [n, C]. Memory is bounded by blocks."""
    order = np.argsort(labels, kind="stable")
    sums, squares = np.zeros((classes, classes)), np.zeros((classes, classes))
    step = max(1, BLOCK // classes)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        own = labels[rows]
        # Rows lie class after class here, so that one reduction adds up each class's stretch.
        stretches = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
        p = soft(rows).astype(np.float64)
        sums[own[stretches]] += np.add.reduceat(p, stretches, axis=0)
        squares[own[stretches]] += np.add.reduceat(p * p, stretches, axis=0)
    counts = np.bincount(labels, minlength=classes)
    many = np.where(counts > 0, counts, np.nan)[:, None]
    mean = sums / many
    return Moments(counts, mean, np.maximum(squares / many - mean**2, 0))


def check_temperature(temperature: float) -> None:
    """Raises UsageError for a temperature that is not above 0 and finite."""
    if not (temperature > 0 and np.isfinite(temperature)):
        raise UsageError(f"temperature {temperature:g}: expected a number above 0", "for example --temperature 9")


def some(value: float, digits: int = 4) -> float | None:
    """A number for a table's cell, rounded; None where there is none."""
    return round(float(value), digits) if np.isfinite(value) else None


def rank_in_class(labels: np.ndarray) -> np.ndarray:
    """How many earlier rows have the same label [N]."""
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank


def index_of(index: np.ndarray | None, labels: np.ndarray) -> np.ndarray:
    """The index, or positions where there is none. Raises DataError for one that does not fit the labels."""
    if index is None:
        return np.arange(len(labels))
    if index.shape != labels.shape:
        raise DataError(f"index has shape {list(index.shape)}, labels {list(labels.shape)}: one for each row")
    return index

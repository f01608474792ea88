"""Which training examples of each class a student is given: those of softest labels, or others to compare with."""

from __future__ import annotations

import numpy as np

from fierce_tools.analysis._classes import check_temperature, rank_in_class
from fierce_tools.analysis._soft import BLOCK, probabilities
from fierce_tools.analysis.transfer_set import transfer_set
from fierce_tools.menu import unknown

SELECTIONS = ("entropy", "lowest", "margin", "random")


def select(
    how: str, logits: np.ndarray, labels: np.ndarray, per_class: int, *, temperature: float, seed: int
) -> np.ndarray:
    """Rows i64 [M] in rising order: `per_class` examples of each true class, or all of a class that has fewer.

    `entropy`: the highest H(softmax(z/T)), as `transfer_set` takes them; `lowest`: the lowest; `margin`: the smallest
    difference between the two largest probabilities at T; `random`: a draw by the seed, the same for every teacher. A
    smaller set is part of a larger one. From logits [N, C] and labels [N]. Raises UsageError for another name.
    """
    if how not in SELECTIONS:
        raise unknown("selection", how, SELECTIONS)
    check_temperature(temperature)
    if how == "entropy":
        return np.sort(transfer_set(logits, labels, temperature=temperature, per_class=per_class).index)
    if how == "lowest":
        whole = transfer_set(logits, labels, temperature=temperature, per_class=len(labels))
        ranked = whole.index[::-1]
    elif how == "margin":
        ranked = np.argsort(margins(logits, temperature), kind="stable")
    else:
        ranked = np.random.default_rng((seed, len(labels))).permutation(len(labels))
    return np.sort(ranked[rank_in_class(labels[ranked]) < per_class])


def margins(logits: np.ndarray, temperature: float) -> np.ndarray:
    """The difference between the two largest of softmax(z/T) [N], from logits [N, C]."""
    found = np.empty(len(logits))
    step = max(1, BLOCK // logits.shape[1])
    for start in range(0, len(logits), step):
        p = probabilities(logits[start : start + step].astype(np.float64), temperature)
        top = np.partition(p, p.shape[1] - 2, axis=1)[:, -2:]
        found[start : start + step] = top[:, 1] - top[:, 0]
    return found

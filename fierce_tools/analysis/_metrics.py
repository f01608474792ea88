"""The plain figures of a classifier on a split; every other place takes them from here."""

from __future__ import annotations

import numpy as np

from fierce_tools.analysis._soft import blocks, check_logits
from fierce_tools.errors import UsageError


def accuracy(logits: np.ndarray, labels: np.ndarray, *, top: int = 1) -> float:
    """Share of examples whose label is among the `top` largest logits; ties go to the lower class. A fraction."""
    check_logits(logits, labels)
    rows = np.arange(len(labels))
    own = logits[rows, labels][:, None]
    ahead = (logits > own).sum(axis=1)
    ahead += ((logits == own) & (np.arange(logits.shape[1]) < labels[:, None])).sum(axis=1)
    return float((ahead < top).mean())


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean -log p_y in nats."""
    check_logits(logits, labels)
    total = 0.0
    for rows, z in blocks(logits):
        own = np.take_along_axis(z, labels[rows][None], axis=0)[0]
        total += float((np.log(np.exp(z).sum(axis=0)) - own).sum(dtype=np.float64))
    return total / len(labels)


def confidence(logits: np.ndarray) -> np.ndarray:
    """The largest probability of each row [N]."""
    out = np.empty(len(logits), dtype=np.float64)
    for rows, z in blocks(logits):
        out[rows] = 1 / np.exp(z.astype(np.float64)).sum(axis=0)
    return out


def ece(confidence: np.ndarray, correct: np.ndarray, *, bins: int = 15) -> float:
    """Expected calibration error: Σ_b n_b/N · |mean confidence - mean correctness|, a fraction.

    Equal-width bins (lo, hi], the first closed. confidence [N] in [0, 1], correct [N] true or false.
    Raises UsageError for no bins. Source: Guo et al. 2017.
    """
    if bins < 1:
        raise UsageError(f"{bins} bins, expected 1 or more")
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=confidence, minlength=bins) - np.bincount(which, weights=correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def top_label_ece(logits: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> float:
    """ECE of the predicted class's probability, from logits [N, C] and labels [N]; a fraction."""
    check_logits(logits, labels)
    return ece(confidence(logits), logits.argmax(axis=1) == labels, bins=bins)

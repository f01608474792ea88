"""The plain figures of a classifier on a split; every other place takes them from here.

Confidence is the predicted class's probability, and every calibration error here is of the top label unless its name
says classwise. Equal-width bins are ((m-1)/M, m/M], the first closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from fierce_tools.analysis._soft import GONE, check_logits, each, each_softmax, tempered
from fierce_tools.errors import UsageError


@dataclass(frozen=True)
class Examples:
    """Of softmax(z/T) for each example: `confidence`, `loss` -log p_y and `entropy` in nats [T, N]; `correct` [N].

    The loss is inf where the label's probability is 0 by a logit of -inf.
    """

    confidence: np.ndarray
    loss: np.ndarray
    entropy: np.ndarray
    correct: np.ndarray


def per_example(logits: np.ndarray, labels: np.ndarray, temperatures: Sequence[float] = (1.0,)) -> Examples:
    """Confidence, loss, entropy and correctness of logits [N, C] with labels [N], in one pass over the logits.

    Of classes that tie for the largest logit the lowest is the predicted one. Raises DataError for logits that are not
    finite or labels that do not fit.
    """
    check_logits(logits, labels)
    shape = (len(temperatures), len(logits))
    dtype = np.float64 if logits.dtype == np.float64 else np.float32
    confidence, loss, entropy = (np.empty(shape, dtype) for _ in range(3))
    correct = np.empty(len(logits), dtype=bool)

    def work(rows: slice, z: np.ndarray, axis: int) -> None:
        predicted = np.expand_dims(z.argmax(axis=axis), axis)
        label = np.expand_dims(labels[rows], axis)
        correct[rows] = (predicted == label).squeeze(axis)
        np.subtract(z, np.take_along_axis(z, predicted, axis), out=z)
        own = np.take_along_axis(z, label, axis).squeeze(axis)
        own = np.where(own < GONE / 2, -np.inf, own)
        e = np.empty_like(z)
        for number, temperature in enumerate(temperatures):
            total, weighted = tempered(z, axis, temperature, e)
            log_total = np.log(total)
            confidence[number, rows] = 1 / total
            loss[number, rows] = log_total - own / temperature
            entropy[number, rows] = np.maximum(log_total - weighted / total / temperature, 0)

    each(work, logits)
    return Examples(confidence, loss, entropy, correct)


def accuracy(logits: np.ndarray, labels: np.ndarray, *, top: int = 1) -> float:
    """Share of examples whose label is among the `top` largest logits; ties go to the lower class. A fraction."""
    check_logits(logits, labels)
    right = np.empty(len(logits), dtype=bool)
    classes = np.arange(logits.shape[1])

    def work(rows: slice, z: np.ndarray, axis: int) -> None:
        label = np.expand_dims(labels[rows], axis)
        own = np.take_along_axis(z, label, axis)
        ahead = (z > own) | ((z == own) & (np.expand_dims(classes, 1 - axis) < label))
        right[rows] = ahead.sum(axis=axis) < top

    each(work, logits)
    return float(right.mean())


def nll(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Mean -log p_y of softmax(z/T) in nats, over the examples where it is finite."""
    return finite_mean(per_example(logits, labels, (temperature,)).loss)


def finite_mean(values: np.ndarray) -> float:
    """The mean of the values that are finite; NaN where none is."""
    if np.isfinite(values.sum(dtype=np.float64)):
        return float(values.mean(dtype=np.float64))
    kept = values[np.isfinite(values)]
    return float(kept.mean(dtype=np.float64)) if kept.size else float("nan")


def infinite(values: np.ndarray) -> int:
    """How many values are not finite."""
    return int(values.size - np.isfinite(values).sum())


def confidence(logits: np.ndarray) -> np.ndarray:
    """The largest probability of each row [N]."""
    out = np.empty(len(logits), dtype=np.float64)

    def work(rows: slice, p: np.ndarray, axis: int) -> None:
        out[rows] = p.max(axis=axis)

    each_softmax(work, logits)
    return out


def brier(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Each example's Σ_c (p_c - y_c)² [N], summed over all classes, so 0 to 2; of softmax(z/T)."""
    check_logits(logits, labels)
    out = np.empty(len(logits), dtype=np.float64)

    def work(rows: slice, p: np.ndarray, axis: int) -> None:
        label = np.expand_dims(labels[rows], axis)
        np.put_along_axis(p, label, np.take_along_axis(p, label, axis) - 1, axis)
        out[rows] = np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", p, p)

    each_softmax(work, logits, temperature)
    return out


def equal_width(confidence: np.ndarray, bins: int) -> np.ndarray:
    """The number [N] of the bin ((m-1)/M, m/M] that each confidence in [0, 1] lies in, the first closed.

    Raises UsageError for no bins.
    """
    if bins < 1:
        raise UsageError(f"{bins} bins, expected 1 or more")
    return np.searchsorted(np.arange(1, bins) / bins, confidence, side="left")


def equal_mass(confidence: np.ndarray, bins: int) -> np.ndarray:
    """The number [N] of the bin each confidence lies in when all M hold as many; equal confidences share a bin.

    Raises UsageError for no bins.
    """
    if bins < 1:
        raise UsageError(f"{bins} bins, expected 1 or more")
    _, group, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    first = np.cumsum(sizes) - sizes
    return (first * bins // len(confidence))[group]


def bin_means(which: np.ndarray, confidence: np.ndarray, correct: np.ndarray, bins: int) -> tuple[np.ndarray, ...]:
    """Examples, mean confidence and share correct of each bin [M]; 0 for the means of an empty one."""
    counts = np.bincount(which, minlength=bins)
    sums = (np.bincount(which, weights=values, minlength=bins) for values in (confidence, correct))
    return counts, *(s / np.maximum(counts, 1) for s in sums)


def ece(confidence: np.ndarray, correct: np.ndarray, *, bins: int = 15, which: np.ndarray | None = None) -> float:
    """Expected calibration error: Σ_b n_b/N · |mean confidence - mean correctness|, a fraction.

    Equal-width bins, or those of `which` [N]. confidence [N] in [0, 1], correct [N] true or false.
    Raises UsageError for no bins. Source: Guo et al. 2017.
    """
    which = equal_width(confidence, bins) if which is None else which
    counts, said, right = bin_means(which, confidence, correct, bins)
    return float((counts * np.abs(said - right)).sum() / len(confidence))


def mce(confidence: np.ndarray, correct: np.ndarray, *, bins: int = 15) -> float:
    """Maximum calibration error: the largest |mean confidence - mean correctness| of a bin that has examples.

    Equal-width bins. Source: Guo et al. 2017.
    """
    _, said, right = bin_means(equal_width(confidence, bins), confidence, correct, bins)
    return float(np.abs(said - right).max())


def debiased_square(confidence: np.ndarray, correct: np.ndarray, *, bins: int = 15) -> tuple[float, float]:
    """Squared calibration error over equal-mass bins: as it is counted, and with the bias of few examples taken off.

    Σ_b n_b/N · (gap_b² - a_b(1-a_b)/(n_b-1)), a_b the share correct; a bin of one example counts 0. The second is
    unbiased, so it may be negative. Source: Kumar, Liang, Ma 2019.
    """
    counts, said, right = bin_means(equal_mass(confidence, bins), confidence, correct, bins)
    square = (said - right) ** 2
    bias = np.where(counts > 1, right * (1 - right) / np.maximum(counts - 1, 1), square)
    share = counts / len(confidence)
    return float((share * square).sum()), float((share * (square - bias)).sum())


def classwise_gaps(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0, *, bins: int = 15) -> np.ndarray:
    """Σ p_c - Σ [y = c] over the examples in each equal-width bin of p_c [C, M], of softmax(z/T); sums, so they add up.

    Their absolute sum over N·C is the classwise (static) calibration error. Source: Nixon et al. 2019.
    """
    check_logits(logits, labels)
    gaps = np.zeros((logits.shape[1], bins))
    lock = Lock()

    def work(rows: slice, p: np.ndarray, axis: int) -> None:
        classes = np.expand_dims(np.arange(logits.shape[1]), 1 - axis)
        cell = equal_width(p, bins)
        cell += bins * classes
        label = np.expand_dims(labels[rows], axis)
        np.put_along_axis(p, label, np.take_along_axis(p, label, axis) - 1, axis)
        found = np.bincount(cell.ravel(), weights=p.ravel(), minlength=gaps.size).reshape(gaps.shape)
        with lock:
            np.add(gaps, found, out=gaps)

    each_softmax(work, logits, temperature)
    return gaps


def risks(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """The error rate among the k most confident examples, k = 1..N [N]; equal confidences share their errors evenly.

    Its mean is the area under the risk-coverage curve (AURC). Source: Geifman, El-Yaniv 2017.
    """
    _, group, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, weights=~correct) / sizes
    return np.cumsum(np.repeat(wrong, sizes)) / np.arange(1, len(confidence) + 1)


def top_label_ece(logits: np.ndarray, labels: np.ndarray, *, bins: int = 15) -> float:
    """ECE of the predicted class's probability, from logits [N, C] and labels [N]; a fraction."""
    found = per_example(logits, labels)
    return ece(found.confidence[0], found.correct, bins=bins)

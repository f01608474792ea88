"""How sure a figure is."""

from __future__ import annotations

import numpy as np

# The normal deviate of a two-sided 95 % interval.
Z95 = 1.959964


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share of `right` among `count`, a fraction each end. Source: Wilson 1927."""
    share = right / count
    middle = share + Z95**2 / (2 * count)
    half = Z95 * np.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2))
    scale = 1 + Z95**2 / count
    low = 0.0 if right == 0 else float((middle - half) / scale)
    return low, 1.0 if right == count else float((middle + half) / scale)


def bootstrap_mean(values: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Both ends [...] of the 95 % percentile interval of the mean over examples of values [N, ...]; None for no draws.

    Every column is drawn by the same examples, so that columns compare. One draw holds N weights at a time.
    """
    if draws < 1:
        return None
    rng = np.random.default_rng(seed)
    flat = values.reshape(len(values), -1)
    means = np.empty((draws, flat.shape[1]))
    for number in range(draws):
        counts = np.bincount(rng.integers(len(flat), size=len(flat)), minlength=len(flat))
        means[number] = counts @ flat / len(flat)
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])

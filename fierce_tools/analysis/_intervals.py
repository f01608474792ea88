"""How sure a figure is."""

from __future__ import annotations

import numpy as np

# The normal deviate of a two-sided 95 % interval.
Z95 = 1.959964


def wilson(right: np.ndarray | int, count: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a share of `right` among `count` [...], fractions; 0 to 1 where there are none.

    Source: Wilson 1927.
    """
    n = np.maximum(count, 1e-9)
    share = np.asarray(right) / n
    scale = 1 + Z95**2 / n
    middle = (share + Z95**2 / (2 * n)) / scale
    half = np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2)) * Z95 / scale
    # Exactly, where rounding would leave a trace.
    low = np.where(share <= 0, 0.0, np.maximum(middle - half, 0))
    return low, np.where(share >= 1, 1.0, np.minimum(middle + half, 1))


def mean_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Both ends [...] of the 95 % interval of the mean over examples of values [N, ...], which may be skewed.

    Student's t after a cubic transformation that takes the skewness of the t statistic away; None for fewer than two
    examples. Source: Hall 1992, "On the removal of skewness by transformation".
    """
    from scipy.special import stdtrit

    n = len(values)
    if n < 2:
        return None
    mean = values.mean(axis=0, dtype=np.float64)
    apart = values - mean
    deviation = np.sqrt((apart**2).sum(axis=0) / (n - 1))
    scale = np.where(deviation > 0, deviation, 1)
    skew = (apart**3).mean(axis=0) / scale**3 / np.sqrt(n)
    bend = np.where(np.abs(skew) > 1e-6, skew, 1e-6)
    t = stdtrit(n - 1, 0.975)
    low, high = (3 / bend * (np.cbrt(1 + bend * (y - bend / 6)) - 1) for y in (t, -t))
    return mean - low * deviation / np.sqrt(n), mean - high * deviation / np.sqrt(n)


def bootstrap_mean(values: np.ndarray, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Both ends [...] of the 95 % bootstrap-t interval of the mean over examples of values [N, ...]; None for no draws.

    The quantiles are those of (mean of a draw - mean) / its standard error, so that skewed values are covered, too.
    Every column is drawn by the same examples, so that columns compare. One draw holds N weights at a time. Source:
    Efron, Tibshirani 1993, chapter 12.
    """
    if draws < 1:
        return None
    rng = np.random.default_rng(seed)
    flat = values.reshape(len(values), -1).astype(np.float64)
    mean, deviation = flat.mean(axis=0), flat.std(axis=0)
    apart = flat - mean
    both = np.hstack([apart, apart**2])
    ratios = np.empty((draws, flat.shape[1]))
    for number in range(draws):
        counts = np.bincount(rng.integers(len(flat), size=len(flat)), minlength=len(flat))
        moved, square = np.split(counts @ both / len(flat), 2)
        error = np.sqrt(np.maximum(square - moved**2, 0))
        # Draws without spread have no ratio; where no values have any, the mean is all there is.
        none = np.where(deviation > 0, np.nan, 0)
        ratios[number] = np.where(error > 0, moved / np.where(error > 0, error, 1), none)
    low, high = np.nanquantile(ratios, (0.025, 0.975), axis=0, method="weibull")
    low, high = mean - high * deviation, mean - low * deviation
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])

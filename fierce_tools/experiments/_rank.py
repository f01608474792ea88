"""How ranks go together, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fierce_tools.analysis._intervals import Z95

# p is exact where there are no more orders, so up to 7 pairs.
EXACT = 5040
# Fewer pairs have no interval: theirs would be nearly everything from -1 to 1.
FEWEST_FOR_INTERVAL = 5


@dataclass(frozen=True)
class Rank:
    """Spearman's ρ of n pairs, its 95 % interval, and `p`, how often chance orders them at least as well, either way.

    None where one side does not vary. Fewer than 5 pairs and a perfect order, which Fisher's z cannot hold, have no
    interval.
    """

    rho: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int


def rank(pairs: Sequence[tuple[float, float]], orders: int = 10_000, seed: int = 0) -> Rank:
    """Spearman's ρ of (x, y) with its 95 % interval: artanh ρ ± 1.96 √((1 + ρ²/2)/(n - 3)).

    p is exact up to 7 pairs, of more it is of that many random orders. Source: Bonett, Wright 2000.
    """
    from scipy.stats import permutation_test, rankdata

    values = np.asarray(pairs, np.float64)

    def rho(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        a, b = (rankdata(v, axis=-1) for v in (x, y))
        a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
        scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
        return (a * b).sum(axis=-1) / np.where(scale > 0, scale, np.nan)

    at = float(rho(values[:, 0], values[:, 1]))
    if not np.isfinite(at):
        return Rank(None, None, None, None, len(values))
    # Orders that differ by rounding alone are one.
    chance = permutation_test(
        (values[:, 0],), lambda x, axis: np.round(rho(x, np.broadcast_to(values[:, 1], x.shape)), 9),
        permutation_type="pairings", vectorized=True, n_resamples=max(orders, EXACT), alternative="two-sided",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = spearman_interval(at, len(values)) or (None, None)
    return Rank(at, low, high, float(chance.pvalue), len(values))


def spearman_interval(rho: float, n: int) -> tuple[float, float] | None:
    """95 % interval of Spearman's ρ of n pairs; None for fewer than 5 and for a perfect order.

    Source: Bonett, Wright 2000, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations".
    """
    if n < FEWEST_FOR_INTERVAL or abs(rho) > 1 - 1e-9:
        return None
    middle, half = np.arctanh(rho), Z95 * np.sqrt((1 + rho**2 / 2) / (n - 3))
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))

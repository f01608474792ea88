"""How ranks go together, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rank:
    """Spearman's ρ of n pairs, its 95 % interval, and `p`, how often chance orders them at least as well, either way.

    None where one side does not vary. A perfect order has no interval: whatever is drawn of it is in perfect order.
    """

    rho: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int


def rank(pairs: Sequence[tuple[float, float]], bootstrap: int, seed: int = 0) -> Rank:
    """Spearman's ρ of (x, y) with the 2.5 and 97.5 percentiles over pairs drawn with replacement.

    Draws in which one side does not vary have no ρ and are left out. p is exact up to 7 pairs, else of 10,000 orders.
    """
    from scipy.stats import permutation_test, rankdata

    values = np.asarray(pairs, np.float64)
    draws = np.random.default_rng(seed).integers(0, len(values), (bootstrap, len(values)))

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
        permutation_type="pairings", vectorized=True, n_resamples=10_000, alternative="two-sided",
        rng=np.random.default_rng(seed),
    )  # fmt: skip
    if abs(at) > 1 - 1e-9:
        return Rank(at, None, None, float(chance.pvalue), len(values))
    found = rho(values[draws, 0], values[draws, 1])
    low, high = np.percentile(found[np.isfinite(found)], (2.5, 97.5))
    return Rank(at, float(low), float(high), float(chance.pvalue), len(values))

"""Intervals and tests over seeds: Student's t, paired or Welch's; seeds and examples together; Holm's adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

LEVEL = 0.95
PAIRED, WELCH, TWO_LEVEL = "paired t", "Welch's t", "two-level"


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of two, with its 95 % interval, two-sided p and degrees of freedom.

    `n` counts the seeds of each side, one number where they pair. The interval, df and p are None with one seed, or
    where the values do not vary.
    """

    at: float
    low: float | None
    high: float | None
    df: float | None
    p: float | None
    n: tuple[int, ...]
    method: str


def t_mean(values: Sequence[float] | np.ndarray, method: str = PAIRED) -> Estimate:
    """Student's interval of a mean and its test against 0, from one value for each seed [n].

    mean ± t(n-1)·sd/√n; without spread, or with one value, there is neither.
    """
    x = np.asarray(values, np.float64)
    at, n = float(x.mean()), (len(x),)
    if len(x) < 2 or not np.isfinite(x).all() or constant(x):
        return Estimate(at, None, None, None, None, n, method)
    return _t(at, float(x.std(ddof=1) / np.sqrt(len(x))), len(x) - 1, n, method)


def difference(a: np.ndarray, b: np.ndarray, *, paired: bool) -> Estimate:
    """Mean of a [n] less that of b [m], each a value for each seed, with its interval and test.

    Paired: Student's t of a - b. Else Welch's t with Satterthwaite's degrees of freedom. Source: Welch 1947.
    """
    if paired:
        return t_mean(a - b)
    at, n = float(a.mean() - b.mean()), (len(a), len(b))
    none = Estimate(at, None, None, None, None, n, WELCH)
    if min(n) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()) or (constant(a) and constant(b)):
        return none
    parts = np.array([a.var(ddof=1) / n[0], b.var(ddof=1) / n[1]])
    df = parts.sum() ** 2 / (parts**2 / (np.array(n) - 1)).sum()
    return _t(at, float(np.sqrt(parts.sum())), float(df), n, WELCH)


def two_level(a: np.ndarray, b: np.ndarray, drawn_a: np.ndarray, drawn_b: np.ndarray, *, paired: bool) -> Estimate:
    """The difference with an interval for other seeds and other examples together.

    a [n] and b [m] are the figures of each seed, `drawn_a` [B, n] and `drawn_b` [B, m] the same on B resamples of the
    examples, drawn alike for every seed. The variance is that over seeds plus that over examples less what both count,
    the interaction of the two; the degrees of freedom are Satterthwaite's. It is never narrower than that over seeds
    alone. After Hillis 2007 (readers and cases).
    """
    sides = [(a - b, drawn_a - drawn_b)] if paired else [(a, drawn_a), (-b, -drawn_b)]
    at, n = float(sum(side.mean() for side, _ in sides)), tuple(len(side) for side, _ in sides)
    known = all(np.isfinite(x).all() for side in sides for x in side)
    if min(n) < 2 or not known or all(constant(side) for side, _ in sides):
        return Estimate(at, None, None, None, None, n, TWO_LEVEL)
    over_seeds = np.array([side.var(ddof=1) / len(side) for side, _ in sides])
    both = np.array(
        [
            max(0.0, float(drawn.var(axis=0, ddof=1).mean() - drawn.mean(axis=1).var(ddof=1)) / (len(side) - 1))
            for side, drawn in sides
        ]
    )
    examples = float(np.sum([drawn.mean(axis=1) for _, drawn in sides], axis=0).var(ddof=1))
    more = max(0.0, examples - float(both.sum()))
    total = float(over_seeds.sum()) + more
    if total <= 0:
        return Estimate(at, None, None, None, None, n, TWO_LEVEL)
    squares = float((over_seeds**2 / (np.array(n) - 1)).sum())
    df = total**2 / squares if squares > 0 else float("inf")
    found = _t(at, float(np.sqrt(total)), df, n, TWO_LEVEL)
    alone = difference(a, b, paired=paired)  # with two or three seeds its few degrees of freedom may ask for more
    return replace(alone, method=TWO_LEVEL) if _width(alone) > _width(found) else found


def crossed(values: np.ndarray) -> Estimate:
    """A mean of values [A, B], such as of A teachers with students of B seeds each, the same for all.

    An interval for other teachers and other seeds together: the variance over the rows plus that over the columns less
    their interaction, which both count, Satterthwaite's degrees of freedom; never narrower than over either alone. It
    covers at least 95 %, and more where the interaction is most of it. Needs two of each. Source: Hillis 2007.
    """
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    sizes = np.array(values.shape)
    alone = [t_mean(rows, TWO_LEVEL), t_mean(columns, TWO_LEVEL)]
    parts = np.array([x.var(ddof=1) / len(x) for x in (rows, columns)])
    rest = values - rows[:, None] - columns + values.mean()
    both = float((rest**2).sum() / np.prod(sizes - 1) / values.size)
    total = max(float(parts.sum()) - both, *parts.tolist())
    n = (len(rows), len(columns))
    if total <= 0:
        return Estimate(float(values.mean()), None, None, None, None, n, TWO_LEVEL)
    squares = float((parts**2 / (sizes - 1)).sum() + both**2 / np.prod(sizes - 1))
    # What is taken off may leave less than the fewer of both have.
    df = max(total**2 / squares, float(sizes.min() - 1))
    found = _t(float(values.mean()), float(np.sqrt(total)), df, n, TWO_LEVEL)
    return replace(max([found, *alone], key=_width), n=n)


def holm(p: Sequence[float]) -> list[float]:
    """p adjusted for a family of comparisons, in its order: the family errs with probability α at most.

    max over the smaller ones of (m - rank)·p, at most 1. Source: Holm 1979.
    """
    order = np.argsort(np.asarray(p, np.float64), kind="stable")
    found, largest = [0.0] * len(p), 0.0
    for rank, number in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(p) - rank) * float(p[number])))
        found[number] = largest
    return found


def constant(values: np.ndarray) -> bool:
    """Whether values differ by no more than rounding."""
    return bool(np.ptp(values) <= 1e-9 * np.abs(values).max())


def _width(found: Estimate) -> float:
    return 0.0 if found.low is None or found.high is None else found.high - found.low


def _t(at: float, error: float, df: float, n: tuple[int, ...], method: str) -> Estimate:
    from scipy.special import stdtr, stdtrit

    if not (0 < error < np.inf):  # beyond what numbers can hold
        return Estimate(at, None, None, None, None, n, method)
    freedom = min(df, 1e9)  # from there on it is the normal law
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * error
    return Estimate(at, at - half, at + half, float(df), float(2 * stdtr(freedom, -abs(at) / error)), n, method)

"""What is done to metrics before they are drawn: smoothing, cutting, thinning, bands over seeds. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fierce_tools.tui.store import History

AXES = ("epoch", "step", "time")


@dataclass(frozen=True)
class Curve:
    """One named line: x and y f64 [n], y NaN where there is none; `low` and `high` bound it where they are known.

    One that is `thin` stands beside another: it is drawn faint, and its values are not named.
    """

    label: str
    colour: str
    sign: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    thin: bool = False


def axis(history: History, name: str) -> np.ndarray:
    """The x values [rows]: epochs, steps, or seconds of training so far. Rows are counted where nothing is written."""
    if name == "time":
        seconds = history.column("seconds")
        return np.cumsum(np.nan_to_num(seconds)) if np.isfinite(seconds).any() else np.full(len(seconds), np.nan)
    values = history.column(name)
    return values if np.isfinite(values).any() else np.arange(1, len(values) + 1, dtype=np.float64)


def smooth(y: np.ndarray, weight: float) -> np.ndarray:
    """Debiased exponential moving average: m = w·m + (1 - w)·y, shown as m / (1 - w^n) [n].

    Values that are not finite stay gaps and do not count. weight 0 is y itself. Source: Kingma and Ba 2015, section 3.
    """
    if weight <= 0.0:
        return y.copy()
    out = np.full(len(y), np.nan)
    mean, scale = 0.0, 1.0
    for i, value in enumerate(y.tolist()):
        if value - value == 0.0:  # finite
            mean = weight * mean + (1.0 - weight) * value
            scale *= weight
            out[i] = mean / (1.0 - scale)
    return out


def gaps(y: np.ndarray) -> int:
    """How many values are not finite."""
    return int(len(y) - np.isfinite(y).sum())


def pieces(x: np.ndarray, y: np.ndarray) -> list[slice]:
    """Stretches drawn as one line: cut at what is not finite, and where x goes back, as after a resume."""
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return []
    rows = np.flatnonzero(good)
    cut = np.flatnonzero((np.diff(rows) > 1) | (x[rows[1:]] <= x[rows[:-1]])) + 1
    return [slice(int(part[0]), int(part[-1]) + 1) for part in np.split(rows, cut)]


def decimate(column: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Indices that keep what can be seen: in each column (i64 [n], not falling) the first, lowest, highest and last."""
    if len(column) <= 4 * (int(column[-1]) - int(column[0]) + 1):
        return np.arange(len(column))
    starts = np.concatenate([[0], np.flatnonzero(np.diff(column)) + 1])
    number = np.repeat(np.arange(len(starts)), np.diff([*starts, len(column)]))
    order = np.lexsort((y, number))
    ends = np.concatenate([starts[1:], [len(column)]]) - 1
    return np.unique(np.concatenate([starts, order[starts], order[ends], ends]))


def band(members: Sequence[History], key: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean over seeds by epoch, with mean - sd and mean + sd (n - 1): x, mean, low, high [epochs].

    The numbers are those of `seeds.mean_sd` of finite values. A seed that is behind, or whose value is not finite, does
    not count there; with fewer than two there is no band. Of an epoch that a seed wrote twice the last counts.
    """
    rows = [axis(history, "epoch") for history in members]
    epochs = np.unique(np.concatenate(rows)) if rows else np.zeros(0)
    epochs = epochs[np.isfinite(epochs)]
    at, found = (np.full((len(members), len(epochs)), np.nan) for _ in range(2))
    for number, (history, own) in enumerate(zip(members, rows, strict=True)):
        there = np.flatnonzero(np.isfinite(own))
        column = np.searchsorted(epochs, own[there])
        at[number, column], found[number, column] = axis(history, name)[there], history.column(key)[there]
    at[~np.isfinite(at)] = found[~np.isfinite(found)] = np.nan
    x, mean, low, high = (np.full(len(epochs), np.nan) for _ in range(4))
    with np.errstate(invalid="ignore", over="ignore"):
        count, n = (np.count_nonzero(~np.isnan(values), axis=0) for values in (at, found))
        np.divide(np.nansum(at, axis=0), count, out=x, where=count > 0)
        np.divide(np.nansum(found, axis=0), n, out=mean, where=n > 0)
        spread = np.sqrt(np.nansum((found - mean) ** 2, axis=0) / np.maximum(n - 1, 1))
    several = (n > 1) & np.isfinite(mean) & np.isfinite(spread)
    low[several], high[several] = (mean - spread)[several], (mean + spread)[several]
    return x, mean, low, high


def at(curve: Curve, x: float) -> float:
    """The last value of a curve at that x; NaN where it has none there."""
    near = np.flatnonzero(np.isclose(curve.x, x, rtol=1e-9, atol=1e-12))
    return float(curve.y[near[-1]]) if len(near) else float("nan")

"""Axes: ranges, places on a raster, ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high`, linear or logarithmic, as a fraction of the axis."""

    low: float
    high: float
    log: bool = False

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Fractions [n]: 0 at low, 1 at high; NaN for what cannot be shown (≤ 0 on a logarithmic axis)."""
        if not self.log:
            return (values - self.low) / (self.high - self.low)
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(values > 0, np.log10(np.where(values > 0, values, 1.0)), np.nan)
        return (logs - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))

    def ticks(self, most: int, least: float = 0.0) -> list[float]:
        """At most so many round values within the range, no less than `least` apart."""
        if self.log:
            return self._decades(most)
        for factor in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
            step = factor * 10.0 ** math.floor(math.log10((self.high - self.low) / max(most, 1)))
            if step < least:
                continue
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            if last - first + 1 <= most:
                return [float(f"{n * step:.12g}") + 0.0 for n in range(first, last + 1)]
        return []

    def _decades(self, most: int) -> list[float]:
        low, high = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        if high - low + 1 >= 2:
            every = max(1, math.ceil((high - low + 1) / max(most, 1)))
            return [10.0**n for n in range(low, high + 1, every)]
        first = math.floor(math.log10(self.low))
        round_ones = [m * 10.0**e for e in range(first, first + 3) for m in (1, 2, 3, 5, 7)]
        inside = [v for v in round_ones if self.low <= v * (1 + 1e-9) and v <= self.high * (1 + 1e-9)]
        return inside[:: max(1, math.ceil(len(inside) / max(most, 1)))]


def around(values: Iterable[np.ndarray], *, log: bool = False, pad: float = 0.06) -> Scale:
    """A scale that holds all finite values with some room; 0 to 1 where there are none."""
    parts = [v[np.isfinite(v) & (v > 0)] if log else v[np.isfinite(v)] for v in values]
    every = np.concatenate(parts) if parts else np.zeros(0)
    if not len(every):
        return Scale(0.1, 1.0, log) if log else Scale(0.0, 1.0)
    low, high = float(every.min()), float(every.max())
    if log:
        span = math.log10(high) - math.log10(low)
        room = 10.0 ** (span * pad) if span > 1e-4 else 2.0
        return Scale(max(low / room, 1e-300), min(high * room, 1e300), True)
    room = (high - low) * pad if high - low > 1e-12 * max(abs(high), abs(low), 1e-300) else max(abs(high), 1e-3) * 0.1
    return Scale(low - room, high + room)


def number(value: float, step: float | None = None) -> str:
    """A value in at most seven cells; with a step, as many decimals as tell neighbours apart."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e5 or size < 1e-4:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if step is not None:
        decimals = max(0, min(5, -math.floor(math.log10(step) + 1e-9)))
        return f"{value:.{decimals}f}"
    return f"{value:.4g}" if size >= 1 else f"{value:.4f}"


def labels(ticks: list[float], log: bool) -> list[str]:
    """The ticks' texts."""
    step = None if log or len(ticks) < 2 else ticks[1] - ticks[0]
    return [number(t, step) for t in ticks]

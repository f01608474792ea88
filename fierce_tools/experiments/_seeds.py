"""Students of several seeds as mean and standard deviation, and what experiments say in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fierce_tools.report import Series

# What reports say of their sd.
SD = "sd: standard deviation over seeds, of each seed's mean."


def over_seeds(entries: Iterable[Mapping[str, Any]], key: str) -> tuple[float | None, float | None]:
    """Of entries with a `seed`: the mean over seeds of each seed's mean, and its standard deviation (n - 1).

    None where there are too few.
    """
    by_seed: dict[int, list[float]] = {}
    for entry in entries:
        if entry[key] is not None:
            by_seed.setdefault(entry["seed"], []).append(entry[key])
    means = [float(np.mean(v)) for v in by_seed.values()]
    if not means:
        return None, None
    return float(np.mean(means)), float(np.std(means, ddof=1)) if len(means) > 1 else None


def band(label: str, x: Sequence[float], found: Sequence[tuple[float | None, float | None]]) -> Series:
    """Means against x with one standard deviation on either side, where there is one."""
    low = tuple(None if m is None or s is None else m - s for m, s in found)
    high = tuple(None if m is None or s is None else m + s for m, s in found)
    return Series(label, tuple(map(float, x)), tuple(m for m, _ in found), low, high)


def formula(kd_weight: float, ce_weight: float, *, t2: bool, soft: str = "teacher") -> str:
    """A student's loss in one line."""
    return f"{kd_weight:g}·{'T²·' if t2 else ''}KL({soft} ‖ student) + {ce_weight:g}·CE"


def four(value: float | None) -> float | None:
    """A number for a table's cell, to four decimals."""
    return None if value is None else round(value, 4)

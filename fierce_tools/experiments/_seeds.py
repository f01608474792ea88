"""Means over seeds in charts and tables, and what experiments say of them in the same words."""

from __future__ import annotations

from collections.abc import Sequence

from fierce_tools.report import Series
from fierce_tools.seeds import Mean

# What reports say of their sd.
SD = "sd: standard deviation over seeds, of each seed's mean."


def band(label: str, x: Sequence[float], found: Sequence[Mean]) -> Series:
    """Means against x with one standard deviation on either side, where there is one."""
    low = tuple(None if f.mean is None or f.sd is None else f.mean - f.sd for f in found)
    high = tuple(None if f.mean is None or f.sd is None else f.mean + f.sd for f in found)
    return Series(label, tuple(map(float, x)), tuple(f.mean for f in found), low, high)


def cells(found: Mean) -> tuple[float | None, float | None]:
    """Mean and standard deviation for a table."""
    return four(found.mean), four(found.sd)


def formula(kd_weight: float, ce_weight: float, *, t2: bool, soft: str = "teacher") -> str:
    """A student's loss in one line."""
    return f"{kd_weight:g}·{'T²·' if t2 else ''}KL({soft} ‖ student) + {ce_weight:g}·CE"


def four(value: float | None) -> float | None:
    """A number for a table's cell, to four decimals."""
    return None if value is None else round(value, 4)

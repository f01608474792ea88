"""Single values as text."""

from __future__ import annotations

import math

from fierce_tools.report import Cell


def show(value: Cell) -> str:
    """A cell as text: numbers to four significant digits, a dash for what is missing."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    return f"{value:.4g}" if value != int(value) or abs(value) >= 1e6 else f"{value:g}"


def show_age(seconds: float) -> str:
    """A time span in its largest whole unit."""
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return f"{int(seconds)} s"


def bar(value: float | None, top: float, room: int) -> str:
    """A bar of at most `room` columns, in eighths of a column, for a value of which `top` is the largest in size."""
    if value is None or not math.isfinite(value) or top == 0:
        return ""
    whole, eighths = divmod(round(8 * room * abs(value) / top), 8)
    return "█" * whole + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths]

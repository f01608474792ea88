"""How values of a run are written in the table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

HEADS = {"dataset": "data", "ece": "ECE", "entropy": "H(T=9)"}
# Left out one after another where the table is narrow.
SPARE = (
    "note", "seed", "model", "dataset", "entropy", "teacher", "tags", "ece", "loss", "age", "last", "epoch", "state",
    "best",
)  # fmt: skip
NUMBERS = ("epoch", "best", "last", "ece", "entropy", "seed", "age")
DECIMALS = {"best": 4, "last": 4, "ece": 4, "entropy": 3}
STATES = {
    "running": "● live", "done": "✓ done", "stopped": "■ stopped", "failed": "✗ failed", "stale": "◌ stale",
    "unreadable": "! unreadable",
}  # fmt: skip
NAME_WIDTH = (10, 44)


def cell(key: str, row: Mapping[str, Any], spread: Mapping[str, float] | None = None, *, folded: bool = False) -> str:
    """The text of a column in a row; an absent value is a dash where a number would stand.

    `folded` keeps room for a deviation that this row has not, so that means stand below one another.
    """
    value = row.get(key)
    if key == "state":
        return STATES.get(str(value), str(value))
    if key == "epoch":
        return f"{row['epoch']}/{row['epochs']}" if row.get("epochs") is not None else str(row["epoch"])
    if key == "age":
        return age(time.time() - row["modified"])
    if key == "tags":
        return " ".join(map(str, value or []))
    if key in DECIMALS:
        decimals = DECIMALS[key]
        shown = f"{value:.{decimals}f}" if isinstance(value, int | float) else "–"
        if spread is not None and key in spread:
            return f"{shown}±{spread[key]:.{decimals}f}".replace("±0.", "±.")
        return shown + " " * (decimals + 2) * folded
    return "" if value is None else str(value).replace("\n", " ")


def age(seconds: float) -> str:
    """A time span in its largest whole unit."""
    for name, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{name}"
    return f"{int(seconds)}s"


def name(stem: str, count: str, width: int) -> str:
    """A run's name; of folded seeds with how many count, which stays where there is little room."""
    end = f" ×{count}" if count else ""
    return fit(fit(stem, min(len(stem), max(width - len(end), 1))) + end, width)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Text in exactly that many cells; what does not fit ends in an ellipsis."""
    if len(text) > width:
        text = text[: max(width - 1, 0)] + "…" if width > 0 else ""
    return text.rjust(width) if right else text.ljust(width)


def columns_for(width: int, wanted: Mapping[str, int]) -> dict[str, int]:
    """The columns there is room for with their widths; `wanted` gives how wide each would like to be, 0 for not at all.

    Names shrink before a column is left out, down to ten cells; what is then still too wide goes by order of need.
    """
    shown = {key: size for key, size in wanted.items() if size > 0}
    low, high = NAME_WIDTH
    longest = min(shown.get("name", low), high)
    least = max(low, min(longest, 24))
    for key in SPARE:
        if _total({**shown, "name": least}) <= width:
            break
        shown.pop(key, None)
    spare = width - _total({**shown, "name": 0})
    shown["name"] = max(min(longest, spare), 1)
    return shown


def _total(shown: Mapping[str, int]) -> int:
    return sum(shown.values()) + 2 * (len(shown) - 1)

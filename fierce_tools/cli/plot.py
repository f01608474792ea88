"""plotext behind one door: series are cut at what is not finite, and nothing ≤ 0 reaches a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fierce_tools.report import Lines, Points, Series

MARKERS = "braille"
# Without colour a point says by its sign which series it is of; so do the few points of a small series always.
SIGNS = "·+o×*#%&"
FEW = 5
# Told apart by people with any colour vision, on dark and on light.
COLORS = ("blue+", "orange+", "green+", "magenta+", "cyan+", "red+", "gold", "gray")


def draw(block: Lines | Points, width: int, height: int, *, color: bool) -> str:
    """A chart of `width` columns and `height` rows, every line of it that wide."""
    import plotext as plt

    plt.clear_figure()
    plt.theme("clear")
    plt.limit_size(False, False)
    plt.plotsize(width, height)
    plt.title(block.title)
    plt.xlabel(block.x_label)
    plt.ylabel(block.y_label)
    log_x, log_y = (block.log_x, block.log_y) if isinstance(block, Lines) else (False, False)
    drawn = 0
    for number, series in enumerate(block.series):
        hue = COLORS[number % len(COLORS)]
        for piece, (xs, ys) in enumerate(pieces(series, log_x=log_x, log_y=log_y)):
            drawn += len(xs)
            alone = isinstance(block, Points) and (len(series.x) <= FEW or not color)
            paint = plt.scatter if isinstance(block, Points) or len(xs) == 1 else plt.plot
            paint(
                xs,
                ys,
                marker=SIGNS[number % len(SIGNS)] if alone else MARKERS,
                color=color_code(hue),
                label=series.label if piece == 0 and len(block.series) > 1 else None,
            )
    if not drawn:
        return f"{block.title}: nothing finite to draw"
    if isinstance(block, Points):
        if block.x_range is not None:
            plt.xlim(*block.x_range)
        if block.y_range is not None:
            plt.ylim(*block.y_range)
    if log_x:
        plt.xscale("log")
    if log_y:
        plt.yscale("log")
    text = plt.build()
    return text.rstrip("\n") if color else plt.uncolorize(text).rstrip("\n")


def color_code(name: str) -> str:
    """A plotext colour; its names with + are the bright ones."""
    return {"orange+": "orange"}.get(name, name)


def pieces(series: Series, *, log_x: bool, log_y: bool) -> list[tuple[list[float], list[float]]]:
    """The runs of consecutive points that can be drawn."""
    runs: list[tuple[list[float], list[float]]] = [([], [])]
    for x, y in zip(series.x, series.y, strict=True):
        good = (
            y is not None
            and math.isfinite(x)
            and math.isfinite(y)
            and not (log_x and x <= 0)
            and not (log_y and y <= 0)
        )
        if good and y is not None:
            runs[-1][0].append(float(x))
            runs[-1][1].append(float(y))
        elif runs[-1][0]:
            runs.append(([], []))
    return [run for run in runs if run[0]]


def beside(charts: Sequence[str]) -> str:
    """Charts next to one another, padded to the tallest."""
    rows = [chart.split("\n") for chart in charts]
    tall = max(len(r) for r in rows)
    padded = [r + [""] * (tall - len(r)) for r in rows]
    return "\n".join("  ".join(parts) for parts in zip(*padded, strict=True))

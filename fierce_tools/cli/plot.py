"""plotext behind one door: series are cut at what is not finite, and nothing ≤ 0 reaches a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fierce_tools.report import Lines, Points, Series

# Told apart by people with any colour vision, on dark and on light; marks where there is no colour.
COLORS = ("blue+", "orange", "green+", "magenta+", "cyan+", "red+", "gold", "gray")
MARKS = ("•", "×", "+", "o", "▲", "#", "◇", "=")
# The few points of a small series, such as the middle of a cloud, are always drawn as their mark.
FEW = 5


def draw(block: Lines | Points, width: int, height: int, *, color: bool) -> str:
    """A chart of `width` columns and `height` rows with its legend below, every line of it that wide."""
    import plotext as plt

    plt.clear_figure()
    plt.theme("clear")
    plt.limit_size(False, False)
    plt.plotsize(width, height)
    plt.title(block.title)
    plt.xlabel(block.x_label)
    plt.ylabel(block.y_label)
    log_x, log_y = (block.log_x, block.log_y) if isinstance(block, Lines) else (False, False)
    drawn = False
    for number, series in enumerate(block.series):
        few = isinstance(block, Points) and len(series.x) <= FEW
        for xs, ys in pieces(series, log_x=log_x, log_y=log_y):
            paint = plt.scatter if isinstance(block, Points) or len(xs) == 1 else plt.plot
            plain = not few and (color or len(block.series) == 1)
            mark = "braille" if plain else MARKS[number % len(MARKS)]
            paint(xs, ys, marker=mark, color=COLORS[number % len(COLORS)])
            drawn = True
    if not drawn:
        return f"{block.title}: nothing finite to draw".ljust(width)
    if isinstance(block, Points):
        if block.x_range is not None:
            plt.xlim(*block.x_range)
        if block.y_range is not None:
            plt.ylim(*block.y_range)
    if log_x:
        plt.xscale("log")
    if log_y:
        plt.yscale("log")
    text = plt.build() if color else plt.uncolorize(plt.build())
    return "\n".join([*text.rstrip("\n").split("\n"), *legend(block.series, width, color=color)])


def legend(series: Sequence[Series], width: int, *, color: bool) -> list[str]:
    """Lines that name each series beside its mark, each `width` columns wide; none for a single series."""
    import plotext as plt

    if len(series) < 2:
        return []
    rows: list[str] = []
    row, used = "", width
    for number, one in enumerate(series):
        mark = "━━" if color else MARKS[number % len(MARKS)]
        label = one.label if len(one.label) <= width - 6 else one.label[: width - 7] + "…"
        size = len(mark) + len(label) + 4
        if used + size > width:
            if row:
                rows.append(row + " " * (width - used))
            row, used = "", 0
        row += f"  {plt.colorize(mark, COLORS[number % len(COLORS)]) if color else mark} {label} "
        used += size
    return [*rows, row + " " * (width - used)]


def pieces(series: Series, *, log_x: bool, log_y: bool) -> list[tuple[list[float], list[float]]]:
    """The runs of consecutive points that can be drawn."""
    runs: list[tuple[list[float], list[float]]] = [([], [])]
    for x, y in zip(series.x, series.y, strict=True):
        positive = (not log_x or x > 0) and (not log_y or (y is not None and y > 0))
        if y is not None and math.isfinite(x) and math.isfinite(y) and positive:
            runs[-1][0].append(float(x))
            runs[-1][1].append(float(y))
        elif runs[-1][0]:
            runs.append(([], []))
    return [run for run in runs if run[0]]


def beside(charts: Sequence[str], widths: Sequence[int]) -> str:
    """Charts next to one another, the shorter ones filled up with blank lines."""
    rows = [chart.split("\n") for chart in charts]
    tall = max(len(r) for r in rows)
    padded = [r + [" " * w] * (tall - len(r)) for r, w in zip(rows, widths, strict=False)]
    return "\n".join("  ".join(parts).rstrip() for parts in zip(*padded, strict=True))

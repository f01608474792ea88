"""plotext behind one door: series are cut at what is not finite, and nothing ≤ 0 reaches a logarithmic axis."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

from fierce_tools.report import Lines, Points, Series

DOTS = "braille"
POINT = "●"
# Without colour, or with more series than colours, each series has a sign of its own.
SIGNS = "ox+*#@%&" + "".join(c for c in string.ascii_letters if c not in "ox")
# Told apart by people with any colour vision, on dark and on light.
COLORS = ("blue+", "orange", "green+", "magenta+", "cyan+", "red+", "gold", "gray")
# Signs on a line stand at least this many columns apart.
APART = 6
LEGEND_LINES = 5


def draw(block: Lines | Points, width: int, height: int, *, color: bool) -> str:
    """A chart of `width` columns and `height` rows, every line of it that wide; its legend is below it."""
    import plotext as plt

    several = len(block.series) > 1
    signed = several and (not color or len(block.series) > len(COLORS))
    legend = _legend(block, width, color, signed) if several else []
    plt.clear_figure()
    plt.theme("clear")
    plt.limit_size(False, False)
    plt.plotsize(width, max(height - len(legend), 8))
    plt.title(block.title)
    plt.xlabel(block.x_label)
    plt.ylabel(block.y_label)
    log_x, log_y = (block.log_x, block.log_y) if isinstance(block, Lines) else (False, False)
    drawn = 0
    marks: list[tuple[list[float], list[float], str, str]] = []
    hues = _hues(block)
    for number, series in enumerate(block.series):
        hue, sign = hues[number], SIGNS[number % len(SIGNS)] if signed else POINT
        for xs, ys in pieces(series, log_x=log_x, log_y=log_y):
            drawn += len(xs)
            if isinstance(block, Points):
                plt.scatter(xs, ys, marker=sign if signed else DOTS, color=hue)
            elif len(xs) == 1:
                marks.append((xs, ys, sign, hue))
            else:
                plt.plot(xs, ys, marker=DOTS, color=hue)
                if signed:
                    step = max(1, math.ceil(len(xs) * APART / width))
                    first = number * step // len(block.series)
                    marks.append((xs[first::step], ys[first::step], sign, hue))
    for xs, ys, sign, hue in marks:  # over the lines
        plt.scatter(xs, ys, marker=sign, color=hue)
    if not drawn:
        return f"{block.title}: nothing finite to draw".ljust(width)
    if log_x:
        plt.xscale("log")
    if log_y:
        plt.yscale("log")
    text = plt.build()
    text = text.rstrip("\n") if color else plt.uncolorize(text).rstrip("\n")
    return "\n".join([text, *legend])


def _legend(block: Lines | Points, width: int, color: bool, signed: bool) -> list[str]:
    """Signs and names of the series, wrapped to the width; what does not fit into a few lines is counted."""
    import plotext as plt

    lines: list[list[tuple[str, str, str]]] = [[]]
    used = 0
    for number, (series, hue) in enumerate(zip(block.series, _hues(block), strict=True)):
        single = isinstance(block, Points) or len(series.x) == 1
        sign = SIGNS[number % len(SIGNS)] if signed else POINT if single else "──"
        label = series.label if len(series.label) + 6 <= width else series.label[: width - 7] + "…"
        room = len(sign) + len(label) + 4
        if lines[-1] and used + room > width:
            lines.append([])
            used = 0
        lines[-1].append((sign, label, hue))
        used += room
    hidden = sum(map(len, lines[LEGEND_LINES:]))
    if hidden:
        hidden += len(lines[LEGEND_LINES - 1])
        lines = [*lines[: LEGEND_LINES - 1], [("", f"and {hidden} more", "")]]
    shown = []
    for line in lines:
        plain = "".join(f"   {sign} {label}" for sign, label, _ in line)
        painted = "".join(
            f"   {plt.colorize(sign, hue) if color and hue else sign} {label}" for sign, label, hue in line
        )
        shown.append(painted + " " * (width - len(plain)))
    return shown


def _hues(block: Lines | Points) -> list[str]:
    """A colour for each series; a single point among lines, such as an optimum, has that of the line before it."""
    hues: list[str] = []
    number = -1
    for series in block.series:
        number += not (isinstance(block, Lines) and number >= 0 and len(series.x) == 1)
        hues.append(COLORS[number % len(COLORS)])
    return hues


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


def beside(charts: Sequence[str], widths: Sequence[int]) -> str:
    """Charts of those widths next to one another, padded to the tallest."""
    rows = [chart.split("\n") for chart in charts]
    tall = max(len(r) for r in rows)
    padded = [r + [" " * w] * (tall - len(r)) for r, w in zip(rows, widths, strict=True)]
    return "\n".join("  ".join(parts) for parts in zip(*padded, strict=True))

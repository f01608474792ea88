"""A chart of lines in braille: raw faint, smoothed bold, gaps, bands, a cursor. `draw` is pure, `Chart` is a widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import numpy as np
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color as Mixed
from textual.strip import Strip
from textual.widget import Widget

from fierce_tools.tui import series
from fierce_tools.tui.cells import fit
from fierce_tools.tui.raster import Raster
from fierce_tools.tui.scale import Scale, around, labels, number
from fierce_tools.tui.series import Curve

GUTTER = 7
FAINT = 0.42
FEW = 5


@dataclass(frozen=True)
class Ink:
    """The colours of the ground a chart stands on (#rrggbb), and whether lines carry letters."""

    text: str = "#d5d8e0"
    muted: str = "#7a8194"
    ground: str = "#14161b"
    accent: str = "#7aa2f7"
    letters: bool = False


@dataclass(frozen=True, eq=False)
class Plot:
    """What a chart shows. `joined` draws lines, else single points; `weight` is that of the smoothing."""

    title: str
    curves: tuple[Curve, ...]
    x_label: str = ""
    log_x: bool = False
    log_y: bool = False
    weight: float = 0.0
    joined: bool = True
    cursor: float | None = None
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    selected: bool = False
    note: str = field(default="")


def ink(app: App) -> Ink:
    """The colours of the app's theme."""
    variables = app.theme_variables
    return Ink(
        variables["foreground"], variables["secondary"], variables["background"], variables["primary"],
        bool(getattr(app, "letters", False)),
    )  # fmt: skip


def draw(plot: Plot, width: int, height: int, ink: Ink) -> list[list[Segment]]:
    """The chart as rows of segments, each `width` cells wide: a title, the lines, the x axis."""
    style = _style(ink.text, ink.ground)
    if width < 12 or height < 4:
        return [[Segment(fit(plot.title if not row else "", width), style)] for row in range(height)]
    area_w, area_h = width - GUTTER - 2, height - 2  # a cell of air to the right
    scale_x = (
        Scale(*plot.x_range, plot.log_x)
        if plot.x_range
        else around([c.x for c in plot.curves], log=plot.log_x, pad=0.0)
    )
    ys = [v for c in plot.curves for v in (c.y, c.low, c.high) if v is not None]
    scale_y = Scale(*plot.y_range, plot.log_y) if plot.y_range else around(ys, log=plot.log_y)
    raster, ends = Raster(area_w, area_h), []
    for index, curve in enumerate(plot.curves):
        ends += _trace(raster, plot, curve, index, scale_x, scale_y)
    styles = [
        (_style(c.colour, ink.ground, bold=True), _style(_faint(c.colour, ink.ground), ink.ground)) for c in plot.curves
    ]
    rows = [_title(plot, width, ink)]
    ticks = scale_y.ticks(max(min((area_h + 1) // 2, 5), area_h // 4, 2))
    marks = {
        round((1 - f) * (area_h - 1)): text
        for f, text in zip(scale_y(np.array(ticks)), labels(ticks, plot.log_y), strict=True)
    }
    muted = _style(ink.muted, ink.ground)
    at = None if plot.cursor is None else float(scale_x(np.array([plot.cursor]))[0]) * (area_w - 1)
    column = None if at is None or not 0 <= at < area_w else round(at)
    for row in range(area_h):
        label = marks.get(row)
        edge = "┤" if label is not None else "│"
        gutter = Segment(fit(label or "", GUTTER, right=True) + edge, muted)
        letters = {x: (curve, letter) for curve, x, y, letter in ends if y == row and ink.letters}
        rows.append([gutter, *_cells(raster, row, styles, muted, column, letters), Segment(" ", muted)])
    rows.append([Segment(_x_axis(plot, scale_x, area_w, width), muted)])
    if not any(np.isfinite(c.y).any() for c in plot.curves):
        middle = rows[1 + area_h // 2]
        middle[1:] = [Segment(fit("  nothing to draw yet", area_w + 1), muted)]
    return rows


def _trace(
    raster: Raster, plot: Plot, curve: Curve, index: int, scale_x: Scale, scale_y: Scale
) -> list[tuple[int, int, int, str]]:
    """Draw one curve; where its last point lies, for its letter."""
    columns, lines = raster.dots
    x = scale_x(curve.x) * (columns - 1)
    up: Callable[[np.ndarray], np.ndarray] = lambda values: (1 - scale_y(values)) * (lines - 1)  # noqa: E731
    y = up(curve.y)
    if not plot.joined:
        good = np.isfinite(x) & np.isfinite(y)
        if 0 < good.sum() <= FEW:  # a few points among many, such as the middle of a cloud, are large
            _spots(raster, x[good], y[good], index)
        else:
            raster.paint(np.round(x[good]).astype(np.int64), np.round(y[good]).astype(np.int64), index)
        return []
    smoothed = plot.weight > 0 and len(curve.x) > 2
    rank = 1 if curve.thin else 2
    if curve.low is not None and curve.high is not None:
        # A band belongs to its line: it is smoothed as that is.
        weight = plot.weight if smoothed else 0.0
        low, high = up(series.smooth(curve.low, weight)), up(series.smooth(curve.high, weight))
        for part in series.pieces(x, low + high):
            raster.fill(x[part], low[part], high[part], index)
    if (curve.low is None and not curve.thin) or not smoothed:
        _lines(raster, x, y, index, rank=1 if smoothed else rank)
    if smoothed:
        y = up(series.smooth(curve.y, plot.weight))
        _lines(raster, x, y, index, rank=rank)
    last = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(last):
        return []
    if len(last) == 1:
        _spots(raster, x[last], y[last], index)
    px, py = round(float(x[last[-1]])), round(float(y[last[-1]]))
    return [(index, min(max(px >> 1, 0), raster.width - 1), min(max(py >> 2, 0), raster.height - 1), curve.sign)]


def _spots(raster: Raster, x: np.ndarray, y: np.ndarray, owner: int) -> None:
    """Points as squares of four dots by four, over everything else."""
    side = np.arange(-1, 3)
    across, down = (grid.ravel() for grid in np.meshgrid(side, side))
    columns = (np.round(x)[:, None] + across).astype(np.int64).ravel()
    raster.paint(columns, (np.round(y)[:, None] + down).astype(np.int64).ravel(), owner, rank=3)


def _lines(raster: Raster, x: np.ndarray, y: np.ndarray, owner: int, rank: int) -> None:
    for part in series.pieces(x, y):
        xs, ys = x[part], y[part]
        kept = series.decimate(np.floor(xs).astype(np.int64), ys)
        raster.line(xs[kept], ys[kept], owner, rank)


def _cells(
    raster: Raster,
    row: int,
    styles: list[tuple[Style, Style]],
    muted: Style,
    column: int | None,
    letters: dict[int, tuple[int, str]],
) -> list[Segment]:
    text, owner, rank = list(raster.text(row)), raster.owner[row].copy(), raster.rank[row]
    code = np.where(owner < 0, -1, 2 * owner + (rank < 2))
    if column is not None and owner[column] < 0:
        text[column], code[column] = "│", -2
    for x, (index, letter) in letters.items():
        text[x], code[x] = letter, 2 * index
    cuts = [0, *(np.flatnonzero(np.diff(code)) + 1).tolist(), len(text)]
    found = []
    for start, end in pairwise(cuts):
        kind = int(code[start])
        found.append(Segment("".join(text[start:end]), muted if kind < 0 else styles[kind >> 1][kind & 1]))
    return found


def _title(plot: Plot, width: int, ink: Ink) -> list[Segment]:
    """The name, and to the right the values at the cursor, or the last ones."""
    plain = _style(ink.accent if plot.selected else ink.text, ink.ground, bold=True)
    values = []
    for curve in [c for c in plot.curves if not c.thin] if plot.joined else ():
        finite = np.flatnonzero(np.isfinite(curve.y))
        value = (
            series.at(curve, plot.cursor)
            if plot.cursor is not None
            else float(curve.y[finite[-1]])
            if len(finite)
            else np.nan
        )
        text = (f"{curve.sign} " if ink.letters else "") + number(value)
        values.append((text, _style(curve.colour, ink.ground)))
    name = f" {plot.title}"
    note = f"  {plot.note}" if plot.note else ""
    room = width - len(name) - len(note) - 3
    shown: list[tuple[str, Style]] = []
    for text, style in values:
        if sum(len(t) + 2 for t, _ in shown) + len(text) + 2 + (3 if len(shown) + 1 < len(values) else 0) > room:
            shown.append(("…", _style(ink.muted, ink.ground)))
            break
        shown.append((text, style))
    used = sum(len(t) + 2 for t, _ in shown)
    if used > room + 2:
        shown, used = [], 0
    segments = [Segment(name[:width], plain), Segment(note[: max(width - len(name), 0)], _style(ink.muted, ink.ground))]
    gap = width - 1 - sum(len(s.text) for s in segments) - used
    segments.append(Segment(" " * max(gap, 0), plain))
    for text, style in shown:
        segments.append(Segment(f"  {text}", style))
    return Strip(segments).adjust_cell_length(width, plain)._segments


def _x_axis(plot: Plot, scale: Scale, area: int, width: int) -> str:
    line = [" "] * width
    left = GUTTER + 1
    beside = len(plot.x_label) < GUTTER  # under the gutter where it fits, so that the last tick has its place
    unit = f"{plot.x_label:>{GUTTER - 1}}" if beside else f" {plot.x_label}"
    room = area if beside else area - len(unit)
    # Epochs and steps are counted: there is nothing between two of them.
    counted = not plot.log_x and all(_whole(c.x) for c in plot.curves)
    ticks = scale.ticks(max(min(room // 5, 6), room // 12, 2), least=float(counted))
    texts = labels(ticks, plot.log_x)
    if all(float(t).is_integer() and abs(t) < 1e6 for t in ticks):
        texts = [f"{t:.0f}" for t in ticks]
    free = left
    for fraction, text in zip(scale(np.array(ticks)), texts, strict=True):
        middle = left + round(float(fraction) * (area - 1))
        start = min(max(middle - len(text) // 2, left), left + room - len(text))
        if start >= free:
            line[start : start + len(text)] = text
            free = start + len(text) + 1
    if beside:
        line[: len(unit)] = unit
    elif room > 0:
        line[width - len(unit) - 1 : width - 1] = unit
    return "".join(line[:width])


def _whole(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool((finite == np.round(finite)).all())


@lru_cache(512)
def _faint(colour: str, ground: str) -> str:
    return Mixed.parse(ground).blend(Mixed.parse(colour), FAINT).hex6


@lru_cache(512)
def _style(colour: str, ground: str, bold: bool = False) -> Style:
    return Style(color=Color.parse(colour[:7]), bgcolor=Color.parse(ground[:7]), bold=bold)


class Chart(Widget):
    """One plot, as large as there is room."""

    DEFAULT_CSS = "Chart { height: 1fr; min-height: 6; }"

    def __init__(self, plot: Plot | None = None, **kwargs: str) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.plot = plot
        self._drawn: tuple[object, list[list[Segment]]] | None = None

    def show(self, plot: Plot) -> None:
        """Draw this."""
        self.plot = plot
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """A row of the chart."""
        width, height = self.size
        if self.plot is None:
            return Strip.blank(width, self.rich_style)
        key = (id(self.plot), width, height, self.app.theme)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, draw(self.plot, width, height, ink(self.app)))
        rows = self._drawn[1]
        return Strip(rows[y]).adjust_cell_length(width) if y < len(rows) else Strip.blank(width, self.rich_style)

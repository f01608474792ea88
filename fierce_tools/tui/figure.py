"""A chart of a report over its legend, and the colours of its series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.strip import Strip
from textual.widget import Widget

from fierce_tools.report import Lines, Points, Series
from fierce_tools.tui import palette
from fierce_tools.tui.chart import Plot, draw, ink
from fierce_tools.tui.series import Curve

# Rows of a chart of lines, and of the lowest one; lines and columns of a legend.
TALL, LOW = 17, 9
LEGEND_LINES, INDENT = 4, 8
BANDS = 2


class View(Protocol):
    """What a figure asks of the view it stands in."""

    hidden: set[str]
    at_label: str

    @property
    def has_focus(self) -> bool:
        """Whether keys go there."""

    def toggle(self, label: str) -> None:
        """Hide a series wherever it is drawn, or show it again."""


class Figure(Widget):
    """A chart over its legend; the view it stands in knows which series are hidden."""

    DEFAULT_CSS = "Figure { width: 1fr; height: 16; margin: 0 0 1 0; }"

    def __init__(self, block: Lines | Points, hues: Mapping[str, str], view: View) -> None:
        super().__init__()
        self.block, self.view = block, view
        self.hues = hues
        self._drawn: tuple[object, list[Strip]] | None = None
        self._spots: list[tuple[int, int, int, str]] = []

    @property
    def labels(self) -> list[str]:
        """The names of its series."""
        return [s.label for s in self.block.series]

    def colours(self) -> list[str]:
        """A colour for each series."""
        return colours(self.block, self.hues, bool(getattr(self.app, "dark", True)))

    def plot(self) -> Plot:
        """What is drawn: the series that are not hidden."""
        block = self.block
        lines = isinstance(block, Lines)
        # More bands than a few hide one another.
        veiled = lines and sum(bool(s.low) for s in block.series) <= BANDS
        curves = tuple(
            _curve(s, colour, palette.sign(n) if self.letters else "", veiled=veiled)
            for n, (s, colour) in enumerate(zip(block.series, self.colours(), strict=True))
            if s.label not in self.view.hidden
        )
        hidden = len(block.series) - len(curves)
        note = f"{hidden} hidden" if hidden else ""
        if isinstance(block, Points):
            label = f"{block.x_label} →  {block.y_label} ↑"
            return Plot(
                block.title, curves, label, joined=False, note=note, x_range=block.x_range, y_range=block.y_range
            )
        unit = f" ({block.y_label})" if block.y_label and block.y_label not in block.title else ""
        return Plot(block.title + unit, curves, block.x_label, block.log_x, block.log_y, note=note)

    def render_line(self, y: int) -> Strip:
        """A row of the chart, or of the legend."""
        width, height = self.size
        key = (width, height, self.app.theme, frozenset(self.view.hidden), self.view.at_label, self.view.has_focus)
        if self._drawn is None or self._drawn[0] != key:
            legend = self.legend(width)
            rows = draw(self.plot(), width, max(height - len(legend), 1), ink(self.app))
            self._drawn = (key, [Strip(row).adjust_cell_length(width) for row in rows] + legend)
        made = self._drawn[1]
        return made[y] if y < len(made) else Strip.blank(width, self.rich_style)

    @property
    def letters(self) -> bool:
        """Whether colours are not enough to tell the series apart."""
        return bool(getattr(self.app, "letters", False)) or len(self.block.series) > len(palette.DARK)

    def legend(self, width: int) -> list[Strip]:
        """Signs and names, wrapped; hidden ones faint, the current one underlined."""
        plain, self._spots = self.rich_style, []
        if len(self.block.series) < 2 and not self.hues:
            return []
        lines, used = [[Segment(" " * INDENT, plain)]], INDENT
        for number, (series, colour) in enumerate(zip(self.block.series, self.colours(), strict=True)):
            off = series.label in self.view.hidden
            point = isinstance(self.block, Points) or len(series.x) == 1
            sign = "○" if off else palette.sign(number) if self.letters else "●" if point else "━"
            text = f"{sign} {series.label}"[: max(width - INDENT - 2, 4)]
            if used + len(text) > width and used > INDENT:
                if len(lines) == LEGEND_LINES:
                    lines[-1].append(Segment("…", plain + Style(dim=True)))
                    break
                lines.append([Segment(" " * INDENT, plain)])
                used = INDENT
            self._spots.append((len(lines) - 1, used, used + len(text), series.label))
            current = self.view.has_focus and self.view.at_label == series.label
            style = Style(color=None if off else colour, dim=off, underline=current, bold=current)
            lines[-1] += [Segment(text, plain + style), Segment("  ", plain)]
            used += len(text) + 2
        return [Strip(line).adjust_cell_length(width, plain) for line in lines]

    def on_click(self, event: Click) -> None:
        """A name in the legend is hidden, or shown again."""
        first = self.size.height - (self._spots[-1][0] + 1 if self._spots else 0)
        for line, start, end, label in self._spots:
            if event.y - first == line and start <= event.x < end:
                self.view.toggle(label)

    def fit(self, width: int, room: int) -> None:
        """As high as its width asks for and the view allows."""
        cloud = isinstance(self.block, Points)
        tall = min(max(width // 2, LOW), 26) if cloud else TALL
        self.styles.height = max(LOW, min(tall, room - 1))


def colours(block: Lines | Points, hues: Mapping[str, str], dark: bool) -> list[str]:
    """A colour for each series: its source's where each source has one or two of them, else one after another.

    Of two series of a source the first is paler. A series of no source, such as a reference line, is grey, and so is
    y = x; a single point has the colour of the line before it.
    """
    grey = "#8a93a8" if dark else "#636a78"
    owners = [_owner(s, hues) for s in block.series]
    points = [isinstance(block, Lines) and n > 0 and _count(s) == 1 for n, s in enumerate(block.series)]
    lines = [o for o, point in zip(owners, points, strict=True) if o is not None and not point]
    last = {o: n for n, (o, point) in enumerate(zip(owners, points, strict=True)) if o is not None and not point}
    shared = bool(lines) and all(lines.count(o) <= 2 for o in lines)
    found: list[str] = []
    number = -1
    for n, (series, owner, point) in enumerate(zip(block.series, owners, points, strict=True)):
        if owner is None and (any(owners) or _is_diagonal(series)):
            found.append(grey)
        elif shared and owner is not None:
            found.append(found[-1] if point else hues[owner] if last[owner] == n else _paler(hues[owner], dark))
        else:
            number += not (point and number >= 0)
            found.append(_hue(number, hues, dark))
    return found


def _paler(hue: str, dark: bool) -> str:
    ground = 0x16 if dark else 0xFB
    parts = (int(hue[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(0.5 * part + 0.5 * ground):02x}" for part in parts)


def _is_diagonal(series: Series) -> bool:
    return len(series.x) > 1 and tuple(series.x) == tuple(series.y)


def _hue(number: int, hues: Mapping[str, str], dark: bool) -> str:
    first = next(iter(hues.values())) if len(hues) == 1 else None
    every = [palette.colour(n, dark) for n in range(len(palette.DARK))]
    if first is not None:
        every = [first, *(c for c in every if c != first)]
    return every[number % len(every)]


def _owner(series: Series, hues: Mapping[str, str]) -> str | None:
    fitting = [name for name in hues if series.label == name or series.label.startswith(f"{name} ")]
    return max(fitting, key=len, default=None)


def _count(series: Series) -> int:
    return sum(v is not None and math.isfinite(v) for v in series.y)


def _curve(series: Series, colour: str, sign: str, *, veiled: bool) -> Curve:
    low, high = (_floats(v) if v and veiled else None for v in (series.low, series.high))
    return Curve(series.label, colour, sign, _floats(series.x), _floats(series.y), low, high)


def _floats(values: Iterable[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)

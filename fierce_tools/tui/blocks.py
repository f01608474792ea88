"""A report on the screen: its blocks as widgets, one under the other, charts side by side where there is room."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Group
from rich.text import Text
from textual.containers import Container
from textual.events import Resize
from textual.geometry import Size
from textual.widget import Widget

from fierce_tools.report import Bars, Block, Heat, Images, Lines, Points, Report, Scalars, Table
from fierce_tools.tui import palette, tables
from fierce_tools.tui.figure import LOW, Figure
from fierce_tools.tui.images import Gallery
from fierce_tools.tui.scroll import Scroll

# Columns from which on two charts stand side by side.
PAIRED = 88


class Words(Widget):
    """Lines of text made for a width."""

    DEFAULT_CSS = "Words { height: auto; width: 1fr; }"

    def __init__(self, lines: Callable[[int], Sequence[Text]]) -> None:
        super().__init__()
        self._make = lines
        self._made: tuple[int, Sequence[Text]] = (-1, ())

    def lines(self, width: int) -> Sequence[Text]:
        """The lines at that width."""
        if self._made[0] != width:
            self._made = (width, self._make(width))
        return self._made[1]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as lines."""
        return max(len(self.lines(width)), 1)

    def render(self) -> Group:
        """The lines."""
        return Group(
            *(Text(line.plain, line.style, no_wrap=True, spans=line.spans) for line in self.lines(self.size.width))
        )


class ReportView(Scroll, can_focus=True):
    """A report from top to bottom. Arrows scroll, or walk over images and legends; space hides a series."""

    DEFAULT_CSS = """
    ReportView { padding: 0 1; }
    ReportView .charts { height: auto; layout: vertical; }
    ReportView.paired .charts { layout: horizontal; }
    """

    def __init__(self, *, first: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.report: Report | None = None
        self.hidden: set[str] = set()
        self.at_label = ""
        self.first = first

    async def show(
        self,
        report: Report | None,
        hues: Mapping[str, str] | None = None,
        images: Callable[[Images], Sequence[np.ndarray] | None] = lambda _: None,
    ) -> None:
        """Show this report; `hues` are colours (#rrggbb) of sources by their names, `images` looks pixels up."""
        at = (
            self.scroll_y if report is not None and self.report is not None and report.title == self.report.title else 0
        )
        self.report = report
        await self.remove_children()
        if report is None:
            return
        await self.mount_all(self._widgets(report, dict(hues or {}), images))
        labels = self.labels()
        self.hidden &= set(labels)
        if self.at_label not in labels:
            self.at_label = labels[0] if labels else ""
        for gallery in list(self.query(Gallery))[:1]:
            gallery.lit = self.has_focus
        self._fit()
        self.scroll_to(y=at, animate=False)

    def _widgets(
        self, report: Report, hues: Mapping[str, str], images: Callable[[Images], Sequence[np.ndarray] | None]
    ) -> list[Widget]:
        # What is looked at comes before what is read; above all that what the tab is named after.
        blocks = sorted(
            report.blocks,
            key=lambda b: (
                not (self.first and b.title.endswith(self.first)),
                not isinstance(b, Lines | Points | Images),
            ),
        )
        found: list[Widget] = []
        charts: list[Figure] = []
        for block in [*blocks, None]:
            if isinstance(block, Lines | Points) and block.series:
                charts.append(Figure(block, hues, self))
                continue
            while charts:
                found.append(Container(*charts[:2], classes="charts"))
                charts = charts[2:]
            if block is not None:
                found += self._block(block, images)
        for note in report.notes:
            found.append(Words(lambda width, note=note: _wrapped(note, width)))  # type: ignore[misc]
        return found

    def _block(self, block: Block, images: Callable[[Images], Sequence[np.ndarray] | None]) -> list[Widget]:
        if isinstance(block, Table):
            return [Words(lambda width: tables.table(block, width))]
        if isinstance(block, Scalars):
            return [Words(lambda width: tables.scalars(block, width))]
        if isinstance(block, Bars):
            hue = palette.colour(0, bool(getattr(self.app, "dark", True)))
            return [Words(lambda width: tables.bars(block, width, hue))]
        if isinstance(block, Heat):
            return [Words(lambda width: tables.matrix(block, width, color=not self.app.no_color))]
        if isinstance(block, Images):
            pixels = images(block)
            if pixels is not None and len(pixels):
                return [Words(lambda _: [Text(block.title, "bold"), Text()]), Gallery(pixels, block.captions)]
            rows = tuple(zip(block.index, block.captions, strict=True))
            return [Words(lambda width: tables.table(Table(block.title, ("index", ""), rows), width))]
        return []

    # Sizes.

    def on_resize(self, event: Resize) -> None:
        """Charts side by side where there is room."""
        self._fit()

    def _fit(self) -> None:
        width, height = self.size
        paired = width >= PAIRED
        self.set_class(paired, "paired")
        for box in self.query(".charts"):
            figures = list(box.query(Figure))
            share = width // len(figures) if paired else width
            for figure in figures:
                figure.fit(share, max(height, LOW + 1))

    # Legends.

    def labels(self) -> list[str]:
        """Every series that can be hidden, once."""
        found: dict[str, None] = {}
        for figure in self.query(Figure):
            if len(figure.block.series) > 1:
                found.update(dict.fromkeys(figure.labels))
        return list(found)

    def toggle(self, label: str) -> None:
        """Hide a series wherever it is drawn, or show it again."""
        self.hidden ^= {label}
        self.at_label = label
        self._redraw()

    def _redraw(self) -> None:
        for figure in self.query(Figure):
            figure.refresh()

    def on_focus(self) -> None:
        """What arrows walk over stands out."""
        for number, gallery in enumerate(self.query(Gallery)):
            gallery.lit = self.has_focus and number == self._at_gallery
            gallery.refresh()
        self._redraw()

    on_blur = on_focus

    # Answers to keys.

    _at_gallery = 0

    def _gallery(self) -> Gallery | None:
        galleries = list(self.query(Gallery))
        return galleries[min(self._at_gallery, len(galleries) - 1)] if galleries else None

    def _walk(self, command: str) -> bool:
        """Let the current gallery go on, or its neighbour take over; false where there is none."""
        gallery = self._gallery()
        if gallery is None:
            return False
        if getattr(gallery, f"do_{command}")():
            return True
        step = 1 if command in ("down", "right") else -1
        if not 0 <= self._at_gallery + step < len(list(self.query(Gallery))):
            return False
        self._at_gallery += step
        self.on_focus()
        gallery = self._gallery()
        if gallery is not None:
            gallery.go_to(0 if step > 0 else len(gallery.images) - 1)
        return True

    def _scroll(self, command: str, by: int) -> None:
        if not self._walk(command):
            self.scroll_relative(y=by, animate=False)

    def do_up(self) -> None:
        """One line up, or one image."""
        self._scroll("up", -1)

    def do_down(self) -> None:
        """One line down, or one image."""
        self._scroll("down", 1)

    def _label(self, by: int) -> None:
        labels = self.labels()
        if labels:
            at = labels.index(self.at_label) if self.at_label in labels else 0
            self.at_label = labels[(at + by) % len(labels)]
            self._redraw()

    def do_left(self) -> None:
        """The image or the series before."""
        if not self._walk("left"):
            self._label(-1)

    def do_right(self) -> None:
        """The next image or series."""
        if not self._walk("right"):
            self._label(1)

    def do_mark(self) -> bool:
        """Hide the current series, or show it again; all of them where none is left."""
        if not self.at_label or self.at_label not in self.labels():
            return False
        self.toggle(self.at_label)
        if self.hidden >= set(self.labels()):
            self.hidden.clear()
            self._redraw()
        return True

    def do_open(self) -> bool:
        """The current image, large."""
        gallery = self._gallery()
        if gallery is None:
            return False
        gallery.do_open()
        return True


def _wrapped(text: str, width: int) -> list[Text]:
    return [Text(line, "dim italic") for line in textwrap.wrap(text, max(width, 20))] or [Text()]

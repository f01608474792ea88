"""Images in the terminal: a grid of half blocks with captions; enter enlarges one."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Center, Vertical
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from fierce_tools.drawn.pictures import HALF, pairs, resize, shades
from fierce_tools.tui.panes import Page

GAP = 2
CAPTION_LINES = 3
LEAST_WIDTH = 16


def strips(image: np.ndarray, *, color: bool) -> list[Strip]:
    """The rows of cells of a u8 image [H, W, c] with H even."""
    if not color:
        return [Strip([Segment(row, Style())]) for row in shades(image)]
    return [
        Strip([Segment(HALF, Style.from_color(Color.from_rgb(*top), Color.from_rgb(*bottom))) for top, bottom in row])
        for row in pairs(image)
    ]


class Gallery(Widget):
    """Images u8 [H, W, c] side by side, as many as fit, each over its caption. `lit`: arrows walk here."""

    DEFAULT_CSS = """
    Gallery { height: auto; width: 1fr; }
    """

    def __init__(self, images: Sequence[np.ndarray], captions: Sequence[str]) -> None:
        super().__init__()
        self.images, self.captions = list(images), list(captions)
        self.at = 0
        self.lit = False
        self._scaled = [resize(image) for image in self.images]
        self._drawn: list[list[Strip]] | None = None
        self._lines: list[Strip] = []
        self._laid: tuple[int, int, bool] | None = None

    @property
    def cell(self) -> tuple[int, int]:
        """Columns and rows that one image takes, its caption with it."""
        wide = max([LEAST_WIDTH, *(image.shape[1] for image in self._scaled)])
        deep = max([1, *(len(image) // 2 for image in self._scaled)])
        lines = max([1, *(len(self._caption(n, wide)) for n in range(len(self.captions)))])
        return wide, deep + lines

    def _caption(self, number: int, wide: int) -> list[str]:
        lines: list[str] = []
        for part in self.captions[number].split(", "):  # label, prediction and entropy are read one by one
            lines += textwrap.wrap(part, wide) or [""]
        return lines[:CAPTION_LINES]

    def across(self, width: int) -> int:
        """How many stand side by side."""
        return max(1, (width + GAP) // (self.cell[0] + GAP))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Rows for all of them."""
        return -(-len(self.images) // self.across(width)) * (self.cell[1] + 1) if self.images else 1

    def render_line(self, y: int) -> Strip:
        """One row of the grid."""
        self._lay()
        return self._lines[y] if y < len(self._lines) else Strip.blank(self.size.width, self.rich_style)

    def _lay(self) -> None:
        key = (self.size.width, self.at if self.lit else -1, self.app.no_color)
        if key == self._laid:
            return
        self._laid = key
        if self._drawn is None:
            self._drawn = [strips(image, color=not self.app.no_color) for image in self._scaled]
        ground = self.rich_style
        wide, deep = self.cell
        across = self.across(self.size.width)
        self._lines = []
        for start in range(0, len(self.images), across):
            numbers = range(start, min(start + across, len(self.images)))
            for y in range(deep + 1):
                parts: list[Segment] = []
                for number in numbers:
                    parts += [*self._cell_row(number, y, wide, ground), Segment(" " * GAP, ground)]
                self._lines.append(Strip(parts).adjust_cell_length(self.size.width, ground))

    def _cell_row(self, number: int, y: int, wide: int, ground: Style) -> list[Segment]:
        assert self._drawn is not None
        picture = self._drawn[number]
        if y < len(picture):
            left = (wide - picture[y].cell_length) // 2
            return [Segment(" " * left, ground), *picture[y],
                    Segment(" " * (wide - left - picture[y].cell_length), ground)]  # fmt: skip
        caption = self._caption(number, wide)
        line = caption[y - len(picture)] if y - len(picture) < len(caption) else ""
        current = self.lit and number == self.at
        style = ground + Style(reverse=current, bold=current) if line else ground
        if line and not current and self._wrong(number):
            style = ground + Style(italic=True)
        return [Segment(line.ljust(wide)[:wide], style)]

    def _wrong(self, number: int) -> bool:
        parts = self.captions[number].split(", ")
        return len(parts) > 1 and parts[0].removeprefix("label ") != parts[1].removeprefix("predicted ")

    # Keys.

    def go_to(self, at: int) -> bool:
        """Make that image the current one, and let it be seen; false where there is none."""
        if not 0 <= at < len(self.images):
            return False
        self.at = at
        self.refresh()
        wide, deep = self.cell
        row = at // self.across(self.size.width)
        self.call_after_refresh(self._show, Region(0, row * (deep + 1), wide, deep + 1))
        return True

    def _show(self, place: Region) -> None:
        if isinstance(self.parent, Widget):
            self.parent.scroll_to_region(place.translate(self.virtual_region.offset), animate=False)

    def do_left(self) -> bool:
        """The one before."""
        return self.go_to(self.at - 1)

    def do_right(self) -> bool:
        """The next one."""
        return self.go_to(self.at + 1)

    def do_up(self) -> bool:
        """The one above."""
        return self.go_to(self.at - self.across(self.size.width))

    def do_down(self) -> bool:
        """The one below."""
        return self.go_to(self.at + self.across(self.size.width))

    def do_open(self) -> None:
        """The image large, on a page of its own."""
        if self.images:
            self.app.push_screen(Large(self))

    def on_click(self, event: Click) -> None:
        """The image under the pointer; a second click enlarges it."""
        wide, deep = self.cell
        at = event.y // (deep + 1) * self.across(self.size.width) + event.x // (wide + GAP)
        if at >= len(self.images) or event.x // (wide + GAP) >= self.across(self.size.width):
            return
        again = at == self.at and self.lit
        self.go_to(at)
        if again:
            self.do_open()


class Large(Page):
    """One image of a gallery, as large as the screen allows; arrows go to its neighbours."""

    DEFAULT_CSS = """
    Large {
        align: center middle; background: $background;
        Vertical { width: auto; height: auto; }
        Center { width: 1fr; height: auto; }
        Static { width: auto; height: auto; }
        #caption { margin-top: 1; text-style: bold; }
        #hint { color: $text-muted; }
    }
    """

    def __init__(self, gallery: Gallery) -> None:
        super().__init__()
        self.gallery = gallery

    def compose(self) -> ComposeResult:
        """The image, its caption, and where one is."""
        with Center():
            yield Picture()
        with Vertical(), Center():
            yield Static(id="caption", markup=False)
        with Vertical(), Center():
            yield Static(id="hint", markup=False)

    def on_mount(self) -> None:
        """Draw it."""
        self.draw()

    def on_resize(self, event: Resize) -> None:
        """As large as there is room now."""
        self.draw()

    def draw(self) -> None:
        """The image in whole multiples of its size, or reduced."""
        gallery = self.gallery
        image = gallery.images[gallery.at]
        room = min(self.size.width - 4, (self.size.height - 5) * 2 * image.shape[1] // max(len(image), 1))
        if room < 4:
            return
        factor = room // image.shape[1]
        scaled = resize(image, image.shape[1] * factor, room) if factor else resize(image, 1, room)
        self.query_one(Picture).draw(strips(scaled, color=not self.app.no_color))
        self.query_one("#caption", Static).update(gallery.captions[gallery.at])
        self.query_one("#hint", Static).update(f"{gallery.at + 1} of {len(gallery.images)} · ← → · esc back")

    def _go(self, step: int) -> None:
        if self.gallery.go_to(self.gallery.at + step):
            self.draw()

    def do_left(self) -> None:
        """The one before."""
        self._go(-1)

    def do_right(self) -> None:
        """The next one."""
        self._go(1)

    do_up, do_down = do_left, do_right

    def do_open(self) -> None:
        """Back to the others."""
        self.dismiss()


class Picture(Widget):
    """Rows of cells."""

    DEFAULT_CSS = "Picture { width: auto; height: auto; }"

    def __init__(self) -> None:
        super().__init__()
        self._strips: list[Strip] = []

    def draw(self, rows: list[Strip]) -> None:
        """Show these."""
        self._strips = rows
        self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as the widest."""
        return max((s.cell_length for s in self._strips), default=1)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many as there are."""
        return len(self._strips) or 1

    def render_line(self, y: int) -> Strip:
        """One of them."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)

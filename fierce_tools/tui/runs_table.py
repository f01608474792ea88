"""The table of runs. It draws only the lines that can be seen, so that ten thousand cost no more than ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from fierce_tools.tui import cells
from fierce_tools.tui.listing import COLUMNS, LARGEST_FIRST, Line

STATE_STYLES = {"running": "live", "failed": "bad", "unreadable": "bad", "stale": "faint", "stopped": "faint"}


class RunsTable(ScrollView, can_focus=True):
    """Lines of runs under a fixed head, with a cursor that stays with its run."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "runs--head", "runs--sorted", "runs--cursor", "runs--cursor-idle", "runs--live", "runs--bad", "runs--faint",
        "runs--good", "runs--pin",
    }  # fmt: skip
    DEFAULT_CSS = """
    RunsTable {
        height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
        .runs--head { color: $secondary; text-style: bold; }
        .runs--sorted { color: $primary; text-style: bold; }
        .runs--cursor { background: $boost-row; text-style: bold; }
        .runs--cursor-idle { background: $surface; }
        .runs--live { color: $success; }
        .runs--bad { color: $error; }
        .runs--faint { color: $secondary; }
        .runs--good { color: $foreground; }
        .runs--pin { color: $accent; }
    }
    """

    class Moved(Message):
        """The cursor is on another run, or on none."""

    class Sorted(Message):
        """A column's head was clicked."""

        def __init__(self, column: str) -> None:
            self.column = column
            super().__init__()

    def __init__(self) -> None:
        super().__init__(id="runs")
        self.lines: list[Line] = []
        self.cursor = 0
        self.sort, self.reverse = "age", False
        self.marks: Mapping[str, tuple[str, str]] = {}
        self.pins: frozenset[str] = frozenset()
        self.note = ""
        self._folded = False
        self._ages: list[str] = []
        self._widths: dict[str, int] = {"name": 10}

    @property
    def current(self) -> Line | None:
        """The line under the cursor."""
        return self.lines[self.cursor] if 0 <= self.cursor < len(self.lines) else None

    @property
    def columns(self) -> list[str]:
        """The columns that are shown, in their order."""
        return list(self._widths)

    def show(
        self,
        lines: Sequence[Line],
        *,
        sort: str,
        reverse: bool,
        marks: Mapping[str, tuple[str, str]],
        pins: frozenset[str],
        note: str,
    ) -> None:
        """Show these lines; the cursor stays on its run, or near it where that is gone.

        `marks` gives colour and sign of the marked ones by name; `note` is shown where there is no line.
        """
        before = self.current
        self.lines, self.sort, self.reverse, self.marks, self.pins, self.note = (
            list(lines), sort, reverse, marks, pins, note,
        )  # fmt: skip
        at = self.cursor
        if before is not None:
            at = next((i for i, line in enumerate(self.lines) if before.key in line.members), at)
        self.cursor = max(0, min(at, len(self.lines) - 1))
        self._measure()
        now = self.current
        if (before and before.key) != (now and now.key):
            self.post_message(self.Moved())
        self.refresh()

    def tick(self) -> None:
        """Time went by: draw the ages that are seen anew where they read otherwise now."""
        if "age" in self._widths:
            top = int(self.scroll_offset.y)
            ages = [cells.cell("age", line.row) for line in self.lines[top : top + self.size.height]]
            if ages != self._ages:
                self._ages = ages
                self._measure()
                self.refresh()

    def remark(self, marks: Mapping[str, tuple[str, str]]) -> None:
        """Other marks on the same lines."""
        self.marks = marks
        self.refresh()

    def _measure(self) -> None:
        wanted = {}
        self._folded = any(line.spread for line in self.lines)
        for key in COLUMNS:
            texts = {cells.cell(key, line.row, line.spread, folded=self._folded) for line in self._sample()}
            filled = any(text.strip() not in ("", "–") for text in texts)
            head = len(cells.HEADS.get(key, key)) + (key == self.sort)
            wanted[key] = max(head, *map(len, texts)) if filled else 0
        wanted["name"] = max(wanted.get("name", 0), 10)
        for key, most in (("tags", 18), ("note", 30), ("teacher", 18), ("loss", 18), ("model", 18), ("dataset", 16)):
            wanted[key] = min(wanted[key], most)
        self._widths = cells.columns_for(max(self.size.width - 3, 8), wanted)
        self.virtual_size = Size(self.size.width, len(self.lines) + 1)

    def _sample(self) -> list[Line]:
        """Lines enough to know how wide columns are: all of few, of many some and those near the cursor."""
        if len(self.lines) <= 400:
            return self.lines
        return [
            *self.lines[:100],
            *self.lines[max(self.cursor - 50, 0) : self.cursor + 50],
            *self.lines[:: len(self.lines) // 200],
        ]

    def on_resize(self) -> None:
        """Other columns may fit."""
        self._measure()
        self.reveal()

    def render_line(self, y: int) -> Strip:
        """The head, or a line of the table."""
        width = self.size.width
        if y == 0:
            return self._head(width)
        index = int(self.scroll_offset.y) + y - 1
        if index < len(self.lines):
            return self._line(self.lines[index], width, index == self.cursor)
        if not self.lines and y == 2:
            return Strip([Segment(cells.fit("  " + self.note, width), self._rich("runs--faint"))])
        return Strip.blank(width, self.rich_style)

    def _rich(self, *names: str) -> Style:
        return self.get_component_rich_style(*names, partial=True) if names else self.rich_style

    def _head(self, width: int) -> Strip:
        plain, chosen = self.rich_style + self._rich("runs--head"), self.rich_style + self._rich("runs--sorted")
        segments = [Segment("   ", plain)]
        for number, (key, size) in enumerate(self._widths.items()):
            text = cells.HEADS.get(key, key)
            if key == self.sort:
                down = self.reverse != (key in LARGEST_FIRST)
                text += "▼" if down else "▲"
            gap = "  " if number else ""
            segments.append(
                Segment(gap + cells.fit(text, size, right=key in cells.NUMBERS), chosen if key == self.sort else plain)
            )
        return Strip(segments).adjust_cell_length(width, plain)

    def _line(self, line: Line, width: int, under: bool) -> Strip:
        base = self.rich_style
        if under:
            base += self._rich("runs--cursor" if self.has_focus else "runs--cursor-idle")
        mark = self.marks.get(line.key)
        segments = [Segment("▌" if under else " ", base + self._rich("runs--sorted"))]
        pinned = not self.pins.isdisjoint(line.members)
        if mark is not None:
            segments.append(Segment(mark[1], base + Style(color=mark[0], bold=True)))
        else:
            segments.append(Segment("▴" if pinned else " ", base + self._rich("runs--pin")))
        segments.append(Segment(" ", base))
        for number, (key, size) in enumerate(self._widths.items()):
            text = cells.cell(key, line.row, line.spread, folded=self._folded)
            style = base
            if key == "state":
                name = STATE_STYLES.get(str(line.row["state"]))
                style += self._rich(f"runs--{name}") if name else self._rich("runs--faint")
            elif key in ("age", "tags", "note", "teacher", "seed", "dataset", "model"):
                style += self._rich("runs--faint")
            elif key == "name" and mark is not None:
                style += Style(color=mark[0])
            gap = "  " if number else ""
            shown = cells.name(line.stem, line.count, size) if key == "name" else None
            segments.append(Segment(gap + (shown or cells.fit(text, size, right=key in cells.NUMBERS)), style))
        return Strip(segments).adjust_cell_length(width, base)

    def move(self, to: int) -> None:
        """Put the cursor on a line."""
        to = max(0, min(to, len(self.lines) - 1))
        if to != self.cursor:
            self.cursor = to
            self.post_message(self.Moved())
        self.reveal()
        self.refresh()

    def reveal(self) -> None:
        """Scroll so that the cursor can be seen."""
        room = max(self.size.height - 1, 1)
        top = int(self.scroll_offset.y)
        if self.cursor < top:
            top = self.cursor
        elif self.cursor >= top + room:
            top = self.cursor - room + 1
        self.scroll_to(y=top, animate=False)

    def do_up(self) -> None:
        """One run up."""
        self.move(self.cursor - 1)

    def do_down(self) -> None:
        """One run down."""
        self.move(self.cursor + 1)

    def do_top(self) -> None:
        """To the first run."""
        self.move(0)

    def do_bottom(self) -> None:
        """To the last run."""
        self.move(len(self.lines) - 1)

    def do_page_up(self) -> None:
        """A screenful up."""
        self.move(self.cursor - max(self.size.height - 2, 1))

    def do_page_down(self) -> None:
        """A screenful down."""
        self.move(self.cursor + max(self.size.height - 2, 1))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there, or sort by that column."""
        if event.y == 0:
            x = 3
            for key, size in self._widths.items():
                if x - 1 <= event.x < x + size + 1:
                    self.post_message(self.Sorted(key))
                    return
                x += size + 2
            return
        index = int(self.scroll_offset.y) + event.y - 1
        if index < len(self.lines):
            self.move(index)

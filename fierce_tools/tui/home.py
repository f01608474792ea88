"""The screen that is always there: the runs and the tabs, beside or above one another."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from fierce_tools.tui import listing, pages
from fierce_tools.tui.bars import Foot, Head, TabLine
from fierce_tools.tui.choosing import Choosing
from fierce_tools.tui.panes import Sheet
from fierce_tools.tui.prompt import PromptLine
from fierce_tools.tui.runs_table import RunsTable

LEAST = (40, 10)
SIDE_BY_SIDE = 100


class Home(Choosing, inherit_bindings=False):
    """Runs to the left or above, tabs beside or below them."""

    DEFAULT_CSS = """
    Home {
        layout: vertical; background: $background;
        #small { display: none; width: 100%; height: 100%; content-align: center middle; color: $secondary; }
        #body { layout: vertical; height: 1fr; }
        #runs { height: 2fr; min-height: 4; background: $background; }
        #side { height: 3fr; background: $background; border-top: solid $panel; }
        #tabs { height: 1fr; }
        &.wide #body { layout: horizontal; }
        &.wide #runs { width: 1fr; height: 100%; }
        &.wide #side { width: 1fr; height: 100%; border-top: none; border-left: vkey $panel; }
        &.zoom-runs #side, &.zoom-side #runs { display: none; }
        &.zoom-side #side, &.zoom-side.wide #side { border: none; height: 1fr; width: 100%; }
        &.zoom-runs #runs { width: 100%; height: 1fr; }
        &.small > * { display: none; }
        &.small #small { display: block; }
    }
    """

    def compose(self) -> ComposeResult:
        """Head, body, prompt, foot; and what is said where there is no room for them."""
        yield Static("fierce: make the window at least 40 × 10", id="small")
        yield Head(id="head")
        with Container(id="body"):
            yield self.table
            with Vertical(id="side"):
                yield TabLine(id="tabline")
                with ContentSwitcher(id="tabs", initial=f"tab-{self.active}"):
                    yield from self.panes
        yield PromptLine()
        yield Foot(id="foot")

    def on_mount(self) -> None:
        """Begin to look at the files."""
        self._zoom(self.zoom)
        self.set_focus(self.table)
        self.watch_files()

    def on_resize(self, event: events.Resize) -> None:
        """Side by side, one above the other, or a note."""
        self.set_class(event.size.width >= SIDE_BY_SIDE, "wide")
        self.set_class(event.size.width < LEAST[0] or event.size.height < LEAST[1], "small")
        self.call_after_refresh(self.tell)

    def places(self) -> list[Any]:
        """Who is asked to answer a command: from the focus outwards, then the open tab."""
        path = [w for w in self._path() if isinstance(w, Widget) and w is not self]
        return [*path, *([] if self.pane in path else [self.pane]), self]

    def sheet(self) -> Sheet | None:
        """The table where the focus is on it, else the open tab's."""
        if self.table not in self._path():
            return self.pane.sheet()
        keys = self.table.columns
        spreads = [key for key in listing.AVERAGED if key in keys and any(key in line.spread for line in self.lines)]
        more = [*(f"{key} sd" for key in spreads), "seeds"] if self.fold else []
        rows = tuple(
            (
                *(_plain(line.row, key) for key in keys),
                *((*(line.spread.get(key) for key in spreads), line.count or None) if self.fold else ()),
            )
            for line in self.lines
        )
        return Sheet("runs", (*keys, *more), rows)

    # Answers to keys.

    def on_runs_table_moved(self) -> None:
        """Another run is under the cursor."""
        self.choose()

    def on_runs_table_sorted(self, message: RunsTable.Sorted) -> None:
        """By that column, or the other way round."""
        self._sort(message.column, self.sort == message.column and not self.reverse)

    def on_tab_line_picked(self, message: TabLine.Picked) -> None:
        """Open the tab."""
        self.open_tab(message.number)

    def on_prompt_line_closed(self) -> None:
        """Typing is over."""
        self.set_focus(self.pane if self.zoom == "side" and self.pane.can_focus else self.table)
        self.tell()

    def on_descendant_focus(self) -> None:
        """Other keys mean something now."""
        self.tell()

    def open_tab(self, number: int) -> None:
        """Open a tab by its number."""
        if not 1 <= number <= len(self.panes):
            return
        self.active = number
        self.query_one("#tabs", ContentSwitcher).current = f"tab-{number}"
        if self.zoom == "runs":
            self._zoom(None)
        elif self.table not in self._path():
            self.focus_pane()
        self.dashboard.remember(tab=number)
        self._shown = None
        self.choose()
        self.tell()

    def focus_pane(self) -> None:
        """Put the focus into the open tab."""
        first = next((w for w in self.pane.walk_children(Widget) if w.focusable), None)
        self.set_focus(self.pane if self.pane.focusable else first)

    def do_next_pane(self) -> None:
        """The focus from the runs to the tab, and back."""
        if self.zoom is not None:
            self._zoom("runs" if self.zoom == "side" else "side")
        elif self.table in self._path():
            self.focus_pane()
        else:
            self.set_focus(self.table)
        self.choose()
        self.tell()

    do_previous_pane = do_next_pane

    def do_maximise(self) -> None:
        """The pane with the focus alone, and back."""
        self._zoom(None if self.zoom else "runs" if self.table in self._path() else "side")
        self.dashboard.remember(zoom=self.zoom)
        self.choose()
        self.tell()

    def _zoom(self, zoom: str | None) -> None:
        self.zoom = zoom
        self.set_class(zoom == "runs", "zoom-runs")
        self.set_class(zoom == "side", "zoom-side")
        if zoom == "runs":
            self.set_focus(self.table)
        elif zoom == "side":
            self.call_after_refresh(self.focus_pane)

    def do_open(self) -> bool:
        """The page of the run under the cursor."""
        line = self.table.current
        if pages.OPEN is None or line is None or self.table not in self._path():
            return False
        chosen = self._choose(line.key, self.memory.marks.get(line.key, 0))
        self.app.push_screen(pages.OPEN(replace(chosen, line=line)))
        return True

    def do_back(self) -> None:
        """Leave the zoom, then the tab, then clear the filter."""
        if self.zoom is not None:
            self.do_maximise()
        elif self.table not in self._path():
            self.set_focus(self.table)
        elif self.wanted:
            self.set_filter("")
        self.tell()


def _plain(row: Mapping[str, Any], key: str) -> Any:
    """The value of a column for a file; ages in seconds."""
    value = time.time() - row["modified"] if key == "age" else row.get(key)
    return value if value is None or isinstance(value, str | int | float) else " ".join(map(str, value))

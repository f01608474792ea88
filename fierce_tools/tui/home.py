"""The screen that is always there: the runs, the tabs, and what is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static

from fierce_tools.tui import cells, listing, pages, palette
from fierce_tools.tui.bars import Foot, Head, TabLine
from fierce_tools.tui.memory import Memory
from fierce_tools.tui.panes import Chosen, Pane, Sheet
from fierce_tools.tui.prompt import PromptLine
from fierce_tools.tui.runs_table import RunsTable
from fierce_tools.tui.store import Store
from fierce_tools.tui.tabs import TABS

if TYPE_CHECKING:
    from fierce_tools.tui.app import Dashboard

LEAST = (40, 10)
SIDE_BY_SIDE = 100
PUMP = 0.03
# Seconds of reading at a time: while runs are being found, and afterwards.
LOADING, READING = 0.03, 0.012
REARRANGE = 0.3


class Home(Screen[None], inherit_bindings=False):
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

    def __init__(self, store: Store, memory: Memory) -> None:
        super().__init__(id="home")
        self.store, self.memory = store, memory
        self.table = RunsTable()
        self.panes: list[Pane] = [kind(id=f"tab-{n}") for n, kind in enumerate(TABS, 1)]
        self.wanted = ""
        view = memory.view
        self.sort = view["sort"] if view.get("sort") in listing.COLUMNS else "age"
        self.reverse = view.get("reverse") is True
        self.fold = view.get("fold") is True
        tab = view.get("tab")
        self.active = tab if isinstance(tab, int) and 1 <= tab <= len(self.panes) else 1
        self.zoom = view.get("zoom") if view.get("zoom") in ("runs", "side") else None
        self.paused = False
        self.lines: list[listing.Line] = []
        self._dirty = True
        self._rows: dict[str, dict[str, Any]] = {}
        self._arranged = self._took = 0.0
        self._count = 0
        self._shown: Any = None
        self._failed = ""

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return self.app  # type: ignore[return-value]

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
        self._pumping = self.set_interval(PUMP, self.pump)
        self.set_interval(self.dashboard.settings.poll_seconds, self.look)
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        """Side by side, one above the other, or a note."""
        self.set_class(event.size.width >= SIDE_BY_SIDE, "wide")
        self.set_class(event.size.width < LEAST[0] or event.size.height < LEAST[1], "small")
        self.call_after_refresh(self.tell)

    # Looking at files, in slices.

    def look(self) -> None:
        """Once a second: which runs are there, and what changed. A fault becomes a toast, not the end."""
        self.dashboard.flush()
        if self.paused:
            return
        try:
            _, gone = self.store.scan()
            self.store.begin_round()
            if self.memory.load():
                self._rows.clear()
                self._dirty = True
            for name in gone:
                self._rows.pop(name, None)
                self._dirty = True
            self._failed = ""
            self._pumping.resume()
        except Exception as error:
            self._fail(error)
        self.tell()

    def pump(self) -> None:
        """Read for some milliseconds; arrange the lines anew where something changed, not too often."""
        if self.paused:
            return
        try:
            self._read(LOADING if self.store.loading else READING)
            # While thousands are read, sorting them at every slice would take longer than the reading.
            patience = max(REARRANGE, 8 * self._took) if self.store.loading else 0.0
            if self._dirty and time.monotonic() - self._arranged >= patience:
                self.rearrange()
            elif self.store.fed:
                self.choose()
            if self.at_rest:
                self._pumping.pause()  # until the next look: a dashboard at rest costs nothing
        except Exception as error:
            self._dirty = False
            self._fail(error)

    def _read(self, seconds: float) -> None:
        for name in self.store.work(seconds):
            self._rows.pop(name, None)
            self._dirty = True

    @property
    def at_rest(self) -> bool:
        """Whether everything that was read is shown."""
        return not self.store.busy and not self.store.fed and not self._dirty

    def _fail(self, error: Exception) -> None:
        message = f"{type(error).__name__}: {error}"
        if message != self._failed:  # said once, not every second
            self._failed = message
            self.notify(message, title="a fault while reading", severity="error", markup=False)

    # What is shown.

    def rows(self) -> list[dict[str, Any]]:
        """A row for every run that was read."""
        return [self.row(name) for name, entry in self.store.entries.items() if entry.row]

    def row(self, name: str) -> dict[str, Any]:
        """A run's summary with what was said of it here; made anew when its files or that changed."""
        row = self._rows.get(name)
        if row is None:
            entry = self.store.entries[name]
            teachers = entry.info.get("teachers")
            row = self._rows[name] = {
                **entry.row,
                "modified": entry.modified,
                "tags": list(dict.fromkeys([*entry.row["tags"], *self.memory.tags.get(name, [])])),
                "note": self.memory.notes.get(name),
                "teachers": teachers if isinstance(teachers, list) else [],
            }
        return row

    def group(self, name: str) -> str:
        """The same for runs that differ only in their seed."""
        return self.store.entries[name].group()

    def rearrange(self) -> None:
        """Filter, sort and fold; then show it all."""
        self._dirty = False
        begun = time.monotonic()
        self.lines = listing.arrange(
            self.rows(), wanted=listing.parse(self.wanted), sort=self.sort, reverse=self.reverse,
            pins=frozenset(self.memory.pins), group=self.group if self.fold else None,
        )  # fmt: skip
        self.table.show(
            self.lines, sort=self.sort, reverse=self.reverse, marks=self._signs(), pins=frozenset(self.memory.pins),
            note=self._empty(),
        )  # fmt: skip
        self._count = sum(len(line.members) for line in self.lines)
        self._arranged = time.monotonic()
        self._took = self._arranged - begun
        self.choose()
        self.tell()

    def _signs(self) -> dict[str, tuple[str, str]]:
        letters = self.dashboard.letters
        signs = {}
        for line in self.lines:
            index = next((self.memory.marks[n] for n in line.members if n in self.memory.marks), None)
            if index is not None:
                signs[line.key] = (self.dashboard.colour(index), palette.sign(index) if letters else "●")
        return signs

    def _empty(self) -> str:
        if self.store.problem:
            return self.store.problem
        if self.store.loading:
            return "reading…"
        if self.store.entries:
            return "no run fits the filter; esc clears it"
        return f"no runs in {self.store.root}; `fierce train` makes one"

    def marked(self) -> list[str]:
        """The marked runs there are, in the order of their colours."""
        there = [n for n in self.memory.marks if n in self.store.entries and self.store.entries[n].row]
        return sorted(there, key=lambda n: (self.memory.marks[n], n))

    def chosen(self) -> tuple[Chosen, ...]:
        """The marked runs, else the one under the cursor; folded, each group once."""
        names = self.marked()
        indices = {name: self.memory.marks[name] for name in names}
        line = self.table.current
        if not names and line is not None:
            names = [line.key]
            indices = {line.key: 0}
        if not self.fold:
            return tuple(self._choose(name, indices[name]) for name in names)
        groups: dict[str, str] = {}
        for name in names:
            groups.setdefault(self.group(name), name)
        return tuple(self._choose(name, indices[name], key) for key, name in groups.items())

    def _choose(self, name: str, index: int, group: str | None = None) -> Chosen:
        entry = self.store.entries[name]
        members: tuple[Chosen, ...] = ()
        label = name
        if group is not None:
            names = sorted(n for n, e in self.store.entries.items() if e.row and e.group() == group)
            members = tuple(self._choose(n, index) for n in names)
            label = next((ln.row["name"] for ln in self.lines if name in ln.members), name)
        return Chosen(
            entry.run, self.row(name), entry.history or entry.watch(), self.dashboard.colour(index),
            palette.sign(index), label, members,
        )  # fmt: skip

    def choose(self) -> None:
        """Tell the open tab what is chosen, if that or its files changed."""
        names = self.marked() or ([*line.members] if (line := self.table.current) is not None else [])
        if self.fold and names:
            groups = {self.group(n) for n in names}
            names = [n for n, e in self.store.entries.items() if e.row and e.group() in groups]
        self.store.watch(names)
        if not self.paused:
            self._read(READING)  # what was just chosen is drawn at once
            self._pumping.resume()
        self.store.fed = False
        if self.zoom == "runs":
            return
        chosen = self.chosen()
        state = (self.active, self.dashboard.dark, tuple(_state(c) for c in chosen))
        if state != self._shown:
            self._shown = state
            self.pane.show(chosen)

    @property
    def pane(self) -> Pane:
        """The open tab."""
        return self.panes[self.active - 1]

    def tell(self) -> None:
        """The lines of the frame."""
        if not self.is_mounted or self.has_class("small"):
            return
        count, shown = len(self.store.entries), self._count
        marked = len(self.marked())
        loading = self.store.loading
        many = f"{shown} of {count}" if self.wanted else f"{count} run{'s' * (count != 1)}"
        left = [
            "fierce", _short(str(self.store.root)), f"reading {count - loading} of {count}" if loading else many,
            f"{marked} marked" if marked else "", self.wanted,
        ]  # fmt: skip
        newest = self.store.newest
        ago = "paused" if self.paused else f"{cells.age(max(time.time() - newest, 0.0))} ago" if newest else ""
        status = getattr(self.pane, "status", None)
        self.query_one(Head).tell(left, [*(status() if status is not None else []), ago])
        titles = [pane.TITLE for pane in self.panes]
        self.query_one(TabLine).tell(titles, self.active - 1, self.pane in self._path())
        self.query_one(Foot).tell(self.dashboard.answered(), self.dashboard.board.line())

    def _path(self) -> list[Any]:
        focused = self.focused
        return [] if focused is None else [focused, *focused.ancestors]

    def places(self) -> list[Any]:
        """Who is asked to answer a command: from the focus outwards, then the open tab."""
        path = [w for w in self._path() if isinstance(w, Widget) and w is not self]
        return [*path, *([] if self.pane in path else [self.pane]), self]

    def sheet(self) -> Sheet | None:
        """The table where the focus is on it, else the open tab's."""
        if self.table not in self._path():
            return self.pane.sheet()
        keys = self.table.columns
        rows = tuple(tuple(_plain(line.row, key) for key in keys) for line in self.lines)
        return Sheet("runs", tuple(keys), rows)

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
        self.app.push_screen(pages.OPEN(self._choose(line.key, self.memory.marks.get(line.key, 0))))
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

    def do_filter(self) -> None:
        """Type a filter; it works while it is typed."""
        before = self.wanted

        def changed(text: str) -> str | None:
            problem = listing.problem_of(text)
            if problem is None:
                self.set_filter(text)
            return problem

        self.query_one(PromptLine).ask(
            "filter", self.wanted, self.set_filter, changed=changed, left=lambda: self.set_filter(before)
        )

    def set_filter(self, text: str) -> None:
        """Show only the runs that fit. Raises UsageError for what is no filter."""
        self.wanted = text.strip()
        self.rearrange()

    def do_sort(self) -> None:
        """By the next column that is shown."""
        keys = self.table.columns
        at = keys.index(self.sort) if self.sort in keys else -1
        self._sort(keys[(at + 1) % len(keys)], False)

    def do_reverse(self) -> None:
        """The other way round."""
        self._sort(self.sort, not self.reverse)

    def _sort(self, column: str, reverse: bool) -> None:
        self.sort, self.reverse = column, reverse
        self.dashboard.remember(sort=column, reverse=reverse)
        self.rearrange()

    def do_fold(self) -> None:
        """Seeds as one row, and back."""
        self.fold = not self.fold
        self.dashboard.remember(fold=self.fold)
        self.rearrange()

    def do_mark(self) -> None:
        """Mark the run under the cursor, or no longer."""
        line = self.table.current
        if line is None:
            return

        def change() -> None:
            marks = self.memory.marks
            if any(name in marks for name in line.members):
                for name in line.members:
                    marks.pop(name, None)
            else:  # seeds that were folded share a colour
                marks.update(dict.fromkeys(line.members, self.memory.colour_for(line.key)))

        self._mark(change)
        if self.table in self._path():
            self.table.do_down()

    def do_mark_all(self) -> None:
        """No marks where there are any; else all that are shown."""

        def change() -> None:
            if self.marked():
                self.memory.marks.clear()
                return
            for line in self.lines:
                self.memory.marks.update(dict.fromkeys(line.members, self.memory.colour_for(line.key)))

        if not self.marked() and len(self.lines) > MARK_MOST:
            self.notify(
                f"more than {MARK_MOST} runs are too many to be drawn together; filter first", severity="warning"
            )
            return
        self._mark(change)

    def _mark(self, change: Callable[[], None]) -> None:
        self.dashboard.change(change, soon=False)
        self.table.remark(self._signs())
        self.choose()
        self.tell()

    def do_pin(self) -> None:
        """Keep the run on top, or no longer."""
        line = self.table.current
        if line is not None:
            names = {*line.members}
            self._change(lambda: self.memory.pins.symmetric_difference_update(names))

    def do_tag(self) -> None:
        """Type the tags of the run under the cursor."""
        line = self.table.current
        if line is None:
            return
        names = line.members
        value = " ".join(self.memory.tags.get(names[0], []))

        def done(text: str) -> None:
            tags = list(dict.fromkeys(text.replace(",", " ").split()))
            self._change(lambda: self.memory.tags.update(dict.fromkeys(names, tags)))

        self.query_one(PromptLine).ask(f"tags of {line.row['name']}", value, done)

    def do_note(self) -> None:
        """Type the note of the run under the cursor."""
        line = self.table.current
        if line is None:
            return
        names = line.members

        def done(text: str) -> None:
            self._change(lambda: self.memory.notes.update({name: text.strip() for name in names}))

        self.query_one(PromptLine).ask(f"note on {line.row['name']}", self.memory.notes.get(names[0], ""), done)

    def do_refresh(self) -> None:
        """Read every file anew."""
        self.store.reread()
        self.look()

    def do_pause(self) -> None:
        """Hold still, and go on."""
        self.paused = not self.paused
        self.look()
        self.tell()

    def _change(self, change: Callable[[], None]) -> None:
        self.dashboard.change(change)
        self._rows.clear()
        self.rearrange()


MARK_MOST = 64


def _state(chosen: Chosen) -> Any:
    members = tuple((m.run.name, m.history.version) for m in chosen.members)
    return (chosen.run.name, chosen.history.version, chosen.colour, chosen.row["state"], chosen.label, members)


def _short(path: str) -> str:
    return path if len(path) <= 28 else "…" + path[-27:]


def _plain(row: Mapping[str, Any], key: str) -> Any:
    """The value of a column for a file; ages in seconds."""
    value = time.time() - row["modified"] if key == "age" else row.get(key)
    return value if value is None or isinstance(value, str | int | float) else " ".join(map(str, value))

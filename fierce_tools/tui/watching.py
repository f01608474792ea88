"""The screen's knowledge: what is on disk, which lines that makes, what is chosen, and the frame that tells of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from textual.screen import Screen
from textual.timer import Timer

from fierce_tools.tui import cells, listing, palette
from fierce_tools.tui.bars import Foot, Head, TabLine
from fierce_tools.tui.memory import Memory
from fierce_tools.tui.panes import Chosen, Pane
from fierce_tools.tui.runs_table import RunsTable
from fierce_tools.tui.store import Store
from fierce_tools.tui.tabs import TABS

if TYPE_CHECKING:
    from fierce_tools.tui.app import Dashboard

# Seconds of reading at a time: while runs are being found, and afterwards.
LOADING, READING = 0.03, 0.012
REARRANGE = 0.3
PUMP = 0.03


class Watching(Screen[None], inherit_bindings=False):
    """Looks at the files once a second and keeps the table and the open tab up to date."""

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
        self._folded: dict[str, listing.Line] = {}
        self._dirty = True
        self._rows: dict[str, dict[str, Any]] = {}
        self._arranged = self._took = 0.0
        self._count = 0
        self._pumping: Timer
        self._shown: Any = None
        self._failed = ""

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return self.app  # type: ignore[return-value]

    # Looking at files, in slices.

    def watch_files(self) -> None:
        """Begin to look, and go on."""
        self._pumping = self.set_interval(PUMP, self.pump)
        self.set_interval(self.dashboard.settings.poll_seconds, self.look)
        self.look()

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
        self.table.tick()
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
            row = self._rows[name] = {
                **entry.row,
                "modified": entry.modified,
                "started": entry.info.get("started"),
                "tags": list(dict.fromkeys([*entry.row["tags"], *self.memory.tags.get(name, [])])),
                "note": self.memory.notes.get(name),
            }
        return row

    def group(self, name: str) -> str:
        """The same for runs that differ only in their seed."""
        return self.store.entries[name].group()

    def rearrange(self) -> None:
        """Filter, sort and fold; then show it all."""
        self._dirty = False
        begun = time.monotonic()
        rows, group = self.rows(), self.group if self.fold else None
        # What the tabs show of a group does not depend on the filter, so that a recipe has one mean.
        whole = listing.folded(rows, group) if group is not None else []
        self._folded = listing.by_member(whole)
        self.lines = listing.arrange(
            rows, wanted=listing.parse(self.wanted), sort=self.sort, reverse=self.reverse,
            pins=frozenset(self.memory.pins), group=group, whole=whole,
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
        return sorted(filter(self._there, self.memory.marks), key=lambda n: (self.memory.marks[n], n))

    def _there(self, name: str) -> bool:
        entry = self.store.entries.get(name)
        return entry is not None and bool(entry.row)

    def chosen(self) -> tuple[Chosen, ...]:
        """The marked runs, else the one under the cursor; folded, each group once and whole."""
        names = self.marked()
        indices = {name: self.memory.marks[name] for name in names}
        line = self.table.current
        if not names and line is not None:
            names = [line.key]
            indices = {line.key: 0}
        if not self.fold:
            return tuple(self._choose(name, indices[name]) for name in names)
        lines: dict[str, tuple[str, listing.Line]] = {}
        for name in names:
            if (line := self._folded.get(name)) is not None:  # one just found is there when the lines are arranged
                lines.setdefault(line.key, (name, line))
        return tuple(self._choose(name, indices[name], line) for name, line in lines.values())

    def _choose(self, name: str, index: int, line: listing.Line | None = None) -> Chosen:
        entry = self.store.entries[name]
        members: tuple[Chosen, ...] = ()
        if line is not None and len(line.members) > 1:
            members = tuple(self._choose(n, index) for n in line.members if self._there(n))
        return Chosen(
            entry.run, self.row(name), entry.history or entry.watch(), self.dashboard.colour(index),
            palette.sign(index), line.name if line is not None else name, members, line,
        )  # fmt: skip

    def choose(self) -> None:
        """Tell the open tab what is chosen, if that or its files changed."""
        names = self.marked() or ([*line.members] if (line := self.table.current) is not None else [])
        if self.fold and names:
            lines = {line.key: line for n in names if (line := self._folded.get(n)) is not None}
            names = [name for line in lines.values() for name in line.members]
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


def _state(chosen: Chosen) -> Any:
    members = tuple((m.run.name, m.history.version, m.row["state"]) for m in chosen.members)
    return (chosen.run.name, chosen.history.version, chosen.colour, chosen.row["state"], chosen.label, members)


def _short(path: str) -> str:
    return path if len(path) <= 28 else "…" + path[-27:]

"""What is on disk, kept up to date in small slices: the interface never waits for a file."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import runs, seeds
from fierce_tools.runs import Run
from fierce_tools.tui.tail import Tail

SLICE = 0.015
# Runs looked at in each round beside those that train or are watched.
QUIET_ROUND = 200


class History:
    """The metrics of a run by epoch, as columns. `version` grows with every change."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.version = 0
        self._columns: dict[str, np.ndarray] = {}

    def add(self, rows: Sequence[dict[str, Any]], *, anew: bool) -> None:
        """Further rows, or all of them anew."""
        if anew:
            self.rows = []
        self.rows.extend(rows)
        self.version += 1
        self._columns.clear()

    def names(self) -> list[str]:
        """The metrics that are written, in the order of their first appearance."""
        found: dict[str, None] = {}
        for row in self.rows if len(self.rows) < 50 else (*self.rows[:25], *self.rows[-25:]):
            found.update(dict.fromkeys(row))
        return list(found)

    def column(self, key: str) -> np.ndarray:
        """Values f64 [rows]; NaN where there is none, or no number."""
        if key not in self._columns:
            numbers = [
                v if isinstance(v := row.get(key), int | float) and not isinstance(v, bool) else np.nan
                for row in self.rows
            ]
            self._columns[key] = np.array(numbers, dtype=np.float64)
        return self._columns[key]


class Entry:
    """One run as it was last read."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.tail = Tail(run.metrics_path)
        self.best: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None
        self.history: History | None = None
        self.document: dict[str, Any] = {}
        self.problem: str | None = None
        self.info: dict[str, Any] = {}
        self.row: dict[str, Any] = {}
        self.modified = 0.0
        self._group: str | None = None
        self._signs: dict[str, tuple[int, int, int]] = {}

    @property
    def quiet(self) -> bool:
        """Whether nothing is expected of it: it is not training."""
        return bool(self.row) and self.row["state"] != "running"

    def read(self) -> tuple[bool, bool]:
        """Look at the files; whether the row changed, and whether there is more to read at once. Never raises."""
        news, modified = not self.row, self.modified
        if self._changed(self.run.recipe_path):
            self.document, self.problem = runs.written(self.run)
            self._group = None
            news = True
        if self._changed(self.run.info_path):
            self.info = self.run.info()
            self._group = None
            news = True
        more = False
        if self._changed(self.run.metrics_path):
            rows, anew, more = self.tail.read()
            if more:  # come back for the rest although the file stays as it is
                self._signs.pop(self.run.metrics_path.name)
            self._take(rows, anew)
            news = news or bool(rows) or anew
        if not news and self.row["state"] not in ("running", "stale"):  # these change without any file changing
            return False, more
        before = self.row
        kept = [row for row in (self.best, self.last) if row is not None]
        self.row = runs.summarize(self.run, self.info, self.document, self.problem, kept)
        return before != {**self.row, "age": before.get("age")} or modified != self.modified, more

    def _changed(self, path: Path) -> bool:
        try:
            status = os.stat(path)
            sign = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            sign = (0, 0, 0)
        self.modified = max(self.modified, sign[0] / 1e9)
        if self._signs.get(path.name) == sign:
            return False
        self._signs[path.name] = sign
        return True

    def _take(self, rows: list[dict[str, Any]], anew: bool) -> None:
        if anew:
            self.best = self.last = None
        for row in rows:
            value = row.get("val_accuracy")
            if (
                isinstance(value, int | float)
                and (self.best is None or value > self.best["val_accuracy"])
                and value < np.inf
            ):
                self.best = row
        self.last = rows[-1] if rows else self.last
        if self.history is not None:
            self.history.add(rows, anew=anew)

    def watch(self) -> History:
        """Its metrics, kept from now on; they fill with the next reading."""
        if self.history is None:
            self.history = History()
            self.reread()
        return self.history

    def reread(self) -> None:
        """Look at everything again at the next reading."""
        self.tail.rewind()
        self.best = self.last = None
        self._signs.clear()
        if self.history is not None:
            self.history.add([], anew=True)

    def group(self) -> str:
        """The same for runs that differ only in their seed; what cannot be read, and a folder of peers, is alone."""
        if self._group is None:
            self._group = self._identity()
        return self._group

    def _identity(self) -> str:
        if self.problem is not None or not self.document or isinstance(self.info.get("peers"), list):
            return f"path {self.run.path}"
        # Files may change under their name: what was trained on others is another training.
        # So may teachers; a run that has not begun says nothing of either.
        data, peer = self.info.get("dataset_sha256"), self.info.get("peer")
        return seeds.identity(
            self.document,
            data=data if isinstance(data, str) else None,
            taught=self.info,
            peer=peer if isinstance(peer, int) else None,
        )


class Store:
    """Every run under a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, Entry] = {}
        self.problem: str | None = None
        self._queue: deque[str] = deque()
        self._round: deque[str] = deque()
        self._watched: set[str] = set()
        self._unread: set[str] = set()
        self.newest = 0.0
        self.fed = False

    @property
    def loading(self) -> int:
        """How many runs were found and not read yet."""
        return len(self._unread)

    def scan(self) -> tuple[set[str], set[str]]:
        """Look which runs there are: those new and those gone. Never raises; `problem` says what is wrong."""
        try:
            with os.scandir(self.root) as listed:
                found = {e.name: e for e in listed if not e.name.startswith(".")}
            self.problem = None
        except FileNotFoundError:
            found, self.problem = {}, None
        except OSError as error:
            found, self.problem = {}, f"{self.root}: {error.strerror or error}"
        gone = {name for name in self.entries if name not in found}
        for name in gone:
            del self.entries[name]
        self._unread -= gone
        new = [Run(self.root / name) for name in found if name not in self.entries and runs.is_run(found[name])]
        for run in sorted(new, key=_written_at, reverse=True):  # the newest are wanted first
            self.entries[run.name] = Entry(run)
            self._queue.append(run.name)
            self._unread.add(run.name)
        return {run.name for run in new}, gone

    def begin_round(self) -> None:
        """Plan what is looked at next: what trains, what is watched, and some of the rest by turns."""
        waiting = set(self._queue)
        lively = [n for n, e in self.entries.items() if n not in waiting and (n in self._watched or not e.quiet)]
        for _ in range(min(QUIET_ROUND, len(self.entries))):
            if not self._round:
                self._round.extend(self.entries)
            name = self._round.popleft()
            if name not in waiting:
                lively.append(name)
        self._queue.extendleft(reversed(dict.fromkeys(lively)))

    def work(self, seconds: float = SLICE) -> set[str]:
        """Read for about that long; the names of runs whose rows changed. `fed` tells that watched metrics grew."""
        until = time.perf_counter() + seconds
        changed: set[str] = set()
        while self._queue:
            name = self._queue.popleft()
            entry = self.entries.get(name)
            if entry is not None:
                before = entry.history.version if entry.history is not None else 0
                differs, more = entry.read()
                self.fed = self.fed or (entry.history is not None and entry.history.version != before)
                self._unread.discard(name)
                self.newest = max(self.newest, entry.modified)
                if differs:
                    changed.add(name)
                if more:
                    self._queue.appendleft(name)
            if time.perf_counter() >= until:
                break
        return changed

    @property
    def busy(self) -> bool:
        """Whether there is something left to read now."""
        return bool(self._queue)

    def watch(self, names: Iterable[str]) -> None:
        """Keep the metrics of these runs, and forget those of the others."""
        wanted = {name for name in names if name in self.entries}
        for name in self._watched - wanted:
            if name in self.entries:
                self.entries[name].history = None
        for name in wanted - self._watched:
            self.entries[name].watch()
            self._queue.appendleft(name)
        self._watched = wanted

    def reread(self) -> None:
        """Read everything anew."""
        for name, entry in self.entries.items():
            entry.reread()
            if name not in self._queue:
                self._queue.append(name)


def _written_at(run: Run) -> tuple[float, str]:
    try:
        return os.stat(run.recipe_path).st_mtime, run.name
    except OSError:
        return 0.0, run.name

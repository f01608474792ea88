"""What a person said of the runs of a root, and how they looked at them: marks, pins, tags, notes, sort, layout.

It is kept beside the runs in .fierce-tui.json; where nothing can be written there, in the user's state folder. Run
folders themselves are only read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fierce_tools import files

FILE = ".fierce-tui.json"


class Memory:
    """The remembered things of one root. `trouble` says why the last change could not be written, if so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.trouble: str | None = None
        self.marks: dict[str, int] = {}
        self.pins: set[str] = set()
        self.tags: dict[str, list[str]] = {}
        self.notes: dict[str, str] = {}
        self.view: dict[str, Any] = {}
        self._sign: tuple[int, int] | None = None
        self.load()

    @property
    def path(self) -> Path:
        """Where it is kept."""
        if self.root.is_dir() and os.access(self.root, os.W_OK):
            return self.root / FILE
        from platformdirs import user_state_path

        name = hashlib.sha256(str(self.root.absolute()).encode()).hexdigest()[:16]
        return user_state_path("fierce-tools") / "tui" / f"{name}.json"

    def load(self) -> bool:
        """Read what another session wrote meanwhile; whether anything was read. What is damaged is left out."""
        try:
            status = os.stat(self.path)
            if (sign := (status.st_mtime_ns, status.st_size)) == self._sign:
                return False
            self._sign = sign
            document = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return False
        if not isinstance(document, dict):
            return False
        runs = _table(document.get("runs"))
        first = not self.view and not self.marks
        self.pins = {n for n, r in runs.items() if _table(r).get("pinned") is True}
        self.tags = {
            n: [str(t) for t in tags] for n, r in runs.items() if isinstance(tags := _table(r).get("tags"), list)
        }
        self.notes = {n: note for n, r in runs.items() if isinstance(note := _table(r).get("note"), str) and note}
        if first:  # how one looks is one's own: another session does not change it
            marks = _table(document.get("marks"))
            self.marks = {n: i for n, i in marks.items() if isinstance(i, int) and not isinstance(i, bool) and i >= 0}
            self.view = _table(document.get("view"))
        return True

    def save(self) -> None:
        """Write everything, whole or not at all; a disk that is full is told by `trouble`."""
        names = sorted({*self.pins, *self.tags, *self.notes})
        runs = {
            name: {
                **({"tags": self.tags[name]} if self.tags.get(name) else {}),
                **({"note": self.notes[name]} if self.notes.get(name) else {}),
                **({"pinned": True} if name in self.pins else {}),
            }
            for name in names
        }
        document = {"format": 1, "view": self.view, "marks": self.marks, "runs": {n: r for n, r in runs.items() if r}}
        try:
            files.write_json(self.path, document)
            status = os.stat(self.path)
            self._sign, self.trouble = (status.st_mtime_ns, status.st_size), None
        except OSError as error:
            self.trouble = f"not remembered: {error.strerror or error} ({self.path})"

    def change(self, change: Callable[[], None]) -> None:
        """Take in what others wrote, make one change, write."""
        self.load()
        change()
        self.save()

    def colour_for(self, name: str) -> int:
        """The colour of a run that is being marked: the lowest that no other has."""
        taken = set(self.marks.values())
        return next(i for i in range(len(taken) + 1) if i not in taken)


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

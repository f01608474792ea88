"""Students of an ensemble on disk, one file each, so that an interrupted table goes on where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import arrayfile
from fierce_tools.errors import DataError
from fierce_tools.training.ensemble import Student, StudentDone

VERSION = 1


class Kept:
    """A folder with the logits on test, and if asked the weights, of every student that is through.

    `setting` is all that the students have in common and that their results depend on: model, data, teachers,
    optimiser, epochs, as plain values. A result belongs to a student and a setting, whatever its number in a table, so
    that a table with more temperatures keeps those that are there.
    """

    def __init__(self, folder: Path, setting: Mapping[str, Any], *, weights: bool = False) -> None:
        self._folder, self._weights = folder, weights
        self._setting = json.dumps(setting, sort_keys=True, ensure_ascii=False)

    def path(self, student: Student) -> Path:
        """The file of a student of this setting."""
        digest = hashlib.sha256(f"{self._setting}\0{student.digest()}".encode()).hexdigest()
        return self._folder / f"{digest[:24]}.safetensors"

    def done(self, students: Sequence[Student]) -> dict[int, dict[str, np.ndarray]]:
        """The arrays of those that are through, by their number: `logits` f32 [N, C], `finite`, `weights.NAME`.

        A file that is damaged, or without weights where they are wanted, counts as none: its student is trained again.
        """
        found: dict[int, dict[str, np.ndarray]] = {}
        for number, student in enumerate(students):
            path = self.path(student)
            if not path.is_file():
                continue
            with contextlib.suppress(DataError):
                arrays, document = arrayfile.load_arrays(path)
                whole = not self._weights or any(name.startswith("weights.") for name in arrays)
                if document is not None and document.get("version") == VERSION and whole:
                    found[number] = arrays
        return found

    def add(self, done: StudentDone) -> None:
        """Write a student's file, whole or not at all. Needs its outputs on a test split."""
        assert done.outputs is not None
        arrays = {"logits": done.outputs.logits, "finite": np.array([done.finite])}
        if self._weights:
            arrays |= {f"weights.{name}": value for name, value in done.weights.items()}
        self._folder.mkdir(parents=True, exist_ok=True)
        document = {"format": "student", "version": VERSION, "student": done.student.digest()}
        arrayfile.save_arrays(self.path(done.student), arrays, document)

"""A file of JSON lines read as it grows."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from fierce_tools.runs import LINE_LIMIT

CHUNK = 1 << 20
FINGERPRINT = 64


class Tail:
    """Where reading stopped. A file that was replaced, shortened or rewritten is read from its start again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rewind()

    def rewind(self) -> None:
        """Begin again."""
        self.offset = 0
        self.inode = 0
        self._before = b""
        self._skipping = False

    def read(self) -> tuple[list[dict[str, Any]], bool, bool]:
        """New rows, whether they begin the file anew, and whether there is more to read at once.

        A half-written last line is left for later; a line that is no JSON object is left out. Never raises.
        """
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                anew = self.offset > 0 and not self._same(file, status)
                if anew:
                    self.rewind()
                self.inode = status.st_ino
                file.seek(self.offset)
                chunk = file.read(CHUNK)
        except OSError:
            anew = self.offset > 0
            self.rewind()
            return [], anew, False
        whole = chunk[: chunk.rfind(b"\n") + 1]
        more = len(chunk) == CHUNK
        if not whole:
            if len(chunk) >= LINE_LIMIT:  # a line beyond all measure is passed over
                self._advance(chunk)
                self._skipping = True
            return [], anew, more
        self._advance(whole)
        lines = whole.split(b"\n")[:-1]
        if self._skipping:
            lines, self._skipping = lines[1:], False
        return [row for line in lines if (row := parse(line)) is not None], anew, more

    def _same(self, file: Any, status: os.stat_result) -> bool:
        if status.st_ino != self.inode or status.st_size < self.offset:
            return False
        file.seek(self.offset - len(self._before))
        return file.read(len(self._before)) == self._before

    def _advance(self, read: bytes) -> None:
        self.offset += len(read)
        self._before = (self._before + read[-FINGERPRINT:])[-FINGERPRINT:]


def parse(line: bytes) -> dict[str, Any] | None:
    """The object of a line, what is not finite as None; None for anything else."""
    if len(line) >= LINE_LIMIT:
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}

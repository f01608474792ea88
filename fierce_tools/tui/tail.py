"""A file of JSON lines read as it grows."""

from __future__ import annotations

import json
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
        return parse(lines), anew, more

    def _same(self, file: Any, status: os.stat_result) -> bool:
        if status.st_ino != self.inode or status.st_size < self.offset:
            return False
        file.seek(self.offset - len(self._before))
        return file.read(len(self._before)) == self._before

    def _advance(self, read: bytes) -> None:
        self.offset += len(read)
        self._before = (self._before + read[-FINGERPRINT:])[-FINGERPRINT:]


def parse(lines: list[bytes]) -> list[dict[str, Any]]:
    """The objects of whole lines, NaN and the infinities as None; a line that is no object is left out."""
    try:  # all at once, which is twice as fast; one bad line and each is looked at by itself
        rows = _DECODER.decode((b"[" + b",".join(lines) + b"]").decode())
        if len(rows) == len(lines) and all(type(row) is dict for row in rows):
            return rows
    except (ValueError, RecursionError):
        pass
    return [row for line in lines if (row := _object(line)) is not None]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = _DECODER.decode(line.decode()) if len(line) < LINE_LIMIT else None
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


_DECODER = json.JSONDecoder(parse_constant=lambda _: None)

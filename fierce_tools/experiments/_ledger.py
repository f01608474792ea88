"""What was said of each student, written down as it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fierce_tools import files


class Ledger:
    """Lines of JSON, one for each student that is done; a half-written last one is left out."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if fresh:
            path.unlink(missing_ok=True)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except OSError:
            return
        for line in lines[:-1]:
            try:
                document = json.loads(line)
                self.rows[document["student"]] = document["said"]
            except (ValueError, KeyError, TypeError):
                continue
        if lines[-1]:
            whole = [line for line in lines[:-1] if line]
            files.write_text(path, "".join(line + "\n" for line in whole))

    def add(self, key: str, said: Mapping[str, Any]) -> None:
        """Keep what was said of a student."""
        self.rows[key] = dict(said)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"student": key, "said": said}, allow_nan=False) + "\n")

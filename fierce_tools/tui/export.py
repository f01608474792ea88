"""What is on the screen, as a file: CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from fierce_tools import files
from fierce_tools.errors import UsageError
from fierce_tools.tui.panes import Sheet


def as_csv(sheet: Sheet) -> str:
    """A line of names, then a line for each row; what is absent is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(sheet.columns)
    writer.writerows(["" if value is None else value for value in row] for row in sheet.rows)
    return text.getvalue()


def as_json(sheet: Sheet) -> str:
    """A list of objects, one for each row."""
    rows = [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def free(stem: str, ending: str) -> Path:
    """A file in the current folder that is not there yet."""
    names = (f"{stem}{ending}", *(f"{stem}-{n}{ending}" for n in range(2, 10_000)))
    return next(path for name in names if not (path := Path(name)).exists())


def save(path: Path, sheet: Sheet) -> None:
    """Write a sheet as its ending says, whole or not at all.

    Raises UsageError for another ending or a file that exists, OSError where nothing can be written.
    """
    kinds = {".csv": as_csv, ".json": as_json}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path} ends neither in .csv nor in .json")
    if path.exists():
        raise UsageError(f"{path} exists already")
    files.write_text(path, kind(sheet))

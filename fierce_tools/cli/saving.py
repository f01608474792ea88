"""`--save FILE`: an answer in a file, as its ending says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fierce_tools import files
from fierce_tools.cli import text
from fierce_tools.drawn.cells import show
from fierce_tools.errors import UsageError
from fierce_tools.report import Report, Scalars, Table

FIGURES = (".png", ".svg", ".pdf")
KINDS = {
    **dict.fromkeys(FIGURES, "the charts"),
    ".json": "the JSON document",
    ".md": "the tables in Markdown",
    ".csv": "the tables",
    ".npz": "the arrays",
    ".safetensors": "the arrays",
}


def check(path: Path, sources: int) -> None:
    """Whether something can be written there, before anything is computed; `sources` is how many were named.

    Raises UsageError for another ending, or arrays of several sources.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"--save {path}: nothing is saved as {path.suffix or 'that'}", f"end it in {', '.join(KINDS)}")
    if kind in (".npz", ".safetensors") and sources != 1:
        raise UsageError(f"--save {path}: arrays of several sources do not go into one file", "ask one source")
    if kind in FIGURES:
        from fierce_tools.cli import figures

        figures.check(path)


def save(path: Path, report: Report, document: Mapping[str, Any], about: Mapping[str, Any] | None = None) -> None:
    """Write a report or its document (as `--format json` prints it) to a file, whole or not at all.

    `about` is written beside arrays, such as the fingerprint of the data that they are of.
    """
    kind = path.suffix.lower()
    if kind in FIGURES:
        from fierce_tools.cli import figures

        left_out = figures.save(report, path)
        text.say(f"drawn: {path}" + (f" (without {', '.join(left_out)})" if left_out else ""))
        return
    if kind == ".json":
        files.write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    elif kind == ".md":
        files.write_text(path, markdown(report))
    elif kind == ".csv":
        files.write_text(path, as_csv(report))
    else:
        _arrays(path, document, about or {})
    text.say(f"saved: {path} ({KINDS[kind]})")


def tables(report: Report) -> list[Table]:
    """A report's tables, its named values as tables of two columns."""
    found = []
    for block in report.blocks:
        if isinstance(block, Scalars):
            rows = tuple((f"{k} ({block.units[k]})" if k in block.units else k, v) for k, v in block.values.items())
            found.append(Table(block.title, ("", "value"), rows))
        elif isinstance(block, Table):
            found.append(block)
    return found


def markdown(report: Report) -> str:
    """The tables and notes of a report as Markdown."""
    parts = [f"# {report.title}"]
    for table in tables(report):
        rows = [table.columns, ("---",) * len(table.columns), *(tuple(map(show, row)) for row in table.rows)]
        lines = "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |" for row in rows)
        parts.append(f"## {table.title}\n\n{lines}" if table.title else lines)
    return "\n\n".join([*parts, *report.notes]) + "\n"


def as_csv(report: Report) -> str:
    """The tables of a report as CSV with full precision, a blank line between two."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, table in enumerate(tables(report)):
        if number:
            out.write("\n")
        writer.writerow(table.columns)
        writer.writerows(["" if v is None else v for v in row] for row in table.rows)
    return out.getvalue()


def _arrays(path: Path, document: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    import numpy as np

    from fierce_tools import arrayfile

    (result,) = document["results"]
    arrays: dict[str, Any] = {}
    for name, value in result["values"].items():
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different lengths
            continue
        if array.ndim and array.dtype.kind in "fiub":
            arrays[name] = array
    if not arrays:
        raise UsageError(f"--save {path}: this answer has no arrays", "save it as .json or .md")
    about = {"format": "result", "version": 1, **{k: v for k, v in document.items() if k not in ("format", "results")}}
    about |= {"source": result["source"], "input_sha256": result["input_sha256"], **more}
    if path.suffix.lower() == ".safetensors":
        arrayfile.save_arrays(path, arrays, about)
        return
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)

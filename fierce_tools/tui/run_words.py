"""What is known of a run as lines of text for a width."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text

from fierce_tools import runs
from fierce_tools.report import Cell, Table
from fierce_tools.sources import TRAINED_ON, trained_on
from fierce_tools.tui import cells, tables
from fierce_tools.tui.panes import Chosen
from fierce_tools.tui.run_facts import Facts

BARS = "▁▂▃▄▅▆▇█"
LAST_EPOCHS, MOST_FILES, MOST_TENSORS = 8, 60, 40
COLUMNS = {
    "epoch": "epoch", "train_loss": "loss", "val_loss": "val loss", "val_accuracy": "accuracy", "val_nll": "NLL",
    "val_ece": "ECE", "val_entropy_t9": "H(T=9)",
}  # fmt: skip
HIDDEN = ("epoch", "step", "seconds")


def sparkline(values: Iterable[Any], width: int) -> str:
    """Values as bars of eight heights, the last of each of at most `width` even parts; a gap where there is none."""
    numbers = [float(v) if isinstance(v, int | float) and math.isfinite(v) else math.nan for v in values]
    if len(numbers) > width:
        numbers = [numbers[(n + 1) * len(numbers) // width - 1] for n in range(width)]
    finite = [v for v in numbers if not math.isnan(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    span = high - low
    return "".join(
        " " if math.isnan(v) else BARS[min(int((v - low) / span * len(BARS)), 7)] if span > 0 else BARS[3]
        for v in numbers
    )


def count(bytes_: int) -> str:
    """Bytes in the unit people say."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if bytes_ >= size:
            return f"{bytes_ / size:.3g} {unit}"
    return f"{bytes_} B"


def value(value: Any) -> Cell:
    """A value of a metrics file as a cell."""
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _named(pairs: Mapping[str, Any], width: int) -> list[Text]:
    wide = max(map(len, pairs), default=0) + 2
    lines: list[Text] = []
    for name, value in pairs.items():
        parts = textwrap.wrap(str(value), max(width - wide, 16), break_on_hyphens=False) or [""]
        lines += [Text.assemble(((name if not n else "").ljust(wide), "dim"), part) for n, part in enumerate(parts)]
    return [*lines, Text()]


def facts(chosen: Chosen, facts: Facts, width: int) -> list[Text]:
    """What it is and how it was made."""
    info, row = facts.info, chosen.row
    said = info.get("command")
    versions = info.get("versions")
    seed = facts.document.get("recipe", {}).get("train", {}).get("seed", row.get("seed"))
    pairs = {
        "folder": chosen.run.path,
        "error": info.get("error"),
        "command": shlex.join(map(str, said)) if isinstance(said, list) else None,
        "seed": seed,
        "device": " on ".join(str(info[k]) for k in ("device", "host") if info.get(k)),
        "started": info.get("started"),
        "finished": info.get("finished"),
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, dict) else None,
        "data": "; ".join(runs.data_notes(info)),
        "tags": " ".join(map(str, row.get("tags") or [])),
        "note": row.get("note"),
        "taught by": " ← ".join(facts.lineage),
        "students": ", ".join(facts.students),
    }
    return _named({k: v for k, v in pairs.items() if v not in (None, "")}, width)


def seeds(chosen: Chosen, width: int) -> list[Text]:
    """Of a row of folded seeds which of them its means are over, and why the others do not count."""
    line = chosen.line
    if line is None or len(line.members) < 2:
        return []
    what = {name: line.left_out.get(name, "counts") for name in line.members}
    wide = min(max(map(len, what)), max(width // 2, 8))
    lines = [Text(f"{line.stem}: mean ± sd over {line.count} seeds"[:width], "bold")]
    for name, why in what.items():
        parts = textwrap.wrap(why, max(width - wide - 4, 16))
        for number, part in enumerate(parts):
            sign = ("–" if name in line.left_out else "✓") if not number else " "
            shown = cells.fit(name if not number else "", wide)
            lines.append(Text.assemble(f"{sign} ", (shown, "" if sign == "✓" else "dim"), "  ", part))
    return [*lines, Text()]


def sparklines(facts: Facts, width: int, colour: str) -> list[Text]:
    """Each metric from its first to its last epoch."""
    keys = list(dict.fromkeys(k for row in facts.metrics for k in row if k not in HIDDEN))
    columns = {k: [row.get(k) for row in facts.metrics] for k in keys}
    drawn = {k: v for k, v in columns.items() if any(isinstance(x, int | float) for x in v)}
    if not drawn:
        return [Text("nothing measured yet", "dim"), Text()]
    wide = max(map(len, drawn)) + 2
    room = max(min(width - wide - 10, 48), 8)
    lines = [Text("Metrics, first to last epoch", "bold")]
    for key, values in drawn.items():
        last = next((v for v in reversed(values) if isinstance(v, int | float)), None)
        shown = "" if last is None else f"{last:.4g}"
        line = Text(key.ljust(wide), "dim", no_wrap=True).append(sparkline(values, room).ljust(room), colour)
        lines.append(line.append(f"{shown:>9}", "not dim"))
    return [*lines, Text()]


def epochs(facts: Facts, width: int) -> list[Text]:
    """The figures of the last epochs."""
    if not facts.metrics:
        return []
    keys = [k for k in COLUMNS if any(row.get(k) is not None for row in facts.metrics)]
    rows = tuple(tuple(value(row.get(k)) for k in keys) for row in facts.metrics[-LAST_EPOCHS:])
    return tables.table(Table("Last epochs", tuple(COLUMNS[k] for k in keys), rows), width)


def log(facts: Facts, width: int) -> list[Text]:
    """The end of its log, where there is one."""
    return [Text("Log", "bold"), *(Text(line[:width], "dim") for line in facts.log), Text()] if facts.log else []


def recipe(facts: Facts, width: int) -> list[Text]:
    """Its recipe as it is written."""
    if not facts.recipe:
        return []
    lines = [Text("Recipe", "bold")]
    for line in facts.recipe.splitlines():
        key, equals, value = line.partition(" = ")
        lines.append(Text.assemble((key, "dim"), f"  {value}") if equals else Text(line, "bold dim"))
    return [*(line[:width] for line in lines), Text()]


def checkpoint(facts: Facts, width: int) -> list[Text]:
    """What the header of its checkpoint says."""
    if not facts.tensors:
        return [Text("Checkpoint", "bold"), Text("none yet", "dim"), Text()] if not facts.gone else []
    elements = sum(math.prod(shape) for _, shape in facts.tensors.values())
    size = facts.sizes.get("model.safetensors", 0)
    pairs = {
        "tensors": len(facts.tensors),
        "parameters": f"{elements:,}",
        "bytes": f"{size:,} ({count(size)})",
        "trained on": TRAINED_ON[trained_on(facts.document)],
        "content": str(facts.document.get("content_sha256", ""))[:16],
        "written by": facts.document.get("fierce_tools_version", facts.document.get("writer", "")),
    }
    shown = list(facts.tensors.items())[:MOST_TENSORS]
    rows = tuple((name, "×".join(map(str, shape)) or "1", dtype) for name, (dtype, shape) in shown)
    more = len(facts.tensors) - len(shown)
    lines = [Text("Checkpoint", "bold"), *_named({k: v for k, v in pairs.items() if v != ""}, width)[:-1]]
    lines += tables.table(Table("", ("tensor", "shape", "type"), rows), width)
    return [*lines, *([Text(f"and {more} more", "dim"), Text()] if more > 0 else [])]


def files(facts: Facts, width: int) -> list[Text]:
    """Its files and their sizes."""
    shown = list(facts.sizes.items())[:MOST_FILES]
    more = len(facts.sizes) - len(shown)
    lines = [Text(f"Files, {count(sum(facts.sizes.values()))} in all", "bold")]
    lines += [Text.assemble((f"{count(size):>8}  ", "dim"), name)[:width] for name, size in shown]
    return [*lines, *([Text(f"and {more} more", "dim")] if more > 0 else [])]

"""The page of one run: what it is, how it was made, what it left behind."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.events import Resize
from textual.message import Message
from textual.widgets import Label

from fierce_tools import files, runs
from fierce_tools.errors import FierceError
from fierce_tools.report import Cell, Table
from fierce_tools.runs import Run
from fierce_tools.tui import cells, tables
from fierce_tools.tui.blocks import Words
from fierce_tools.tui.panes import Chosen, Page, Sheet
from fierce_tools.tui.scroll import Scroll

BARS = "▁▂▃▄▅▆▇█"
WIDE = 100
LAST_EPOCHS, LOG_LINES, MOST_FILES, MOST_TENSORS = 8, 12, 60, 40
COLUMNS = {
    "epoch": "epoch", "train_loss": "loss", "val_loss": "val loss", "val_accuracy": "accuracy", "val_nll": "NLL",
    "val_ece": "ECE", "val_entropy_t9": "H(T=9)",
}  # fmt: skip
HIDDEN = ("epoch", "step", "seconds")


@dataclass(frozen=True)
class Facts:
    """What the files of a run say; `problem` is why they could not be read, `gone` that there are none any more."""

    info: Mapping[str, Any]
    state: str
    recipe: str
    metrics: Sequence[Mapping[str, Any]]
    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    document: Mapping[str, Any]
    sizes: Mapping[str, int]
    log: Sequence[str]
    students: Sequence[str]
    lineage: Sequence[str]
    problems: Sequence[str]
    gone: bool = False


def read(run: Run) -> Facts:
    """Read a run's files, whatever state they are in. Never raises."""
    problems: list[str] = []
    if not run.path.is_dir():
        return Facts({}, "", "", (), {}, {}, {}, (), (), (), ("this run was deleted",), True)
    info = run.info()
    if not info:
        problems.append("run.json is missing or damaged")
    try:
        recipe = run.recipe_path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        recipe = ""
        problems.append(f"recipe.toml: {error.strerror}")
    try:
        run.recipe()
    except (FierceError, OSError) as error:
        if recipe:
            problems.append(str(error))
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    document: dict[str, Any] = {}
    if run.model_path.exists():
        try:
            tensors, said = files.read_header(run.model_path)
            document = said or {}
        except (FierceError, OSError) as error:
            problems.append(str(error))
    return Facts(
        info, runs.state(run, info), recipe, run.metrics(), tensors, document, sizes(run.path), log_tail(run.path),
        students(run), runs.lineage(run), problems,
    )  # fmt: skip


def sizes(path: Path) -> dict[str, int]:
    """Every file of a folder with its bytes, by its name within it."""
    found: dict[str, int] = {}
    for folder, names, inside in os.walk(path):
        names[:] = sorted(n for n in names if not n.startswith("."))
        for name in sorted(inside):
            try:
                if not name.startswith("."):
                    found[os.path.relpath(os.path.join(folder, name), path)] = os.stat(
                        os.path.join(folder, name)
                    ).st_size
            except OSError:
                continue
    return found


def log_tail(path: Path) -> list[str]:
    """The last lines of the newest *.log or log.txt in a run's folder."""
    found = sorted([*path.glob("*.log"), *path.glob("log.txt")], key=lambda p: p.stat().st_mtime if p.exists() else 0)
    if not found:
        return []
    try:
        with open(found[-1], "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
            return file.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []


def students(run: Run) -> list[str]:
    """Runs beside this one that name it as their teacher."""
    others = runs.listing(run.path.parent)
    return [other.name for other in others if run.name in (t["name"] for t in runs.teachers(other.info()))]


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


class Read(Message):
    """The files of the run were read."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts


class RunPage(Page):
    """Recipe, command, figures, checkpoint, files and lineage of one run; it follows the files while it is open."""

    DEFAULT_CSS = """
    RunPage {
        background: $background;
        #title { width: 1fr; height: 1; background: $surface; padding: 0 1; text-style: bold; }
        #problem { width: 1fr; height: auto; color: $error; padding: 0 1; display: none; }
        #body { padding: 1 1 0 1; }
        #halves { layout: vertical; height: auto; }
        #left, #right { height: auto; width: 1fr; }
        &.wide #halves { layout: horizontal; }
        &.wide #left { width: 3fr; padding-right: 2; }
        &.wide #right { width: 2fr; }
        #keys { width: 1fr; background: $surface; color: $text-muted; padding: 0 1; }
    }
    """

    def __init__(self, chosen: Chosen) -> None:
        super().__init__()
        self.chosen = chosen
        self.facts: Facts | None = None

    def compose(self) -> ComposeResult:
        """Two halves that scroll together."""
        yield Label(self.chosen.run.name, id="title", markup=False)
        yield Label("", id="problem", markup=False)
        with Scroll(id="body"), Container(id="halves"):
            yield Vertical(id="left")
            yield Vertical(id="right")
        yield Label("↑↓ scroll   w copy the command   e export the metrics   esc back", id="keys", markup=False)

    def on_mount(self) -> None:
        """Read now, and again every second."""
        self.query_one("#body").focus()
        self.look()
        self.set_interval(1.0, self.look)

    def on_resize(self, event: Resize) -> None:
        """Halves side by side where there is room."""
        self.set_class(event.size.width >= WIDE, "wide")

    def look(self) -> None:
        """Read the files beside the interface."""
        self.run_worker(
            lambda: self.post_message(Read(read(self.chosen.run))) and None,
            name="run page", group="run", exclusive=True, thread=True, exit_on_error=False,
        )  # fmt: skip

    async def on_read(self, message: Read) -> None:
        """Show what is new."""
        facts = message.facts
        if facts == self.facts:
            return
        gone = facts.gone and self.facts is not None
        if not gone:  # what was last seen of a run that was deleted stays in sight
            await self._show(facts)
        self.facts = facts
        problem = self.query_one("#problem", Label)
        problem.display = bool(facts.problems)
        problem.update("\n".join(facts.problems) + (" while it was open; this is what it was" if gone else ""))
        state = cells.STATES.get(facts.state, facts.state)
        self.query_one("#title", Label).update(f"{self.chosen.run.name}   {'✗ deleted' if facts.gone else state}")

    async def _show(self, facts: Facts) -> None:
        left, right = self.query_one("#left"), self.query_one("#right")
        await left.remove_children()
        await right.remove_children()
        await left.mount_all(Words(part) for part in (
            lambda width: _facts(self.chosen, facts, width),
            lambda width: _sparklines(facts, width, self.chosen.colour),
            lambda width: _epochs(facts, width),
            lambda width: _log(facts, width),
        ))  # fmt: skip
        await right.mount_all(Words(part) for part in (
            lambda width: _recipe(facts, width),
            lambda width: _checkpoint(facts, width),
            lambda width: _files(facts, width),
        ))  # fmt: skip

    # Answers to keys.

    def do_open(self) -> None:
        """Nothing else opens here."""

    def do_copy(self) -> None:
        """The command that trained it, to the clipboard."""
        said = self.facts.info.get("command") if self.facts is not None else None
        if isinstance(said, list):
            self.app.copy_to_clipboard(shlex.join(map(str, said)))
            self.notify("the command is in the clipboard")

    def do_refresh(self) -> None:
        """Read the files anew."""
        self.look()

    def sheet(self) -> Sheet | None:
        """Its metrics."""
        rows = self.facts.metrics if self.facts is not None else ()
        if not rows:
            return None
        keys = list(dict.fromkeys(k for row in rows for k in row))
        return Sheet(self.chosen.run.name, tuple(keys), tuple(tuple(_value(row.get(k)) for k in keys) for row in rows))


def _value(value: Any) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _named(pairs: Mapping[str, Any], width: int) -> list[Text]:
    import textwrap

    wide = max(map(len, pairs), default=0) + 2
    lines: list[Text] = []
    for name, value in pairs.items():
        parts = textwrap.wrap(str(value), max(width - wide, 16), break_on_hyphens=False) or [""]
        lines += [Text.assemble(((name if not n else "").ljust(wide), "dim"), part) for n, part in enumerate(parts)]
    return [*lines, Text()]


def _facts(chosen: Chosen, facts: Facts, width: int) -> list[Text]:
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
        "tags": " ".join(map(str, row.get("tags") or [])),
        "note": row.get("note"),
        "taught by": " ← ".join(facts.lineage),
        "students": ", ".join(facts.students),
    }
    return _named({k: v for k, v in pairs.items() if v not in (None, "")}, width)


def _sparklines(facts: Facts, width: int, colour: str) -> list[Text]:
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


def _epochs(facts: Facts, width: int) -> list[Text]:
    if not facts.metrics:
        return []
    keys = [k for k in COLUMNS if any(row.get(k) is not None for row in facts.metrics)]
    rows = tuple(tuple(_value(row.get(k)) for k in keys) for row in facts.metrics[-LAST_EPOCHS:])
    return tables.table(Table("Last epochs", tuple(COLUMNS[k] for k in keys), rows), width)


def _log(facts: Facts, width: int) -> list[Text]:
    return [Text("Log", "bold"), *(Text(line[:width], "dim") for line in facts.log), Text()] if facts.log else []


def _recipe(facts: Facts, width: int) -> list[Text]:
    if not facts.recipe:
        return []
    lines = [Text("Recipe", "bold")]
    for line in facts.recipe.splitlines():
        key, equals, value = line.partition(" = ")
        lines.append(Text.assemble((key, "dim"), f"  {value}") if equals else Text(line, "bold dim"))
    return [*(line[:width] for line in lines), Text()]


def _checkpoint(facts: Facts, width: int) -> list[Text]:
    if not facts.tensors:
        return [Text("Checkpoint", "bold"), Text("none yet", "dim"), Text()] if not facts.gone else []
    elements = sum(math.prod(shape) for _, shape in facts.tensors.values())
    size = facts.sizes.get("model.safetensors", 0)
    pairs = {
        "tensors": len(facts.tensors),
        "parameters": f"{elements:,}",
        "bytes": f"{size:,} ({count(size)})",
        "content": str(facts.document.get("content_sha256", ""))[:16],
        "written by": facts.document.get("fierce_tools_version", facts.document.get("writer", "")),
    }
    shown = list(facts.tensors.items())[:MOST_TENSORS]
    rows = tuple((name, "×".join(map(str, shape)) or "1", dtype) for name, (dtype, shape) in shown)
    more = len(facts.tensors) - len(shown)
    lines = [Text("Checkpoint", "bold"), *_named({k: v for k, v in pairs.items() if v != ""}, width)[:-1]]
    lines += tables.table(Table("", ("tensor", "shape", "type"), rows), width)
    return [*lines, *([Text(f"and {more} more", "dim"), Text()] if more > 0 else [])]


def _files(facts: Facts, width: int) -> list[Text]:
    shown = list(facts.sizes.items())[:MOST_FILES]
    more = len(facts.sizes) - len(shown)
    lines = [Text(f"Files, {count(sum(facts.sizes.values()))} in all", "bold")]
    lines += [Text.assemble((f"{count(size):>8}  ", "dim"), name)[:width] for name, size in shown]
    return [*lines, *([Text(f"and {more} more", "dim")] if more > 0 else [])]

"""Run folders: one training each, never overwritten, readable while it trains.

runs/NAME/  recipe.toml  run.json  metrics.jsonl  model.safetensors  epochs/  outputs/  analyses/
            state.safetensors while it is unfinished

Peers that are trained at once have a run each, and a folder for the group: recipe.toml, run.json, and as metrics.jsonl
the means over them.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fierce_tools import files, menu, recipe
from fierce_tools.errors import DataError, FierceError, UsageError
from fierce_tools.run_names import label, readable

if TYPE_CHECKING:
    from filelock import FileLock

QUIET_SECONDS = 600
LINE_LIMIT = 1_000_000


@dataclass(frozen=True)
class Run:
    """A run folder and the files in it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def recipe_path(self) -> Path:
        return self.path / "recipe.toml"

    @property
    def info_path(self) -> Path:
        return self.path / "run.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def model_path(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def state_path(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def epochs_path(self) -> Path:
        return self.path / "epochs"

    def recipe(self) -> recipe.Recipe:
        """The recipe it trains by. Raises DataError or UsageError where that is missing or damaged."""
        return recipe.resolve(recipe.load(self.recipe_path))

    def info(self) -> dict[str, Any]:
        """What run.json says; empty where there is none or it is damaged."""
        try:
            document = json.loads(self.info_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def update(self, **values: Any) -> None:
        """Change values of run.json, whole or not at all."""
        files.write_json(self.info_path, {**self.info(), **values})

    def lock(self) -> FileLock:
        """Held while training. Raises UsageError where another process holds it."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            pid = self.info().get("pid", "unknown")
            raise UsageError(
                f"run {self.name} is being trained by process {pid}", "wait for it, or train another run"
            ) from None
        return lock

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one line to metrics.jsonl; what is not finite becomes null."""
        line = json.dumps({k: _finite(v) for k, v in row.items()}, allow_nan=False)
        with open(self.metrics_path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Every whole line of metrics.jsonl; a half-written last line is left out."""
        try:
            text = self.metrics_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        rows = []
        for line in text.split("\n")[:-1]:
            try:
                row = json.loads(line) if len(line) < LINE_LIMIT else None
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                rows.append({k: _finite(v) for k, v in row.items()})
        return rows

    def keep_metrics(self, epochs: int) -> None:
        """Drop the lines after that many epochs: a resumed training writes them again."""
        rows = [row for row in self.metrics() if row.get("epoch", 0) <= epochs]
        files.write_text(self.metrics_path, "".join(json.dumps(row) + "\n" for row in rows))


def folder(given: str | Path | None = None) -> Path:
    """Where runs lie: what was given, else the environment's FIERCE_RUNS, else ./runs."""
    return Path(os.path.expanduser(given or os.environ.get("FIERCE_RUNS") or "runs"))


def create(root: Path, made: recipe.Recipe, name: str | None = None, *, varied: Mapping[str, Any] | None = None) -> Run:
    """A new run folder with its recipe; a name of its own making gets a number where it is taken.

    Such a name tells of `varied`, values by SECTION.OPTION that other runs of the same kind have otherwise. Raises
    UsageError for a given name that is taken or is no plain folder name.
    """
    if name is not None and not re.fullmatch(r"[\w][\w.+=,@-]*", name):
        raise UsageError(f"--name {name!r} is no plain folder name", "use letters, digits, hyphens and dots")
    stem = name or readable(made, varied or {})
    root.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100_000):
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()  # atomic: of two trainings that start at once only one gets the name
        except FileExistsError:
            if name is not None:
                raise UsageError(f"run {path} exists already", "give another --name, or --resume it") from None
            continue
        run = Run(path)
        files.write_text(run.recipe_path, made.to_toml())
        return run
    raise FierceError(f"no free name for {stem!r} in {root}", "give a --name")


def free(root: Path, stem: str) -> str:
    """A name for a run that is not taken yet: the stem, with a number where it is."""
    numbered = (stem if n == 1 else f"{stem}-{n}" for n in itertools.count(1))
    return next(name for name in numbered if not (root / name).exists())


def find(name: str, root: Path) -> Run:
    """A run by its folder's path or its name under `root`. Raises DataError with the nearest name there is."""
    for path in (Path(name), root / name):
        if (path / "recipe.toml").is_file() or (path / "run.json").is_file():
            return Run(path)
    names = tuple(run.name for run in listing(root))
    error = menu.unknown("run", name, names, "fierce runs")
    raise DataError(
        f"{error.message} in {root.resolve()}",
        error.hint if names else "there are no runs there; `fierce train` makes one",
    )


def listing(root: Path) -> list[Run]:
    """Every run folder of `root`, oldest first; empty where there is none."""
    try:
        with os.scandir(root) as entries:
            found = [Run(Path(entry.path)) for entry in entries if not entry.name.startswith(".") and is_run(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda run: (_modified(run.recipe_path), run.name))


def is_run(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is a run's: it holds a recipe or a run.json."""
    return entry.is_dir() and any(os.path.exists(f"{entry.path}/{name}") for name in ("recipe.toml", "run.json"))


def state(run: Run, info: Mapping[str, Any] | None = None) -> str:
    """done, stopped, failed, running, or stale: said to be running, but its process is gone or long silent."""
    said = run.info() if info is None else info
    word = str(said.get("state", "stale"))
    if word != "running":
        return word if word in ("done", "stopped", "failed") else "stale"
    if said.get("host") == socket.gethostname():
        return "running" if _alive(said.get("pid")) else "stale"
    newest = max(_modified(run.metrics_path), _modified(run.info_path))
    return "running" if time.time() - newest < QUIET_SECONDS else "stale"


def _alive(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (OSError, TypeError, ValueError, OverflowError):
        return False
    return True


def summary(run: Run) -> dict[str, Any]:
    """One row of `fierce runs`: what was trained, how far it is, best and last figures on validation. Never raises."""
    return summarize(run, run.info(), *written(run), run.metrics())


def written(run: Run) -> tuple[dict[str, Any], str | None]:
    """The recipe as its file says it, and what is wrong with it. Never raises."""
    try:
        return recipe.load(run.recipe_path), None
    except (FierceError, OSError) as error:
        return {}, str(error)


def summarize(
    run: Run,
    info: Mapping[str, Any],
    document: Mapping[str, Any],
    problem: str | None,
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """`summary` of what was read already; of the rows of metrics the best one and the last do."""
    last = rows[-1] if rows else {}
    accuracies = [r["val_accuracy"] for r in rows if isinstance(r.get("val_accuracy"), int | float)]
    age = time.time() - max(_modified(run.metrics_path), _modified(run.info_path), _modified(run.recipe_path))

    def named(section: str) -> str | None:
        table = document.get(section)
        return str(table.get("name")) if isinstance(table, dict) and "name" in table else None

    table = document.get("train")
    train: dict[str, Any] = table if isinstance(table, dict) else {}
    together = document.get("mutual")
    mutual: dict[str, Any] = together if isinstance(together, dict) else {}
    peers = info.get("peers") if isinstance(info.get("peers"), list) else None
    return {
        "name": run.name,
        "loss": mutual.get("method", named("loss")),
        "model": named("model") if peers is None else "+".join(map(str, mutual.get("models", ()))),
        "dataset": named("data"),
        "teacher": " + ".join(t["name"] for t in teachers(info)) or None,
        "seed": train.get("seed"),
        "epoch": last.get("epoch", 0),
        "epochs": train.get("epochs"),
        "best": max(accuracies, default=None),
        "last": last.get("val_accuracy"),
        "ece": last.get("val_ece"),
        "entropy": last.get("val_entropy_t9"),
        "state": "unreadable" if problem else state(run, info),
        "age": max(age, 0.0),
        "group": info.get("group"),
        "peers": peers,
        "tags": list(tags) if isinstance(tags := info.get("tags"), list) else [],
        "error": problem or info.get("error"),
        "path": str(run.path),
    }


def constant_features(bits: Any) -> bool:
    """Whether a feature entropy is that of features that are all the same.

    0 bits; before 0 was given, zero vectors lay evenly over the codebook: log2 100, which no others reach.
    """
    return isinstance(bits, int | float) and (bits == 0 or abs(bits - math.log2(100)) < 1e-9)


def data_notes(info: Mapping[str, Any]) -> list[str]:
    """What a run wrote down of its data, such as what was left out."""
    notes = info.get("data_notes")
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []


def remarks(row: Mapping[str, Any]) -> list[str]:
    """What a person should know of a row of metrics.jsonl."""
    if not constant_features(row.get("val_feature_entropy")):
        return []
    return [
        "the features are constant: every validation example has the same feature vector, which is 0 bits of feature "
        "entropy; the network may be dead, try a smaller --lr"
    ]


def searchable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `summary` under every name that a filter knows: acc and accuracy are last, tag is tags."""
    return {**row, "acc": row["last"], "accuracy": row["last"], "tag": row["tags"]}


def teachers(info: Mapping[str, Any]) -> list[dict[str, str]]:
    """Those a run learned from, as its run.json has them: `name`, `path` and `sha256` of each."""
    listed = info.get("teachers")
    found = [t for t in listed if isinstance(t, dict) and t.get("path")] if isinstance(listed, list) else []
    return [
        {
            "name": str(t.get("run") or label(str(t["path"]))),
            "path": str(t["path"]),
            "sha256": str(t.get("sha256")),
        }
        for t in found
    ]


def lineage(run: Run, deepest: int = 20) -> list[str]:
    """A run's teacher, that one's teacher, and so on, as far as their folders are where they were."""
    found: list[str] = []
    info = run.info()
    while (named := teachers(info)) and len(found) < deepest:
        found.append(" + ".join(t["name"] for t in named))
        info = Run(Path(named[0]["path"]).parent).info()
    return found


def started(command: list[str], device: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """The values of run.json when a training begins."""
    return {
        "format": 1, "state": "running", "error": None, "command": command, "pid": os.getpid(),
        "host": socket.gethostname(), "device": device, "versions": dict(versions), "started": now(), "finished": None,
    }  # fmt: skip


def now() -> str:
    """This moment in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

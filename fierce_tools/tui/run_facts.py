"""What the files of one run say, read in whatever state they are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fierce_tools import files, runs
from fierce_tools.errors import FierceError
from fierce_tools.runs import Run

LOG_LINES = 12


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
    metrics = run.metrics()
    problems += runs.remarks(metrics[-1] if metrics else {})
    return Facts(
        info, runs.state(run, info), recipe, metrics, tensors, document, sizes(run.path), log_tail(run.path),
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
    every = [(other.name, runs.teachers(other.info())) for other in runs.listing(run.path.parent)]
    return [name for name, teachers in every if run.name in (t["name"] for t in teachers)]

"""What can be asked, and what was answered: analyses from their definitions, answers from the runs' folders."""

from __future__ import annotations

import ast
import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fierce_tools import binding, sources
from fierce_tools.binding import Option, Spec
from fierce_tools.errors import FierceError
from fierce_tools.menu import ANALYSES, Menu, literal, parsed
from fierce_tools.report import Images, Report, combine, from_dict
from fierce_tools.runs import Run
from fierce_tools.sources import Source

EXPERIMENTS = Menu("experiments", "experiment")
SPLITS = ("train", "val", "test")
DATA, PANEL, DRAWS = "Data", "Options", "Draws under augmentation"
STUDENTS = "Students"


@dataclass(frozen=True)
class Question:
    """One `fierce analyze` command, as its file defines it."""

    name: str
    menu: Menu

    @property
    def spec(self) -> Spec:
        return binding.read(self.menu, self.name)

    @property
    def summary(self) -> str:
        return self.spec.summary

    @property
    def split(self) -> str:
        """The split it is asked on unless another is named."""
        return literal(self.menu.source(self.name), "DEFAULT_SPLIT") or "test"

    @property
    def shows_images(self) -> bool:
        """Whether its report may name images: its file then takes the block from report.py."""
        nodes = [n for n in parsed(self.menu.source(self.name)).body if isinstance(n, ast.ImportFrom)]
        return any(n.module == "fierce_tools.report" and any(a.name == "Images" for a in n.names) for n in nodes)

    @property
    def trains(self) -> bool:
        """Whether it is an experiment: it trains students of checkpoints, and knows no snapshots of runs by number."""
        return self.menu == EXPERIMENTS

    def options(self) -> list[tuple[str, Option]]:
        """Every option of its command that shapes the answer, under the heading it belongs to."""
        spec = self.spec
        if self.trains:
            common = getattr(binding, "students", None)
            shared = common(spec).options if common is not None else ()
            return [*((PANEL, o) for o in spec.options), *((STUDENTS, o) for o in shared)]
        found = [(DATA, Option("split", "choice", self.split, "which split of the data", SPLITS))]
        if any(a.startswith("teacher_") for a in (*spec.arrays, *spec.optional_arrays)):
            needed = any(a.startswith("teacher_") for a in spec.arrays)
            text = "the run, checkpoint or file to compare with" + (", needed" if needed else "")
            found.append((DATA, Option("teacher", "str", None, text, optional=True)))
        found += [(PANEL, option) for option in spec.options]
        if "draws" in spec.arrays:
            found += [(DRAWS, option) for option in binding.draws().options]
        return found


@cache
def questions() -> dict[str, Question]:
    """Every question there is, by name; nothing is imported."""
    found = {name: Question(name, menu) for menu in (ANALYSES, EXPERIMENTS) for name in menu.names()}
    return dict(sorted(found.items()))


def arguments(options: Iterable[tuple[str, Option]], given: Mapping[str, Any]) -> list[str]:
    """The flags for those values that are not the defaults."""
    flags: list[str] = []
    for _, option in options:
        value = given.get(option.name, option.default)
        if value == option.default:
            continue
        if option.kind == "bool":
            flags.append(option.flag if value else f"--no-{option.flag[2:]}")
        else:
            flags += [option.flag, written(option, value)]
    return flags


def written(option: Option, value: Any) -> str:
    """A value as it is typed after the option's flag."""
    if value is None:
        return "none"
    if option.kind == "float" and not isinstance(value, str):
        return repr(value) if float(value) != int(value) or abs(value) >= 1e16 else str(int(value))
    return Option(option.name, option.kind, value, option.help).shown_default


def place(path: Path) -> str:
    """A path as it is shortest from here."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return near if not near.startswith("..") else str(path)


@dataclass(frozen=True)
class Said:
    """What one run answered: its report, and the images it names; or `problem`, why there is nothing to be asked."""

    label: str
    source: Source | None = None
    answer: Mapping[str, Any] | None = None
    problem: str = ""

    @property
    def report(self) -> Report | None:
        return from_dict(self.answer["report"]) if self.answer is not None else None

    def images(self) -> dict[int, Any] | None:
        """The images its report names, u8 [H, W, c] by index; None where they were not kept, or it names none."""
        if self.answer is None or self.source is None:
            return None
        return sources.kept_images(sources.images_path(self.answer["path"]), self.source.sha256)


@dataclass(frozen=True)
class Told:
    """What the chosen runs answered to one question under the same options."""

    said: tuple[Said, ...]

    @property
    def answered(self) -> tuple[Said, ...]:
        return tuple(s for s in self.said if s.answer is not None)

    @property
    def missing(self) -> tuple[Said, ...]:
        """Runs that could be asked and were not yet."""
        return tuple(s for s in self.said if s.answer is None and s.source is not None)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The options they were asked with; empty where nobody was."""
        answered = self.answered
        return answered[0].answer["identity"] if answered and answered[0].answer is not None else {}

    def report(self) -> Report | None:
        """All answers as one."""
        reports = {s.label: report for s in self.answered if (report := s.report) is not None}
        return combine(reports) if reports else None

    def signature(self) -> tuple[Any, ...]:
        """The same as long as nothing changed."""
        return tuple((s.label, str(s.answer["path"]) if s.answer else "", s.problem, s.source) for s in self.said)


def ask(question: str, chosen: Sequence[tuple[str, Run]], epoch: str | None = None) -> Told:
    """What is kept of a question for runs under their labels, at a snapshot or at the end.

    Of several sets of options the one that most of them answered is taken, the newest of those.
    """
    found: list[tuple[str, Source | None, list[dict[str, Any]], str]] = []
    for label, run in chosen:
        try:
            (source,) = sources.locate(str(run.path), run.path.parent, epochs=epoch)
            found.append((label, source, sources.answers(source, question), ""))
        except (FierceError, OSError) as error:
            text = error.message if isinstance(error, FierceError) else str(error)
            found.append((label, None, [], text if run.path.exists() else "it was deleted"))
    sets: dict[str, list[float]] = {}
    for _, _, kept, _ in found:
        for key, age in {_options(a): -n for n, a in reversed([*enumerate(kept)])}.items():
            sets.setdefault(key, []).append(age)
    best = max(sets, key=lambda k: (len(sets[k]), max(sets[k])), default=None)
    return Told(
        tuple(
            Said(label, source, next((a for a in kept if _options(a) == best), None), problem)
            for label, source, kept, problem in found
        )
    )


def _options(answer: Mapping[str, Any]) -> str:
    return json.dumps({k: v for k, v in answer["identity"].items() if k != "input_sha256"}, sort_keys=True)


def snapshots(runs: Iterable[Run]) -> list[str | None]:
    """The snapshots any of the runs has, in order, then None for the last weights."""
    names = {p.stem for run in runs for p in run.epochs_path.glob("*.safetensors")}
    return [*sorted(n for n in names if n != "best"), *(["best"] if "best" in names else []), None]


def command(question: Question, paths: Sequence[str], epoch: str | None, given: Mapping[str, Any]) -> list[str]:
    """The arguments of `fierce` that ask these runs."""
    spot = ["--epochs", epoch.lstrip("0") or "0" if epoch.isdecimal() else epoch] if epoch is not None else []
    if question.trains and epoch is not None:
        paths, spot = [os.path.join(path, "epochs", f"{epoch}.safetensors") for path in paths], []
    shown = ["--images"] if question.shows_images else []  # which keeps them with the answer
    return ["analyze", question.name, *paths, *spot, *arguments(question.options(), given), *shown]


def shown(arguments: Sequence[str]) -> str:
    """A command as it is typed."""
    return shlex.join(["fierce", *arguments])


def names_images(report: Report) -> bool:
    """Whether a report names images."""
    return any(isinstance(b, Images) and b.index for b in report.blocks)

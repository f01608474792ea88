"""A study carried out: every step for every seed, as ordinary runs and kept answers that are found again."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fierce_tools import arrayfile, checkpoints, files, sources
from fierce_tools.errors import FierceError, Interrupted, UsageError
from fierce_tools.experiments._ask import ask
from fierce_tools.experiments._cells import Cell, Ended
from fierce_tools.experiments._compare import compare
from fierce_tools.experiments._comparison import Comparison
from fierce_tools.experiments._inquire import inquire
from fierce_tools.experiments._loading import Places, images_of
from fierce_tools.experiments._mutual import means, whole
from fierce_tools.experiments._workshop import Workshop
from fierce_tools.menu import ANALYSES, EXPERIMENTS, literal
from fierce_tools.recipe import PLACES, Recipe
from fierce_tools.report import Images, Report, combine
from fierce_tools.runs import Run
from fierce_tools.sources import Source
from fierce_tools.study import Study
from fierce_tools.study.check import made_of, once, options_of, trains_runs
from fierce_tools.study.forms import TRAINS, stem

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class StepBegun:
    """Step `number` (from 0) of `steps` begins."""

    number: int
    steps: int
    name: str
    what: str


@dataclass(frozen=True)
class Performed:
    """What a step gave: `values` for each seed (one where it is done `once`), the first seed's report, its runs, the
    seconds it took in all, or the `error` that kept it from being done. `pictures` are the images the first seed's
    report names, u8 [H, W, c] with their captions, where the step has a figure."""

    values: tuple[Any, ...] = ()
    report: Report | None = None
    runs: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""
    exit_code: int = 0
    pictures: tuple[tuple[np.ndarray, str], ...] = ()


@dataclass
class Studio:
    """Where a study is carried out: the folder of runs, its seeds, places, and who is told of it.

    `complete` makes paths of a recipe hold from any folder.
    """

    study: Study
    root: Path
    seeds: Sequence[int]
    places: Places = field(default_factory=Places)
    listen: Callable[[Any], None] = lambda event: None
    command: tuple[str, ...] = ("fierce",)
    complete: Callable[[Recipe], Recipe] = lambda made: made
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)

    def perform(self) -> dict[str, Performed]:
        """Every step by its name, in order; one that fails, or needs one that failed, has an `error` and the others go
        on. Raises Interrupted where a person stopped it, with everything saved."""
        done: dict[str, Performed] = {}
        for number, (name, step) in enumerate(self.study.steps.items()):
            what = str(step.get("analysis", step["kind"]))
            self.listen(StepBegun(number, len(self.study.steps), name, what))
            began = time.perf_counter()
            missing = [ref for ref in _needed(step) if done[stem(ref)].error]
            if missing:
                done[name] = Performed(
                    error=f"{stem(missing[0])} is not there", exit_code=done[stem(missing[0])].exit_code
                )
                continue
            try:
                made = self._trained(name, step) if step["kind"] in TRAINS else self._asked(step)
            except Interrupted:
                raise
            except FierceError as error:
                made = Performed(error=str(error), exit_code=error.exit_code)
            except OSError as error:
                made = Performed(error=f"{error.filename or 'a file'}: {error.strerror or error}", exit_code=1)
            if not (made.error or made.runs):  # a run knows itself how long it took
                made = replace(made, seconds=self._spent(name, step, time.perf_counter() - began))
            done[name] = made
        return done

    def _spent(self, name: str, step: Mapping[str, Any], seconds: float) -> float:
        """The longest that a step has taken, so that reading what was kept is not taken for the work."""
        path = self.root / ".studies" / f"{self.study.name}.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        known = known if isinstance(known, dict) else {}
        what = {"step": step, "common": self.study.common, "seeds": list(self.seeds), "device": self.places.device}
        key = f"{name} {arrayfile.name_of(what)}"
        before = None if self.places.fresh else known.get(key)
        longest = max(seconds, before if isinstance(before, float) else 0.0)
        with contextlib.suppress(OSError):
            files.write_json(path, {**known, key: longest})
        return longest

    def _trained(self, name: str, step: Mapping[str, Any]) -> Performed:
        cells = [Cell(self._recipe(step, seed), stem=f"{self.study.name}-{name}") for seed in self.seeds]
        shop = Workshop(self.root, places=self.places, listen=self.listen, command=self.command)
        ended = shop.train(cells)
        failed = next((end for end in ended if end.error is not None or end.run is None), None)
        if failed is not None:
            code = failed.error.exit_code if failed.error is not None else 1
            return Performed(error=f"{failed.cell.label}: {failed.error}", exit_code=code)
        for seed, end in zip(self.seeds, ended, strict=True):
            assert end.run is not None
            self.runs[name, seed] = end.run
        names = tuple(end.run.name for end in ended if end.run is not None)
        seconds = sum(float(row.get("seconds") or 0) for end in ended if end.run for row in _first(end.run).metrics())
        return Performed(tuple(_figures(end) for end in ended), None, names, seconds)

    def _recipe(self, step: Mapping[str, Any], seed: int) -> Recipe:
        teachers = [
            str(self._sources(ref, seed)[0].path.absolute()) for ref in step.get("distill", {}).get("teachers", ())
        ]
        made = made_of(step, teachers, seed, self.places.device)
        here = {"data_root": self.places.data_root, "download": self.places.download or None}
        made = made.with_data(**{k: v for k, v in here.items() if k in PLACES and v is not None and k in made.data})
        return self.complete(whole(made) if made.mutual is not None else made)

    def _asked(self, step: Mapping[str, Any]) -> Performed:
        seeds: Sequence[int] = (self.seeds[0],) if once(step) else self.seeds
        values, first = [], None
        pictures: tuple[tuple[np.ndarray, str], ...] = ()
        for seed in seeds:
            found = {ref: self._sources(ref, seed, step.get("epochs")) for ref in step.get("of", ())}
            if step["kind"] == "compare":
                report, value = self._compared(found, step)
            elif step["analysis"] in EXPERIMENTS.names():
                report, value = self._inquired(found, step, seed)
            else:
                answers, value = self._analysed(found, step, seed)
                report = combine({source.label: said for source, said in answers})
                if step.get("figure") and first is None:
                    pictures = self._pictures(answers, step)
            values.append(value)
            first = first or report
        return Performed(tuple(values), first, pictures=pictures)

    def _pictures(
        self, answers: Sequence[tuple[Source, Report]], step: Mapping[str, Any]
    ) -> tuple[tuple[np.ndarray, str], ...]:
        """The images that reports name, source by source, each with its caption."""
        places, shown = replace(self.places, data=step.get("data")), []
        for source, report in answers:
            for block in (b for b in report.blocks if isinstance(b, Images) and b.index):
                pixels = images_of(source, _split(step), block.index, places)
                pairs = zip(block.index, block.captions, strict=True)
                shown += [(pixels[i], f"{source.label}: {caption}") for i, caption in pairs]
        return tuple(shown)

    def _analysed(
        self, found: Mapping[str, list[Source]], step: Mapping[str, Any], seed: int
    ) -> tuple[list[tuple[Source, Report]], Any]:
        teacher = self._sources(step["teacher"], seed)[0] if "teacher" in step else None
        places = replace(self.places, data=step.get("data"))
        values: dict[str, Any] = {}
        answers: list[tuple[Source, Report]] = []
        for ref, several in found.items():
            said = []
            for source in several:
                answer = ask(
                    step["analysis"], source, step.get("options", {}), split=_split(step),
                    teacher=teacher, places=places, fresh=self.places.fresh,
                )  # fmt: skip
                answers.append((source, answer.report))
                said.append(dict(answer.values) | ({"epoch": _epoch(source)} if "epochs" in step else {}))
            values[ref] = said if "epochs" in step else said[0]
        return answers, values

    def _inquired(self, found: Mapping[str, list[Source]], step: Mapping[str, Any], seed: int) -> tuple[Report, Any]:
        analysis, alone = step["analysis"], not found
        options = {key.replace("-", "_"): value for key, value in step.get("options", {}).items()}
        known = options_of(analysis)
        if "seeds" in known:
            options.setdefault("seeds", len(self.seeds) if alone else 1)
        if "first_seed" in known and not alone:
            options.setdefault("first_seed", seed * int(options["seeds"]))  # students vary as their teachers do
        settings = {f"data.{k}": v for k, v in self.study.common.get("data", {}).items() if k != "name"}
        data = self.study.common.get("data", {}).get("name")
        if trains_runs(analysis):
            prefix = "teacher_" if "teacher_epochs" in known else ""
            train = {prefix + k: v for k, v in self.study.common.get("train", {}).items()}
            options = {k: v for k, v in train.items() if k in known} | options
        report, document = inquire(
            analysis, [s for several in found.values() for s in several], options,
            places=replace(self.places, data=step.get("data") or (data if alone else None)),
            root=self.root, listen=self.listen, command=self.command,
            settings={**settings, **step.get("settings", {})} if alone else {},
        )  # fmt: skip
        return report, document["results"][0]["values"]

    def _compared(self, found: Mapping[str, list[Source]], step: Mapping[str, Any]) -> tuple[Report, Any]:
        more = {k: step[k] for k in ("split", "temperature", "skip") if k in step}
        every = [source for several in found.values() for source in several]
        made = compare(every, bootstrap=0, places=self.places, **more)
        # A step may name one training twice, of which `compare` counts one.
        alone = [compare([s], bootstrap=0, places=self.places, **more) for s in every if _left_out(made, s)]
        values: dict[str, Any] = {}
        for row in (row for found in (made, *alone) for row in found.rows):
            for number, member in enumerate(row.members):
                values[member] = {key: figures[number] for key, figures in row.figures.items()}
        return made.report(), values

    def _sources(self, reference: str, seed: int, epochs: str | None = None) -> list[Source]:
        """What a reference such as hard, hard@10 or pair.1 stands for with this seed, labelled as it is written."""
        name, _, at = str(reference).partition("@")
        name, _, peer = name.partition(".")
        run = self.runs[name, seed]
        members = run.info().get("peers")
        if isinstance(members, list):
            if not peer.isdecimal() or not 1 <= int(peer) <= len(members):
                raise UsageError(f"{reference} is no peer of {name}", f"write {name}.1 to {name}.{len(members)}")
            run = Run(run.path.parent / members[int(peer) - 1])
        last = str(run.recipe().train["epochs"])
        found = [replace(s, label=reference) for s in _located(run, None if at in ("", last) else at)]
        if epochs is None:
            return found
        (final,) = found
        several = {_epoch(s): replace(s, label=f"{reference}@{_epoch(s)}") for s in _snapshots(run, epochs)}
        return [*several.values()] if int(last) in several else [*several.values(), final]


def _left_out(made: Comparison, source: Source) -> bool:
    return not any(source.label in row.members for row in made.rows)


def _snapshots(run: Run, epochs: str) -> list[Source]:
    if epochs == "all" and not any(run.epochs_path.glob("*.safetensors")):
        return []
    found = sources.locate(str(run.path), run.path.parent, epochs=str(epochs))
    return [s for s in found if s.epoch is None or s.epoch.isdecimal()]


def _located(run: Run, at: str | None) -> list[Source]:
    return sources.locate(str(run.path), run.path.parent, epochs=at)


def _epoch(source: Source) -> int:
    assert source.run is not None
    return int(source.epoch) if source.epoch else int(checkpoints.read_document(source.path)["epoch"])


def _split(step: Mapping[str, Any]) -> str:
    """The split a step asks about: the one it says, else the analysis' own."""
    return str(step.get("split") or literal(ANALYSES.source(step["analysis"]), "DEFAULT_SPLIT") or "test")


def _needed(step: Mapping[str, Any]) -> list[str]:
    own = [step["teacher"]] if "teacher" in step else []
    return [*step.get("of", ()), *step.get("distill", {}).get("teachers", ()), *own]


def _figures(end: Ended) -> dict[str, Any]:
    """A run's figures with its history; of a group, those of each peer by its number, and their means."""
    assert end.run is not None
    peers = end.run.info().get("peers")
    if not isinstance(peers, list):
        return end.figures() | {"run": end.run.name, "history": end.run.metrics()}
    found = []
    for name in peers:
        run = Run(end.run.path.parent / name)
        found.append(Ended(0, 1, end.cell, run).figures() | {"run": name, "history": run.metrics()})
    plain = [{k: v for k, v in one.items() if k not in ("run", "history")} for one in found]
    mean = means(plain) | {"history": end.run.metrics(), "run": end.run.name}
    return {str(number): one for number, one in enumerate(found, 1)} | {"mean": mean}


def _first(run: Run) -> Run:
    """The run whose metrics tell the time: a group's peers are trained at once."""
    peers = run.info().get("peers")
    return Run(run.path.parent / peers[0]) if isinstance(peers, list) else run

"""Where experiments train ordinary runs: each found again where it is done, gone on with where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fierce_tools import binding, files, recipe, runs, same, sources
from fierce_tools.errors import FierceError, Interrupted, UsageError
from fierce_tools.experiments._cells import Begun, Cell, Ended, Found, Measured, Stepped
from fierce_tools.experiments._loading import Places
from fierce_tools.menu import DATASETS
from fierce_tools.recipe import Recipe
from fierce_tools.runs import Run
from fierce_tools.same import SAVING

if TYPE_CHECKING:
    from fierce_tools.data._splits import Splits


@dataclass(frozen=True)
class Workshop:
    """The folder of runs, and what is common to their recipes; `listen` is given the events of _cells.py.

    `settings` are values by SECTION.OPTION that go above the partial recipe `document`, as `--set` has them.
    """

    root: Path
    document: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    listen: Callable[[Any], None] = lambda event: None
    command: tuple[str, ...] = ("fierce",)
    fingerprints: dict[str, str] = field(default_factory=dict)

    def recipe(self, overrides: Mapping[str, Any]) -> Recipe:
        """The common recipe with values by SECTION.OPTION. Raises UsageError for what does not exist or is decided."""
        for key in self.settings:
            if key in overrides:
                raise UsageError(f"--set {key} is what this experiment decides itself", "leave it out")
        return recipe.resolve(self.document, {**self.settings, **overrides})

    def of_data(self) -> Recipe:
        """A recipe with the common data; its model and loss are nobody's."""
        data = {k: v for k, v in self.settings.items() if k.startswith("data.")}
        return recipe.resolve({k: v for k, v in self.document.items() if k == "data"}, data)

    @cached_property
    def splits(self) -> Splits:
        """The common data, cut."""
        from fierce_tools.data._splits import split
        from fierce_tools.training.train import dataset

        made = self.of_data()
        data = dataset(made)
        for note in data.notes:
            self.places.say(note)
        return split(data, val_fraction=made.data["val_fraction"], split_seed=made.data["split_seed"])

    def find(self, cells: Sequence[Cell]) -> list[Run | None]:
        """Of each cell the run that there is already: one that is done if any is, else the latest."""
        known: dict[str, list[Run]] = {}
        for run in runs.listing(self.root):
            try:
                known.setdefault(same.training(run.recipe().as_dict()), []).append(run)
            except (FierceError, OSError):  # not one of ours, or of another version
                continue
        return [self._fitting(cell, known.get(same.training(cell.made.as_dict()), [])) for cell in cells]

    def train(self, cells: Sequence[Cell]) -> list[Ended]:
        """Train every cell that is not done; one that fails is told of and the others go on.

        An error raised by `listen` stops it all, with the run that was being trained saved.
        """
        found = [None] * len(cells) if self.places.fresh else self.find(cells)
        self.listen(Found(sum(run is not None and _done(run) for run in found), len(cells)))
        first: dict[str, Run] = {}
        ended = []
        for number, (cell, there) in enumerate(zip(cells, found, strict=True)):
            key = same.training(cell.made.as_dict())
            run = first.get(key, there)
            if run is not None and _done(run):
                end = Ended(number, len(cells), cell, run, reused=True)
            else:
                end = self._train(number, cells, run)
            if end.run is not None and end.error is None:
                first[key] = end.run
            self.listen(end)
            ended.append(end)
        return ended

    def _train(self, number: int, cells: Sequence[Cell], run: Run | None) -> Ended:
        from fierce_tools.experiments._mutual import create, group_of, prepare_peers, record_peers
        from fierce_tools.experiments._record import options_of, prepare, record
        from fierce_tools.training.loop import StepDone

        cell, count = cells[number], len(cells)
        try:
            made = cell.made
            if run is not None:  # it keeps saving what it has saved
                own = run.recipe().train
                made = replace(made, train={**made.train, **{k: own[k] for k in SAVING}})
            group = made.mutual is not None
            prepared = (prepare_peers if group else prepare)(made, self.places.factory, run=run)
            for note in prepared.data.notes:
                self.places.say(note)
            name = runs.free(self.root, f"{cell.stem}-s{cell.seed}") if cell.stem else None
            if run is None and group:
                run = create(self.root, made, name).run
            run = run or runs.create(self.root, made, name, varied=cell.varied)
            rows = run.metrics() if run.state_path.exists() else []
            before, everything = rows[-1]["epoch"] if rows else 0, sum(c.epochs for c in cells)
            self.listen(Begun(number, count, cell, run, before, everything))
            events: Any = (
                record_peers(prepared, group_of(run), list(self.command))
                if group
                else record(prepared, run, list(self.command), **options_of(made, record))
            )
            try:
                for event in events:
                    if isinstance(event, StepDone):
                        done = event.progress
                        self.listen(Stepped(done.epoch, done.step, event.steps, event.examples))
                    elif "run" not in event:
                        self.listen(Measured(event))
            finally:
                events.close()
        except Interrupted:
            raise
        except FierceError as error:
            return Ended(number, count, cell, run, error=error)
        return Ended(number, count, cell, run)

    def _same_data(self, run: Run, cell: Cell) -> bool:
        """Whether the files a run was trained on hold what they held; files that are gone speak for nothing."""
        spec = binding.read(DATASETS, cell.made.data["name"])
        before = run.info().get("dataset_sha256")
        if before is None or spec.argument is None or spec.argument.name not in binding.PATHS:
            return True  # sets with a name of their own are the original or refused
        key = json.dumps(cell.made.as_dict()["data"], sort_keys=True)
        if key not in self.fingerprints:
            from fierce_tools.training.train import dataset

            try:
                self.fingerprints[key] = dataset(cell.made).fingerprint()
            except FierceError:
                self.fingerprints[key] = ""
        return self.fingerprints[key] in ("", before)

    def _fitting(self, cell: Cell, found: Sequence[Run]) -> Run | None:
        group = cell.made.mutual is not None  # its peers have the group's recipe too
        found = [run for run in found if not group or "peers" in run.info()]
        fit = [run for run in found if _keeps(run, cell.made) and _same_teachers(run) and self._same_data(run, cell)]
        done = [run for run in fit if _done(run)]
        return next(reversed(done or fit), None)


def _done(run: Run) -> bool:
    return run.info().get("state") == "done"


def _saved(made: Recipe) -> set[str]:
    """The snapshots a training by this recipe keeps."""
    train = made.train
    every = range(train["save_every"], train["epochs"] + 1, train["save_every"]) if train["save_every"] else ()
    return {f"{e:04d}" for e in (*train["save_at"], *every)} | ({"best"} if train["save_best"] else set())


def _keeps(run: Run, made: Recipe) -> bool:
    """Whether a run has, or will have, every snapshot that is asked for; a group, whether its peers have."""
    peers = run.info().get("peers")
    if isinstance(peers, list) and _done(run):
        return all(_keeps(Run(run.path.parent / name), made) for name in peers)
    wanted = _saved(made)
    if _done(run):
        return all((run.epochs_path / f"{name}.safetensors").exists() for name in wanted) and run.model_path.exists()
    return wanted <= _saved(run.recipe())


def _same_teachers(run: Run) -> bool:
    """Whether the files a student learned from hold what they held; one that is gone speaks for nothing."""
    info = run.info()
    chosen = info.get("transfer_set")
    for known in (*runs.teachers(info), *([chosen] if isinstance(chosen, dict) else [])):
        path = Path(str(known.get("path")))
        if path.is_file() and _sha256(path) != known.get("sha256"):
            return False
    return True


def _sha256(path: Path) -> str:
    """A checkpoint's content hash, any other file's own."""
    if path.suffix == ".safetensors":
        document = files.read_header(path)[1] or {}
        if document.get("format") == "checkpoint":
            return str(document.get("content_sha256"))
    return files.file_sha256(path)


def source_of(run: Run, epoch: int | None = None) -> sources.Source:
    """A run's last weights, or those after an epoch, as something to ask."""
    if epoch is None or epoch == run.recipe().train["epochs"]:
        return sources.locate(str(run.path), run.path.parent)[0]
    return sources.locate(str(run.path), run.path.parent, epochs=str(epoch))[0]


def setting(made: Recipe) -> str:
    """How runs of such recipes are trained, in words for a report's note: what is not a value of the experiment's."""
    train = made.train
    falls = "" if train["schedule"] == "constant" else f" {train['schedule']}"
    moves = f", {' '.join(train['augment'])}" if train["augment"] else ""
    return f"{train['optimizer']} {train['lr']:g}{falls}{moves}, on {made.data['name']}"

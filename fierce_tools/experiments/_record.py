"""A training that is written down: metrics by epoch, snapshots, the state to go on from, the finished checkpoint."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np

from fierce_tools import checkpoints, runs, sources
from fierce_tools.analysis._metrics import accuracy
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._known import as_trained
from fierce_tools.data._splits import Splits, split
from fierce_tools.errors import DataError, FierceError, Interrupted, TrainingError, UsageError
from fierce_tools.experiments._lineage import check_teachers
from fierce_tools.experiments._measured import figures_of, measure
from fierce_tools.models._classifier import Classifier
from fierce_tools.outputs import Outputs
from fierce_tools.recipe import Recipe
from fierce_tools.runs import Run
from fierce_tools.training._transfer import restrict
from fierce_tools.training.distill import Teachers, formula, hints, teach
from fierce_tools.training.infer import infer
from fierce_tools.training.lookahead import make_lookahead
from fierce_tools.training.loop import StepDone
from fierce_tools.training.optimizers import make_optimizer
from fierce_tools.training.schedules import learning_rate
from fierce_tools.training.train import (
    Setup,
    Training,
    check_options,
    check_patience,
    check_validate_on,
    dataset,
    setup,
    train,
)

# A state is written when this long has passed since the last one, so that short epochs cost nothing.
STATE_SECONDS = 10.0
# The same within a long epoch, so that a lost machine costs minutes, not hours.
STEP_STATE_SECONDS = 120.0
# Bits between spread and collapsed features below which an entropy estimate is warned of.
TELLING_BITS = 0.5


@dataclass(frozen=True)
class Prepared:
    """A training ready to be recorded; nothing is on disk yet."""

    recipe: Recipe
    data: Dataset
    splits: Splits
    setup: Setup
    options: dict[str, Any]
    teachers: Teachers | None = None

    @property
    def epochs(self) -> int:
        return int(self.options["epochs"])

    def distillation(self) -> dict[str, Any]:
        """What is written down of a student's teaching; empty for any other training."""
        said = formula(self.recipe)
        return ({"formula": said} if said else {}) | (self.teachers.written() if self.teachers is not None else {})

    def warnings(self) -> list[str]:
        """What a person should know before this is trained."""
        found = []
        batch, examples = self.options["batch_size"], len(self.splits.train)
        if batch > examples:
            found.append(f"--batch-size {batch} is more than the {examples} training examples: each epoch is one batch")
        train = self.recipe.train
        if train["validate_on"] == "targets" and train["patience"] is None and not train["save_best"]:
            found.append("--validate-on targets chooses nothing without --save-best or --patience")
        found += hints(self.recipe) + (self.teachers.warnings() if self.teachers is not None else [])
        return found + estimate_warnings(self.recipe, self.setup)


def options_of(recipe: Recipe, *functions: Any) -> dict[str, Any]:
    """Those options of the recipe's data, train and distill sections that functions take."""
    import inspect

    parameters = [p for f in functions for p in inspect.signature(f).parameters.values()]
    taken = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    sections = (recipe.data, recipe.train, recipe.distill or {})
    return {k: v for section in sections for k, v in section.items() if k in taken}


def prepare(
    recipe: Recipe, trusted: str | None = None, build: Callable[..., Setup] = setup, *, run: Run | None = None
) -> Prepared:
    """Load the data and build the model; whatever cannot work is said here. Raises FierceError.

    A factory is imported only if it is the one in `trusted`. `build` is called as `setup` is. A `run` that goes on, or
    that this training stands beside, gives the data as it has known them.
    """
    options = options_of(recipe, train, make_optimizer, learning_rate, make_lookahead)
    check_options(**options)
    check_saving(recipe)
    data = dataset(recipe)
    if run is not None:
        data = as_trained(data, run.info().get("dataset_sha256"))
    splits = split(data, **options_of(recipe, split))
    if recipe.train["save_best"]:
        splits.get("val")
    check_patience(options["patience"], splits.val)
    check_validate_on(options["validate_on"], splits.val)
    teachers = None
    if recipe.distill is not None:
        splits = restrict(splits, **options_of(recipe, restrict))
        teachers = teach(recipe, data, splits, trusted=trusted, **options_of(recipe, teach))
        if run is None:  # one that was begun goes on
            teachers.check_patience(options["patience"])
    bring = teachers.bring if teachers else None
    ready = build(recipe, splits, trusted=trusted, teach=bring, **options_of(recipe, setup))
    return Prepared(recipe, data, splits, ready, options, teachers)


def estimate_warnings(recipe: Recipe, setup: Setup) -> list[str]:
    """A warning where FIERCE's estimate, as it is set, hardly tells collapsed features from spread ones."""
    if recipe.loss["name"] != "fierce" or setup.anchors is None:
        return []
    from fierce_tools.losses.fierce import separation

    how = {k: recipe.loss[k] for k in ("similarity", "assignment", "tau", "similarity_scale")}
    model = cast(Classifier, setup.model)
    bits = separation(setup.anchors, **how, classes=len(model.head.bias))
    spread = bits.pop("spread")
    worst = max(bits, key=lambda name: bits[name])
    if spread - bits[worst] >= TELLING_BITS:
        return []
    return [
        f"this estimate gives {bits[worst]:.2f} bits to collapsed features ({worst}) and {spread:.2f} to spread ones: "
        "it rewards next to nothing; try a smaller --tau with --assignment soft, or a larger --similarity-scale"
    ]


def check_saving(recipe: Recipe) -> None:
    """Raises UsageError for snapshots that can never be."""
    late = [e for e in recipe.train["save_at"] if not 1 <= e <= recipe.train["epochs"]]
    if late:
        raise UsageError(f"--save-at {late[0]} is outside the {recipe.train['epochs']} epochs of this training")
    if recipe.train["save_every"] is not None and recipe.train["save_every"] < 1:
        raise UsageError(f"--save-every is {recipe.train['save_every']}, expected 1 or more")


def record(
    prepared: Prepared,
    run: Run,
    command: list[str],
    *,
    save_at: Annotated[tuple[int, ...], "epochs whose weights are kept, such as 1,2,5,10 or 5:50:5"] = (),
    save_every: Annotated[int | None, "keep the weights every so many epochs"] = None,
    save_best: Annotated[bool, "keep the weights of the best validation accuracy, as epochs/best.safetensors"] = False,
) -> Generator[StepDone | dict[str, Any], None, None]:
    """Train into a run folder; yields each StepDone, after each epoch the row it wrote to metrics.jsonl, and last what
    `finish` gives.

    A run that has a saved state goes on from it. Closing the iterator saves the state and marks the run as stopped;
    an error marks it as failed. Raises UsageError where another process trains this run.
    """
    with run.lock():
        state_path = run.state_path if run.state_path.exists() else None
        fingerprint = same_data(prepared, run, state_path)
        if state_path is not None:
            check_teachers(run, prepared.distillation())
        training = train(prepared.setup, state_path, **prepared.options)
        run.keep_metrics(training.progress.epoch)
        snapshots = Snapshots(prepared, run, fingerprint)
        started = runs.started(command, str(prepared.setup.device), checkpoints.versions())
        run.update(**started, dataset_sha256=fingerprint, **noted(prepared, run), **prepared.distillation())
        saved = time.monotonic()
        with ending((run,), lambda: training.save_state(run.state_path)):
            for event in training.events:
                if isinstance(event, StepDone):
                    if time.monotonic() - saved > STEP_STATE_SECONDS:
                        training.save_state(run.state_path)
                        saved = time.monotonic()
                    yield event
                    continue
                row = measure(event, prepared.setup)
                run.append(row)
                snapshots.take(training.model, row, save_at=save_at, save_every=save_every, save_best=save_best)
                if time.monotonic() - saved > STATE_SECONDS:
                    training.save_state(run.state_path)
                    saved = time.monotonic()
                yield row
            result = finish(prepared, training, run, fingerprint)
    yield result


def same_data(prepared: Prepared, run: Run, state_path: Path | None) -> str:
    """The data's fingerprint. Raises DataError where a saved state was trained on other data."""
    fingerprint = prepared.data.fingerprint()
    before = run.info().get("dataset_sha256")
    if state_path is not None and before not in (None, fingerprint):
        why = f"; if no file was changed since, {prepared.data.read_otherwise}" if prepared.data.read_otherwise else ""
        raise DataError(
            f"{prepared.data.name} as found here is not what {run.name} has been trained on so far (fingerprint "
            f"{fingerprint[:12]}…, expected {str(before)[:12]}…){why}",
            "bring the data back, or train a new run",
        )
    return fingerprint


def noted(prepared: Prepared, run: Run) -> dict[str, list[str]]:
    """What is written down of the data's notes, such as what was left out; nothing where there never were any."""
    notes = list(prepared.data.notes)
    return {"data_notes": notes} if notes or "data_notes" in run.info() else {}


@contextlib.contextmanager
def ending(every: Sequence[Run], save_state: Callable[[], None]) -> Iterator[None]:
    """Around a training: its runs say how it ended early, and where its iterator was closed its state is saved."""

    def mark(**how: Any) -> None:
        for run in every:
            with contextlib.suppress(OSError):
                run.update(**how, finished=runs.now())

    try:
        yield
    except GeneratorExit:
        try:
            save_state()
        finally:
            mark(state="stopped")
        raise
    except KeyboardInterrupt:  # in the midst of a step: only the last saved state is sound
        mark(state="stopped")
        raise
    except BaseException as error:
        mark(state="failed", error=str(error) if isinstance(error, FierceError) else f"{type(error).__name__}: {error}")
        raise


class Snapshots:
    """The weights of a run that are kept along the way; the best so far is read from its metrics."""

    def __init__(self, prepared: Prepared, run: Run, fingerprint: str) -> None:
        self._of, self._run, self._fingerprint = prepared, run, fingerprint
        on_targets = prepared.recipe.train["validate_on"] == "targets"
        self._figure = "val_target_accuracy" if on_targets else "val_accuracy"
        self._best = max((r[self._figure] for r in run.metrics() if r.get(self._figure) is not None), default=-1.0)

    def take(
        self, model: Any, row: Mapping[str, Any], *, save_at: tuple[int, ...], save_every: int | None, save_best: bool
    ) -> None:
        """Write those that are due after the epoch of this row of metrics.jsonl."""
        epoch = row["epoch"]
        names = [f"{epoch:04d}"] if epoch in save_at or (save_every and epoch % save_every == 0) else []
        if save_best and row[self._figure] is not None and row[self._figure] > self._best:
            self._best = row[self._figure]
            names.append("best")
        for name in names:
            path = self._run.epochs_path / f"{name}.safetensors"
            _checkpoint(path, self._of, model, epoch, self._fingerprint, dict(row))


def finish(prepared: Prepared, training: Training, run: Run, fingerprint: str) -> dict[str, Any]:
    """Write the checkpoint and the outputs on validation and test; the last thing a recorded training yields."""
    rows = run.metrics()
    last = rows[-1] if rows else {}
    names = ("val", "test") if len(prepared.splits.val) else ("test",)
    made = {name: _outputs(prepared, training.model, name) for name in names}
    if not all(np.isfinite(outputs.logits).all() for outputs in made.values()):
        raise TrainingError(
            f"the weights became NaN or infinite at step {last.get('step')}, the last one "
            f"(learning rate {last.get('learning_rate')})",
            "try a smaller --lr, or a smaller weight of the loss's extra term",
        )
    test = {f"test_{k}": v for k, v in figures_of(made["test"]).items()}
    measured = any(e is not None and e.host_true is not None for e in (prepared.setup.train, prepared.setup.val))
    true = prepared.splits.test.true_labels
    if measured and true is not None:
        test["test_target_accuracy"] = accuracy(made["test"].logits, true)
    _checkpoint(run.model_path, prepared, training.model, training.progress.epoch, fingerprint, {**last, **test})
    (source,) = sources.locate(str(run.model_path), run.path.parent)
    for name, outputs in made.items():
        sources.keep(source, name, outputs)
    run.update(state="done", error=None, finished=runs.now(), test=test)
    run.state_path.unlink(missing_ok=True)
    return {"run": str(run.path), "checkpoint": str(run.model_path), **last, **test}


def _outputs(prepared: Prepared, model: Any, split: str) -> Outputs:
    setup, splits = prepared.setup, prepared.splits
    anchors = _anchors(prepared)
    return infer(model, splits.get(split), setup.normalization, splits.class_names, anchors=anchors)


def _anchors(prepared: Prepared) -> np.ndarray | None:
    return None if prepared.setup.anchors is None else prepared.setup.anchors.cpu().numpy()


def _checkpoint(
    path: Path, prepared: Prepared, model: Any, epoch: int, fingerprint: str, metrics: dict[str, Any]
) -> None:
    checkpoints.save(
        path,
        model,
        prepared.recipe,
        shape=prepared.data.shape,
        class_names=prepared.data.class_names,
        mean=prepared.setup.normalization.mean,
        std=prepared.setup.normalization.std,
        anchors=_anchors(prepared),
        fingerprint=fingerprint,
        source=prepared.data.source_sha256,
        epoch=epoch,
        metrics=metrics,
        distillation=prepared.distillation(),
    )


def interrupted(run: Run, epoch: int, command: str = "train") -> Interrupted:
    """The message for a training that was stopped and saved."""
    return Interrupted(
        f"stopped after {epoch} whole epochs; everything is saved", f"go on with `fierce {command} --resume {run.path}`"
    )

"""Where experiments train their students: teachers asked once, students trained together, each kept when it is done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from fierce_tools import __version__, arrayfile, checkpoints, recipe
from fierce_tools.data._splits import Split, Splits, split
from fierce_tools.errors import Interrupted, TrainingError, UsageError
from fierce_tools.experiments import _defaults, _teacher_seeds
from fierce_tools.experiments._ledger import Ledger
from fierce_tools.experiments._loading import Places
from fierce_tools.experiments._teachers import Teacher, taught
from fierce_tools.outputs import Outputs
from fierce_tools.sources import Source
from fierce_tools.training.batches import measure
from fierce_tools.training.ensemble import Student, StudentDone, ensemble
from fierce_tools.training.train import dataset, pick_device

# Options that say which students there are, each of which has its own; the model stands beside them.
OF_STUDENTS = ("student", "seeds", "first_seed", "lr")
# From a student's number and its outputs on validation and test to plain values.
Judge = Callable[[int, Outputs | None, Outputs], Mapping[str, Any]]


@dataclass(frozen=True)
class Reused:
    """So many of the students that are asked for were trained before, and are not trained again."""

    reused: int
    students: int


@dataclass(frozen=True)
class Lab:
    """Data, teachers, and how students are trained; `listen` is given the ensemble's events, `store` keeps results.

    `matched` says how the teachers' classes were matched to the data's, where they are not the same.
    """

    splits: Splits
    teachers: tuple[Teacher, ...]
    made: recipe.Recipe
    options: Mapping[str, Any]
    fingerprint: str
    store: Path
    places: Places
    listen: Callable[[Any], None] = lambda event: None
    matched: tuple[str, ...] = ()

    @property
    def seeds(self) -> int:
        """How many students there are of each kind."""
        return int(self.options["seeds"])

    @property
    def each_seed(self) -> range:
        """The seeds of students of one kind."""
        first = int(self.options["first_seed"])
        return range(first, first + self.seeds)

    @property
    def lr(self) -> float:
        """The students' learning rate."""
        return float(self.options["lr"])

    def longer(self, factor: float) -> Lab:
        """The same with so many times the epochs, at least one."""
        return replace(self, options={**self.options, "epochs": max(1, round(factor * self.options["epochs"]))})

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the data and of every teacher."""
        return self.splits.class_names

    def train(
        self, students: Sequence[Student], judge: Judge, question: str, asked: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """What `judge` says of each student's outputs on validation (or None) and test, in the order of the students.

        `asked` is, of each student, all that `judge` depends on beside it. Answers are plain values, kept under the
        `question` as each student ends, so that an interrupted experiment goes on where it stopped. Raises
        TrainingError where a student's loss became NaN or infinite, Interrupted with what is kept on Ctrl-C.
        """
        kept = Ledger(self.store / f"{question}-{arrayfile.name_of(self._identity())}.jsonl", fresh=self.places.fresh)
        keys = [f"{self._key(s)} {a}".rstrip() for s, a in zip(students, asked or [""] * len(students), strict=True)]
        first = {key: number for number, key in reversed([*enumerate(keys)])}  # the same student is trained once
        wanted = {number for key, number in first.items() if key not in kept.rows}
        try:
            if len(wanted) < len(first):
                self.listen(Reused(len(first) - len(wanted), len(first)))
            for event in self._events(students, set(range(len(students))) - wanted):
                if isinstance(event, StudentDone):
                    outputs = event.outputs
                    if not event.finite or outputs is None or not np.isfinite(outputs.logits).all():
                        raise TrainingError(
                            f"the loss of student {event.number + 1} of {len(students)} became NaN or infinite",
                            f"try an --lr below {self.lr:g}",
                        )
                    kept.add(keys[event.number], judge(event.number, *self._parted(outputs)))
                else:
                    self.listen(event)
        except KeyboardInterrupt:
            done = sum(key in kept.rows for key in first)
            raise Interrupted(
                f"stopped; {done} of {len(first)} students are done and kept in {kept.path}",
                "the same command goes on from there",
            ) from None
        return [kept.rows[key] for key in keys]

    def _events(self, students: Sequence[Student], done: set[int]) -> Iterator[Any]:
        if len(done) == len(students):
            return iter(())
        others = {
            k: v for k, v in self.options.items() if k not in ("student", "seeds", "first_seed", "lr", "normalization")
        }
        return ensemble(
            self._make, students, self.splits.train, self.normalization, self.class_names, test=self._held(),
            teachers=[t.train for t in self.teachers], done=done, device=pick_device(self.places.device), **others,
        )  # fmt: skip

    def setting(self) -> str:
        """How the students are trained, in words for a report's note."""
        o, data = self.options, self.splits
        sizes = f"{len(data.train):,} training, {len(data.val):,} validation and {len(data.test):,} test examples"
        falls = "" if o["schedule"] == "constant" else f" {o['schedule']}"
        inputs = "" if o["normalization"] == "standard" else ", inputs 0 to 1"
        return (
            f"{self.made.model['name']} students, {o['epochs']} epochs of batches of {o['batch_size']}, "
            f"{o['optimizer']} {o['lr']:g}{falls}{inputs}, {self.seeds} seed{'' if self.seeds == 1 else 's'}; "
            f"{self.made.data['name']}, {sizes}."
        )

    def notes(self, experiment: str, **own: Any) -> tuple[str, ...]:
        """What a reader of its report should know: the teachers' seeds and classes, what `fierce distill` does else.

        `own` are the values of the experiment's own options.
        """
        return (*self._taught(), *self.matched, *filter(None, [_defaults.note(experiment, {**self.options, **own})]))

    def _taught(self) -> tuple[str, ...]:
        recipes: dict[str, list[Source]] = {}
        for teacher in self.teachers:
            if teacher.recipe is not None:
                recipes.setdefault(teacher.recipe, []).append(teacher.source)
        if recipes:
            return (_teacher_seeds.pooled_note(recipes, self.seeds),)
        return (_teacher_seeds.note([t.source for t in self.teachers]),) if self.teachers else ()

    @cached_property
    def normalization(self) -> Any:
        """The students' own, of the training split."""
        return measure(self.splits.train.images, self.options["normalization"])

    def _make(self) -> Any:
        return checkpoints.build(self.made, self.splits.train.images.shape[1:], len(self.class_names))

    def _held(self) -> Split:
        val, test = self.splits.val, self.splits.test
        if len(val) == 0:
            return test
        images, labels, index = (
            np.concatenate([getattr(val, k), getattr(test, k)]) for k in ("images", "labels", "index")
        )
        return Split(images, labels, index)

    def _parted(self, outputs: Outputs) -> tuple[Outputs | None, Outputs]:
        count = len(self.splits.val)
        labels = outputs.get("labels")
        test = Outputs(outputs.logits[count:], labels[count:], class_names=self.class_names)
        return (Outputs(outputs.logits[:count], labels[:count], class_names=self.class_names) if count else None), test

    def _key(self, student: Student) -> str:
        if student.teacher is None:
            return f"{student.digest()[:32]}-"
        teacher = self.teachers[student.teacher]
        columns = f"-{arrayfile.name_of({'columns': teacher.columns})}" if teacher.columns else ""
        return f"{student.digest()[:32]}-{teacher.sha256[:32]}{columns}"

    def _identity(self) -> dict[str, Any]:
        # How fast students are trained says nothing of what they learn.
        how = {
            k: v
            for k, v in self.options.items()
            if k not in ("student", "seeds", "first_seed", "engine", "memory", "lr")
        }
        return {
            "data": self.fingerprint,
            "model": dict(self.made.model),
            "how": how,
            "version": __version__,
        }


def lab(
    checkpoints: Sequence[Source],
    places: Places,
    root: Path,
    listen: Callable[[Any], None] | None = None,
    own_data: Mapping[str, Any] | None = None,
    command: Sequence[str] = ("fierce",),
    *,
    student: Annotated[str | None, "model of the students; none: the dataset's student"] = None,
    epochs: Annotated[int, "passes of a student over its examples"] = 20,
    batch_size: Annotated[int, "examples a batch"] = 128,
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], "torch's optimiser of that name"] = "adam",
    lr: Annotated[float, "learning rate of the students"] = 0.001,
    momentum: Annotated[float, "momentum of sgd"] = 0.9,
    weight_decay: Annotated[float, "weight decay, 0 or more"] = 0.0,
    schedule: Annotated[Literal["constant", "cosine", "linear"], "how the learning rate goes"] = "constant",
    normalization: Annotated[
        Literal["standard", "unit"], "inputs to mean 0, deviation 1 of the training split, or bytes / 255"
    ] = "standard",
    seeds: Annotated[int, "students of each kind, with seeds 0, 1, 2, …"] = 3,
    first_seed: Annotated[int, "the first of their seeds"] = 0,
    teacher_seeds: Annotated[
        int | None,
        "teachers of the recipe of each checkpoint, itself among them: finished runs that differ in the seed alone, "
        "else new ones; none: each checkpoint alone",
    ] = None,
    engine: Annotated[
        Literal["auto", "sequential", "stacked", "unfolded", "graph"],
        "how students are trained together; auto: what a few steps find fastest",
    ] = "auto",
    memory: Annotated[float | None, "bytes that students trained at once may take, such as 4e9"] = None,
) -> Lab:
    """A lab for students of these checkpoints, or of labels alone where there are none.

    With `teacher_seeds` each checkpoint stands for so many teachers of its recipe, trained into `root` as runs of
    `command` where there are too few. Without checkpoints the data are those of `own_data`, a recipe's [data], else of
    `places`, or digits. Raises DataError where checkpoints were trained on different data, UsageError for options out
    of range.
    """
    if seeds < 1 or first_seed < 0:
        raise UsageError(f"--seeds {seeds} --first-seed {first_seed}", "expected 1 or more, and 0 or more")
    options = {
        "student": student, "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr,
        "momentum": momentum, "weight_decay": weight_decay, "schedule": schedule,
        "normalization": normalization, "seeds": seeds, "first_seed": first_seed, "engine": engine, "memory": memory,
    }  # fmt: skip
    heard = listen or (lambda event: None)
    recipes: dict[Path, str] = {}
    if teacher_seeds is not None:
        from fierce_tools.experiments._repeated import repeated

        groups = repeated(checkpoints, teacher_seeds, root, places, heard, command)
        checkpoints = [source for group in groups for source in group.sources]
        recipes = {source.path: group.label for group in groups for source in group.sources}
    if checkpoints:
        found, splits, document, notes = taught(checkpoints, places)
        teachers = tuple(replace(t, recipe=recipes.get(t.source.path)) for t in found)
    else:
        document = {"data": dict(own_data or {"name": places.data or recipe.DEFAULTS["data"]})}
        if places.data_root is not None:
            document["data"]["data_root"] = places.data_root
        if places.download:
            document["data"]["download"] = True
        plain = recipe.resolve(document)
        data = dataset(plain)
        for note in data.notes:
            places.say(note)
        splits = split(data, val_fraction=plain.data["val_fraction"], split_seed=plain.data["split_seed"])
        teachers, notes = (), ()
    model = {"model.name": student or recipe.default_student(str(document["data"]["name"]))}
    made = recipe.resolve(document, model)
    store = root / ".experiments"
    return Lab(splits, teachers, made, options, _fingerprint(splits), store, places, heard, notes)


def _fingerprint(splits: Splits) -> str:
    """SHA-256 of the examples and of how they are cut (hexadecimal)."""
    found = hashlib.sha256("\0".join(splits.class_names).encode())
    for name in ("train", "val", "test"):
        part = getattr(splits, name)
        for array in (part.images, part.labels, part.index):
            found.update(f"{name} {array.dtype} {array.shape}\0".encode())
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()

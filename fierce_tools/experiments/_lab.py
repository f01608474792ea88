"""Where experiments train their students: teachers asked once, students trained together, each kept when it is done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from fierce_tools import __version__, arrayfile, checkpoints, recipe, same
from fierce_tools.data._splits import Split, Splits, split
from fierce_tools.errors import DataError, Interrupted, TrainingError, UsageError
from fierce_tools.experiments import _defaults, _teacher_seeds
from fierce_tools.experiments._ledger import Ledger
from fierce_tools.experiments._loading import Loaded, Places, outputs_of, with_data
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
class Teacher:
    """A checkpoint as a teacher: its logits f32 [N, C] on training, validation (or None) and test examples.

    `columns` are where the data's classes lie among its own, empty where they are the same in the same order.
    """

    label: str
    sha256: str
    train: np.ndarray
    val: np.ndarray | None
    test: np.ndarray
    source: Source
    columns: tuple[int, ...] = ()


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
        taught = [_teacher_seeds.note([t.source for t in self.teachers])] if self.teachers else []
        return (*taught, *self.matched, *filter(None, [_defaults.note(experiment, {**self.options, **own})]))

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
    engine: Annotated[
        Literal["auto", "sequential", "stacked", "unfolded", "graph"],
        "how students are trained together; auto: what a few steps find fastest",
    ] = "auto",
    memory: Annotated[float | None, "bytes that students trained at once may take, such as 4e9"] = None,
) -> Lab:
    """A lab for students of these checkpoints, or of labels alone where there are none.

    Without checkpoints the data are those of `own_data`, a recipe's [data], else of `places`, or digits. Raises
    DataError where checkpoints were trained on different data, UsageError for options out of range.
    """
    if seeds < 1 or first_seed < 0:
        raise UsageError(f"--seeds {seeds} --first-seed {first_seed}", "expected 1 or more, and 0 or more")
    options = {
        "student": student, "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr,
        "momentum": momentum, "weight_decay": weight_decay, "schedule": schedule,
        "normalization": normalization, "seeds": seeds, "first_seed": first_seed, "engine": engine, "memory": memory,
    }  # fmt: skip
    if checkpoints:
        teachers, splits, document, notes = _taught(checkpoints, places)
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
    heard = listen or (lambda event: None)
    return Lab(splits, teachers, made, options, _fingerprint(splits), store, places, heard, notes)


def _taught(
    found: Sequence[Source], places: Places
) -> tuple[tuple[Teacher, ...], Splits, dict[str, dict[str, Any]], tuple[str, ...]]:
    """The teachers in the classes of the data, the data, their recipe, and how classes were matched."""
    teachers: list[Teacher] = []
    notes: list[str] = []
    unnamed: list[tuple[str, Sequence[str]]] = []
    first: Splits | None = None
    prints = ""
    document: dict[str, dict[str, Any]] = {}
    for source in found:
        if not source.checkpoint:
            raise DataError(f"{source.label} is a file of arrays, a teacher is a checkpoint", "name a run")
        loaded = with_data(source, places)
        splits, columns = loaded.splits, loaded.columns
        assert columns is not None
        notes += [columns.note] if columns.note else []
        if first is None:
            first, prints = splits, loaded.fingerprint
            for note in loaded.notes if places.data is None else ():  # of other data they are said already
                places.say(note)
            document = (
                {"data": {"name": places.data}} if places.data else {"data": loaded.checkpoint.recipe.as_dict()["data"]}
            )
        elif prints != loaded.fingerprint or not _same(first, splits):
            raise DataError(
                f"{source.label} and {found[0].label} were trained on different data, or cut differently",
                "ask them one at a time",
            )
        moved = tuple(columns.number.tolist()) if columns.moves else ()
        unnamed += [(source.label, columns.others)] if columns.by_position else []
        parts = [part for part in ("train", "val", "test") if len(getattr(splits, part))]
        said = {part: columns.of(_logits(source, part, places, loaded)) for part in parts}
        teachers.append(
            Teacher(source.label, source.sha256, said["train"], said.get("val"), said["test"], source, moved)
        )
    assert first is not None
    if unnamed:
        same.refuse_conflicts(str(places.data), unnamed, "add class_names to the data")
    return tuple(teachers), first, document, tuple(dict.fromkeys(notes))


def _logits(source: Source, split: str, places: Places, loaded: Loaded) -> np.ndarray:
    """What a teacher says of a split of data that were read already."""
    return outputs_of(source, split, {"logits"}, places, load=lambda: loaded).logits


def _fingerprint(splits: Splits) -> str:
    """SHA-256 of the examples and of how they are cut (hexadecimal)."""
    found = hashlib.sha256("\0".join(splits.class_names).encode())
    for name in ("train", "val", "test"):
        part = getattr(splits, name)
        for array in (part.images, part.labels, part.index):
            found.update(f"{name} {array.dtype} {array.shape}\0".encode())
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _same(one: Splits, other: Splits) -> bool:
    """Whether the same data are cut alike."""
    pairs = [(getattr(one, k), getattr(other, k)) for k in ("train", "val", "test")]
    return one.class_names == other.class_names and all(
        np.array_equal(a.index, b.index) and np.array_equal(a.labels, b.labels) for a, b in pairs
    )

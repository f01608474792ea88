"""Where experiments train their students: teachers asked once, students trained together, each kept when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from fierce_tools import __version__, arrayfile, checkpoints, files, recipe
from fierce_tools.data._splits import Split, Splits, split
from fierce_tools.errors import DataError, TrainingError, UsageError
from fierce_tools.experiments._gather import Places, outputs_of, with_data
from fierce_tools.menu import unknown
from fierce_tools.outputs import Outputs
from fierce_tools.sources import Source
from fierce_tools.training.batches import measure
from fierce_tools.training.ensemble import Student, StudentDone, ensemble
from fierce_tools.training.train import dataset, pick_device

# From a student's number and its outputs on validation and test to plain values.
Judge = Callable[[int, Outputs | None, Outputs], Mapping[str, Any]]


@dataclass(frozen=True)
class Teacher:
    """A checkpoint as a teacher: its logits f32 [N, C] on training, validation (or None) and test examples."""

    label: str
    sha256: str
    train: np.ndarray
    val: np.ndarray | None
    test: np.ndarray


@dataclass(frozen=True)
class Lab:
    """Data, teachers, and how students are trained; `listen` is given the ensemble's events, `store` keeps results."""

    splits: Splits
    teachers: tuple[Teacher, ...]
    made: recipe.Recipe
    options: Mapping[str, Any]
    fingerprint: str
    store: Path
    device: str = "auto"
    listen: Callable[[Any], None] = lambda event: None
    fresh: bool = False

    @property
    def seeds(self) -> int:
        """How many students there are of each kind."""
        return int(self.options["seeds"])

    @property
    def lr(self) -> float:
        """The students' learning rate."""
        return float(self.options["lr"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the data and of every teacher."""
        return self.splits.class_names

    def train(self, students: Sequence[Student], judge: Judge, question: str) -> list[dict[str, Any]]:
        """What `judge` says of each student's outputs on validation (or None) and test, in the order of the students.

        Answers are plain values, kept under the `question` as each student ends, so that an interrupted experiment
        goes on where it stopped. Raises TrainingError where a student's loss became NaN or infinite.
        """
        kept = _Kept(self.store / f"{question}-{arrayfile.name_of(self._identity())}.jsonl", fresh=self.fresh)
        keys = [self._key(s) for s in students]
        first = {key: number for number, key in reversed([*enumerate(keys)])}  # the same student is trained once
        wanted = {number for key, number in first.items() if key not in kept.rows}
        others = {k: v for k, v in self.options.items() if k not in ("student", "seeds", "lr")}
        held = self._held()
        events = ensemble(
            self._make, students, self.splits.train, self.normalization, self.class_names, test=held,
            teachers=[t.train for t in self.teachers], done=set(range(len(students))) - wanted,
            device=pick_device(self.device), **others,
        )  # fmt: skip
        for event in events:
            if isinstance(event, StudentDone):
                if not event.finite or event.outputs is None:
                    raise TrainingError(
                        f"the loss of student {event.number + 1} of {len(students)} became NaN or infinite",
                        f"try an --lr below {self.lr:g}",
                    )
                kept.add(keys[event.number], judge(event.number, *self._parted(event.outputs)))
            else:
                self.listen(event)
        return [kept.rows[key] for key in keys]

    def setting(self) -> str:
        """How the students are trained, in words for a report's note."""
        o, data = self.options, self.splits
        sizes = f"{len(data.train):,} training, {len(data.val):,} validation and {len(data.test):,} test examples"
        falls = "" if o["schedule"] == "constant" else f" {o['schedule']}"
        return (
            f"{self.made.model['name']} students, {o['epochs']} epochs of batches of {o['batch_size']}, "
            f"{o['optimizer']} {o['lr']:g}{falls}, {self.seeds} seed{'' if self.seeds == 1 else 's'}; "
            f"{self.made.data['name']}, {sizes}."
        )

    @cached_property
    def normalization(self) -> Any:
        """The students' own, of the training split."""
        return measure(self.splits.train.images, "standard")

    def _make(self) -> Any:
        return checkpoints.build(self.made, self.splits.train.images.shape[1:], len(self.class_names))

    def _held(self) -> Split:
        val, test = self.splits.val, self.splits.test
        if len(val) == 0:
            return test
        return Split(*(np.concatenate([getattr(val, k), getattr(test, k)]) for k in ("images", "labels", "index")))

    def _parted(self, outputs: Outputs) -> tuple[Outputs | None, Outputs]:
        count = len(self.splits.val)
        labels = outputs.get("labels")
        test = Outputs(outputs.logits[count:], labels[count:], class_names=self.class_names)
        return (Outputs(outputs.logits[:count], labels[:count], class_names=self.class_names) if count else None), test

    def _key(self, student: Student) -> str:
        return (
            f"{student.digest()[:32]}-{'' if student.teacher is None else self.teachers[student.teacher].sha256[:32]}"
        )

    def _identity(self) -> dict[str, Any]:
        # How fast students are trained says nothing of what they learn.
        how = {k: v for k, v in self.options.items() if k not in ("seeds", "engine", "memory", "lr")}
        cut = {k: self.made.data[k] for k in ("val_fraction", "split_seed")}
        return {
            "data": self.fingerprint,
            "cut": cut,
            "model": dict(self.made.model),
            "how": how,
            "version": __version__,
        }


class _Kept:
    """Lines of JSON, one for each student that is done; a half-written last one is left out."""

    def __init__(self, path: Path, *, fresh: bool) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if fresh:
            path.unlink(missing_ok=True)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except OSError:
            return
        for line in lines[:-1]:
            try:
                document = json.loads(line)
                self.rows[document["student"]] = document["said"]
            except (ValueError, KeyError, TypeError):
                continue
        if lines[-1]:
            whole = [line for line in lines[:-1] if line]
            files.write_text(path, "".join(line + "\n" for line in whole))

    def add(self, key: str, said: Mapping[str, Any]) -> None:
        """Keep what was said of a student."""
        self.rows[key] = dict(said)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"student": key, "said": said}, allow_nan=False) + "\n")


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
    seeds: Annotated[int, "students of each kind, with seeds 0, 1, 2, …"] = 1,
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
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}, expected 1 or more", "for example --seeds 3")
    options = {
        "student": student, "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr,
        "momentum": momentum, "weight_decay": weight_decay, "schedule": schedule, "seeds": seeds, "engine": engine,
        "memory": memory,
    }  # fmt: skip
    if checkpoints:
        teachers, splits, document, fingerprint = _taught(checkpoints, places)
    else:
        document = {"data": dict(own_data or {"name": places.data or recipe.DEFAULTS["data"]})}
        if places.data_root is not None:
            document["data"]["data_root"] = places.data_root
        if places.download:
            document["data"]["download"] = True
        plain = recipe.resolve(document)
        data = dataset(plain)
        splits = split(data, val_fraction=plain.data["val_fraction"], split_seed=plain.data["split_seed"])
        teachers, fingerprint = (), data.fingerprint()
    model = {"model.name": student or recipe.default_student(str(document["data"]["name"]))}
    made = recipe.resolve(document, model)
    store = root / ".experiments"
    heard = listen or (lambda event: None)
    return Lab(splits, teachers, made, options, fingerprint, store, places.device, heard, places.fresh)


def _taught(
    found: Sequence[Source], places: Places
) -> tuple[tuple[Teacher, ...], Splits, dict[str, dict[str, Any]], str]:
    teachers, first, document, fingerprint = [], None, {}, ""
    for source in found:
        if not source.checkpoint:
            raise DataError(f"{source.label} is a file of arrays, a teacher is a checkpoint", "name a run")
        checkpoint, splits = with_data(source, places)
        if first is None:
            first, fingerprint = splits, str(checkpoint.document["dataset_sha256"])
            document = {"data": checkpoint.recipe.as_dict()["data"]}
        elif not _same(first, splits):
            raise DataError(
                f"{source.label} and {found[0].label} were trained on different data, or cut differently",
                "ask them one at a time",
            )
        asked = replace(places, data=places.data)
        train, test = (outputs_of(source, part, {"logits"}, asked).logits for part in ("train", "test"))
        val = outputs_of(source, "val", {"logits"}, asked).logits if len(splits.val) else None
        teachers.append(Teacher(source.label, source.sha256, train, val, test))
    assert first is not None
    return tuple(teachers), first, document, fingerprint


def _same(one: Splits, other: Splits) -> bool:
    pairs = [(getattr(one, k), getattr(other, k)) for k in ("train", "val", "test")]
    return one.class_names == other.class_names and all(
        np.array_equal(a.index, b.index) and np.array_equal(a.labels, b.labels) and a.images.shape == b.images.shape
        for a, b in pairs
    )


def class_number(word: str, names: Sequence[str]) -> int:
    """A class by its name, else by its number. Raises UsageError with the nearest name."""
    if word in names:
        return [*names].index(word)
    if word.isdecimal() and int(word) < len(names):
        return int(word)
    raise unknown("class", word, tuple(names))


def spread(values: Sequence[tuple[int, float | None]]) -> tuple[float | None, float | None]:
    """The mean over seeds of each seed's mean, and its standard deviation (n - 1); None where there are too few."""
    by_seed: dict[int, list[float]] = {}
    for seed, value in values:
        if value is not None:
            by_seed.setdefault(seed, []).append(value)
    means = [float(np.mean(v)) for v in by_seed.values()]
    if not means:
        return None, None
    return float(np.mean(means)), float(np.std(means, ddof=1)) if len(means) > 1 else None

"""Teachers as they are found: a fierce checkpoint, or soft labels in a file; checked against the student's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import checkpoints, files, runs, same, scores, sources
from fierce_tools.checks import check_names
from fierce_tools.data._dataset import NOUNS, Dataset
from fierce_tools.data._known import as_trained
from fierce_tools.data._splits import Split
from fierce_tools.errors import DataError, UsageError
from fierce_tools.models._classifier import Classifier
from fierce_tools.outputs import class_names_of, read_arrays
from fierce_tools.recipe import Recipe
from fierce_tools.same import Columns, match_classes
from fierce_tools.training.batches import Normalization


@dataclass(frozen=True)
class Teacher:
    """A checkpoint's model in eval mode, its parameters frozen, with the normalisation it was trained with.

    `columns` are where the student's classes lie among its own, None where they are the same.
    """

    label: str
    path: str
    sha256: str
    run: str | None
    model: Classifier
    normalization: Normalization
    recipe: Recipe
    epoch: int | None
    columns: Columns | None = None

    def named(self) -> dict[str, Any]:
        """What is written down of it."""
        return {"path": self.path, "sha256": self.sha256, "run": self.run}

    def matched(self, logits: np.ndarray) -> np.ndarray:
        """The student's classes of its logits."""
        return logits if self.columns is None else self.columns.of(logits)

    @property
    def finished(self) -> bool:
        """Whether these are the weights its training ended with."""
        return self.run is not None and Path(self.path).name == "model.safetensors"


@dataclass(frozen=True)
class SoftLabels:
    """Logits, or log-probabilities with -inf for 0, f32 [R, C] by position in the original file i64 [R]."""

    path: str
    sha256: str
    logits: np.ndarray
    index: np.ndarray
    note: str | None = None

    def named(self) -> dict[str, Any]:
        """What is written down of it."""
        return {"path": self.path, "sha256": self.sha256, "run": None}

    def of(self, split: Split) -> np.ndarray:
        """Those of a split's examples f32 [N, C]; NaN for the ones the file has nothing of.

        A file's soft labels are of the data's training examples, from which validation may have been cut; equal
        positions in other splits of the data are other examples.
        """
        if split.source != "train":
            return np.full((len(split), self.logits.shape[1]), np.nan, np.float32)
        order = np.argsort(self.index)
        place = np.minimum(np.searchsorted(self.index, split.index, sorter=order), len(order) - 1)
        found = order[place]
        known = self.index[found] == split.index
        return np.where(known[:, None], self.logits[found], np.float32(np.nan)).astype(np.float32)


def load_teacher(text: str, data: Dataset, *, trusted: str | None = None) -> Teacher:
    """The teacher a path or a run's name stands for. Raises DataError where it is none or does not fit the data."""
    found = sources.locate(text, runs.folder())
    if not found[0].checkpoint:
        raise UsageError(f"{text} is no checkpoint", "soft labels in a file are --teacher-outputs FILE")
    source = found[0]
    checkpoint = checkpoints.load(source.path, trusted=trusted)
    document = checkpoint.document
    # Data of one name name their classes alike, be it by numbers, and so do sets with a name of their own.
    theirs = checkpoint.recipe.data["name"] if document["dataset_sha256"] else None
    one = theirs == data.name or (same.names_classes(theirs) and same.names_classes(data.name))
    columns = _fit(source.label, tuple(document["input_shape"]), checkpoint.class_names, data, one)
    checkpoint.model.requires_grad_(False)
    return Teacher(
        label=source.label,
        path=str(source.path.absolute()),
        sha256=source.sha256,
        run=None if source.run is None else source.run.path.resolve().name,
        model=checkpoint.model,
        normalization=Normalization(checkpoint.mean, checkpoint.std),
        recipe=checkpoint.recipe,
        epoch=document.get("epoch"),
        columns=columns,
    )


KNOWN = "give the --data the teacher knows"


def _fit(label: str, shape: tuple[int, ...], names: tuple[str, ...], data: Dataset, one: bool) -> Columns:
    """Where the student's classes lie among the teacher's. Raises DataError where shapes or classes do not fit."""
    if shape != data.shape:
        raise DataError(
            f"teacher {label} takes examples of shape {list(shape)}, the student's data {data.name} has "
            f"{list(data.shape)}",
            KNOWN,
        )
    return match_classes(
        data.class_names, names, what=f"the student's data {data.name}", other=f"teacher {label}", hint=KNOWN,
        trusted=one,
    )  # fmt: skip


def load_soft_labels(
    file: str,
    data: Dataset,
    *,
    logits: str | None,
    probabilities: str | None,
    counts: str | None = None,
    section: Mapping[str, Any] | None = None,
) -> SoftLabels:
    """Soft labels of training examples, aligned by `index`, or one for each training example in their order.

    `section` is the recipe's [data]. Raises DataError where they do not fit the data, UsageError where two kinds are
    named.
    """
    path = Path(file).expanduser()
    arrays, document = read_arrays(path)
    ours = (document or {}).get("format") == "outputs"
    table = scores.read(
        file, arrays, logits=logits, probabilities=probabilities, counts=counts, flags="--teacher-", trusted=ours
    )
    names = (document or {}).get("class_names", arrays.get("class_names"))
    if names is None and table.shape[1] != data.classes:
        raise DataError(
            f"{file}: soft labels are {list(table.shape)}, expected [N, {data.classes}] for {data.name}",
            "add `class_names` where they are of more classes",
        )
    note, columns = None, None
    if names is not None:
        known = class_names_of(names) or ()
        check_names(file, known, table.shape[1])
        what = f"the student's data {data.name}"
        of = (document or {}).get("data")
        theirs = of.get("name") if isinstance(of, Mapping) else None
        one = theirs == data.name or (same.names_classes(theirs) and same.names_classes(data.name))
        columns = match_classes(data.class_names, known, what=what, other=file, hint=KNOWN, trusted=one)
        table, note = columns.of(table), columns.note
        scores.check_logits(f"{file}: soft labels of these classes", table)
    again = f"fierce infer TEACHER --data {data.name} --split train --out FILE.safetensors"
    of = (document or {}).get("split")
    if of == "test" or (of == "val" and data.own_validation):
        raise DataError(
            f"{file} is of {NOUNS[of]} examples, expected soft labels of training examples", f"make them with `{again}`"
        )
    fingerprint = (document or {}).get("dataset_sha256")
    own = {"dataset_sha256": data.fingerprint(), "source_sha256": data.source, "data": section}
    alike = same.same_source(document or {}, own)
    if fingerprint and not alike and fingerprint != as_trained(data, fingerprint).fingerprint():
        raise DataError(
            f"{file} is of other data than {data.name}: its fingerprint is {str(fingerprint)[:12]}…",
            f"make them with `{again}`",
        )
    index = _index(file, arrays, len(table), data)
    notes = [note] if note else []
    if names is None and not same.numbered(data.class_names):
        notes.append(f"{file} names no classes: they are taken in the order of the student's data {data.name}.")
    if "index" not in arrays:
        notes.append(f"{file} has no `index`: its rows are paired with the training examples by position.")
    _check_truth(file, arrays, index, data, columns)
    return SoftLabels(str(path.absolute()), files.file_sha256(path), table, index, " ".join(notes) or None)


def _check_truth(
    file: str, arrays: Mapping[str, np.ndarray], index: np.ndarray, data: Dataset, columns: Columns | None
) -> None:
    """Raises DataError where the file's labels are others than those of the examples its rows are looked up for."""
    classes = data.classes if columns is None else len(columns.others)
    said, _ = scores.labels(file, arrays, None, len(index), classes)
    if said is None:
        return
    positions = np.arange(len(data.train_labels)) if data.train_index is None else data.train_index
    order = np.argsort(positions)
    place = np.minimum(np.searchsorted(positions, index, sorter=order), len(order) - 1)
    rows = order[place]
    there = positions[rows] == index
    own = data.train_labels[rows[there]]
    wrong = (own if columns is None else columns.lifted(own)) != said[there]
    if wrong.any():
        raise DataError(
            f"{file}: {wrong.sum()} of {len(wrong)} labels are others than those of {data.name} at their `index`",
            "are its rows in another order? where its labels are meant to differ, leave them out of the file",
        )


def _index(file: str, arrays: dict[str, np.ndarray], count: int, data: Dataset) -> np.ndarray:
    index = arrays.get("index")
    if index is None:
        total = len(data.train_labels)
        if count != total:
            raise DataError(
                f"{file} has {count} soft labels and no `index`; {data.name} has {total} training examples",
                "add an array `index` of their positions in the original file",
            )
        return np.arange(total) if data.train_index is None else data.train_index
    if index.shape != (count,) or index.dtype.kind not in "iu":
        raise DataError(f"{file}: index is {index.dtype} {list(index.shape)}, expected whole numbers [{count}]")
    if len(np.unique(index)) != count:
        raise DataError(f"{file}: index names {count - len(np.unique(index))} examples twice")
    return index.astype(np.int64)

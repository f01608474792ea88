"""Teachers as they are found: a fierce checkpoint, or soft labels in a file; checked against the student's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import checkpoints, files, runs, sources
from fierce_tools.data._dataset import NOUNS, Dataset
from fierce_tools.data._known import as_trained
from fierce_tools.data._splits import Split
from fierce_tools.errors import DataError, UsageError
from fierce_tools.models._classifier import Classifier
from fierce_tools.outputs import LARGEST, read_arrays
from fierce_tools.recipe import Recipe
from fierce_tools.training.batches import Normalization


@dataclass(frozen=True)
class Teacher:
    """A checkpoint's model in eval mode, its parameters frozen, with the normalisation it was trained with."""

    label: str
    path: str
    sha256: str
    run: str | None
    model: Classifier
    normalization: Normalization
    recipe: Recipe
    epoch: int | None

    def named(self) -> dict[str, Any]:
        """What is written down of it."""
        return {"path": self.path, "sha256": self.sha256, "run": self.run}

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
    _check(source.label, tuple(document["input_shape"]), checkpoint.class_names, data)
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
    )


def _check(label: str, shape: tuple[int, ...], names: tuple[str, ...], data: Dataset) -> None:
    """Raises DataError where shapes, class counts or class names differ, naming both sides."""
    what = f"teacher {label} and the student's data {data.name} do not fit"
    if len(names) != data.classes:
        raise DataError(f"{what}: {len(names)} classes, and {data.classes}", "give the --data the teacher knows")
    if shape != data.shape:
        raise DataError(
            f"{what}: examples of shape {list(shape)}, and {list(data.shape)}", "give the --data the teacher knows"
        )
    differ = [c for c, (a, b) in enumerate(zip(names, data.class_names, strict=True)) if a != b]
    if differ:
        raise DataError(
            f"{what}: class {differ[0]} is {names[differ[0]]!r}, and {data.class_names[differ[0]]!r}"
            + (f"; {len(differ)} class names differ" if len(differ) > 1 else ""),
            "give the --data the teacher knows",
        )


def load_soft_labels(file: str, data: Dataset, *, logits: str | None, probabilities: str | None) -> SoftLabels:
    """Soft labels of training examples, aligned by `index`, or one for each training example in their order.

    Raises DataError where they do not fit the data, UsageError where both kinds are named.
    """
    if logits is not None and probabilities is not None:
        raise UsageError("--teacher-logits and --teacher-probabilities both name the soft labels", "keep one of them")
    path = Path(file).expanduser()
    arrays, document = read_arrays(path)
    key = "" if "" in arrays else probabilities or logits or "logits"
    if key not in arrays:
        raise DataError(
            f"{file} has no array {key!r}; it holds {', '.join(sorted(arrays)) or 'nothing'}",
            "name one with --teacher-logits or --teacher-probabilities",
        )
    table = arrays[key]
    if table.ndim != 2 or table.shape[1] != data.classes or table.dtype.kind not in "fiu":
        raise DataError(
            f"{file}: soft labels are {table.dtype} {list(table.shape)}, expected [N, {data.classes}] for {data.name}"
        )
    of = (document or {}).get("split")
    if of == "test" or (of == "val" and data.own_validation):
        raise DataError(
            f"{file} is of {NOUNS[of]} examples, expected soft labels of training examples",
            "make them with `fierce infer TEACHER --split train --out FILE.safetensors`",
        )
    fingerprint = (document or {}).get("dataset_sha256")
    if fingerprint and fingerprint != as_trained(data, fingerprint).fingerprint():
        raise DataError(f"{file} is of other data than {data.name}: its fingerprint is {str(fingerprint)[:12]}…")
    names = (document or {}).get("class_names")
    if names is not None and tuple(names) != data.class_names:
        raise DataError(f"{file} has the classes {', '.join(names)}, {data.name} has {', '.join(data.class_names)}")
    made = _logarithms(file, table) if probabilities is not None else _checked(file, table)
    return SoftLabels(str(path.absolute()), files.file_sha256(path), made, _index(file, arrays, len(table), data))


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


def _logarithms(file: str, p: np.ndarray) -> np.ndarray:
    """log p, -inf where p is 0."""
    values = p.astype(np.float64)
    off = np.flatnonzero(~(np.abs(values.sum(axis=1) - 1) < 1e-2) | (values < 0).any(axis=1))
    if len(off):
        raise DataError(
            f"{file}: probabilities of row {off[0]} sum to {values[off[0]].sum():.4g} with a smallest of "
            f"{values[off[0]].min():.4g}, expected 1 and 0 or more; {len(off)} rows are such",
            "logits are named with --teacher-logits",
        )
    with np.errstate(divide="ignore"):
        return np.log(values).astype(np.float32)


def _checked(file: str, logits: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        bad = np.argwhere(~(np.abs(logits) <= LARGEST))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{file}: logits[{row}, {column}] is {logits[row, column]}, expected finite numbers",
            "probabilities are named with --teacher-probabilities",
        )
    return logits.astype(np.float32)

"""Train, validation and test: one seeded, stratified cut of the training examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from fierce_tools.data._dataset import Dataset
from fierce_tools.errors import DataError, UsageError


class NoValidation(DataError):
    """Validation examples were asked for and none were kept."""


@dataclass(frozen=True)
class Split:
    """Examples of one split; `index` i64 [N] is their position in the original file.

    `source` says of which of the original splits, so that equal positions of two of them are different examples.
    `true_labels` i64 [N] are the true class numbers where they are known, be they the targets or not.
    """

    images: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    targets: np.ndarray | None = None
    source: str = "train"
    true_labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The three splits of a dataset; `val` may be empty."""

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]

    @property
    def noisy(self) -> bool:
        """Whether true labels are known, and in some split differ from the labels."""
        every = [(part.true_labels, part.labels) for part in (self.train, self.val, self.test)]
        return any(true is not None and not np.array_equal(true, labels) for true, labels in every)

    def get(self, name: str) -> Split:
        """The split of that name. Raises NoValidation, a DataError, where validation is asked for and there is none."""
        if name == "val" and len(self.val) == 0:
            raise NoValidation(
                "there is no validation split: this was trained with --val-fraction 0",
                "train with a validation fraction above 0",
            )
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def split(
    dataset: Dataset,
    *,
    val_fraction: Annotated[float, "share of the training examples kept for validation, 0 to below 1"] = 0.1,
    split_seed: Annotated[int, "seed of the cut between training and validation"] = 0,
) -> Splits:
    """Cut the training examples into training and validation, class by class; then alter training as the data say.

    Each class gives round(val_fraction · n) examples, never its last one; data with a validation split of their own
    keep their training examples whole. Where labels are made wrong and the data have no targets, every split's targets
    are its true labels. Raises UsageError for a fraction outside [0, 1).
    """
    if not 0 <= val_fraction < 1:
        raise UsageError(f"--val-fraction is {val_fraction}, expected 0 to below 1", "for example --val-fraction 0.1")
    if split_seed < 0:
        raise UsageError(f"--split-seed is {split_seed}, expected 0 or more")
    in_val = np.zeros(len(dataset.train_labels), dtype=bool)
    if not dataset.own_validation:
        rng = np.random.default_rng(split_seed)
        for label in range(dataset.classes):
            members = rng.permutation(np.flatnonzero(dataset.train_labels == label))
            in_val[members[: min(round(val_fraction * len(members)), max(len(members) - 1, 0))]] = True
    rows, altered = np.flatnonzero(~in_val), dataset.altered
    if altered:
        rows = rows[altered.kept(dataset.train_labels[rows], dataset.class_names)]
    train = _take(dataset, "train", rows)
    val = _take(dataset, "val") if dataset.own_validation else _take(dataset, "train", np.flatnonzero(in_val))
    test = _take(dataset, "test")
    noise = bool(altered and altered.label_noise)
    parts = [train, val, test]
    if noise and train.targets is None:
        parts = [replace(part, targets=part.labels, true_labels=part.labels) for part in parts]
    elif not dataset.relabelled and all(_are_classes(part.targets, dataset.classes) for part in parts):
        found = [None if part.targets is None else np.asarray(part.targets, np.int64) for part in parts]
        parts = [replace(part, true_labels=true) for part, true in zip(parts, found, strict=True)]
    elif noise:  # targets are of something else: the true labels are those that noise is put on
        parts = [replace(part, true_labels=part.labels) for part in parts]
    train, val, test = parts
    if altered and noise:
        train = replace(train, labels=altered.noisy(train.labels, dataset.classes))
    return Splits(train, val, test, dataset.class_names)


def _are_classes(targets: np.ndarray | None, classes: int) -> bool:
    """Whether targets, where there are any, may be class numbers: whole numbers [N] from 0 to below `classes`."""
    if targets is None:
        return True
    whole = targets.ndim == 1 and targets.dtype.kind in "iu"
    return whole and targets.min(initial=0) >= 0 and bool(targets.max(initial=0) < classes)


def _take(dataset: Dataset, source: str, rows: np.ndarray | None = None) -> Split:
    """Some rows of one of the data's splits, or all of them."""
    rows = np.arange(len(getattr(dataset, f"{source}_labels"))) if rows is None else rows
    targets = getattr(dataset, f"{source}_targets")
    index = getattr(dataset, f"{source}_index")
    return Split(
        getattr(dataset, f"{source}_images")[rows],
        getattr(dataset, f"{source}_labels")[rows],
        (rows if index is None else index[rows]).astype(np.int64),
        None if targets is None else targets[rows],
        source,
    )

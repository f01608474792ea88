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
    """Examples of one split; `index` i64 [N] is their position in the original file."""

    images: np.ndarray
    labels: np.ndarray
    index: np.ndarray
    targets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Splits:
    """The three splits of a dataset; `val` may be empty."""

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]

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

    Each class gives round(val_fraction · n) examples, never its last one. Where labels are made wrong and the data have
    no targets, every split's targets are its true labels. Raises UsageError for a fraction outside [0, 1).
    """
    if not 0 <= val_fraction < 1:
        raise UsageError(f"--val-fraction is {val_fraction}, expected 0 to below 1", "for example --val-fraction 0.1")
    if split_seed < 0:
        raise UsageError(f"--split-seed is {split_seed}, expected 0 or more")
    rng = np.random.default_rng(split_seed)
    in_val = np.zeros(len(dataset.train_labels), dtype=bool)
    for label in range(dataset.classes):
        members = rng.permutation(np.flatnonzero(dataset.train_labels == label))
        in_val[members[: min(round(val_fraction * len(members)), max(len(members) - 1, 0))]] = True
    rows, altered = np.flatnonzero(~in_val), dataset.altered
    if altered:
        rows = rows[altered.kept(dataset.train_labels[rows], dataset.class_names)]
    train = _take(dataset, "train", rows)
    val = _take(dataset, "train", np.flatnonzero(in_val))
    test = _take(dataset, "test", np.arange(len(dataset.test_labels)))
    if altered and altered.label_noise:
        if train.targets is None:
            train, val, test = (replace(part, targets=part.labels) for part in (train, val, test))
        train = replace(train, labels=altered.noisy(train.labels, dataset.classes))
    return Splits(train, val, test, dataset.class_names)


def _take(dataset: Dataset, source: str, rows: np.ndarray) -> Split:
    targets = getattr(dataset, f"{source}_targets")
    index = getattr(dataset, f"{source}_index")
    return Split(
        getattr(dataset, f"{source}_images")[rows],
        getattr(dataset, f"{source}_labels")[rows],
        (rows if index is None else index[rows]).astype(np.int64),
        None if targets is None else targets[rows],
    )

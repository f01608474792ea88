"""What a dataset is: images or vectors in memory with labels, checked once when it is made."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from fierce_tools.data._altered import Altered
from fierce_tools.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """Training and test examples: images u8 [N,H,W,c] or vectors f32 [N,D], labels i64 [N], optional targets.

    Data with a validation split of their own have it as `val_*`; without it, validation is cut from training. Raises
    DataError where shapes, types, labels or class names do not fit.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    train_targets: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    # Position of each example in its split's original file, where that is not simply its rank.
    train_index: np.ndarray | None = None
    test_index: np.ndarray | None = None
    # A validation split of the data's own: both of the first two, or none of these.
    val_images: np.ndarray | None = None
    val_labels: np.ndarray | None = None
    val_targets: np.ndarray | None = None
    val_index: np.ndarray | None = None
    # What is done to the training split alone, when validation is cut off.
    altered: Altered | None = None
    # How the files were understood, for a person to check.
    notes: tuple[str, ...] = ()
    # Fingerprint of the data as they were loaded, without validation of their own, where theirs is another.
    source_sha256: str = ""
    # What an earlier version read otherwise, in words; no part of the fingerprint, which it explains.
    read_otherwise: str = ""
    # Whether labels have been made anew, so that targets which are class numbers are so of other classes.
    relabelled: bool = False

    def __post_init__(self) -> None:
        self._check_classes()
        if not self.own_validation and any(getattr(self, f"val_{kind}") is not None for kind in KINDS):
            raise DataError(f"{self.name}: its validation split is not whole", "it needs val_images and val_labels")
        for split in self.splits:
            images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            self._check_images(split, images)
            self._check_labels(split, images, labels)
            self._check_targets(split, images)
            self._check_index(split, images)
            if images.shape[1:] != self.shape:
                raise DataError(
                    f"{self.name}: training examples have shape {self.shape}, {NOUNS[split]} examples "
                    f"{images.shape[1:]}",
                    "every split needs the same shape",
                )

    def _check_classes(self) -> None:
        if len(self.class_names) < 2:
            raise DataError(f"{self.name} has {len(self.class_names)} class", "a classifier needs at least 2")
        empty = [number for number, name in enumerate(self.class_names) if not name.strip()]
        if empty:
            raise DataError(f"{self.name}: the name of class {empty[0]} is empty", "give each class a name of its own")
        name, times = Counter(self.class_names).most_common(1)[0]
        if times > 1:
            raise DataError(
                f"{self.name}: {times} classes are named {name!r}, classes "
                f"{' and '.join(str(c) for c, other in enumerate(self.class_names) if other == name)}",
                "give each class a name of its own",
            )

    def _check_images(self, split: str, images: np.ndarray) -> None:
        where = f"{self.name}: {split}_images"
        if images.ndim == 4 and images.dtype == np.uint8 and images.shape[3] in (1, 3):
            pass
        elif images.ndim == 2 and images.dtype == np.float32:
            bad = np.flatnonzero(~np.isfinite(images).all(axis=1))
            if len(bad):
                raise DataError(f"{where} holds NaN or infinite values in {len(bad)} rows, first in row {bad[0]}")
        else:
            raise DataError(
                f"{where} is {images.dtype} {list(images.shape)}", "expected uint8 [N,H,W,1 or 3] or float [N,D]"
            )
        if len(images) == 0 or 0 in images.shape:
            raise DataError(f"{where} is empty: shape {list(images.shape)}")

    def _check_labels(self, split: str, images: np.ndarray, labels: np.ndarray) -> None:
        where = f"{self.name}: {split}_labels"
        if labels.shape != (len(images),):
            raise DataError(f"{where} has shape {list(labels.shape)}, expected [{len(images)}], one for each image")
        classes = len(self.class_names)
        bad = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(bad):
            raise DataError(
                f"{where}[{bad[0]}] is {labels[bad[0]]}, expected 0 to {classes - 1} "
                f"({len(bad)} of {len(labels)} labels are out of range)"
            )

    def _check_targets(self, split: str, images: np.ndarray) -> None:
        targets, where = getattr(self, f"{split}_targets"), f"{self.name}: {split}_targets"
        if targets is None:
            return
        if targets.ndim not in (1, 2) or targets.dtype.kind not in "fiub" or 0 in targets.shape:
            raise DataError(f"{where} is {targets.dtype} {list(targets.shape)}", "expected numbers [N] or [N,P]")
        if len(targets) != len(images):
            raise DataError(f"{where} has {len(targets)} rows, {split}_images {len(images)}")
        if not np.isfinite(np.asarray(targets, dtype=np.float64)).all():
            raise DataError(f"{where} holds NaN or infinite values")

    def _check_index(self, split: str, images: np.ndarray) -> None:
        index, where = getattr(self, f"{split}_index"), f"{self.name}: {split}_index"
        if index is None:
            return
        if index.shape != (len(images),) or index.dtype.kind not in "iu":
            raise DataError(f"{where} is {index.dtype} {list(index.shape)}", f"expected whole numbers [{len(images)}]")
        if len(np.unique(index)) < len(index):
            raise DataError(
                f"{where} names {len(index) - len(np.unique(index))} examples twice", "expected each position once"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example: (H, W, c) or (D,)."""
        return self.train_images.shape[1:]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def own_validation(self) -> bool:
        """Whether the data have a validation split of their own."""
        return self.val_images is not None and self.val_labels is not None

    def without_validation(self, *notes: str) -> Dataset:
        """The same without the validation split of their own, so that one is cut from training."""
        gone = dict.fromkeys(f"val_{kind}" for kind in KINDS)
        return replace(self, notes=(*self.notes, *notes), **gone)  # type: ignore[arg-type]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits the data have of their own: train and test, and val between them where there is one."""
        return ("train", "val", "test") if self.own_validation else ("train", "test")

    @property
    def source(self) -> str:
        """The fingerprint of training and test as they were loaded, before classes, coarse labels or noise."""
        return self.source_sha256 or self.fingerprint()

    def fingerprint(self) -> str:
        """SHA-256 over every array, the class names and what alters the training split (hexadecimal)."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for split in ("train", "test", "val"):
            for kind in KINDS:
                array = getattr(self, f"{split}_{kind}")
                if array is not None:
                    digest.update(f"{split}_{kind} {array.dtype.str} {array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        if self.altered:
            digest.update(f"altered {self.altered.identity()}".encode())
        return digest.hexdigest()


# The arrays of a split.
KINDS = ("images", "labels", "targets", "index")
NOUNS = {"train": "training", "val": "validation", "test": "test"}

"""What a dataset is: images or vectors in memory with labels, checked once when it is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from fierce_tools.data._altered import Altered
from fierce_tools.errors import DataError


@dataclass(frozen=True)
class Dataset:
    """Training and test examples: images u8 [N,H,W,c] or vectors f32 [N,D], labels i64 [N], optional targets.

    Raises DataError where shapes, types or labels do not fit.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    train_targets: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    # Position of each example in its original file, where that is not simply its rank.
    train_index: np.ndarray | None = None
    test_index: np.ndarray | None = None
    # What is done to the training split alone, when validation is cut off.
    altered: Altered | None = None
    # How the files were understood, for a person to check.
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            targets = getattr(self, f"{split}_targets")
            self._check_images(split, images)
            self._check_labels(split, images, labels)
            if targets is not None and (targets.ndim == 0 or targets.dtype.kind not in "fiub"):
                raise DataError(
                    f"{self.name}: {split}_targets is {targets.dtype} {list(targets.shape)}",
                    "expected numbers [N] or [N,P]",
                )
            if targets is not None and len(targets) != len(images):
                raise DataError(f"{self.name}: {split}_targets has {len(targets)} rows, {split}_images {len(images)}")
            if targets is not None and not np.isfinite(np.asarray(targets, dtype=np.float64)).all():
                raise DataError(f"{self.name}: {split}_targets holds NaN or infinite values")
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"{self.name}: training examples have shape {self.train_images.shape[1:]}, "
                f"test examples {self.test_images.shape[1:]}",
                "both splits need the same shape",
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
        if classes < 2:
            raise DataError(f"{self.name} has {classes} class", "a classifier needs at least 2")
        bad = np.flatnonzero((labels < 0) | (labels >= classes))
        if len(bad):
            raise DataError(
                f"{where}[{bad[0]}] is {labels[bad[0]]}, expected 0 to {classes - 1} "
                f"({len(bad)} of {len(labels)} labels are out of range)"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example: (H, W, c) or (D,)."""
        return self.train_images.shape[1:]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    def fingerprint(self) -> str:
        """SHA-256 over every array, the class names and what alters the training split (hexadecimal)."""
        digest = hashlib.sha256(repr(self.class_names).encode())
        for split in ("train", "test"):
            for kind in ("images", "labels", "targets", "index"):
                array = getattr(self, f"{split}_{kind}")
                if array is not None:
                    digest.update(f"{split}_{kind} {array.dtype.str} {array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        if self.altered:
            digest.update(f"altered {self.altered.identity()}".encode())
        return digest.hexdigest()

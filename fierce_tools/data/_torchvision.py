"""MNIST-like sets in torchvision's own layout on disk, read through torchvision."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import numpy as np

from fierce_tools.data._dataset import Dataset
from fierce_tools.errors import DataError


def root_folder(data_root: str | None) -> Path:
    """Where downloaded sets lie: `--data-root`, else the environment's FIERCE_DATA, else ./data."""
    return Path(os.path.expanduser(data_root or os.environ.get("FIERCE_DATA") or "data"))


def mnist_like(name: str, kind: str, class_names: tuple[str, ...], data_root: str | None, download: bool) -> Dataset:
    """A Dataset of 28×28 grey images from torchvision's class `kind`.

    Raises DataError where the files are missing (saying where it looked), incomplete or damaged.
    """
    from torchvision import datasets

    root = root_folder(data_root)
    folder = root / kind / "raw"
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        try:
            # torchvision talks on stdout, which is for results.
            with contextlib.redirect_stdout(sys.stderr):
                source = getattr(datasets, kind)(root=str(root), train=split == "train", download=download)
            images, labels = source.data.numpy(), source.targets.numpy()
        except RuntimeError as error:
            if "not found" not in str(error).lower():
                raise DataError(
                    f"{name}: {folder} is damaged or could not be fetched: {error}", "fetch it again"
                ) from None
            raise DataError(
                f"{name} is not in {folder.resolve()}",
                f"point --data-root or FIERCE_DATA at the folder that holds {kind}/raw, or fetch it with --download",
            ) from None
        except (OSError, ValueError, AssertionError, EOFError, KeyError, IndexError) as error:
            raise DataError(
                f"{name}: the {split} files in {folder} are damaged or could not be fetched: {error}",
                "remove them and fetch them again with --download",
            ) from None
        if images.ndim != 3 or images.shape[1:] != (28, 28):
            raise DataError(f"{name}: {split} images in {folder} have shape {list(images.shape)}, expected [N, 28, 28]")
        arrays[f"{split}_images"] = images[..., None]
        arrays[f"{split}_labels"] = labels.astype(np.int64)
    return Dataset(name=name, class_names=class_names, **arrays)

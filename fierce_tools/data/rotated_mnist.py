"""MNIST's digits, each turned by an angle of its own."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._labels import binned
from fierce_tools.data.mnist import mnist
from fierce_tools.errors import UsageError

DEFAULT_MODEL = "mnist-student"


def rotated_mnist(
    *,
    digits: Annotated[tuple[int, ...], "the digits that are turned; none: all"] = (),
    angles: Annotated[tuple[float, ...], "least and greatest angle in degrees, counterclockwise"] = (-60, 60),
    angle_seed: Annotated[int, "seed of the angles"] = 0,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
    download: Annotated[bool, "fetch the files where they are missing"] = False,
) -> Dataset:
    """MNIST, each image turned by a uniform random angle: targets are the angles in degrees, labels their bins.

    Two classes, below and above the median angle of training; `--bins` cuts more. The angle of an image is a function
    of the seed and its position in MNIST's file, whichever digits are chosen; bilinear, the corners black. Raises
    UsageError for digits or angles out of range, DataError where MNIST's files are missing or damaged.
    """
    if len(angles) != 2 or not -180 <= angles[0] < angles[1] <= 180:
        raise UsageError(
            f"--angles is {','.join(f'{a:g}' for a in angles)}, expected two of -180 to 180, the least first",
            "for example --angles -60,60",
        )
    wrong = [d for d in digits if not 0 <= d <= 9]
    if wrong or len(set(digits)) < len(digits):
        raise UsageError(f"--digits holds {wrong[0] if wrong else 'one twice'}, expected 0 to 9, each once")
    if angle_seed < 0:
        raise UsageError(f"--angle-seed is {angle_seed}, expected 0 or more")
    upright = mnist(data_root=data_root, download=download)
    turned = {}
    for number, split in enumerate(("train", "test")):
        images, labels = getattr(upright, f"{split}_images"), getattr(upright, f"{split}_labels")
        degrees = np.random.default_rng((angle_seed, number)).uniform(*angles, len(images))
        rows = np.flatnonzero(np.isin(labels, digits)) if digits else np.arange(len(labels))
        turned[split] = (_turned(images[rows], degrees[rows]), degrees[rows], rows)
    try:
        train_labels, test_labels, names = binned(turned["train"][1], turned["test"][1], 2)
    except ValueError as error:
        raise UsageError(f"rotated-mnist: {error}", "choose other --digits") from None
    return Dataset(
        name="rotated-mnist",
        train_images=turned["train"][0],
        train_labels=train_labels,
        test_images=turned["test"][0],
        test_labels=test_labels,
        class_names=names,
        train_targets=turned["train"][1],
        test_targets=turned["test"][1],
        train_index=turned["train"][2],
        test_index=turned["test"][2],
    )


def _turned(images: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Each u8 image of [N, H, W, 1] turned counterclockwise about its centre."""
    from PIL import Image

    made = np.empty_like(images)
    for row, angle in enumerate(degrees):
        made[row, ..., 0] = Image.fromarray(images[row, ..., 0]).rotate(angle, resample=Image.Resampling.BILINEAR)
    return made

"""Handwritten digits, 8×8, embedded in scikit-learn: real data without a download."""

from __future__ import annotations

import numpy as np

from fierce_tools.data._dataset import Dataset

DEFAULT_MODEL = "cnn"
COARSE = {"odd-even": {"even": ("0", "2", "4", "6", "8"), "odd": ("1", "3", "5", "7", "9")}}


def digits() -> Dataset:
    """1,797 handwritten digits, 8×8 grey, 10 classes; no download.

    The set has no split of its own: 36 of each class (360 in all), drawn once with a fixed seed, are the test split;
    `index` is the position among the 1,797. Source: UCI optdigits through `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    # Grey levels 0..16 become 0..255, so that they are images like any other.
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    rng = np.random.default_rng(0)
    test = np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:36] for c in range(10)]))
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Dataset(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        class_names=tuple(str(c) for c in range(10)),
        train_index=train.astype(np.int64),
        test_index=test.astype(np.int64),
    )

"""Small made-up data with a known truth."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._labels import binned
from fierce_tools.errors import UsageError
from fierce_tools.menu import unknown

DEFAULT_MODEL = "mlp:64-64"
KINDS = ("age",)
INPUTS, OLDEST, NOISE = 10, 100.0, 0.2


def toys(
    kind: Annotated[str, "which toy: age"],
    *,
    points: Annotated[int, "training points; half as many are drawn to test on"] = 2000,
    toy_seed: Annotated[int, "seed of the points"] = 0,
) -> Dataset:
    """`toys:age`: points that grow older along a line in ten dimensions, and two classes, the younger and the older.

    age ~ U[0, 100], x = z(age)·w + 0.2·ε in ten dimensions, with z(age) of mean 0 and deviation 1, w a direction drawn
    once and ε ~ N(0, 1). Labels: above the median age of training or not (`--bins` for more classes); targets: the age.
    So a one-dimensional feature (--bottleneck 1) can order the ages, though only the median is ever asked of it.
    Raises UsageError for fewer than 4 points. Source: after the age experiment of Baena, Drumetz, Gripon 2023.
    """
    if kind not in KINDS:
        raise unknown("toy", kind, KINDS)
    if points < 4:
        raise UsageError(f"--points is {points}, expected 4 or more", "for example --points 2000")
    if toy_seed < 0:
        raise UsageError(f"--toy-seed is {toy_seed}, expected 0 or more")
    direction = np.random.default_rng((toy_seed, 0)).normal(size=INPUTS)
    direction /= np.sqrt((direction**2).sum())
    train, train_ages = _points(direction, points, (toy_seed, 1))
    test, test_ages = _points(direction, points // 2, (toy_seed, 2))
    train_labels, test_labels, names = binned(train_ages, test_ages, 2)
    return Dataset(
        name=f"toys:{kind}",
        train_images=train,
        train_labels=train_labels,
        test_images=test,
        test_labels=test_labels,
        class_names=names,
        train_targets=train_ages,
        test_targets=test_ages,
    )


def _points(direction: np.ndarray, count: int, seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs f32 [count, 10] and their ages [count]."""
    rng = np.random.default_rng(seed)
    ages = rng.uniform(0, OLDEST, count)
    standard = (ages / OLDEST - 0.5) * np.sqrt(12)
    noise = NOISE * rng.normal(size=(count, INPUTS))
    return (standard[:, None] * direction + noise).astype(np.float32), ages

"""Labels of an array file, as class numbers i64 [N] from 0; whatever would make a class of no example is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fierce_tools.errors import DataError

# Other labels that mean "no class", by the libraries that write them.
IGNORED = (-1, -100, 255)
SHOWN = 10
# More classes than anybody would name.
MOST_NAMED = 10_000


def read_labels(
    path: Path, held: Mapping[str, np.ndarray], names: tuple[str, ...] | None
) -> tuple[dict[str, np.ndarray], int, tuple[str, ...]]:
    """Class numbers i64 [N] of the arrays {split}_labels by name, how many classes, and how they were understood.

    Whole numbers [N] or [N, 1], or one-hot rows [N, C]. Raises DataError for anything else, numbers out of range of the
    `names`, and without names for a class that no training example has, each with its likely reason and the line of
    numpy that mends it.
    """
    made, notes, widths = {}, [], {}
    _check_words(path, held)
    rows = held["train_labels"]
    wide = rows.ndim == 2 and len(rows) > 1 and rows.shape[1] > 1
    for key, array in held.items():
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
            notes.append(f"{path.name}: {key} [N, 1] are read as [N]")
        if array.ndim == 2 and (len(array) > 1 or (wide and len(array))):  # one row alone may be numbers [1, N]
            made[key] = _of_one_hot(path, key, array)
            widths[key] = array.shape[1]
            notes.append(f"{path.name}: {key} {list(array.shape)} are one-hot, and read as class numbers")
        else:
            made[key] = _whole(path, key, array)
    known = {**widths, **({"class_names": len(names)} if names is not None else {})}
    if len(set(known.values())) > 1:
        raise DataError(
            f"{path}: {', '.join(f'{key} has {n} classes' for key, n in known.items())}", "all need the same number"
        )
    greatest = max((int(labels.max()) for labels in made.values() if len(labels)), default=-1)
    classes = max([greatest + 1, *known.values()]) if names is None else len(names)
    _check(path, made, classes, names is not None, len(widths) == len(made))
    return made, classes, tuple(notes)


def _check_words(path: Path, held: Mapping[str, np.ndarray]) -> None:
    """Raises DataError for labels that are words, with the lines that number them alike in every split."""
    words = [key for key, array in held.items() if array.dtype.kind in "US" and array.ndim == 1]
    if not words:
        return
    first = held[words[0]]
    where = f"{path}: {words[0]} is {first.dtype} {list(first.shape)}, expected whole numbers"
    if "train_labels" in words:
        for key in words:
            strange = np.setdiff1d(held[key], held["train_labels"])
            if len(strange):
                raise DataError(f"{where}; {key} holds {str(strange[0])!r}, which training lacks", "leave those out")
    raise DataError(where, _renumbered("class_names", words[0], tuple(words[1:])))


def _whole(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    where = f"{path}: {key} is {array.dtype} {list(array.shape)}"
    if array.ndim != 1:
        line = f"{key} = {key}.ravel()" if array.ndim and array.size == max(array.shape) else ""
        raise DataError(f"{where}, expected whole numbers [N]", line)
    if array.dtype.kind in "iu":
        if array.dtype.kind == "u" and len(array) and array.max() > np.iinfo(np.int64).max:
            raise DataError(f"{path}: {key} holds {array.max()}, expected class numbers from 0")
        return array.astype(np.int64)
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and bool((array == np.round(array)).all())):
        raise DataError(f"{where}, expected whole numbers", f"{key} = {key}.astype('int64')")
    raise DataError(
        f"{where}, expected whole numbers", "labels are class numbers from 0; continuous values are targets"
    )


def _of_one_hot(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    where = f"{path}: {key} is {array.dtype} {list(array.shape)}"
    if array.dtype.kind not in "fiub" or 0 in array.shape:
        raise DataError(f"{where}, expected whole numbers [N]")
    sums = array.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(~np.isin(array, (0, 1)).all(axis=1) | (sums != 1))
    if not len(off):
        return array.argmax(axis=1).astype(np.int64)
    row = int(off[0])
    if bool((array >= 0).all()) and bool((np.abs(sums - 1) < 1e-3).all()):
        raise DataError(
            f"{where}, rows of probabilities, expected whole numbers [N]",
            f"{key} = {key}.argmax(axis=1), and keep the rows as {key.replace('labels', 'targets')}",
        )
    shown = ", ".join(f"{v:g}" for v in array[row, :4].tolist()) + (", …" if array.shape[1] > 4 else "")
    raise DataError(
        f"{where}, and row {row} is [{shown}]: expected whole numbers [N], or one-hot rows of one 1 and else 0",
        "an example has one class here",
    )


def _check(path: Path, made: Mapping[str, np.ndarray], classes: int, named: bool, one_hot: bool) -> None:
    """Raises DataError for labels out of range, and where classes have no names for those of no training example."""
    train = np.unique(made["train_labels"])
    others = {key: np.unique(labels) for key, labels in made.items() if key != "train_labels"}
    every = np.unique(np.concatenate([train, *others.values()]))
    if not len(train) or (named and every[0] >= 0 and every[-1] < classes):
        return
    if not named and every[0] >= 0 and len(train) == classes:
        return
    _check_marks(path, made, every)
    if named:
        key = next(k for k, labels in made.items() if labels.max(initial=-1) >= classes or labels.min(initial=0) < 0)
        bad = np.flatnonzero((made[key] < 0) | (made[key] >= classes))
        raise DataError(
            f"{path}: {key}[{bad[0]}] is {made[key][bad[0]]}, expected 0 to {classes - 1}, for {classes} class_names "
            f"({len(bad)} of {len(made[key])} labels are out of range)",
            _lessened(made) if every[0] == 1 and every[-1] == classes else "",
        )
    if every[0] < 0:
        raise DataError(
            f"{path}: a label is {every[0]}, expected class numbers from 0",
            _renumbered("classes", "train_labels", tuple(others)),
        )
    absent = classes - len(train)
    first = np.arange(min(classes, len(train) + SHOWN))  # which hold as many absent ones as are shown
    some = ", ".join(map(str, np.setdiff1d(first, train)[:SHOWN].tolist()))
    what = (
        f"{path}: labels go up to {every[-1]}, and {absent} of {classes} classes have no training example: {some}"
        f"{', …' if absent > SHOWN else ''}"
    )
    named_all = f", or, if they are classes all the same: class_names = np.arange({classes}).astype(str)"
    named_all = named_all if classes <= MOST_NAMED else ""
    if every[-1] < classes - 1:
        raise DataError(f"{what}; no one-hot row is of them", f"leave those columns out{named_all}")
    if every[0] == 1 and train[0] == 1 and len(train) == train[-1] == classes - 1:
        line = "; ".join(f"{key} = {key}[:, 1:]" for key in made) if one_hot else _lessened(made)
        raise DataError(f"{what}; they seem to count from 1", f"{line}{named_all}")
    if all(np.isin(labels, train).all() for labels in others.values()):
        numbers = ", ".join(map(str, train[:4])) + (", …" if len(train) > 4 else "")
        line = _renumbered("classes", "train_labels", tuple(others))
        raise DataError(f"{what}; labels are {numbers}", f"number them from 0: {line}{named_all}")
    key, strange = next((k, labels[~np.isin(labels, train)]) for k, labels in others.items()
                        if not np.isin(labels, train).all())  # fmt: skip
    raise DataError(f"{what}; {key} holds {strange[0]}", f"leave those examples out{named_all}")


def _check_marks(path: Path, made: Mapping[str, np.ndarray], every: np.ndarray) -> None:
    """Raises DataError where the labels would be whole without a number that usually means: ignore this example."""
    for mark in IGNORED:
        rest = every[every != mark]
        whole = len(rest) > 1 and 0 <= rest[0] <= 1 and rest[-1] - rest[0] + 1 == len(rest)
        if len(rest) == len(every) or not whole or (mark > 0 and rest[-1] == mark - 1):
            continue
        marked = {key: int((labels == mark).sum()) for key, labels in made.items() if (labels == mark).any()}
        rows = ", ".join(f"{key} is {mark} in {n} of {len(made[key])} rows" for key, n in marked.items())
        raise DataError(
            f"{path}: {rows}, which usually marks examples to ignore",
            "drop them, of targets, too, where there are any: "
            + "; ".join(_dropped(key, mark) for key in marked)
            + (f"; or if -1 is a class: {'; '.join(f'{key} = {key} + 1' for key in made)}" if mark == -1 else ""),
        )


def _dropped(key: str, mark: int) -> str:
    images = key.replace("labels", "images")
    return f"keep = {key} != {mark}; {images}, {key} = {images}[keep], {key}[keep]"


def _lessened(made: Mapping[str, np.ndarray]) -> str:
    return "; ".join(f"{key} = {key} - 1" for key in made)


def _renumbered(classes: str, key: str, others: tuple[str, ...]) -> str:
    lines = [f"{classes}, {key} = np.unique({key}, return_inverse=True)"]
    return "; ".join([*lines, *(f"{other} = np.searchsorted({classes}, {other})" for other in others)])

"""Whether the arrays of outputs are of the kinds and shapes that their names stand for, and fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fierce_tools.errors import DataError

# Of other arrays than logits: the axes they have, and what these are.
SHAPES = {
    "index": ((1,), "[N]"), "features": ((2,), "[N, D]"), "head_weight": ((2,), "[C, D]"), "head_bias": ((1,), "[C]"),
    "targets": ((1, 2), "[N] or [N, P]"), "anchors": ((2, 3), "[M, K, D]"), "draws": ((3,), "[L, N, C]"),
    "images": ((3, 4), "[N, H, W, c]"),
}  # fmt: skip


def check_names(source: str, names: Sequence[str] | None, classes: int) -> None:
    """Raises DataError for class names that are not one for each class, empty, or there twice."""
    if names is None:
        return
    if len(names) != classes:
        raise DataError(f"{source}: {len(names)} class names for {classes} classes")
    empty = [number for number, name in enumerate(names) if not name.strip()]
    if empty:
        raise DataError(f"{source}: the name of class {empty[0]} is empty", "name every class")
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        numbers = ", ".join(str(n) for n, name in enumerate(names) if name == twice)
        raise DataError(f"{source}: classes {numbers} are all named {twice!r}", "give each class a name of its own")


def check_shape(source: str, name: str, array: np.ndarray, prefix: str = "") -> None:
    """Raises DataError for an array that is not numbers of the axes its name stands for."""
    if name not in SHAPES:
        return
    axes, expected = SHAPES[name]
    kinds = {"index": "iu", "targets": "fiub"}.get(name, "fiu")
    if array.dtype.kind not in kinds or array.ndim not in axes or (array.ndim > 1 and 0 in array.shape):
        column = array.ndim == 1 and array.dtype.kind in kinds and name == "features"
        words = "whole numbers" if kinds == "iu" else "numbers"
        raise DataError(
            f"{source}: {prefix}{name} is {array.dtype} {list(array.shape)}, expected {words} {expected}",
            f"one feature an example is {prefix}{name}[:, None]"
            if column
            else _whole(prefix + name, array)
            if name == "index"
            else "",
        )


def _whole(name: str, array: np.ndarray) -> str:
    """The line that makes an index whole numbers [N], where one does."""
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        return f"{name} = {name}.ravel().astype('int64')"
    return f"{name} = {name}.ravel()" if array.dtype.kind in "iu" and array.size == len(array) else ""


def check_finite(where: str, array: np.ndarray) -> None:
    """Raises DataError, saying where, for values that are NaN or infinite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        more = f", and {len(bad) - 1} more values are not finite" if len(bad) > 1 else ", expected finite numbers"
        raise DataError(f"{where}{bad[0].tolist()} is {array[tuple(bad[0])]}{more}")


def check_labels(source: str, labels: np.ndarray | None, classes: int | None) -> None:
    """Raises DataError for labels that are not whole numbers 0 to classes - 1 [N], or 0 or more."""
    if labels is None:
        return
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{source}: labels are {labels.dtype} {list(labels.shape)}, expected whole numbers [N]")
    bad = np.flatnonzero((labels < 0) | (labels >= (np.inf if classes is None else classes)))
    if len(bad):
        last = "or more" if classes is None else f"to {classes - 1}"
        more = f"; {len(bad)} of {len(labels)} labels are out of range" if len(bad) > 1 else ""
        low, high, odd = int(labels.min()), int(labels.max()), int(labels[bad[0]])
        hint = "labels = labels - 1" if classes is not None and low == 1 and high == classes else ""
        if odd in (255, -1, -100):
            hint = f"{odd} usually marks examples to ignore: keep = labels != {odd}, of every array"
        raise DataError(f"{source}: labels[{bad[0]}] is {odd}, expected 0 {last}{more}", hint)


def check_index(source: str, index: np.ndarray | None) -> None:
    """Raises DataError for an index that holds a number below 0, or one twice."""
    if index is None:
        return
    if index.min(initial=0) < 0:
        raise DataError(f"{source}: index[{int(index.argmin())}] is {index.min()}, expected positions from 0")
    kinds, counts = np.unique(index, return_counts=True)
    if len(kinds) < len(index):
        raise DataError(
            f"{source}: index names {kinds[counts > 1][0]} twice, and {len(index) - len(kinds)} rows in all again",
            "one position in the original file for each row",
        )


def check_head(source: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises DataError for a head, anchors or draws of other widths, classes or rows than logits and features."""
    rows, classes = arrays["logits"].shape
    width = arrays["features"].shape[1] if "features" in arrays else None
    expected = {"head_weight": (classes, width), "head_bias": (classes,), "anchors": (width,), "draws": (rows, classes)}
    for name, wanted in expected.items():
        if name not in arrays:
            continue
        found = arrays[name].shape[-len(wanted) :]  # anchors and draws have more axes in front
        if any(want is not None and got != want for got, want in zip(found, wanted, strict=True)):
            beside = f" and features {list(arrays['features'].shape)}" if "features" in arrays else ""
            raise DataError(
                f"{source}: {name} has shape {list(arrays[name].shape)}, which does not fit logits "
                f"{[rows, classes]}{beside}"
            )

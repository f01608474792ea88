"""Examples of an array file, as images u8 [N, H, W, 1 or 3] or vectors f32 [N, D]; other layouts are never guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fierce_tools.errors import DataError


def read_examples(path: Path, held: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays by name: uint8 [N, H, W, 1 or 3] and [N, H, W] as images, floats [N, D] as vectors of float32.

    Raises DataError for any other layout or type, with the line of numpy that mends it where there is one.
    """
    wrong = [key for key, array in held.items() if not _fits(array)]
    if not wrong:
        return {key: _read(array) for key, array in held.items()}
    first = held[wrong[0]]
    low, high = _range([held[key] for key in wrong if held[key].ndim > 2])
    lines = {key: _mended(key, held[key], low, high) for key in wrong}
    raise DataError(
        f"{path}: {wrong[0]} is {first.dtype} {list(first.shape)}{_words(first, low, high)}, "
        "expected uint8 [N,H,W,1 or 3] or float [N,D]",
        "; ".join(line for line in lines.values() if line)
        or _last(wrong, first)
        or "save images as bytes 0 to 255, as they were before they were normalised; vectors as floats [N,D]",
    )


def _last(keys: Sequence[str], array: np.ndarray) -> str:
    """The lines for bytes [H, W, c, N], as MATLAB keeps them."""
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[2] not in (1, 3) or array.shape[3] <= 4:
        return ""
    return "; ".join(f"{key} = {key}.transpose(3, 0, 1, 2)" for key in keys)


def _fits(array: np.ndarray) -> bool:
    if array.dtype == np.uint8:
        return array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3))
    return array.ndim == 2 and array.dtype.kind == "f"


def _read(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array[..., None] if array.ndim == 3 else array
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        return array.astype(np.float32)


def _range(images: list[np.ndarray]) -> tuple[float, float]:
    """The least and greatest value of these arrays together; NaN where they are not numbers or not finite."""
    ends = [(a.min(), a.max()) for a in images if a.size and a.dtype.kind in "fiub"]
    values = [float(v) for pair in ends for v in pair]
    return (min(values), max(values)) if values and all(map(math.isfinite, values)) else (math.nan, math.nan)


def _first_channels(array: np.ndarray) -> bool:
    """Whether [N, c, H, W] is what the shape says, and [N, H, W, c] is not."""
    return array.ndim == 4 and array.shape[1] in (1, 2, 3, 4) and array.shape[3] > 4


def _words(array: np.ndarray, low: float, high: float) -> str:
    said = ["NaN or infinite values"] if array.dtype.kind == "f" and not np.isfinite(array).all() else []
    if array.ndim > 2 and array.dtype != np.uint8 and not math.isnan(low):
        said.append(f"values of {low:.4g} to {high:.4g}")
    if _first_channels(array):
        said.append("channels before height and width")
    if array.ndim == 4 and array.shape[1 if _first_channels(array) else 3] in (2, 4):
        said.append("an alpha channel")
    return f" ({', '.join(said)})" if said else ""


def _mended(key: str, array: np.ndarray, low: float, high: float) -> str:
    """The assignment that makes images or vectors of an array; empty where none is known to be right."""
    if array.dtype.kind not in "fiub" or not array.ndim:
        return ""
    if array.ndim == 1:
        return f"{key} = {key}[:, None].astype('float32')"
    if array.ndim == 2:
        side = math.isqrt(array.shape[1])
        vectors = f"{key} = {key}.astype('float32')"
        if array.dtype != np.uint8 or side < 4 or side * side != array.shape[1]:
            return vectors
        return f"as images: {key} = {key}.reshape(-1, {side}, {side}), as vectors: {vectors}"
    first = _first_channels(array)
    channels = array.shape[1 if first else 3] if array.ndim == 4 else 1
    made = _as_bytes(key, array, low, high)
    if array.ndim > 4 or channels > 4 or not made:
        return ""
    made += ".transpose(0, 2, 3, 1)" if first else ""
    made += {2: "[..., :1]", 4: "[..., :3]"}.get(channels, "")
    return f"{key} = {made}"


def _as_bytes(key: str, array: np.ndarray, low: float, high: float) -> str:
    """The expression that makes bytes of an array whose values are all of `low` to `high`."""
    if array.dtype == np.uint8:
        return key
    if array.dtype.kind == "b":
        return f"(255 * {key}.astype('uint8'))"
    if array.dtype.kind == "f" and low >= 0 and high <= 1:
        return f"(255 * {key}).round().astype('uint8')"
    if low >= 0 and high <= 255:
        whole = array.dtype.kind != "f" or bool((array == np.round(array)).all())
        return f"{key}{'' if whole else '.round()'}.astype('uint8')"
    if array.dtype.kind == "f" and low >= -1 and high <= 1:
        return f"(127.5 * ({key} + 1)).round().astype('uint8')"
    if array.dtype.kind in "iu" and low >= 0:
        return f"({key} * (255 / {2 ** int(high).bit_length() - 1})).round().astype('uint8')"
    return ""

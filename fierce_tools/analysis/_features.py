"""Features by blocks: checks, moments and standardising that need no second array of their size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fierce_tools.analysis._soft import BLOCK, probabilities
from fierce_tools.errors import DataError, UsageError

# Below this share of its mean a deviation is rounding in float32: the feature is a constant, centred and not scaled.
CONSTANT = 1e-6


def row_blocks(features: np.ndarray) -> Iterator[slice]:
    """Row slices of features [N, D] small enough for a core's cache."""
    rows = max(1, BLOCK // max(1, features.shape[1]))
    for start in range(0, len(features), rows):
        yield slice(start, min(start + rows, len(features)))


def check_features(
    name: str, features: np.ndarray, *, like: tuple[str, np.ndarray] | None = None, rows: int | None = None
) -> None:
    """Raises DataError, saying where, for features not finite, not [N, D] or, where given, unlike others in width."""
    if features.ndim != 2 or 0 in features.shape:
        raise DataError(f"{name} has shape {list(features.shape)}, expected [N, D] with N and D of 1 or more")
    if features.dtype.kind not in "fiu":
        raise DataError(f"{name} is {features.dtype}, expected numbers")
    if like is not None and features.shape[1] != like[1].shape[1]:
        raise DataError(
            f"{name} has width {features.shape[1]}, {like[0]} {like[1].shape[1]}",
            "both must come from the same layer of the same model",
        )
    if rows is not None and len(features) != rows:
        raise DataError(f"{name} has {len(features)} rows, expected {rows}, one for each example")
    for part in row_blocks(features):
        finite = np.isfinite(features[part])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise DataError(
                f"{name}[{part.start + row}, {column}] is {features[part][row, column]}, expected finite numbers",
                "a model that diverged cannot be analysed",
            )


def check_labels(name: str, labels: np.ndarray, rows: int, classes: int | None = None) -> None:
    """Raises DataError for labels that are not whole numbers 0 to classes - 1 [rows]."""
    if labels.shape != (rows,) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{name} is {labels.dtype} {list(labels.shape)}, expected whole numbers [{rows}]")
    bad = np.flatnonzero((labels < 0) | (labels >= classes)) if classes is not None else np.flatnonzero(labels < 0)
    if len(bad):
        most = "" if classes is None else f" to {classes - 1}"
        raise DataError(f"{name}[{bad[0]}] is {labels[bad[0]]}, expected 0{most or ' or more'}")


def check_values(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    """Finite numbers [rows] as float64 from [rows] or [rows, 1]. Raises DataError, saying where."""
    if values.shape not in ((rows,), (rows, 1)) or values.dtype.kind not in "fiu":
        raise DataError(
            f"{name} is {values.dtype} {list(values.shape)}, expected numbers [{rows}]",
            "one number an example; for abundances ask abundance-regression",
        )
    flat = values.reshape(rows).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(flat))
    if len(bad):
        raise DataError(f"{name}[{bad[0]}] is {flat[bad[0]]}, expected finite numbers")
    return flat


def floating(features: np.ndarray) -> np.ndarray:
    """The same in float32 where they are of half precision or whole numbers; float32 and float64 as they are."""
    return features if features.dtype in (np.float32, np.float64) else features.astype(np.float32)


def variation(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation [D] of features [N, D] in float64."""
    mean, squares = np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for part in row_blocks(features):
        mean += features[part].sum(axis=0, dtype=np.float64)
    mean /= len(features)
    for part in row_blocks(features):
        squares += np.square(features[part] - mean).sum(axis=0)
    return mean, np.sqrt(squares / len(features))


def constant(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Which features [D] are constant up to rounding, by their mean and deviation [D]."""
    return ~(deviation > CONSTANT * np.abs(mean))


def rounding(dtype: np.dtype) -> float:
    """The share of a number that numbers of a type differ by where they differ by rounding alone, a unit or two."""
    return 2 * float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0


def all_the_same(features: np.ndarray) -> bool:
    """Whether all rows of features [N, D], two or more, are the same up to rounding: a point, or all zero."""
    share = rounding(features.dtype)
    mean, deviation = variation(features[:64])
    if len(features) < 2 or (deviation > 2 * share * np.abs(mean)).any():  # nearly always: seen without a pass over all
        return False
    mean, deviation = variation(features)
    return bool((deviation <= share * np.abs(mean)).all())


def same_soft_labels(logits: np.ndarray, temperature: float) -> bool:
    """Whether softmax(z/T) is the same up to rounding for all rows of logits [N, C], two or more."""
    low = high = probabilities(logits[:1], temperature)[0]
    for part in (slice(64), *row_blocks(logits)):
        p = probabilities(logits[part], temperature)
        low, high = np.minimum(low, p.min(axis=0)), np.maximum(high, p.max(axis=0))
        if (high - low).max() > CONSTANT:
            return False
    return len(logits) > 1


def same_note(rows: int, so: str, what: str = "feature vectors") -> str:
    """A report's note on rows that are all the same, and what follows."""
    return f"All {rows} {what} are the same up to rounding: {so}."


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation [D] of features [N, D] in float64; the deviation of a constant feature is given as 1."""
    mean, deviation = variation(features)
    return mean, np.where(constant(mean, deviation), 1, deviation)


def standardize(features: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """(features - mean) / deviation [N, D], f32 (f64 stays), subtracted in float64."""
    out = np.empty(features.shape, dtype=np.float64 if features.dtype == np.float64 else np.float32)
    for part in row_blocks(features):
        out[part] = (features[part] - mean) / deviation
    return out


def check_seed(seed: int, name: str = "seed") -> None:
    """Raises UsageError for a seed below 0."""
    if seed < 0:
        raise UsageError(f"--{name} is {seed}, expected 0 or more", f"for example --{name} 0")

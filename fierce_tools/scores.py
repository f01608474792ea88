"""What an array says of each example and class: logits, probabilities or counts. Which of them is never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fierce_tools import arrayfile
from fierce_tools.errors import DataError, UsageError

# Larger logits overflow when they are subtracted or divided by a temperature.
LARGEST = 1e30
# Rows that sum to 1 this closely look like probabilities; those said to be may be further off.
LIKELY, ALLOWED = 1e-3, 1e-2
ROWS = 8192


def read(
    file: str | Path,
    arrays: Mapping[str, np.ndarray],
    *,
    logits: str | None = None,
    probabilities: str | None = None,
    counts: str | None = None,
    flags: str = "--",
    prefix: str = "",
    trusted: bool = False,
) -> np.ndarray:
    """Logits f32 [N, C] from the array of logits, probabilities or counts that is named; else from `logits`.

    Of probabilities and counts, logits are the logarithms of the shares, -inf where a share is 0. `prefix`, such as
    val_, stands before the name. Unless `trusted`, an array that is not named is refused where
    its rows are those of probabilities or its values whole numbers. `flags` begin the options that messages name.
    Raises UsageError where two are named, DataError for an array that is absent or is not what it is said to be.
    """
    given = {"logits": logits, "probabilities": probabilities, "counts": counts}
    named = {kind: key for kind, key in given.items() if key is not None}
    if len(named) > 1:
        both = " and ".join(f"{flags}{kind}" for kind in named)
        raise UsageError(f"{both} name the same thing twice", "keep one of them")
    kind, key = next(iter(named.items()), ("logits", "logits"))
    name = "" if "" in arrays else prefix + key
    if name not in arrays:
        options = f"{flags}logits, {flags}probabilities or {flags}counts KEY"
        raise DataError(f"{file} has no array {name!r}; it holds {held(arrays)}", f"name one with {options}")
    table, where = arrays[name], f"{file}: {name or kind}"
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2 or table.dtype.kind not in "fiu":
        raise DataError(f"{where} is {table.dtype} {list(table.shape)}, expected numbers [N, C] with C of 2 or more")
    if not named and not trusted:
        _refuse_unsaid(where, table, flags, prefix, name or "KEY")
    return {"logits": _logits, "probabilities": _of_probabilities, "counts": _of_counts}[kind](where, table, flags)


def held(arrays: Mapping[str, np.ndarray]) -> str:
    """What a file holds, for a message."""
    return ", ".join(
        f"{n} {list(a.shape)}" if n else f"one array {list(a.shape)}" for n, a in sorted(arrays.items())
    ) or ("nothing")


def labels(
    file: str | Path,
    arrays: Mapping[str, np.ndarray],
    key: str | None,
    rows: int,
    classes: int,
    *,
    name: str = "labels",
) -> tuple[np.ndarray | None, str | None]:
    """Labels [N] of the array `key`, or of a file KEY.npy, else of `name`; and a note on how they were read.

    [N, 1] and one-hot [N, C] are read as [N]. None where nobody names them and there are none. Raises DataError for
    labels that are absent, of another number of rows, not whole numbers, or soft.
    """
    if key is not None and key not in arrays and key.endswith(".npy"):
        found = arrayfile.load_numpy(Path(key)).get("")
        file = key
    elif key is not None and key not in arrays:
        raise DataError(f"{file} has no array {key!r}; it holds {held(arrays)}", "name one with --labels KEY|FILE.npy")
    else:
        found = arrays.get(name if key is None else key)
    if found is None:
        return None, None
    where = f"{file}: {key if key is not None and key in arrays else name}"
    if found.ndim == 0 or len(found) != rows:
        raise DataError(f"{where} has shape {list(found.shape)}, expected one label for each of {rows} rows")
    return plain_labels(where, found, classes)


def plain_labels(where: str, found: np.ndarray, classes: int | None) -> tuple[np.ndarray, str | None]:
    """Labels i64 [N] from [N], [N, 1] or one-hot [N, C], and a note where they were not [N].

    `where` begins messages and ends with the array's name. Raises DataError, with the line that mends it, for others.
    """
    name = where.rpartition(" ")[2]
    if found.ndim == 1 and found.dtype.kind in "iu":
        return found.astype(np.int64), None
    if found.ndim == 2 and found.shape[1] == 1 and found.dtype.kind in "iu":
        return found[:, 0].astype(np.int64), f"{where} is [N, 1], read as [N]."
    if found.ndim == 2 and found.shape[1] > 1 and found.dtype.kind in "fiub" and classes in (None, found.shape[1]):
        table = found.astype(np.float64)
        if np.isin(table, (0, 1)).all() and (table.sum(axis=1) == 1).all():
            return table.argmax(axis=1), f"{where} is one-hot, read as class numbers."
        raise DataError(
            f"{where} is {found.dtype} {list(found.shape)} and not one-hot, expected class numbers [N]",
            f"soft labels go into an array `targets`; the likeliest classes are {name}.argmax(1)",
        )
    hint = "expected whole numbers [N]"
    if found.ndim == 1 and found.dtype.kind == "f" and np.isfinite(found).all() and (found == np.rint(found)).all():
        raise DataError(f"{where} is {found.dtype} {list(found.shape)}, {hint}", f"{name} = {name}.astype('int64')")
    raise DataError(f"{where} is {found.dtype} {list(found.shape)}, {hint}")


def _blocks(table: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(table), ROWS):
        yield start, table[start : start + ROWS]


def _refuse_unsaid(where: str, table: np.ndarray, flags: str, prefix: str, key: str) -> None:
    """Raises DataError where logits that nobody called so may as well be probabilities or counts."""
    # Arrays of other splits go by the name of the evaluated one.
    start = f"where they are: {key} = np.log({key}); else " if prefix else ""
    key = key.removeprefix(prefix)
    if all(_whole(block) for _, block in _blocks(table)):
        raise DataError(
            f"{where} holds whole numbers: they may be counts, or logits",
            f"{start}say {flags}counts {key} or {flags}logits {key}",
        )
    if all((block >= 0).all() and (np.abs(_sums(block) - 1) < LIKELY).all() for _, block in _blocks(table)):
        raise DataError(
            f"{where} has rows of 0 or more that sum to 1: they may be probabilities, or logits",
            f"{start}say {flags}probabilities {key} or {flags}logits {key}",
        )


def _whole(block: np.ndarray) -> bool:
    return block.dtype.kind in "iu" or bool(np.isfinite(block).all() and (block == np.rint(block)).all())


def _sums(block: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(block.sum(axis=1, dtype=np.float64))


def check_logits(where: str, table: np.ndarray, hint: str = "") -> None:
    """Raises DataError for logits [N, C] that are NaN, +inf or above LARGEST in size, or rows of nothing but -inf.

    A logit of -inf is a probability of 0.
    """
    for start, block in _blocks(table):
        if block.dtype.kind == "f" and block.dtype.itemsize < 4:  # which knows no number as large as LARGEST
            block = block.astype(np.float32)
        with np.errstate(invalid="ignore"):
            bad = ~((np.abs(block) <= LARGEST) | (block == -np.inf))
            silent = (block == -np.inf).all(axis=1)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise DataError(
                f"{where}[{start + row}, {column}] is {block[row, column]:g}, expected finite numbers up to "
                f"{LARGEST:g} in size, or -inf for a probability of 0",
                hint or "a model that diverged cannot be analysed",
            )
        if silent.any():
            raise DataError(f"{where}[{start + int(silent.argmax())}] is -inf for every class", hint)


def _logits(where: str, table: np.ndarray, flags: str) -> np.ndarray:
    check_logits(where, table, f"probabilities are named with {flags}probabilities" if flags != "--" else "")
    return table.astype(np.float32, copy=False)


def _of_probabilities(where: str, table: np.ndarray, flags: str) -> np.ndarray:
    made = np.empty(table.shape, np.float32)
    for start, block in _blocks(table):
        sums = _sums(block)
        off = ~(np.abs(sums - 1) < ALLOWED) | (block < 0).any(axis=1)
        if off.any():
            row = int(off.argmax())
            raise DataError(
                f"{where}: row {start + row} sums to {sums[row]:.4g} with a smallest of {block[row].min():.4g}, "
                "expected probabilities: 1, and 0 or more",
                f"logits are named with {flags}logits, counts with {flags}counts",
            )
        with np.errstate(divide="ignore"):
            made[start : start + len(block)] = np.log(block, dtype=np.float64)
    return made


def _of_counts(where: str, table: np.ndarray, flags: str) -> np.ndarray:
    made = np.empty(table.shape, np.float32)
    for start, block in _blocks(table):
        sums = _sums(block)
        bad = (block < 0).any(axis=1) | ~np.isfinite(sums) | (sums <= 0) if _whole(block) else np.ones(len(block), bool)
        if bad.any():
            row = int(bad.argmax())
            what = (
                f"row {start + row} counts nothing" if sums[row] == 0 else f"row {start + row} is {_some(block[row])}"
            )
            raise DataError(
                f"{where}: {what}, expected whole numbers of 0 or more, with at least one in each row",
                f"probabilities are named with {flags}probabilities",
            )
        with np.errstate(divide="ignore"):
            made[start : start + len(block)] = np.log(block, dtype=np.float64) - np.log(sums)[:, None]
    return made


def _some(row: np.ndarray) -> str:
    return "[" + ", ".join(f"{v:g}" for v in row[:5]) + (", …]" if len(row) > 5 else "]")

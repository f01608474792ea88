"""Soft labels by blocks: every pass over logits that need not hold a second array of their size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fierce_tools.errors import DataError, UsageError

# Numbers in a block: small enough for a core's cache, large enough that Python costs nothing.
BLOCK = 1 << 18
# What stands for a logit of -inf: e to its power is 0 at every temperature, and 0 times it is 0, not NaN.
GONE = -1e32


def check_logits(logits: np.ndarray, labels: np.ndarray | None = None, prefix: str = "") -> None:
    """Raises DataError, saying where, for logits NaN, +inf or not [N, C], C ≥ 2, or labels not 0..C-1 [N].

    A logit of -inf is a probability of 0; a row of nothing else is refused. `prefix` names another split's arrays in
    the message, such as "val_".
    """
    if logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise DataError(
            f"{prefix}logits have shape {list(logits.shape)}, expected [N, C] with N of 1 and C of 2 or more"
        )
    if logits.dtype.kind not in "fiu":
        raise DataError(f"{prefix}logits are {logits.dtype}, expected numbers")
    for start in range(0, len(logits), 4096):
        block = logits[start : start + 4096]
        with np.errstate(all="ignore"):
            # A sum is finite only if all it adds is, and takes one pass without a second array.
            if np.isfinite(block.sum()):
                continue
        wrong = ~np.isfinite(block) & (block != -np.inf)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{prefix}logits[{start + row}, {column}] is {block[row, column]}, expected finite numbers",
                "a model that diverged cannot be analysed",
            )
        silent = (block == -np.inf).all(axis=1)
        if silent.any():
            raise DataError(f"{prefix}logits[{start + int(silent.argmax())}] is -inf for every class")
    if labels is None:
        return
    if labels.shape != (len(logits),):
        raise DataError(
            f"{prefix}labels have shape {list(labels.shape)}, {prefix}logits {list(logits.shape)}: one label for each "
            "row"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{prefix}labels are {labels.dtype}, expected whole numbers")
    bad = np.flatnonzero((labels < 0) | (labels >= logits.shape[1]))
    if len(bad):
        raise DataError(f"{prefix}labels[{bad[0]}] is {labels[bad[0]]}, expected 0 to {logits.shape[1] - 1}")


def check_temperatures(temperatures: Sequence[float]) -> None:
    """Raises UsageError for none, or one that is not from 1e-6 to 1e6."""
    bad = [t for t in temperatures if not 1e-6 <= t <= 1e6]
    if bad or not len(temperatures):
        what = f"{float(bad[0]):g}" if bad else "list is empty"
        raise UsageError(f"temperature {what}: expected numbers above 0, from 1e-6 to 1e6", "for example 1:20")


def blocks(logits: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Row slices with those logits less their row maximum, classes first [C, rows], f32 (f64 stays); GONE for -inf.

    Classes first, because sums over few classes then run along whole rows of memory.
    """
    rows = max(1, BLOCK // logits.shape[1])
    dtype = np.float64 if logits.dtype == np.float64 else np.float32
    for start in range(0, len(logits), rows):
        block = np.array(logits[start : start + rows].T, dtype=dtype, order="C")
        _floor(block)
        np.subtract(block, block.max(axis=0), out=block)
        yield slice(start, start + block.shape[1]), block


def each(work: Callable[[slice, np.ndarray, int], None], logits: np.ndarray) -> None:
    """Call `work(rows, z, axis)` for every block of logits [N, C], on several threads where there is much of it.

    z is the block's logits, f32 (f64 stays), GONE for -inf, a copy that may be changed; its classes lie along `axis`:
    0 where they are few, because sums over few classes run faster along whole rows of memory, else 1, which needs no
    transposing.
    """
    rows = max(1, BLOCK // logits.shape[1])
    axis = 0 if logits.shape[1] <= 128 else 1
    dtype = np.float64 if logits.dtype == np.float64 else np.float32

    def one(start: int) -> None:
        block = logits[start : start + rows]
        z = np.array(block.T if axis == 0 else block, dtype=dtype, order="C")
        _floor(z)
        work(slice(start, start + len(block)), z, axis)

    starts = range(0, len(logits), rows)
    threads = min(_processors(), 8, len(starts))
    if logits.size < 4 * BLOCK or threads == 1:
        for start in starts:
            one(start)
        return
    # numpy leaves the interpreter's lock while it computes.
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, starts):
            pass


def _floor(z: np.ndarray) -> None:
    """Put GONE in the place of -inf."""
    if z.min() == -np.inf:
        np.maximum(z, GONE, out=z)


def tempered(z: np.ndarray, axis: int, temperature: float, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """S = Σ e^(z/T) and Σ z·e^(z/T) over the classes, for z at most 0; `e`, of z's shape, is left holding e^(z/T)."""
    np.multiply(z, 1 / temperature, out=e)
    np.exp(e, out=e)
    # einsum takes along a row a third of the time of sum, and needs no third array for the product.
    total = e.sum(axis=0) if axis == 0 else np.einsum("ij->i", e)
    return total, np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", e, z)


def entropies(logits: np.ndarray, temperatures: Sequence[float]) -> np.ndarray:
    """H(softmax(z/T)) [len(temperatures), N] in nats of logits [N, C]: log S - Σ e·a/S with a = z/T, S = Σ e^a."""
    out = np.empty((len(temperatures), len(logits)), dtype=np.float64 if logits.dtype == np.float64 else np.float32)

    def work(rows: slice, z: np.ndarray, axis: int) -> None:
        np.subtract(z, z.max(axis=axis, keepdims=True), out=z)
        e = np.empty_like(z)
        for number, temperature in enumerate(temperatures):
            total, weighted = tempered(z, axis, temperature, e)
            out[number, rows] = np.maximum(np.log(total) - weighted / total / temperature, 0)

    each(work, logits)
    return out


def each_softmax(work: Callable[[slice, np.ndarray, int], None], logits: np.ndarray, temperature: float = 1.0) -> None:
    """`each` with softmax(z/T) in place of the logits."""

    def normalised(rows: slice, z: np.ndarray, axis: int) -> None:
        np.subtract(z, z.max(axis=axis, keepdims=True), out=z)
        np.multiply(z, 1 / temperature, out=z)
        np.exp(z, out=z)
        np.divide(z, z.sum(axis=axis, keepdims=True), out=z)
        work(rows, z, axis)

    each(normalised, logits)


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """softmax(z/T) [N, C] of logits [N, C], rows summing to 1."""
    out = np.empty(logits.shape, dtype=np.float64 if logits.dtype == np.float64 else np.float32)

    def work(rows: slice, p: np.ndarray, axis: int) -> None:
        out[rows] = p.T if axis == 0 else p

    each_softmax(work, logits, temperature)
    return out


def _processors() -> int:
    """Processors this process may use; containers and clusters give fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

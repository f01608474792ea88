"""Soft labels by blocks: every pass over logits that need not hold a second array of their size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from fierce_tools.errors import DataError, UsageError

# Numbers in a block: small enough for a core's cache, large enough that Python costs nothing.
BLOCK = 1 << 18


def check_logits(logits: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Raises DataError, saying where, for logits not finite or not [N, C], C ≥ 2, or labels not 0..C-1 [N]."""
    if logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise DataError(f"logits have shape {list(logits.shape)}, expected [N, C] with N of 1 and C of 2 or more")
    for start in range(0, len(logits), 4096):
        finite = np.isfinite(logits[start : start + 4096])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise DataError(
                f"logits[{start + row}, {column}] is {logits[start + row, column]}, expected finite numbers",
                "a model that diverged cannot be analysed",
            )
    if labels is None:
        return
    if labels.shape != (len(logits),):
        raise DataError(f"labels have shape {list(labels.shape)}, logits {list(logits.shape)}: one label for each row")
    bad = np.flatnonzero((labels < 0) | (labels >= logits.shape[1]))
    if len(bad):
        raise DataError(f"labels[{bad[0]}] is {labels[bad[0]]}, expected 0 to {logits.shape[1] - 1}")


def check_temperatures(temperatures: Sequence[float]) -> None:
    """Raises UsageError for none, or one that is not above 0 and finite."""
    bad = [t for t in temperatures if not (t > 0 and np.isfinite(t))]
    if bad or not len(temperatures):
        raise UsageError(
            f"temperature {bad[0] if bad else 'list is empty'}: expected numbers above 0", "for example 1:20"
        )


def blocks(logits: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Row slices with those logits less their row maximum, classes first [C, rows], f32 (f64 stays).

    Classes first, because sums over few classes then run along whole rows of memory.
    """
    rows = max(1, BLOCK // logits.shape[1])
    dtype = np.float64 if logits.dtype == np.float64 else np.float32
    for start in range(0, len(logits), rows):
        block = np.ascontiguousarray(logits[start : start + rows].T, dtype=dtype)
        np.subtract(block, block.max(axis=0), out=block)
        yield slice(start, start + block.shape[1]), block


def entropies(logits: np.ndarray, temperatures: Sequence[float]) -> np.ndarray:
    """H(softmax(z/T)) [len(temperatures), N] in nats of logits [N, C]: log S - Σ e·a/S with a = z/T, S = Σ e^a."""
    out = np.empty((len(temperatures), len(logits)), dtype=np.float64 if logits.dtype == np.float64 else np.float32)

    def work(part: tuple[slice, np.ndarray]) -> None:
        rows, z = part
        a, e = np.empty_like(z), np.empty_like(z)
        for number, temperature in enumerate(temperatures):
            np.multiply(z, 1 / temperature, out=a)
            np.exp(a, out=e)
            total = e.sum(axis=0)
            e *= a
            out[number, rows] = np.maximum(np.log(total) - e.sum(axis=0) / total, 0)

    _each(work, logits)
    return out


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """softmax(z/T) [N, C] of logits [N, C], rows summing to 1."""
    out = np.empty(logits.shape, dtype=np.float64 if logits.dtype == np.float64 else np.float32)
    for rows, z in blocks(logits):
        e = np.exp(z / temperature)
        out[rows] = (e / e.sum(axis=0)).T
    return out


def _each(work: Callable[[tuple[slice, np.ndarray]], None], logits: np.ndarray) -> None:
    """Do `work` on every block, on several threads where there is much of it."""
    threads = min(os.cpu_count() or 1, 8)
    if logits.size < 4 * BLOCK or threads == 1:
        for part in blocks(logits):
            work(part)
        return
    # numpy leaves the interpreter's lock while it computes; a bounded queue keeps memory bounded too.
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[None]] = []
        for part in blocks(logits):
            waiting.append(pool.submit(work, part))
            if len(waiting) > 2 * threads:
                waiting.pop(0).result()
        for future in waiting:
            future.result()

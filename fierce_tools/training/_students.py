"""A student of an ensemble: what it learns from, and the order in which it sees it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from fierce_tools.errors import DataError, UsageError
from fierce_tools.training.batches import batch_ends


@dataclass(frozen=True, eq=False)
class Student:
    """One student: seeds, its own training rows i64 [n], its rate, and its loss.

    With a `teacher` (number of an array of logits) the loss of an example is
    kd_weight·T²·KL(softmax(z_t/T) ‖ softmax(z/T)) + ce_weight·CE, without T² where `t2` is False, and with another T
    for the student where there is a `student_temperature`. With an `alpha` smoothed labels q teach it:
    kd_weight·KL(q ‖ softmax(z/T_s)) + ce_weight·CE, T_s = 1 unless said. With neither it is CE. Nats; the mean over
    the student's own batch. A class left out of `rows` is never seen: not by the loss, not by batch statistics.

    `seed` is that of weights, order and dropout, as in `fierce train --seed`; `order_seed` that of the order alone,
    so that students of the same rows and order share their batches. Source: Hinton et al. 2015; Vats 2021.
    """

    seed: int = 0
    rows: np.ndarray | None = None
    lr: float = 0.001
    teacher: int | None = None
    temperature: float = 9.0
    student_temperature: float | None = None
    kd_weight: float = 0.99
    ce_weight: float = 0.01
    t2: bool = True
    alpha: float | None = None
    convention: Literal["uniform", "others"] = "uniform"
    order_seed: int | None = None

    @property
    def order(self) -> int:
        """The seed of the order of its examples."""
        return self.seed if self.order_seed is None else self.order_seed

    @property
    def table(self) -> tuple[int | None, float, str] | None:
        """What its soft labels are a function of; None where it learns from labels alone."""
        if self.teacher is not None:
            return self.teacher, float(self.temperature), ""
        return None if self.alpha is None else (None, float(self.alpha), self.convention)

    @property
    def weights(self) -> tuple[float, float, float]:
        """The student's own temperature, the factor of the soft term with T² in it, and that of the cross-entropy."""
        if self.table is None:
            return 1.0, 0.0, 1.0
        if self.teacher is None:
            return self.student_temperature or 1.0, self.kd_weight, self.ce_weight
        factor = self.kd_weight * (self.temperature**2 if self.t2 else 1.0)
        return self.student_temperature or self.temperature, factor, self.ce_weight

    def digest(self) -> str:
        """SHA-256 of all of it (hexadecimal): two equal ones are the same student of the same training."""
        found = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "order_seed":
                value = self.order
            found.update(f"{field.name}\0".encode())
            found.update(np.ascontiguousarray(value, "<i8").tobytes() if field.name == "rows" and value is not None
                         else repr(value).encode())  # fmt: skip
        return found.hexdigest()


def check(students: Sequence[Student], labels: np.ndarray, classes: int, teachers: Sequence[np.ndarray]) -> None:
    """Raises UsageError for a student that cannot be, DataError for rows or logits that do not fit labels [N]."""
    if not students:
        raise UsageError("no student to train")
    for number, logits in enumerate(teachers):
        if logits.shape != (len(labels), classes):
            raise DataError(
                f"logits of teacher {number} are {list(logits.shape)}, expected [{len(labels)}, {classes}]",
                "give one row for each training example",
            )
    ranges: dict[int, tuple[int, int]] = {}
    unsaid = [_unsaid(logits) for logits in teachers]
    for number, student in enumerate(students):
        where = f"student {number}"
        if student.rows is not None and id(student.rows) not in ranges:
            if student.rows.ndim != 1 or student.rows.dtype.kind not in "iu" or len(student.rows) == 0:
                raise DataError(f"{where}: rows are {student.rows.dtype} {list(student.rows.shape)}, expected i64 [n]")
            ranges[id(student.rows)] = int(student.rows.min()), int(student.rows.max())
        low, high = ranges.get(id(student.rows), (0, len(labels) - 1))
        if low < 0 or high >= len(labels):
            raise DataError(f"{where}: rows {low} to {high}, expected 0 to {len(labels) - 1}")
        if student.seed < 0 or student.order < 0:
            raise UsageError(f"{where}: seeds {student.seed} and {student.order}, expected 0 or more")
        if not 0 < student.lr < math.inf:
            raise UsageError(f"{where}: learning rate {student.lr:g}, expected above 0")
        if student.teacher is not None and student.alpha is not None:
            raise UsageError(f"{where} has a teacher and smoothed labels", "give it a teacher or an alpha")
        if student.teacher is not None and not 0 <= student.teacher < len(teachers):
            raise UsageError(f"{where}: teacher {student.teacher} of {len(teachers)}")
        if student.teacher is not None and unsaid[student.teacher] is not None:
            bad = unsaid[student.teacher]
            taken = bad if student.rows is None else np.intersect1d(bad, student.rows)  # type: ignore[arg-type]
            if len(taken):  # type: ignore[arg-type]
                raise DataError(f"teacher {student.teacher} says nothing finite of row {taken[0]}")  # type: ignore[index]
        for temperature in (student.temperature, student.student_temperature):
            if temperature is not None and not 0 < temperature < math.inf:
                raise UsageError(f"{where}: temperature {temperature:g}, expected above 0", "for example 9")
        if student.teacher is not None and student.t2 and student.student_temperature is not None:
            raise UsageError(f"{where}: T² with two temperatures", "set t2 to False")
        if not all(0 <= weight < math.inf for weight in (student.kd_weight, student.ce_weight)):
            raise UsageError(f"{where}: weights {student.kd_weight:g} and {student.ce_weight:g}, expected 0 or more")


def _unsaid(logits: np.ndarray) -> np.ndarray | None:
    """Rows that hold NaN or ∞, or nothing but -∞; None without any."""
    bad = np.flatnonzero(np.isnan(logits).any(axis=1) | ~np.isfinite(logits.max(axis=1)))
    return bad if len(bad) else None


class Stream:
    """The batches of some students: rows in the order in which the ordinary trainer, given these rows alone, sees them.

    Epoch e is `rows` permuted by (seed, e), cut by `batch_ends`: the last batch is shorter, or longer by one.
    """

    def __init__(self, rows: np.ndarray, seed: int, batch_size: int, epochs: int) -> None:
        self.rows, self.seed = rows, seed
        self.ends = batch_ends(len(rows), batch_size)
        self.starts = [0, *self.ends[:-1]]
        self.steps_per_epoch = len(self.ends)
        self.steps = epochs * self.steps_per_epoch
        self._epoch, self._order = -1, rows

    def epoch(self, epoch: int) -> np.ndarray:
        """The rows i64 [n] in the order of this epoch."""
        if epoch != self._epoch:
            permutation = np.random.default_rng((self.seed, epoch)).permutation(len(self.rows))
            self._epoch, self._order = epoch, self.rows[permutation]
        return self._order

    def batch(self, step: int) -> np.ndarray:
        """The rows of a step, counted over all epochs."""
        epoch, number = divmod(step, self.steps_per_epoch)
        return self.epoch(epoch)[self.starts[number] : self.ends[number]]


@dataclass(frozen=True)
class Stack:
    """Students trained together, `numbers` i64 [S, M]: M of each of S streams."""

    streams: tuple[Stream, ...]
    numbers: np.ndarray

    @property
    def students(self) -> list[int]:
        return self.numbers.reshape(-1).tolist()


def arrange(
    students: Sequence[Student],
    wanted: Sequence[int],
    examples: int,
    batch_size: int,
    epochs: int,
    *,
    most: int,
    equal_rows: bool,
) -> list[Stack]:
    """Stacks of at most `most` students; those of one stream stay side by side, as many of each stream in a stack.

    Streams of a stack may differ in their number of rows unless `equal_rows`, which batch statistics need.
    """
    everything = np.arange(examples)
    shared: dict[tuple[int, bytes | None], list[int]] = {}
    for number in wanted:
        rows = students[number].rows
        key = students[number].order, None if rows is None else np.ascontiguousarray(rows, np.int64).tobytes()
        shared.setdefault(key, []).append(number)
    alike: dict[tuple[int, int], list[tuple[Stream, list[int]]]] = {}
    for members in shared.values():
        first = students[members[0]]
        rows = everything if first.rows is None else np.ascontiguousarray(first.rows, np.int64)
        for start in range(0, len(members), most):
            part = members[start : start + most]
            stream = Stream(rows, first.order, batch_size, epochs)
            alike.setdefault((len(part), len(rows) if equal_rows else 0), []).append((stream, part))
    stacks: list[Stack] = []
    for (count, _), found in alike.items():
        together = max(1, most // count)
        parts = -(-len(found) // together)
        for places in np.array_split(np.arange(len(found)), parts):  # of even size: none is left nearly alone
            streams, numbers = zip(*(found[i] for i in places), strict=True)
            stacks.append(Stack(streams, np.array(numbers)))
    return stacks

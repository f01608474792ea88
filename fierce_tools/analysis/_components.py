"""The spread between teachers of one recipe apart from that between the students of one teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fierce_tools.analysis._over_seeds import crossed, t_mean


@dataclass(frozen=True)
class Components:
    """Mean of several teachers' students, its 95 % interval, and the two spreads; None where unknown.

    `sd_means` is the standard deviation (n - 1) of the teachers' means, which have some of their students' spread in
    them; `sd_teachers` is without it. `students` counts those of each teacher.
    """

    mean: float | None
    sd_teachers: float | None
    sd_students: float | None
    sd_means: float | None
    low: float | None
    high: float | None
    students: tuple[int, ...]

    @property
    def teachers(self) -> int:
        """How many teachers have a student."""
        return len(self.students)


def components(values: Sequence[Sequence[float | None]], *, paired: bool = False) -> Components:
    """Variance components: for each teacher, a value of each of its students.

    mean = mean over teachers of a teacher's mean; students: √w, w = Σ (y - teacher's mean)² / Σ (n - 1); teachers:
    √max(0, variance of the teachers' means (n - 1) - r · mean of 1/n), n the students of a teacher. r is w, or where
    values are `paired`, the k-th students of all teachers being of one seed, the residual mean square Σ (y - teacher's
    mean - seed's mean + mean)² / ((teachers - 1)(n - 1)): what a seed does to the students of all teachers alike is not
    in the differences of the teachers' means. The interval is for other teachers of the recipe and students of other
    seeds: Student's t of the teachers' means, teachers - 1 degrees of freedom, and where seeds are shared that of both
    (_over_seeds.crossed), over the seeds that all have, two at least. None and NaN are students without a value. With
    one student each the two spreads cannot be told apart, and the interval is of students of that seed. Source: Searle
    et al. 1992.
    """
    given = [np.array([v for v in own if v is not None], np.float64) for own in values]
    each = [own for one in given if len(own := one[~np.isnan(one)])]
    students = tuple(map(len, each))
    if not each:
        return Components(None, None, None, None, None, None, ())
    means = np.array([own.mean() for own in each])
    if not np.isfinite(means).all():
        return Components(float(means.mean()), None, None, None, None, None, students)
    over = t_mean(means)
    freedom = sum(students) - len(each)
    within = sum(float(((own - own.mean()) ** 2).sum()) for own in each) / freedom if freedom else None
    between = float(means.var(ddof=1)) if len(each) > 1 else None
    apart, low, high = None, over.low, over.high
    if within is not None and between is not None:
        shared = _shared(values) if paired else None
        rest = within if shared is None else _residual(shared)
        apart = float(np.sqrt(max(0.0, between - rest * float(np.mean(1 / np.array(students))))))
        if paired:
            both = None if shared is None else crossed(shared)
            low, high = (None, None) if both is None or both.low is None else (both.low, both.high)
    return Components(
        over.at, apart, None if within is None else float(np.sqrt(within)),
        None if between is None else float(np.sqrt(between)), low, high, students,
    )  # fmt: skip


def _shared(values: Sequence[Sequence[float | None]]) -> np.ndarray | None:
    """The students of those seeds [teachers, seeds] that every teacher with students has; None for fewer than two."""
    rows = [[np.nan if v is None else v for v in own] for own in values]
    if len({len(own) for own in rows}) != 1:
        return None
    table = np.array(rows, np.float64)
    table = table[~np.isnan(table).all(axis=1)]
    table = table[:, ~np.isnan(table).any(axis=0)]
    return table if min(table.shape) > 1 else None


def _residual(values: np.ndarray) -> float:
    """Residual mean square of a two-way layout [teachers, students] with one value in each cell."""
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    return float((rest**2).sum() / ((values.shape[0] - 1) * (values.shape[1] - 1)))

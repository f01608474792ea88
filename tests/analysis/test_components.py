"""The spread of teachers apart from that of their students: by hand, in simulations that know both, and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fierce_tools.analysis._components import components


def test_by_hand() -> None:
    """Means 2, 6, 7; variances within 2, 2, 8: w = 4. Variance of the means 7, less 4/2: 5."""
    found = components([[1.0, 3.0], [5.0, 7.0], [5.0, 9.0]])
    assert found.mean == 5
    assert found.sd_students == pytest.approx(2)
    assert found.sd_means == pytest.approx(np.sqrt(7))
    assert found.sd_teachers == pytest.approx(np.sqrt(5))
    half = 4.302653 * np.sqrt(7 / 3)  # t(2) at 97.5 %, of a table
    assert (found.low, found.high) == (pytest.approx(5 - half, abs=1e-5), pytest.approx(5 + half, abs=1e-5))
    assert (found.teachers, found.students) == (3, (2, 2, 2))


def test_students_of_the_same_seeds_by_hand() -> None:
    """Seeds 0 and 1 differ by 2, 2 and 4: residuals ±1/3, ±1/3, ±2/3, sum of squares 4/3, of 2 degrees of freedom."""
    found = components([[1.0, 3.0], [5.0, 7.0], [5.0, 9.0]], paired=True)
    # Seeds' means 11/3 and 19/3: variance 32/9 over 2, which with one degree of freedom asks for the most.
    half = 12.706205 * np.sqrt(16 / 9)
    assert (found.low, found.high) == (pytest.approx(5 - half, abs=1e-5), pytest.approx(5 + half, abs=1e-5))
    assert found.sd_students == pytest.approx(2)
    assert found.sd_teachers == pytest.approx(np.sqrt(7 - (2 / 3) / 2))
    same = components([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]], paired=True)
    assert same.sd_teachers == pytest.approx(1), "the seeds do the same to all"
    assert components([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]]).sd_teachers == 0


def test_a_lost_student_does_not_make_the_interval_narrow() -> None:
    """Of shared seeds those that all teachers have are taken; of fewer than two there is no interval."""
    whole = [[1.0, 3.0, 2.0], [5.0, 7.0, 5.5], [5.0, 9.0, 8.0]]
    lost = [[1.0, 3.0, None], *whole[1:]]
    two = components([own[:2] for own in whole], paired=True)
    found = components(lost, paired=True)
    assert (found.low, found.high) == (two.low, two.high)
    assert found.students == (2, 3, 3)
    few = components([[1.0, None], [None, 7.0], [5.0, 9.0]], paired=True)
    assert (few.low, few.high) == (None, None)
    assert few.mean == 5


def test_unequal_numbers() -> None:
    """Means 2, 5 of 3 and 1 students: w = 2/2, and its part in the variance of the means 1·(1/3 + 1)/2 = 2/3."""
    found = components([[1.0, 2.0, 3.0], [5.0]])
    assert found.mean == 3.5, "each teacher counts once"
    assert found.sd_students == pytest.approx(1)
    assert found.sd_teachers == pytest.approx(np.sqrt(4.5 - 2 / 3))
    assert found.students == (3, 1)
    gaps = components([[1.0, None, 3.0, 2.0], [float("nan"), 5.0], [None]])
    assert (gaps.mean, gaps.sd_teachers, gaps.students) == (found.mean, found.sd_teachers, (3, 1))


def test_what_cannot_be_told_is_none() -> None:
    single = components([[1.0], [3.0]])
    assert (single.mean, single.sd_teachers, single.sd_students) == (2, None, None)
    assert single.sd_means == pytest.approx(np.sqrt(2))
    assert single.low is not None
    alone = components([[1.0, 3.0]])
    assert (alone.mean, alone.sd_teachers, alone.low) == (2, None, None)
    assert alone.sd_students == pytest.approx(np.sqrt(2))
    assert components([]).mean is None
    assert components([[None]]).students == ()
    infinite = components([[1.0, float("inf")], [1.0, 2.0]])
    assert (infinite.mean, infinite.sd_teachers, infinite.low) == (float("inf"), None, None)
    alike = components([[1.0, 1.0], [1.0, 1.0]])
    assert (alike.sd_teachers, alike.sd_students, alike.low) == (0, 0, None)


@pytest.mark.parametrize("seed_sd", [0.0, 3.0])
def test_both_spreads_are_recovered(seed_sd: float) -> None:
    """Teachers of sd 1.5, students of sd 2 about their teacher, and what a seed does to the students of all teachers.

    Variances, which are unbiased where none is cut at 0, to a tenth over 3,000 sets.
    """
    rng = np.random.default_rng(0)
    found = []
    for _ in range(3000):
        own = rng.normal(0, 1.5, (6, 1)) + rng.normal(0, seed_sd, 4) + rng.normal(0, 2, (6, 4))
        one = components(own.tolist(), paired=seed_sd > 0)
        assert one.sd_teachers is not None
        assert one.sd_students is not None
        found.append((one.sd_teachers**2, one.sd_students**2))
    teachers, students = np.mean(found, axis=0)
    assert teachers == pytest.approx(2.25, rel=0.1)
    assert students == pytest.approx(4 + seed_sd**2, rel=0.1)


def test_unequal_numbers_are_recovered() -> None:
    rng = np.random.default_rng(1)
    found = []
    for _ in range(3000):
        own = [rng.normal(rng.normal(0, 2), 1.5, n).tolist() for n in (1, 2, 2, 5, 7)]
        found.append(components(own).sd_teachers or 0.0)
    assert np.mean(np.square(found)) == pytest.approx(4, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("teachers", "students"), [(2, 2), (3, 2), (5, 3)])
def test_95_of_100_intervals_hold_the_mean(teachers: int, students: int) -> None:
    """Of 2,000 sets, students of seeds of their own. The students' own t would not do."""
    rng = np.random.default_rng(2)
    hits = naive = 0
    for _ in range(2000):
        own = 7 + rng.normal(0, 1, (teachers, 1)) + rng.normal(0, 1, (teachers, students))
        found = components(own.tolist())
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 7 <= found.high
        half = stats.t.ppf(0.975, own.size - 1) * own.std(ddof=1) / np.sqrt(own.size)
        naive += abs(own.mean() - 7) <= half
    assert 0.93 <= hits / 2000 <= 0.97
    assert naive / 2000 < 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("teachers", "students"), [(2, 2), (3, 3), (5, 2), (5, 5)])
@pytest.mark.parametrize("spreads", [(1, 0, 1), (0, 1, 1), (1, 3, 1), (3, 3, 0.3)])
def test_of_shared_seeds_93_of_100_intervals_or_more_hold_the_mean(
    teachers: int, students: int, spreads: tuple[float, float, float]
) -> None:
    """Of the population of teachers and seeds: of 2,000 sets, where an interval over teachers alone holds it in 45."""
    rng = np.random.default_rng(teachers * 10 + students)
    of_teachers, of_seeds, rest = spreads
    hits = alone = 0
    for _ in range(2000):
        own = rng.normal(0, of_teachers, (teachers, 1)) + rng.normal(0, of_seeds, students)
        own = own + rng.normal(0, rest, (teachers, students))
        found = components(own.tolist(), paired=True)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0 <= found.high
        means = own.mean(axis=1)
        alone += abs(means.mean()) <= stats.t.ppf(0.975, teachers - 1) * means.std(ddof=1) / np.sqrt(teachers)
    assert hits / 2000 >= 0.93
    assert alone / 2000 < 0.93 or of_seeds == 0 or teachers == 2

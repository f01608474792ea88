"""Intervals over seeds against scipy, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fierce_tools.analysis import _over_seeds as over

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 3, 7])
def test_paired_and_single_intervals_are_scipys(n: int) -> None:
    a, b = RNG.normal(size=n) + 1, RNG.normal(size=n)
    theirs = stats.ttest_rel(a, b)
    ours = over.difference(a, b, paired=True)
    assert (ours.p, ours.df, ours.n, ours.method) == (pytest.approx(theirs.pvalue), n - 1, (n,), "paired t")
    assert (ours.low, ours.high) == pytest.approx([*theirs.confidence_interval(0.95)])
    alone = stats.ttest_1samp(a, 0)
    assert over.t_mean(a).p == pytest.approx(alone.pvalue)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (5, 2), (2, 8)])
def test_welchs_interval_is_scipys(n: int, m: int) -> None:
    a, b = RNG.normal(size=n) * 3, RNG.normal(size=m) + 1
    theirs = stats.ttest_ind(a, b, equal_var=False)
    ours = over.difference(a, b, paired=False)
    assert (ours.p, ours.df) == (pytest.approx(theirs.pvalue), pytest.approx(theirs.df))
    assert (ours.low, ours.high) == pytest.approx([*theirs.confidence_interval(0.95)])
    assert (ours.n, ours.method) == ((n, m), "Welch's t")


def test_two_seeds_need_12_7_standard_errors() -> None:
    """Of 0 and 2: mean 1, standard error 1, t(1) at 97.5 % 12.7062, p = ½."""
    found = over.t_mean([0.0, 2.0])
    assert (found.at, found.low, found.high) == pytest.approx((1, 1 - 12.7062, 1 + 12.7062), abs=1e-4)
    assert found.p == pytest.approx(0.5)


@pytest.mark.parametrize("values", [[1.0], [0.3, 0.3, 0.1 + 0.2], [0.0, 0.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_nothing_is_judged_without_spread(values: list[float]) -> None:
    found = over.t_mean(values)
    assert (found.low, found.high, found.df, found.p) == (None, None, None, None)


def test_one_side_without_spread_is_still_welchs() -> None:
    a, b = np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.5])
    assert over.difference(a, b, paired=False).df == pytest.approx(1)
    assert over.difference(a, a - 1, paired=False).p is None


def test_holm_by_hand() -> None:
    """.01, .03, .04: 3 · .01, 2 · .03, then never less than the one before."""
    assert over.holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert over.holm([0.6, 0.9]) == [1.0, 1.0]
    assert over.holm([]) == []


def test_two_levels_are_not_narrower_than_seeds_alone_and_without_examples_noise_the_same() -> None:
    a, b = RNG.normal(size=4) + 1, RNG.normal(size=4)
    still = np.zeros((50, 4))
    same = over.two_level(a, b, still, still, paired=True)
    seeds = over.difference(a, b, paired=True)
    assert (same.low, same.high, same.df) == pytest.approx((seeds.low, seeds.high, seeds.df))
    noisy = RNG.normal(size=(50, 1)) * 2 + still  # the examples move every seed alike
    wide = over.two_level(a, b, noisy, still, paired=True)
    assert wide.low < seeds.low < seeds.high < wide.high
    assert wide.df > 3


SETS = 2000


def share(decided: list[bool]) -> float:
    return float(np.mean(decided))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "paired"), [(2, 2, True), (3, 3, True), (5, 5, True), (5, 5, False), (3, 8, False)])
def test_nulls_are_decided_in_3_to_7_percent(n: int, m: int, paired: bool) -> None:
    rng = np.random.default_rng(n * 10 + m)
    decided = []
    for _ in range(SETS):
        spread = (1.0, 1.0) if paired else (1.0, rng.choice([0.5, 1.0, 2.0]))
        p = over.difference(rng.normal(0, spread[0], n), rng.normal(0, spread[1], m), paired=paired).p
        decided.append(p <= 0.05)
    assert 0.03 <= share(decided) <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 5])
def test_families_of_nulls_decide_anything_in_6_percent_at_most(n: int) -> None:
    """Ten comparisons of one study, some of them of the same runs."""
    rng = np.random.default_rng(n)
    decided = []
    for _ in range(SETS):
        figures = rng.normal(size=(5, n))
        pairs = [(i, j) for i in range(5) for j in range(i)]
        adjusted = over.holm([over.difference(figures[i], figures[j], paired=True).p for i, j in pairs])
        decided.append(min(adjusted) <= 0.05)
    assert share(decided) <= 0.06


# How far seeds, recipes on an example, and seeds on an example vary, as standard deviations.
LEVELS = [(0.1, 0.1, 1.0), (0.01, 1.0, 1.0), (0.0, 1.0, 0.3), (0.0, 0.0, 1.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m", "paired"), [(2, 2, True), (3, 3, True), (5, 5, True), (4, 4, False), (5, 3, False)])
def test_two_level_intervals_hold_for_other_seeds_and_other_examples(n: int, m: int, paired: bool) -> None:
    """Two recipes of which neither is better, in a population of seeds and examples: at most 7 % are decided, and where
    examples differ an interval over seeds alone decides many more."""
    examples, draws, sets = 200, 150, SETS // len(LEVELS)
    rng = np.random.default_rng(n * 10 + m)
    missed: list[bool] = []
    seeds_alone: list[bool] = []
    weights = rng.multinomial(examples, np.full(examples, 1 / examples), draws) / examples
    for of_seeds, of_examples, of_both in LEVELS:
        for _ in range(sets):
            each = [
                rng.normal(0, of_seeds, (k, 1)) + shared + rng.normal(0, of_both, (k, examples))
                for k, shared in ((n, rng.normal(0, of_examples, examples)), (m, 0.0))
            ]
            means = [x.mean(axis=1) for x in each]
            found = over.two_level(*means, *(weights @ x.T for x in each), paired=paired)
            missed.append(not found.low <= 0 <= found.high)
            if of_examples == 1.0:
                seeds_alone.append(over.difference(*means, paired=paired).p <= 0.05)
    assert 0.02 <= share(missed) <= 0.07
    assert share(seeds_alone) > share(missed) + 0.05

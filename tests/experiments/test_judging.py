"""Verdicts of claims: by hand, against scipy, and simulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fierce_tools.experiments._judging import (
    COUNTED,
    FAILS,
    HOLDS,
    ONE_SEED,
    TESTED,
    UNCLEAR,
    UNMEASURED,
    family,
    judge,
    meaning,
)


def verdicts(claims: list[str], **figures: list[float]) -> list[str]:
    return [verdict for verdict, _ in judge(claims, figures)]


def test_two_seeds_need_13_standard_errors() -> None:
    """t(1) at 97.5 % is 12.7062: of gaps m - h and m + h the standard error is h."""
    assert verdicts(["a < b"], a=[0.0, 0.0], b=[0.12, 13.0 + 13.0 - 0.12]) == [UNCLEAR]
    assert verdicts(["a < b"], a=[0.0, 0.0], b=[11.8, 14.2]) == [UNCLEAR]  # 13 over 1.2
    assert verdicts(["a < b"], a=[0.0, 0.0], b=[12.0, 14.0]) == [HOLDS]  # 13 over 1
    assert verdicts(["a > b"], a=[0.0, 0.0], b=[12.0, 14.0]) == [FAILS]
    assert verdicts(["a <= b"], a=[0.0, 0.0], b=[12.4, 13.8]) == [HOLDS]


def test_p_is_scipys_and_adjusted_over_the_whole_study() -> None:
    rng = np.random.default_rng(0)
    figures = {k: (rng.normal(size=4) + n).tolist() for n, k in enumerate("abcd")}
    found = judge(["a < b", "b < c < d", "a < d and a < b"], figures)
    comparisons = [c for _, several in found for c in several]
    for c in comparisons:
        left, _, right = c.gap.text.split()
        theirs = stats.ttest_rel(figures[right], figures[left])
        assert c.estimate.p == pytest.approx(theirs.pvalue)
        assert (c.estimate.low, c.estimate.high) == pytest.approx([*theirs.confidence_interval(0.95)])
    # a < b is one comparison, though two claims have it: four in all.
    assert family([several for _, several in found]) == 4
    smallest = min(comparisons, key=lambda c: c.estimate.p)
    assert smallest.adjusted == pytest.approx(4 * smallest.estimate.p)
    largest = max(comparisons, key=lambda c: c.estimate.p)
    assert largest.adjusted >= largest.estimate.p
    assert "4 comparisons" in meaning([several for _, several in found])


def test_one_comparison_that_would_hold_alone_does_not_among_many() -> None:
    figures = {"a": [0.0, 0.0], "b": [12.0, 14.0], "c": [0.3, -0.2], "d": [0.1, 0.5]}
    assert verdicts(["a < b"], **figures) == [HOLDS]
    assert verdicts(["a < b", "a < c", "c < d"], **figures) == [UNCLEAR] * 3


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([51.0, 99.0], HOLDS), ([51.0, 49.0], UNCLEAR), ([49.0, 1.0], FAILS), ([50.0, 50.0], FAILS)],
)
def test_against_a_number_seeds_are_counted(values: list[float], verdict: str) -> None:
    ((found, (part,)),) = judge(["a > 50"], {"a": values})
    assert (found, part.how, part.adjusted) == (verdict, COUNTED, None)


def test_against_zero_a_mean_is_tested() -> None:
    ((found, (part,)),) = judge(["a > 0"], {"a": [0.1, 0.9]})
    assert (found, part.how) == (UNCLEAR, TESTED)


def test_gaps_without_spread_have_a_sign_test() -> None:
    """Equal gaps come by chance where figures are counts of examples: of n seeds the signs agree in 2 of 2^n ways."""
    figures = {"a": [1.0, 5.0, 9.0], "b": [1.3, 5.3, 9.3], "c": [1.0, 5.0, 9.0]}
    ((up, (part,)), (same, (equal,))) = judge(["a < b", "a <= c"], figures)
    assert (up, part.how, part.adjusted, part.estimate.low) == (UNCLEAR, TESTED, 0.5, None)
    assert (same, equal.adjusted) == (UNCLEAR, 1)
    many = {"a": [float(k) for k in range(6)], "b": [k + 0.3 for k in range(6)]}
    assert verdicts(["a < b"], **many) == [HOLDS]
    assert verdicts(["b < a"], **many) == [FAILS]


def test_a_comparison_is_judged_the_same_however_it_is_written() -> None:
    figures = {"a": [80.0, 56.5], "b": [20.0, 1.0], "c": [3.0, 2.0]}
    for claim in ("a - b > 50", "a > b + 50", "a - 50 > b", "50 + b < a"):
        ((verdict, (part,)),) = judge([claim], figures)
        assert (verdict, part.how) == (HOLDS, COUNTED), claim
    found = [several for _, several in judge(["a < c", "c > a", "b < c"], figures)]
    assert family(found) == 2, "with its sides exchanged it is the same comparison"


def test_different_comparisons_with_the_same_gaps_are_two() -> None:
    """Figures that are counts often give the same gaps; a family that takes them for one is too lenient."""
    figures = {"a": [1.0, 1, 1, 1], "b": [3.0, 4, 3, 6], "c": [2.0, 2, 2, 2], "d": [4.0, 5, 4, 7]}
    found = [several for _, several in judge(["a < b", "c < d"], figures)]
    assert family(found) == 2
    assert found[0][0].adjusted == pytest.approx(2 * found[0][0].estimate.p)


def test_no_seed_in_common_decides_nothing_and_numbers_alone_spoil_nothing() -> None:
    ((verdict, (part,)),) = judge(["p < q"], {"p": [1.0, None], "q": [None, 2.0]})
    assert (verdict, part.gap.values, part.as_claimed) == (UNCLEAR, (), False)
    assert verdicts(["1 < 2 and a < b"], a=[0.0, 0.0], b=[100.0, 100.5]) == [HOLDS]


@pytest.mark.parametrize("claim", ["a / b > c + 1", "a / b + 5 > c", "a / b > 2"])
def test_a_number_beside_a_quotient_is_one(claim: str) -> None:
    ((_, (part,)),) = judge([claim], {"a": [6.0, 8.0], "b": [2.0, 2.0], "c": [1.0, 1.5]})
    assert part.how == COUNTED


def test_seeds_that_a_figure_lacks_are_left_out_for_both() -> None:
    """Of seeds 0, 1, 2 `a` lacks the first and `b` the second: one is left, and decides nothing."""
    ((verdict, (part,)),) = judge(["a < b"], {"a": [None, 1.0, 50.0], "b": [2.0, None, 51.0]})
    assert (verdict, part.gap.values) == (ONE_SEED, (1.0,))
    assert verdicts(["a < b"], a=[None, None], b=[1.0, 2.0]) == [UNMEASURED]


def test_rounding_is_no_gap() -> None:
    ((verdict, (part,)),) = judge(["a + b <= c"], {"a": [0.1, 0.1], "b": [0.2, 0.2], "c": [0.3, 0.3]})
    assert (verdict, part.gap.values) == (UNCLEAR, (0.0, 0.0))


def test_one_seed_decides_nothing() -> None:
    found = judge(["a < b", "a > b", "a < 7", "a < b and a > 0"], {"a": [1.0], "b": [2.0]})
    assert [verdict for verdict, _ in found] == [ONE_SEED] * 4
    assert [all(c.as_claimed for c in several) for _, several in found] == [True, False, True, True]
    assert meaning([several for _, several in found]).startswith("One seed decides nothing")


def test_a_conjunction_holds_where_all_do_and_fails_where_one_is_decided_against() -> None:
    figures = {"a": [0.0, 0.0], "b": [100.0, 100.5], "c": [3.0, -2.0], "d": [-100.0, -101.0]}
    assert verdicts(["a < b and a > d"], **figures) == [HOLDS]
    assert verdicts(["a < b and a < c"], **figures) == [UNCLEAR]
    assert verdicts(["a < c and a < d"], **figures) == [FAILS]
    assert verdicts(["a < b and a < 1 and a < c"], **figures) == [UNCLEAR]


def test_what_cannot_be_judged_is_unclear() -> None:
    assert verdicts(["a / b > c"], a=[1.0, 1.0], b=[0.0, 1.0], c=[0.0, 0.1]) == [UNCLEAR]
    assert verdicts(["a < b"], a=[1.0, 3.0], b=[3.0]) == [UNCLEAR]
    assert verdicts(["a < 1e999"], a=[1.0]) == [UNCLEAR]
    assert verdicts(["a < b"], a=[1.0]) == [UNMEASURED]
    assert verdicts(["a < b"], a=[1.0, 2.0], b=[math.inf, math.inf]) == [UNCLEAR]


def test_what_was_only_counted_is_explained() -> None:
    assert "are counted, not tested" in meaning([several for _, several in judge(["a < 7"], {"a": [1.0, 2.0]})])


SETS = 2000


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("examples", [360, 10_000])
def test_accuracies_that_tie_decide_no_more(seeds: int, examples: int) -> None:
    """Figures that are counts of examples, of which gaps are often the same in two seeds."""
    rng = np.random.default_rng(seeds)
    study = ["a < b < c", "d < e", "a - d > b - e", "f < g and f < h", "g > h", "c < d and 2 * e < a + b"]
    decided = []
    for _ in range(SETS):
        figures = {key: (100 * rng.binomial(examples, 0.97, seeds) / examples).tolist() for key in "abcdefgh"}
        decided.append(any(v != UNCLEAR for v, _ in judge(study, figures)))
    assert np.mean(decided) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_study_of_nulls_decides_any_of_them_in_6_percent_at_most(seeds: int) -> None:
    """Eight rows that are alike, nine comparisons in six claims; alone each is decided in 3 to 7 %."""
    rng = np.random.default_rng(seeds)
    study = ["a < b < c", "d < e", "a - d > b - e", "f < g and f < h", "g > h", "c < d and 2 * e < a + b"]
    any_decided, alone = [], []
    for _ in range(SETS):
        figures = {key: rng.normal(10, 1, seeds).tolist() for key in "abcdefgh"}
        found = judge(study, figures)
        any_decided.append(any(v != UNCLEAR for v, _ in found))
        alone.append(found[1][1][0].estimate.p <= 0.05)
    assert np.mean(any_decided) <= 0.06
    assert 0.03 <= np.mean(alone) <= 0.07

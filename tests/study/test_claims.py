"""Claims: what may be written, and their gaps worked by hand."""

from __future__ import annotations

import pytest

from fierce_tools.errors import UsageError
from fierce_tools.study.claims import gaps, names


def test_names_are_the_keys_in_order() -> None:
    assert names("fierce < ce < ls and ce - ls > -2 * small") == ("fierce", "ce", "ls", "small")


@pytest.mark.parametrize(
    "claim",
    ["", "a", "a = b", "a == b", "a < b or c < d", "not a < b", "a.b < 1", "f(a) < 1", "a < 'x'", "a < True", "a < b[0]",
     "__import__('os').system('true') < 1", "a ** b < 1", "a < (b < c)", "(lambda: 1)() < 2"],
)  # fmt: skip
def test_nothing_but_comparisons_of_arithmetic_is_a_claim(claim: str) -> None:
    with pytest.raises(UsageError, match="no claim"):
        names(claim)


def test_gaps_are_paired_seed_by_seed() -> None:
    (gap,) = gaps("a < b", {"a": [1.0, 10.0, 100.0], "b": [2.0, 11.1, 99.9]})
    assert gap.text == "a < b"
    assert gap.values == pytest.approx((1.0, 1.1, -0.1))
    assert (gap.holds_in, gap.paired, gap.number) == (2, True, False)


def test_equality_is_as_claimed_where_it_is_allowed() -> None:
    figures = {"a": [1.0], "b": [1.0]}
    assert [gaps(claim, figures)[0].holds_in for claim in ("a < b", "a > b", "a <= b", "a >= b")] == [0, 0, 1, 1]


def test_arithmetic() -> None:
    figures = {"a": [6.0], "b": [2.0]}
    (first, second) = gaps("a / b - 1 >= 2 and -a + 2 * b < 0", figures)
    assert first.values == (0.0,)
    assert second.values == (2.0,)


@pytest.mark.parametrize(
    ("claim", "number"),
    [("a < b", False), ("a - b > 50", True), ("50 < a", True), ("a > 0", False), ("a < 2 * b", False), ("a > 1 - 1", False),
     ("a > -1 / 2", True)],
)  # fmt: skip
def test_a_claim_against_a_number_is_one_with_a_side_that_names_no_row(claim: str, number: bool) -> None:
    (gap,) = gaps(claim, {"a": [3.0], "b": [2.0]})
    assert gap.number is number


def test_figures_of_different_counts_are_compared_by_their_means() -> None:
    (gap,) = gaps("a < b", {"a": [1.0, 3.0], "b": [3.0]})
    assert (gap.values, gap.paired) == ((1.0,), False)


def test_what_was_not_measured_has_no_gaps() -> None:
    assert gaps("a < b", {"a": [1.0], "b": []}) == ()
    assert gaps("a < b", {"a": [1.0]}) == ()

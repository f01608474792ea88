"""The one door to plotext: nothing that is not finite gets through, and every line is as wide as asked."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.cli import plot
from fierce_tools.report import Lines, Points, Series

VALUES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))


@settings(deadline=None, max_examples=40)
@given(ys=st.lists(VALUES, max_size=12), log_y=st.booleans(), many=st.booleans(), dots=st.booleans())
def test_anything_can_be_drawn(ys: list[float | None], log_y: bool, many: bool, dots: bool) -> None:
    series = Series("a", tuple(float(i) for i in range(len(ys))), tuple(ys))
    every = (series, Series("b", (0.0, 1.0), (1.0, 2.0))) if many else (series,)
    block = Points("t", "x", "y", every) if dots else Lines("t", "x", "y", every, log_y=log_y)
    rows = plot.draw(block, 60, 15, color=False).split("\n")
    assert {len(row) for row in rows} == {60}


def test_series_are_cut_where_they_break() -> None:
    series = Series("a", (1, 2, 3, 4, 5, 6), (1.0, None, 2.0, 3.0, math.nan, math.inf))
    assert plot.pieces(series, log_x=False, log_y=False) == [([1], [1.0]), ([3, 4], [2.0, 3.0])]
    signs = Series("a", (-1, 0, 1, 2), (5.0, 5.0, -5.0, 5.0))
    assert plot.pieces(signs, log_x=True, log_y=True) == [([2], [5.0])]


@pytest.mark.parametrize("width", [60, 120])
def test_the_legend_names_the_series_within_its_width(width: int) -> None:
    series = tuple(Series(f"run number {i} of a long kind", (1.0, 2.0), (float(i), 2.0)) for i in range(5))
    rows = plot.draw(Lines("t", "x", "y", series), width, 18, color=False).split("\n")
    assert {len(r) for r in rows} == {width}
    assert all(f"number {i}" in "".join(rows) for i in range(5))
    assert "number" not in plot.draw(Lines("t", "x", "y", series[:1]), width, 18, color=False)


def test_colour_is_there_when_asked_for() -> None:
    block = Lines("t", "x", "y", (Series("a", (1, 2), (1.0, 2.0)), Series("b", (1, 2), (2.0, 1.0))))
    assert "\x1b[" in plot.draw(block, 60, 15, color=True)
    assert "\x1b[" not in plot.draw(block, 60, 15, color=False)


def test_charts_side_by_side() -> None:
    assert plot.beside(["ab\ncd", "x"], (2, 1)) == "ab  x\ncd"

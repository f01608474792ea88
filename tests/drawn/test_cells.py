"""Single values as text."""

from __future__ import annotations

import math

import pytest

from fierce_tools.drawn.cells import bar, show, show_age


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (3, "3"),
        (0.123456, "0.1235"),
        (2.0, "2"),
        (True, "True"),
        ("x", "x"),
        (math.nan, "nan"),
        (1e7, "1e+07"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert show(value) == text  # type: ignore[arg-type]


def test_ages() -> None:
    assert [show_age(s) for s in (0, 59, 60, 3600, 90000)] == ["0 s", "59 s", "1 min", "1 h", "1 d"]


def test_bars_in_eighths() -> None:
    assert bar(1.0, 2.0, 4) == "██"
    assert bar(-0.25, 2.0, 4) == "▌"
    assert bar(None, 2.0, 4) == bar(math.nan, 2.0, 4) == bar(1.0, 0.0, 4) == ""

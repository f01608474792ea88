from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fierce_tools import ranges
from fierce_tools.errors import UsageError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3", (3,)),
        ("1:5", (1, 2, 3, 4, 5)),
        ("0:.75:.15", (0.0, 0.15, 0.3, 0.45, 0.6, 0.75)),
        ("16:8192:*2", (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)),
        ("5:1:-2", (5, 3, 1)),
        ("1,2,5,10", (1, 2, 5, 10)),
        (" 1 : 3 , 9.5 ", (1, 2, 3, 9.5)),
        ("1e-3,1", (0.001, 1)),
        ("1:10:4", (1, 5, 9)),
    ],
)
def test_every_form(text: str, values: tuple[float, ...]) -> None:
    assert ranges.parse(text) == values


def test_steps_do_not_drift() -> None:
    assert ranges.parse("0:1:.1") == tuple(i / 10 for i in range(11))


def test_whole_numbers_stay_whole() -> None:
    assert all(isinstance(v, int) for v in ranges.parse("16:64:*2"))
    assert isinstance(ranges.parse("1.0")[0], float)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1:",
        ":3",
        "5:1",
        "1:5:-1",
        "1:5:0",
        "0:8:*2",
        "1:8:*1",
        "1:2:3:4",
        "1.5:3",
        "1,,2",
        "nan",
        "inf",
        "1:1e9",
        "1:1e99",
    ],
)
def test_what_is_no_range_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        ranges.parse(text)
    assert "\n" not in str(caught.value)


@given(st.lists(st.integers(-1000, 1000) | st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=8))
def test_show_is_the_inverse(values: list[float]) -> None:
    assert ranges.parse(ranges.show(values)) == tuple(values)


def test_show_is_short() -> None:
    assert ranges.show(range(1, 21)) == "1:20"
    assert ranges.show((10, 20, 30)) == "10:30:10"
    assert ranges.show((0.1, 0.3)) == "0.1,0.3"

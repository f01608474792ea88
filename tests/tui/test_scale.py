from __future__ import annotations

import numpy as np
import pytest

from fierce_tools.tui.scale import Scale, around, labels, number

NAN = float("nan")


def test_places_on_an_axis() -> None:
    np.testing.assert_allclose(Scale(0, 10)(np.array([0.0, 2.5, 10])), [0, 0.25, 1])
    np.testing.assert_allclose(Scale(0.01, 100, True)(np.array([0.01, 1, 100, 0, -1, NAN])), [0, 0.5, 1, NAN, NAN, NAN])


@pytest.mark.parametrize(
    ("low", "high", "most", "ticks"),
    [
        (0.0, 1.0, 6, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.0, 1.0, 3, ["0", "0.5", "1.0"]),
        (0.93, 0.99, 4, ["0.94", "0.96", "0.98"]),
        (-1e-6, 1e-6, 3, ["-1e-6", "0", "1e-6"]),
        (0.0, 3e6, 4, ["0", "1e6", "2e6", "3e6"]),
    ],
)
def test_ticks_are_round(low: float, high: float, most: int, ticks: list[str]) -> None:
    scale = Scale(low, high)
    assert labels(scale.ticks(most), False) == ticks


def test_what_is_counted_has_no_ticks_between() -> None:
    assert Scale(1, 3).ticks(8, least=1.0) == [1, 2, 3]
    assert Scale(1, 1.5).ticks(8, least=1.0) == [1]


def test_ticks_of_a_logarithmic_axis() -> None:
    assert Scale(1e-4, 10, True).ticks(6) == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1, 10])
    assert len(Scale(1e-9, 10, True).ticks(3)) <= 3
    assert Scale(0.21, 0.72, True).ticks(4) == pytest.approx([0.3, 0.5, 0.7])


@pytest.mark.parametrize("most", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.1000001), (-3e8, 7e11), (5.0, 5.5), (1e-30, 1.7e-30)])
def test_no_more_ticks_than_there_is_room_for(low: float, high: float, most: int) -> None:
    ticks = Scale(low, high).ticks(most)
    assert len(ticks) <= most
    assert all(low - 1e-9 * abs(low) <= t <= high + 1e-9 * abs(high) for t in ticks)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[], [NAN], [3.0], [0.0], [np.inf, 1.0, 2.0], [-1.0], [1e300, -1e300]])
def test_a_scale_around_anything_can_be_drawn_on(values: list[float], log: bool) -> None:
    scale = around([np.array(values, dtype=np.float64)], log=log)
    assert np.isfinite([scale.low, scale.high]).all()
    assert scale.low < scale.high
    assert scale.low > 0 or not log
    scale.ticks(4)


def test_numbers() -> None:
    values = (0.0, 0.5, 12.3456, 0.00001, 123456.0, -2e-7, NAN)
    assert [number(v) for v in values] == ["0", "0.5000", "12.35", "1e-5", "1.2e5", "-2e-7", "–"]

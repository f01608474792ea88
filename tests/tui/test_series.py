from __future__ import annotations

import numpy as np
import pytest
from driving import rows

from fierce_tools import seeds
from fierce_tools.tui import series
from fierce_tools.tui.store import History

NAN = float("nan")


def history(*metrics: dict[str, object]) -> History:
    made = History()
    made.add(metrics, anew=True)
    return made


def test_the_smoothing_by_hand() -> None:
    # m = .5·m + .5·y from 0: 1, 2.5; divided by 1 - .5^n: 1/.5 = 2, 2.5/.75.
    np.testing.assert_allclose(series.smooth(np.array([2.0, 4.0]), 0.5), [2.0, 2.5 / 0.75])
    np.testing.assert_allclose(series.smooth(np.full(9, 3.0), 0.9), 3.0)


def test_a_gap_does_not_count_in_the_smoothing() -> None:
    whole = series.smooth(np.array([2.0, 4.0]), 0.5)
    gappy = series.smooth(np.array([2.0, NAN, 4.0, np.inf]), 0.5)
    np.testing.assert_array_equal(gappy, [whole[0], NAN, whole[1], NAN])
    values = np.array([1.0, NAN])
    np.testing.assert_array_equal(series.smooth(values, 0.0), values)


def test_pieces_are_cut_at_gaps_and_where_x_goes_back() -> None:
    x = np.array([1.0, 2, 3, 4, 5, 3, 4])
    y = np.array([1.0, 1, NAN, 1, 1, 1, 1])
    assert series.pieces(x, y) == [slice(0, 2), slice(3, 5), slice(5, 7)]
    assert series.pieces(x, np.full(7, NAN)) == []
    assert series.gaps(y) == 1


@pytest.mark.parametrize("seed", range(3))
def test_thinning_keeps_every_column_s_ends_and_extremes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=5000)
    column = np.sort(rng.integers(0, 40, 5000))
    kept = series.decimate(column, y)
    assert len(kept) <= 4 * 40
    for c in np.unique(column):
        inside = np.flatnonzero(column == c)
        left = kept[column[kept] == c]
        assert (left[0], left[-1]) == (inside[0], inside[-1])
        assert (y[left].min(), y[left].max()) == (y[inside].min(), y[inside].max())
    assert series.decimate(np.arange(10), y[:10]).tolist() == list(range(10))


def test_axes() -> None:
    made = history(*rows(3))
    assert series.axis(made, "epoch").tolist() == [1, 2, 3]
    assert series.axis(made, "step").tolist() == [20, 40, 60]
    assert series.axis(made, "time").tolist() == [0.5, 1.0, 1.5]
    bare = history({"a": 1}, {"a": 2})
    assert series.axis(bare, "epoch").tolist() == [1, 2]
    assert np.isnan(series.axis(bare, "time")).all()


def test_a_band_is_mean_and_deviation_of_the_seeds_there_are() -> None:
    one = history({"epoch": 1, "v": 1.0}, {"epoch": 2, "v": 2.0})
    two = history({"epoch": 1, "v": 3.0}, {"epoch": 2, "v": None})
    x, mean, low, high = series.band([one, two], "v", "epoch")
    assert x.tolist() == [1, 2]
    np.testing.assert_allclose(mean, [2.0, 2.0])
    np.testing.assert_allclose(low, [2.0 - 2**0.5, NAN])
    np.testing.assert_allclose(high, [2.0 + 2**0.5, NAN])


@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_of_a_band_are_those_of_means_over_seeds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = 1e3 + rng.normal(size=(4, 12))
    values[rng.random(values.shape) < 0.3] = NAN
    values[:, 3] = NAN
    values[1:, 4] = NAN
    members = [history(*({"epoch": e, "v": v} for e, v in enumerate(each, 1))) for each in values.tolist()]
    _, mean, low, high = series.band(members, "v", "epoch")
    for column in range(12):
        expected = seeds.mean_sd(values[:, column])
        assert mean[column] == pytest.approx(NAN if expected.mean is None else expected.mean, rel=1e-13, nan_ok=True)
        half = (high[column] - low[column]) / 2
        assert half == pytest.approx(NAN if expected.sd is None else expected.sd, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("lost", [np.inf, -np.inf, NAN, None])
def test_a_value_that_is_not_finite_is_left_out_of_a_band(lost: float | None) -> None:
    values = np.array([[1.0, np.inf, 3.0], [2.0, np.inf, 5.0], [4.0, -np.inf, 1.0]])
    written: list[list[float | None]] = values.tolist()
    written[0][0] = written[1][2] = lost
    members = [history(*({"epoch": e, "v": v} for e, v in enumerate(each, 1))) for each in written]
    _, mean, low, high = series.band(members, "v", "epoch")
    np.testing.assert_allclose(mean, [3.0, NAN, 2.0])  # of 2 and 4, of none, of 3 and 1
    for column, own in ((0, (2.0, 4.0)), (2, (3.0, 1.0))):
        expected = seeds.mean_sd(own)
        assert (mean[column], (high[column] - low[column]) / 2) == pytest.approx((expected.mean, expected.sd))
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [False, True, False]


def test_a_step_that_is_not_finite_moves_no_place_of_a_band() -> None:
    one = history({"epoch": 1, "v": 1.0, "step": 2.0}, {"epoch": 2, "v": 2.0, "step": np.inf})
    two = history({"epoch": 1, "v": 3.0, "step": 4.0}, {"epoch": 2, "v": 4.0, "step": 8.0})
    x, mean, _, _ = series.band([one, two], "v", "step")
    assert (x.tolist(), mean.tolist()) == ([3.0, 8.0], [2.0, 3.0])


def test_a_seed_that_wrote_an_epoch_twice_is_one_seed() -> None:
    one = history({"epoch": 1, "v": 1.0}, {"epoch": 2, "v": 9.0}, {"epoch": 2, "v": 2.0})
    two = history({"epoch": 1, "v": 3.0})
    x, mean, low, _ = series.band([one, two], "v", "epoch")
    assert (x.tolist(), mean.tolist()) == ([1, 2], [2.0, 2.0])
    assert np.isnan(low).tolist() == [False, True]
    assert [len(part) for part in series.band([], "v", "epoch")] == [0, 0, 0, 0]


def test_the_value_at_the_cursor() -> None:
    curve = series.Curve("a", "#ffffff", "a", np.array([1.0, 2, 1]), np.array([5.0, 6, 7]))
    assert series.at(curve, 1.0) == 7.0
    assert np.isnan(series.at(curve, 1.5))

"""γ of exact label-smoothing targets is their α."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fierce_tools.analysis import smoothness
from fierce_tools.errors import DataError, UsageError


def smoothed(labels: np.ndarray, classes: int, alpha: float) -> np.ndarray:
    """The logits whose softmax is uniform label smoothing's target."""
    return np.log((1 - alpha) * np.eye(classes)[labels] + alpha / classes)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_label_smoothing_targets_give_alpha(alpha: float, classes: int) -> None:
    labels = np.arange(7) % classes
    assert smoothness(smoothed(labels, classes, alpha), labels).gamma == pytest.approx(alpha, abs=1e-12)


def test_worked_by_hand() -> None:
    # Probabilities (.5, .25, .25) of class 0 and (.25, .5, .25) of class 2: others .5 and .75, mean .625, times 3/2.
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]))
    result = smoothness(logits, np.array([0, 2]))
    assert result.gamma == pytest.approx(0.9375)
    assert result.confidence == pytest.approx(0.375)


def test_temperature_is_a_division_of_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 6))
    labels = np.arange(50) % 6
    expected = smoothness(logits / 4, labels).gamma
    assert smoothness(logits, labels, temperature=4).gamma == pytest.approx(expected, abs=1e-12)


def test_near_one_hot_is_not_rounded_away() -> None:
    # e^-20 = 2.06e-9 on one other class of two: γ = 2·2.06e-9, far below float32's 1 - p.
    logits = np.array([[20, 0]], dtype=np.float32)
    assert smoothness(logits, np.array([0])).gamma == pytest.approx(2 * np.exp(-20.0), rel=1e-5)


def test_every_label_missed_reaches_its_bound() -> None:
    logits = np.array([[1e4, -1e4, 0]], dtype=np.float32)
    assert smoothness(logits, np.array([1])).gamma == pytest.approx(1.5)


@settings(deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(2, 6)), elements=st.floats(-1e4, 1e4, width=32)),
    st.floats(0.1, 100),
)
def test_stays_within_bounds(logits: np.ndarray, temperature: float) -> None:
    classes = logits.shape[1]
    result = smoothness(logits, np.zeros(len(logits), dtype=np.int64), temperature=temperature)
    assert -1e-6 <= result.gamma <= classes / (classes - 1) + 1e-6
    assert result.gamma == pytest.approx((1 - result.confidence) * classes / (classes - 1), abs=1e-5)


def test_refuses() -> None:
    logits, labels = np.zeros((3, 4), np.float32), np.array([0, 1, 2])
    with pytest.raises(DataError, match="labels"):
        smoothness(logits, np.array([0, 1, 4]))
    logits[1, 2] = np.nan
    with pytest.raises(DataError, match=r"logits\[1, 2\]"):
        smoothness(logits, labels)
    with pytest.raises(UsageError, match="temperature"):
        smoothness(np.zeros((3, 4)), labels, temperature=0)

"""Blocked passes over logits against scipy's softmax, for both layouts and with several threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from fierce_tools.analysis import _soft
from fierce_tools.analysis._metrics import accuracy, brier, per_example
from fierce_tools.analysis._soft import check_logits, entropies, probabilities
from fierce_tools.errors import DataError

SHAPES = [(1, 2), (7, 10), (3000, 10), (500, 129), (900, 1500)]


def case(n: int, c: int, dtype: type = np.float64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, c)) * 4).astype(dtype), rng.integers(0, c, n)


@pytest.mark.parametrize(("n", "c"), SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 3e-6)])
def test_one_pass_says_what_scipy_says(n: int, c: int, dtype: type, tolerance: float) -> None:
    logits, labels = case(n, c, dtype)
    temperatures = (0.5, 1.0, 9.0)
    found = per_example(logits, labels, temperatures)
    assert found.correct.tolist() == (logits.argmax(axis=1) == labels).tolist()
    for number, t in enumerate(temperatures):
        log_p = log_softmax(logits.astype(np.float64) / t, axis=1)
        p = np.exp(log_p)
        np.testing.assert_allclose(found.confidence[number], p.max(axis=1), rtol=tolerance)
        np.testing.assert_allclose(found.loss[number], -log_p[np.arange(n), labels], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found.entropy[number], -(p * log_p).sum(axis=1), rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(entropies(logits, temperatures), found.entropy)


@pytest.mark.parametrize(("n", "c"), SHAPES)
def test_probabilities_are_scipys(n: int, c: int) -> None:
    logits, _ = case(n, c)
    np.testing.assert_allclose(probabilities(logits, 3.0), softmax(logits / 3, axis=1), rtol=1e-12)
    assert probabilities(logits.astype(np.float32)).dtype == np.float32


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = case(9000, 130, np.float32)
    monkeypatch.setattr(_soft, "_processors", lambda: 1)
    alone = per_example(logits, labels), brier(logits, labels), accuracy(logits, labels, top=5)
    monkeypatch.setattr(_soft, "_processors", lambda: 3)
    together = per_example(logits, labels), brier(logits, labels), accuracy(logits, labels, top=5)
    for name in ("confidence", "loss", "entropy", "correct"):
        np.testing.assert_array_equal(getattr(alone[0], name), getattr(together[0], name))
    np.testing.assert_array_equal(alone[1], together[1])
    assert alone[2] == together[2]


def test_what_goes_in_is_left_as_it_was() -> None:
    logits, labels = case(50, 200, np.float32)
    before = logits.copy()
    per_example(logits, labels)
    brier(logits, labels)
    probabilities(logits)
    np.testing.assert_array_equal(logits, before)


def test_an_error_in_a_thread_is_an_error() -> None:
    def fail(rows: slice, z: np.ndarray, axis: int) -> None:
        raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        _soft.each(fail, np.zeros((9000, 130), np.float32))


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 40), c=st.integers(2, 6), seed=st.integers(0, 999), scale=st.sampled_from([0.0, 1e-6, 1.0, 1e4])
)
def test_extremes_stay_in_range(n: int, c: int, seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = (rng.normal(size=(n, c)) * scale).astype(np.float32), rng.integers(0, c, n)
    found = per_example(logits, labels, (0.05, 1.0, 50.0))
    for values in (found.confidence, found.loss, found.entropy):
        assert np.isfinite(values).all()
    assert (found.confidence > 1 / c - 1e-6).all()
    assert (found.confidence <= 1).all()
    assert (found.loss >= -1e-6).all()
    assert (found.entropy >= 0).all()
    assert (found.entropy <= np.log(c) + 1e-6).all()


def test_ties_are_won_by_the_lowest_class() -> None:
    assert per_example(np.zeros((3, 4)), np.array([0, 1, 3])).correct.tolist() == [True, False, False]
    assert per_example(np.zeros((2, 300)), np.array([0, 299])).correct.tolist() == [True, False]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("at", [(0, 0), (5000, 3)])
def test_what_is_not_finite_is_refused_saying_where(value: float, at: tuple[int, int]) -> None:
    logits = np.zeros((5001, 4), np.float32)
    logits[at] = value
    with pytest.raises(DataError, match=rf"val_logits\[{at[0]}, {at[1]}\]"):
        check_logits(logits, None, "val_")


def test_a_sum_too_large_for_its_type_is_no_fault_of_the_logits() -> None:
    check_logits(np.full((9, 4), 3e38, np.float32))
    check_logits(np.array([[3e38, -3e38]], np.float32))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((2, 3)), np.array([0, 3]), r"labels\[1\] is 3, expected 0 to 2"),
        (np.zeros((2, 3)), np.array([-1, 0]), r"labels\[0\] is -1"),
        (np.zeros((2, 3)), np.array([0]), "one label for each row"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "labels are float64"),
        (np.zeros((2, 1)), None, r"shape \[2, 1\]"),
        (np.zeros((0, 3)), None, r"shape \[0, 3\]"),
        (np.array([["a", "b"]]), None, "expected numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(logits: np.ndarray, labels: np.ndarray | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_logits(logits, labels)

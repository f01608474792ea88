"""Soft-label entropy against scipy, its limits, and the label-smoothing line's reported values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from fierce_tools.analysis import entropy
from fierce_tools.analysis._soft import BLOCK, entropies, probabilities
from fierce_tools.analysis.entropy import alpha_of, smoothing_entropy
from fierce_tools.errors import DataError, UsageError


def reference(logits: np.ndarray, temperatures: tuple[float, ...]) -> np.ndarray:
    return np.array([scipy_entropy(softmax(logits.astype(np.float64) / t, axis=1), axis=1) for t in temperatures])


@settings(deadline=None)
@given(
    n=st.integers(1, 40), c=st.integers(2, 30), scale=st.sampled_from([1e-4, 1.0, 30.0, 1e4]), seed=st.integers(0, 99)
)
def test_it_is_scipys(n: int, c: int, scale: float, seed: int) -> None:
    logits = (np.random.default_rng(seed).normal(size=(n, c)) * scale).astype(np.float32)
    temperatures = (0.5, 1.0, 9.0, 100.0)
    np.testing.assert_allclose(entropies(logits, temperatures), reference(logits, temperatures), atol=3e-6, rtol=1e-5)
    np.testing.assert_allclose(probabilities(logits, 3.0), softmax(logits.astype(np.float64) / 3.0, axis=1), atol=1e-6)


def test_blocks_and_threads_change_nothing() -> None:
    logits = np.random.default_rng(0).normal(size=(5 * BLOCK // 7 + 3, 9)).astype(np.float32)
    np.testing.assert_allclose(entropies(logits, (2.0,)), reference(logits, (2.0,)), atol=2e-6)
    assert entropies(logits.astype(np.float64), (2.0,)).dtype == np.float64


@pytest.mark.parametrize(
    ("alpha", "value"),
    [(0.2, 0.8669), (0.3, 1.1765), (0.5, 1.6769), (0.6, 1.8764), (0.7, 2.0432), (0.8, 2.1750), (0.9, 2.2660)],
)
def test_the_label_smoothing_line(alpha: float, value: float) -> None:
    assert smoothing_entropy(alpha, 10) == pytest.approx(value, abs=5e-5)
    assert alpha_of(smoothing_entropy(alpha, 10), 10) == pytest.approx(alpha, abs=1e-6)


def test_its_ends() -> None:
    assert smoothing_entropy(0.0, 10) == 0
    assert smoothing_entropy(1.0, 10) == pytest.approx(math.log(10))
    assert alpha_of(0.0, 10) == 0
    assert alpha_of(math.log(10), 10) == 1


def test_uniform_logits_have_log_c_and_certain_ones_nothing() -> None:
    result = entropy(np.zeros((5, 7)), temperatures=(1, 20))
    assert result.mean == pytest.approx((math.log(7),) * 2)
    assert entropy(np.eye(4) * 1e4, temperatures=(1,)).mean == (0.0,)


def test_it_rises_with_temperature() -> None:
    result = entropy(np.random.default_rng(0).normal(size=(100, 10)) * 5)
    assert len(result.mean) == 20
    assert all(a < b for a, b in zip(result.mean, result.mean[1:], strict=False))
    assert all(0 <= h <= result.uniform for h in result.mean)
    assert all(a < b for a, b in zip(result.equivalent_alpha, result.equivalent_alpha[1:], strict=False))


def test_each_class_by_itself() -> None:
    logits = np.array([[3.0, 0, 0], [1, 0, 0], [0, 5, 0]], dtype=np.float32)
    result = entropy(logits, np.array([0, 0, 1]), ("a", "b", "c"), temperatures=(2,), per_class=True)
    h = reference(logits, (2.0,))[0]
    assert result.per_class[0][:2] == pytest.approx((h[:2].mean(), h[2]), abs=1e-6)
    assert result.per_class[0][2] is None
    labels = [s.label for b in result.report().blocks[:1] for s in b.series]  # type: ignore[union-attr]
    assert labels == ["all classes", "class a", "class b", "class c"]


def test_what_is_no_answer_is_refused() -> None:
    good = np.zeros((3, 4))
    for bad in (np.zeros(3), np.zeros((3, 1)), np.zeros((0, 4))):
        with pytest.raises(DataError, match="shape"):
            entropy(bad)
    for value in (np.nan, np.inf):
        bad = good.copy()
        bad[2, 1] = value
        with pytest.raises(DataError, match=r"logits\[2, 1\]"):
            entropy(bad)
    with pytest.raises(DataError, match=r"labels\[1\] is 4"):
        entropy(good, np.array([0, 4, 1]))
    with pytest.raises(DataError, match="one label for each row"):
        entropy(good, np.array([0]))
    with pytest.raises(DataError, match="needs labels"):
        entropy(good, per_class=True)
    for temperatures in ((0,), (-1,), (), (np.inf,)):
        with pytest.raises(UsageError, match="temperature"):
            entropy(good, temperatures=temperatures)

"""The truths of a Gaussian channel: nothing, two clusters, every example apart."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.analysis import mutual_information
from fierce_tools.analysis.mutual_information import estimate
from fierce_tools.errors import DataError, UsageError

LABELS = np.arange(600) % 2


def channel(centres: np.ndarray, draws: int, seed: int = 0, noise: float = 1.0) -> np.ndarray:
    """Draws [draws + 1, N, 2] whose logit difference is its centre and Gaussian noise."""
    y = centres + noise * np.random.default_rng(seed).normal(size=(draws + 1, len(centres)))
    return np.stack([y, np.zeros_like(y)], axis=2)


def over_seeds(centres: np.ndarray, draws: int) -> float:
    """The estimate, averaged over eight draws of the noise."""
    return float(np.mean([mutual_information(channel(centres, draws, seed), LABELS).nats for seed in range(8)]))


@pytest.mark.parametrize(("draws", "expected"), [(1, -0.130), (5, -0.065), (50, -0.011)])
def test_no_information(draws: int, expected: float) -> None:
    assert over_seeds(np.zeros(600), draws) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize(("draws", "expected"), [(1, 0.561), (5, 0.625), (50, 0.683)])
def test_two_clusters_approach_log_two_from_below(draws: int, expected: float) -> None:
    assert over_seeds(100.0 * LABELS, draws) == pytest.approx(expected, abs=0.012)


def test_two_clusters_at_fifty_draws_are_within_three_hundredths() -> None:
    assert mutual_information(channel(100.0 * LABELS, 50), LABELS).nats == pytest.approx(np.log(2), abs=0.03)


def test_separated_examples_reach_log_n_less_the_cost_of_the_mean() -> None:
    # Apart, the sum over x' is its own term and the mean is log(1/N) beneath it: log N exactly.
    result = mutual_information(channel(1000.0 * np.arange(600), 50), LABELS)
    assert result.nats == pytest.approx(np.log(600), abs=1e-9)
    assert result.report().blocks[0].values["at most"] == pytest.approx(6.397, abs=5e-4)


def test_worked_by_hand() -> None:
    # y = (1, 3), μ = (0, 2), σ² = 1. x=0: -1/2 - log((e^-.5 + e^-.5)/2) = 0. x=1: -1/2 - log((e^-4.5 + e^-.5)/2).
    draws = np.array([[[0, 0], [2, 0]], [[1, 0], [3, 0]]], dtype=np.float32)
    result = mutual_information(draws, np.array([0, 1]))
    expected = (0 - 0.5 - np.log((np.exp(-4.5) + np.exp(-0.5)) / 2)) / 2
    assert result.nats == pytest.approx(expected)
    assert (result.noise_variance, result.draws, result.examples) == (1.0, 1, 2)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(1, 5), st.floats(0.01, 1000), st.integers(0, 1000))
def test_formula_bound_and_scale(examples: int, draws: int, spread: float, seed: int) -> None:
    centres = spread * np.random.default_rng(seed).normal(size=examples)
    y = channel(centres, draws, seed)
    labels = np.arange(examples) % 2
    result = mutual_information(y, labels)
    held, means = y[-1, :, 0], y[:-1, :, 0].mean(axis=0)
    variance = ((held - means) ** 2).mean()
    table = np.exp(-((held[:, None] - means[None]) ** 2) / (2 * variance)).mean(axis=1)
    plain = np.mean(-((held - means) ** 2) / (2 * variance) - np.log(np.maximum(table, 1e-300)))
    assert result.nats <= np.log(examples) + 1e-9
    if (table > 1e-290).all():
        assert result.nats == pytest.approx(plain, abs=1e-9)
    assert mutual_information(1000 * y, labels).nats == pytest.approx(result.nats, abs=1e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    y, means = generator.normal(size=(2, 37))
    whole = estimate(y, means, 0.5)
    monkeypatch.setattr(sys.modules[estimate.__module__], "BLOCK", 100)
    assert estimate(y, means, 0.5) == pytest.approx(whole, abs=1e-12)


def test_classes_by_name_and_the_balance_of_the_sample() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [5, 100, 60])
    draws = generator.normal(size=(4, 165, 3)).astype(np.float32)
    names = ("ant", "bee", "cat")
    assert mutual_information(draws, labels, names, classes=("cat", "1")).classes == ("cat", "bee")
    assert mutual_information(draws, labels, names).classes == ("ant", "bee")
    assert mutual_information(draws, labels, classes=("1", "2"), examples=80).examples == 80
    # 5 of class 0 there are, so 75 of class 1.
    assert mutual_information(draws, labels, examples=80).examples == 80
    assert mutual_information(draws, labels).examples == 105
    later = labels[5:]
    assert mutual_information(draws[:, 5:], later).classes == ("1", "2")


def test_the_pair_only_changes_the_sign() -> None:
    draws = np.random.default_rng(0).normal(size=(6, 90, 3))
    labels = np.arange(90) % 3
    one = mutual_information(draws, labels, classes=("0", "2"))
    other = mutual_information(draws, labels, classes=("2", "0"))
    assert one.nats == pytest.approx(other.nats, abs=1e-12)


def test_refuses() -> None:
    draws = channel(np.zeros(6), 3)
    labels = np.arange(6) % 2
    with pytest.raises(DataError, match="σ² = 0"):
        mutual_information(np.repeat(draws[:1], 4, axis=0), labels)
    still = np.repeat(1e3 + draws[:1], 4, axis=0)
    still[..., 1] = 0
    with pytest.raises(DataError, match="under augmentation"):
        mutual_information(still + 1e-7 * draws, labels)
    with pytest.raises(DataError, match="1 draw, expected 2"):
        mutual_information(draws[:1], labels)
    with pytest.raises(DataError, match=r"expected \[L, N, C\]"):
        mutual_information(draws[0], labels)
    with pytest.raises(DataError, match="class 0 only"):
        mutual_information(draws, labels * 0)
    with pytest.raises(DataError, match="no example of class 1"):
        mutual_information(draws, labels * 0, classes=("0", "1"))
    with pytest.raises(UsageError, match="two different"):
        mutual_information(draws, labels, classes=("1", "1"))
    with pytest.raises(UsageError, match="unknown class"):
        mutual_information(draws, labels, classes=("1", "2"))
    with pytest.raises(UsageError, match="1 examples"):
        mutual_information(draws, labels, examples=1)
    with pytest.raises(DataError, match=r"draws\[0\]: labels"):
        mutual_information(draws, labels + 1)
    draws[2, 4, 1] = np.nan
    with pytest.raises(DataError, match=r"draws\[2\]: logits\[4, 1\] is nan"):
        mutual_information(draws, labels)

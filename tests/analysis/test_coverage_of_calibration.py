"""Of 2,000 made-up sets of known calibration, how many 95 % intervals hold the truth.

A set is confidences and who is right, drawn with confidence less a gap; the gap has one size, so that the ECE over bins
is that size whatever the bins, if its sign is one, or alternates over those bins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fierce_tools.analysis._calibration_intervals import aurc_interval, binned_intervals, ece_debiased, mce_interval
from fierce_tools.analysis._intervals import mean_interval, wilson
from fierce_tools.analysis._metrics import ece, equal_mass, equal_width

pytestmark = pytest.mark.slow

SETS, BINS, RESAMPLES = 2000, 15, 100
Interval = tuple[float, float]


def confidences(shape: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Mostly above .9, or .4 to .9."""
    return 1 - 0.5 * rng.beta(0.6, 4, size) if shape == "good" else 0.4 + 0.5 * rng.beta(1.5, 1.2, size)


def chances(shape: str, confidence: np.ndarray, gap: float) -> np.ndarray:
    """Of being right: below the good classifier's confidence, below and above the mediocre one's by turns."""
    sign = 1 if shape == "good" else 1 - 2 * (equal_width(confidence, BINS) % 2)
    return confidence - gap * sign


def sets(shape: str, examples: int, gap: float, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(SETS):
        confidence = confidences(shape, examples, rng)
        made.append((confidence, rng.random(examples) < chances(shape, confidence, gap)))
    return made


def population(shape: str, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """A million confidences and their chances."""
    confidence = confidences(shape, 1_000_000, np.random.default_rng(99))
    return confidence, chances(shape, confidence, gap)


def missed(intervals: list[Interval], truth: float) -> tuple[float, float]:
    """The shares of intervals above the truth and below it, in percent."""
    low, high = np.array(intervals).T
    return 100 * float((low > truth).mean()), 100 * float((high < truth).mean())


@pytest.mark.parametrize(
    ("shape", "examples", "gap"),
    [
        ("good", 500, 0.0),
        ("mediocre", 2000, 0.0),
        ("good", 500, 0.02),
        ("mediocre", 2000, 0.02),
        ("good", 2000, 0.05),
        ("mediocre", 500, 0.05),
        ("good", 500, 0.1),
        ("mediocre", 2000, 0.1),
    ],
)
def test_ece(shape: str, examples: int, gap: float) -> None:
    """93 to 97 %, at 0, a boundary, 93 % or more; the debiased estimate is nearer to the truth than the plain one."""
    rng = np.random.default_rng(1)
    plain, debiased, found, stretched = [], [], [], []
    for number, (confidence, correct) in enumerate(sets(shape, examples, gap, seed=0)):
        which = equal_width(confidence, BINS)
        low, high = binned_intervals(which, confidence, correct, BINS, resamples=RESAMPLES, rng=rng)[0]
        found.append((low, high))
        plain.append(ece(confidence, correct, bins=BINS))
        stretched.append((min(low, plain[-1]), max(high, plain[-1])))
        if number % 5 == 0:
            debiased.append(ece_debiased(which, confidence, correct, BINS))
            assert low - 0.005 <= debiased[-1] <= high + 0.005
    above, below = missed(found, gap)
    assert 100 - above - below >= 93
    assert gap == 0 or 100 - above - below <= 97
    assert 93 <= 100 - sum(missed(stretched, gap)) <= (97 if gap > 0 else 100), "stretched to hold the plain error"
    assert max(above, below) <= 5.5
    error = np.std(debiased) / np.sqrt(len(debiased))
    assert abs(np.mean(debiased) - gap) <= max(0.5 * (np.mean(plain) - gap), 0.015) + 2 * error


def off(where: str, confidence: np.ndarray, gap: float) -> np.ndarray:
    """Of being right, where only the bins above .8 (the mediocre one's) or .933, that above .8 or the low are off."""
    number = equal_width(confidence, BINS)
    bins = {"good top": number == 14, "one": number == 12, "low": confidence < 0.6}[where]
    return confidence - gap * bins


@pytest.mark.parametrize(
    ("shape", "where", "examples", "gap"),
    [
        ("good", "good top", 2000, 0.1),
        ("mediocre", "one", 500, 0.4),
        ("mediocre", "one", 2000, 0.4),
        ("mediocre", "low", 500, 0.3),
    ],
)
def test_ece_that_few_bins_hold(shape: str, where: str, examples: int, gap: float) -> None:
    """93 % and more; the debiased estimate has half of the plain one's bias at most."""
    rng = np.random.default_rng(5)
    many = confidences(shape, 1_000_000, np.random.default_rng(99))
    truth = float((many - off(where, many, gap)).mean())
    found, plain, debiased = [], [], []
    for number in range(SETS):
        confidence = confidences(shape, examples, rng)
        correct = rng.random(examples) < off(where, confidence, gap)
        which = equal_width(confidence, BINS)
        found.append(binned_intervals(which, confidence, correct, BINS, resamples=RESAMPLES, rng=rng)[0])
        if number % 5 == 0:
            plain.append(ece(confidence, correct, bins=BINS))
            debiased.append(ece_debiased(which, confidence, correct, BINS))
    assert sum(missed(found, truth)) <= 7
    error = np.std(debiased) / np.sqrt(len(debiased))
    assert abs(np.mean(debiased) - truth) <= 0.5 * (np.mean(plain) - truth) + 2 * error


@pytest.mark.parametrize("examples", [5, 10, 20, 50])
def test_ece_of_few_examples_nearly_all_wrong(examples: int) -> None:
    """93 % and more of 500 sets, and no interval is of one point: all wrong proves nothing."""
    rng = np.random.default_rng(6)
    found = []
    for _ in range(500):
        correct = rng.random(examples) < 0.05
        confidence = np.full(examples, 0.9)
        which = equal_width(confidence, BINS)
        found.append(binned_intervals(which, confidence, correct, BINS, resamples=RESAMPLES, rng=rng)[0])
    assert sum(missed(found, 0.85)) <= 7
    assert all(low < high for low, high in found)


def test_errors_over_bins_of_equal_mass() -> None:
    """ECE 93 % and more, squared error likewise; the population's bins are those of a million."""
    rng = np.random.default_rng(2)
    confidence, chance = population("good", 0.05)
    which = equal_mass(confidence, BINS)
    gaps = np.bincount(which, confidence - chance) / np.bincount(which)
    found = []
    for confidence, correct in sets("good", 500, 0.05, seed=1):
        which = equal_mass(confidence, BINS)
        found.append(
            binned_intervals(
                which, confidence, correct, BINS, resamples=60, rng=rng, ways=("spread", "even", "none", "sparse")
            )
        )  # fmt: skip
    for index, truth in enumerate((np.abs(gaps).mean(), np.sqrt((gaps**2).mean()))):
        assert 93 <= 100 - sum(missed([pair[index] for pair in found], float(truth))) <= 98


@pytest.mark.parametrize(("shape", "examples", "gap"), [("good", 500, 0.0), ("mediocre", 500, 0.1)])
def test_mce_is_covered_in_at_least_95_percent(shape: str, examples: int, gap: float) -> None:
    found = []
    for confidence, correct in sets(shape, examples, gap, seed=2):
        found.append(mce_interval(equal_width(confidence, BINS), confidence, correct, BINS))
    assert sum(missed(found, gap)) <= 5.5


@pytest.mark.parametrize(
    ("shape", "examples", "gap"),
    [("good", 500, 0.05), ("good", 2000, 0.0), ("mediocre", 500, 0.0), ("mediocre", 2000, 0.1)],
)
def test_means_and_aurc(shape: str, examples: int, gap: float) -> None:
    """Accuracy, NLL and Brier score of two classes, and AURC, against the means over a million."""
    confidence, chance = population(shape, gap)
    order = np.argsort(-confidence)
    risk = np.cumsum(1 - chance[order]) / np.arange(1, len(order) + 1)
    loss: Callable[[np.ndarray], np.ndarray] = lambda p: -np.log(np.maximum(p, 1e-12))  # noqa: E731
    brier: Callable[[np.ndarray], np.ndarray] = lambda p: 2 * (1 - p) ** 2  # noqa: E731
    truth = {"accuracy": float(chance.mean()), "aurc": float(risk.mean())}
    for name, of in (("nll", loss), ("brier", brier)):
        truth[name] = float((chance * of(confidence) + (1 - chance) * of(1 - confidence)).mean())
    found: dict[str, list[Interval]] = {name: [] for name in truth}
    for confidence, correct in sets(shape, examples, gap, seed=3):
        p = np.where(correct, confidence, 1 - confidence)
        ends = mean_interval(np.column_stack([loss(p), brier(p)]))
        assert ends is not None
        found["nll"].append((float(ends[0][0]), float(ends[1][0])))
        found["brier"].append((float(ends[0][1]), float(ends[1][1])))
        low, high = wilson(correct.sum(), examples)
        found["accuracy"].append((float(low), float(high)))
        found["aurc"].append(aurc_interval(confidence, correct))
    covered = {name: 100 - sum(missed(spans, truth[name])) for name, spans in found.items()}
    assert {name: share for name, share in covered.items() if not 93 <= share <= 97} == {}


def test_aurc_of_few_errors() -> None:
    """Of 200 examples about 2 in 100 are wrong: it may hold the truth more often, never less."""
    rng = np.random.default_rng(4)
    make = lambda size: 1 / (1 + np.exp(-np.maximum(rng.normal(6.5, 2.5, size), 0.01)))  # noqa: E731
    confidence = np.sort(make(1_000_000))[::-1]
    truth = float((np.cumsum(1 - confidence) / np.arange(1, 1_000_001)).mean())
    found = []
    for _ in range(SETS):
        confidence = make(200)
        found.append(aurc_interval(confidence, rng.random(200) < confidence))
    assert sum(missed(found, truth)) <= 5.5

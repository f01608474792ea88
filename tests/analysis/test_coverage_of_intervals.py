"""Of 2,000 made-up sets, how many 95 % intervals hold the truth: shares, mean squared errors, few-shot, ranks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from fierce_tools.analysis import few_shot
from fierce_tools.analysis._intervals import bootstrap_mean, wilson
from fierce_tools.experiments._rank import spearman_interval

pytestmark = pytest.mark.slow

SETS = 2000


@pytest.mark.parametrize(("share", "examples"), [(0.5, 1000), (0.9, 500), (0.98, 1000), (None, 40), (None, 60)])
def test_a_share_of_a_probe_or_of_a_bin(share: float | None, examples: int) -> None:
    """Few counts make steps, so that the examples of a bin hold 93 to 97 % only over many true shares (of .5 to 1)."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 1, SETS) if share is None else np.full(SETS, share)
    low, high = wilson(rng.binomial(examples, truth), np.full(SETS, examples))
    assert 93 <= 100 * ((low <= truth) & (truth <= high)).mean() <= 97


@pytest.mark.parametrize("examples", [200, 1000])
@pytest.mark.parametrize("kind", ["normal", "laplace", "uniform"])
def test_a_mean_squared_error(kind: str, examples: int) -> None:
    """Squares are skewed: percentiles of the bootstrap hold 92 % of Laplace's at 200 examples."""
    rng = np.random.default_rng(1)
    size = (examples, SETS)
    errors, truth = {
        "normal": lambda: (rng.normal(size=size), 1.0),
        "laplace": lambda: (rng.laplace(size=size), 2.0),
        "uniform": lambda: (rng.uniform(-1, 1, size), 1 / 3),
    }[kind]()
    ends = bootstrap_mean(errors**2, 300, 0)
    assert ends is not None
    assert 93 <= 100 * ((ends[0] <= truth) & (truth <= ends[1])).mean() <= 97


def test_few_shot_accuracy_over_draws() -> None:
    """The truth is the mean over many draws from the same examples."""
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(4), 25)
    features = rng.normal(size=(100, 3)) + labels[:, None] * 0.5
    options = {"ways": 2, "shots": (1,), "queries": 5}
    truth = few_shot(features, labels, draws=200_000, seed=1, **options).accuracy[0]
    held = 0
    for seed in range(SETS):
        found = few_shot(features, labels, draws=200, seed=seed + 2, **options)
        held += abs(found.accuracy[0] - truth) <= found.half_interval[0]
    assert 93 <= 100 * held / SETS <= 97


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("pairs", [5, 8, 12, 20])
def test_spearmans_rho(pairs: int, rho: float) -> None:
    """Of normal pairs; 5 have few values of ρ, and theirs hold it more often. A perfect order has no interval."""
    rng = np.random.default_rng(3)
    pearson = 2 * np.sin(np.pi * rho / 6)
    x, noise = rng.normal(size=(2, SETS, pairs))
    ranks = [rankdata(v, axis=1) - (pairs + 1) / 2 for v in (x, pearson * x + np.sqrt(1 - pearson**2) * noise)]
    seen = (ranks[0] * ranks[1]).sum(axis=1) / (pairs * (pairs**2 - 1) / 12)
    intervals = [found for value in seen if (found := spearman_interval(float(value), pairs)) is not None]
    assert len(intervals) > 0.8 * SETS
    low, high = np.array(intervals).T
    covered = 100 * ((low <= rho) & (rho <= high)).mean()
    assert 93 <= covered <= (97 if pairs > 5 else 100)

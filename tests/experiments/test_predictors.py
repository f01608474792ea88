"""Which statistic goes with students' accuracy: ranks against scipy, statistics against their analyses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fierce_tools import sources
from fierce_tools.analysis import smoothness, stability
from fierce_tools.errors import UsageError
from fierce_tools.experiments import predictors
from fierce_tools.experiments._lab import lab
from fierce_tools.experiments._loading import Places
from fierce_tools.experiments._rank import rank, spearman_interval
from fierce_tools.report import Points, Table
from fierce_tools.sources import Source

FLAGS = ("--student", "mlp:8", "--epochs", "1", "--seeds", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, train_run: Callable[..., Source]) -> Path:
    root = tmp_path_factory.mktemp("three")
    for name, epochs, alpha in (("a", "1", "0"), ("b", "4", "0"), ("c", "4", "0.4")):
        train_run(root, name, "--epochs", epochs, "--loss", "label-smoothing", "--alpha", alpha)
    return root


def test_ranks_are_scipys() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=6)
    y = x + rng.normal(size=6)
    found = rank(list(zip(x, y, strict=True)))
    truth = spearmanr(x, y)
    assert found.rho == pytest.approx(truth.statistic)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.rho <= found.high <= 1
    assert found.n == 6
    from itertools import permutations

    every = [abs(spearmanr(x, y[list(p)]).statistic) for p in permutations(range(6))]
    assert found.p == pytest.approx(np.mean(np.array(every) >= abs(found.rho) - 1e-9), abs=1e-9)
    ties = rank([(1, 2), (1, 3), (2, 3), (5, 9)])
    assert ties.low is None, "4 pairs"
    assert ties.rho == pytest.approx(spearmanr([1, 1, 2, 5], [2, 3, 3, 9]).statistic)


def test_few_teachers_say_little() -> None:
    perfect = rank([(k, k**2) for k in range(9)])
    assert (perfect.rho, perfect.low) == (1, None)
    perfect = rank([(1, 5), (2, 6), (3, 7)])
    assert perfect.rho == 1
    assert (perfect.low, perfect.high) == (None, None), "Fisher's z of 1 is infinite"
    assert perfect.p == pytest.approx(1 / 3), "2 orders of 3!"
    assert rank([(1, 5), (1, 6), (1, 7)]).rho is None


def test_the_interval_is_bonett_and_wrights() -> None:
    """Worked by hand for ρ = .6, n = 13: artanh .6 = .693147, half = 1.96 √(1.18/10) = .673270."""
    assert spearman_interval(0.6, 13) == pytest.approx((0.019875, 0.877873), abs=1e-5)
    assert spearman_interval(0.6, 4) is None


def located(three: Path) -> list[Source]:
    return [sources.locate(n, three)[0] for n in "abc"]


def test_statistics_are_those_of_the_analyses(three: Path, places: Places, tmp_path: Path) -> None:
    made = lab(located(three), places, tmp_path, student="mlp:8", epochs=2, seeds=2)
    found = predictors(made.teachers, made, skip=("mi",), bootstrap=200)
    labels = made.splits.test.labels
    for teacher, entry in zip(made.teachers, found.teachers, strict=True):
        own = entry["statistics"]
        assert own["accuracy"] == pytest.approx((teacher.test.argmax(axis=1) == labels).mean())
        z = teacher.test.astype(np.float64)
        nll = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]
        assert own["nll"] == pytest.approx(nll.mean(), rel=1e-5)
        gamma = smoothness(teacher.train, made.splits.train.labels).gamma
        assert own["gamma"] == pytest.approx(gamma)
        assert own["stability"] == pytest.approx(1 - stability(teacher.test, labels).stability)
        assert "mi" not in own
    ranks = found.ranks["gamma"]
    assert ranks is not None
    pairs = [(t["statistics"]["gamma"], t["accuracy"]) for t in found.teachers]
    assert ranks.rho == pytest.approx(spearmanr(*zip(*pairs, strict=True)).statistic)
    report = found.report()
    assert any("n = 3 teachers" in n and "0.33" in n for n in report.notes)
    assert sum(isinstance(b, Points) for b in report.blocks) == 3
    (first, second) = [b for b in report.blocks if isinstance(b, Table)]
    assert len(first.rows) == 7
    assert [r[0] for r in second.rows] == ["a", "b", "c"]


def test_wrong_asking_is_said(three: Path, places: Places, tmp_path: Path) -> None:
    made = lab(located(three), places, tmp_path, student="mlp:8", epochs=1, seeds=1)
    for teachers, given, said in (
        (made.teachers[:2], {}, "there are 2; name 3 or more"),
        (made.teachers, {"skip": ("brier",)}, "unknown statistic 'brier'"),
        (made.teachers, {"bootstrap": 3}, "--bootstrap is 3"),
    ):
        with pytest.raises(UsageError, match=said):
            predictors(teachers, made, **given)  # type: ignore[arg-type]


def test_the_command(fierce: Any, three: Path) -> None:
    asked = ("analyze", "predictors", "a", "b", "c", "--runs-dir", str(three), "--skip", "mi", *FLAGS)
    code, out, err = fierce(*asked, "--format", "json")
    assert code == 0, err
    values = json.loads(out)["results"][0]["values"]
    assert set(values["ranks"]) == {"accuracy", "nll", "entropy", "gamma", "stability", "ece", "tightness"}
    assert values["ranks"]["accuracy"]["n"] == 3
    code, out, err = fierce(*asked)
    assert code == 0
    assert "Take this as a hint" in out

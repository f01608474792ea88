"""Stability against a plain loop over classes, hand-worked numbers and its bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax

from fierce_tools.analysis import stability
from fierce_tools.errors import DataError, UsageError


def plainly(p: np.ndarray, labels: np.ndarray, variant: str) -> float:
    """1 - the mean over classes of the spread, class by class."""
    spreads = []
    for c in np.unique(labels):
        mine = p[labels == c]
        squares = {
            "vector": np.mean([np.sum((row - mine.mean(axis=0)) ** 2) for row in mine]),
            "variance": mine[:, c].var(),
            "deviation": mine[:, c].std(),
        }
        spreads.append(squares[variant])
    return 1 - float(np.mean(spreads))


@pytest.mark.parametrize("variant", ["vector", "variance", "deviation"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_equals_the_plain_loop(variant: str, temperature: float) -> None:
    generator = np.random.default_rng(1)
    logits, labels = 3 * generator.normal(size=(400, 7)), generator.integers(0, 7, 400)
    expected = plainly(softmax(logits / temperature, axis=1), labels, variant)
    result = stability(logits, labels, variant=variant, temperature=temperature)
    assert result.stability == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("variant", "expected"), [("vector", 0.875), ("variance", 0.9375), ("deviation", 0.75)])
def test_worked_by_hand(variant: str, expected: float) -> None:
    # p = (.25, .75) and (.75, .25) of class 0: distance from (.5, .5) squared .125, variance .0625, deviation .25.
    logits = np.log(np.array([[0.25, 0.75], [0.75, 0.25]]))
    assert stability(logits, np.array([0, 0]), variant=variant).stability == pytest.approx(expected)


def test_scalar_variance_cannot_reach_what_the_paper_prints() -> None:
    logits = np.array([[1e4, 0, 0, 0], [0, 1e4, 0, 0], [0, 0, 1e4, 0], [1e4, 0, 0, 0]])
    labels = np.zeros(4, dtype=np.int64)
    assert 1 - stability(logits, labels, variant="variance").stability == pytest.approx(0.25)
    assert 1 - stability(logits, labels, variant="deviation").stability == pytest.approx(0.5)
    # Means (.5, .25, .25, 0): 1 - (.25 + .0625 + .0625).
    assert 1 - stability(logits, labels).stability == pytest.approx(0.625)


@settings(deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(2, 6)), elements=st.floats(-1e4, 1e4, width=32)),
    st.integers(0, 1000),
)
def test_bounds_and_permutation(logits: np.ndarray, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, logits.shape[1], len(logits))
    found = {v: 1 - stability(logits, labels, variant=v).stability for v in ("vector", "variance", "deviation")}
    assert -1e-9 <= found["vector"] <= 1 - 1 / logits.shape[1] + 1e-6
    assert -1e-9 <= found["variance"] <= min(0.25, found["vector"]) + 1e-6
    assert found["variance"] - 1e-6 <= found["deviation"] <= 0.5 + 1e-6
    order = generator.permutation(len(logits))
    assert 1 - stability(logits[order], labels[order]).stability == pytest.approx(found["vector"], abs=1e-9)


def test_one_example_a_class_and_an_empty_class() -> None:
    result = stability(np.random.default_rng(0).normal(size=(2, 3)), np.array([0, 2]))
    assert (result.stability, result.classes, result.counts) == (1.0, 2, (1, 0, 1))
    assert result.spread[1] is None


def test_report_names_the_variant_and_keeps_to_a_screen() -> None:
    generator = np.random.default_rng(2)
    result = stability(generator.normal(size=(300, 60)), generator.integers(0, 60, 300), variant="deviation")
    report = result.report()
    scalars, table = report.blocks
    assert scalars.values["variant"] == "deviation"
    assert scalars.values["1 - S"] == pytest.approx(1 - scalars.values["stability S"])
    assert len(table.rows) == 20
    least = min(row[2] for row in table.rows)
    assert sum(s is not None and s > least + 1e-4 for s in result.spread) < 20


def test_refuses() -> None:
    logits, labels = np.zeros((3, 4), np.float32), np.array([0, 1, 3])
    with pytest.raises(UsageError, match="did you mean 'variance'"):
        stability(logits, labels, variant="varianc")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="temperature"):
        stability(logits, labels, temperature=np.inf)
    with pytest.raises(DataError, match=r"labels\[0\] is -1"):
        stability(logits, labels - 1)
    with pytest.raises(DataError, match="class names"):
        stability(logits, labels, ("a", "b"))
    with pytest.raises(DataError, match="inf"):
        stability(np.full((3, 4), np.inf), labels)

"""The highest entropies, of each class and overall, never the lowest."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from fierce_tools.analysis import transfer_set
from fierce_tools.errors import DataError, UsageError


def random(examples: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of very different sizes, labels, and their scores by scipy at T=9."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(examples, classes)) * generator.uniform(0.1, 60, size=(examples, 1))
    return logits, generator.integers(0, classes, examples), scipy_entropy(softmax(logits / 9, axis=1), axis=1)


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(2, 5), st.integers(1, 30), st.integers(0, 10_000))
def test_balanced_takes_the_highest_of_each_class(examples: int, classes: int, wanted: int, seed: int) -> None:
    logits, labels, scores = random(examples, classes, seed)
    result = transfer_set(logits, labels, per_class=wanted)
    for c in range(classes):
        highest = np.sort(scores[labels == c])[::-1][:wanted]
        np.testing.assert_allclose(result.scores[result.labels == c], highest, atol=1e-6)
    assert len(set(result.index.tolist())) == len(result.index)
    np.testing.assert_array_equal(result.labels, labels[result.index])
    np.testing.assert_allclose(result.scores, scores[result.index], atol=1e-6)
    assert (np.diff(result.scores) <= 0).all()


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(1, 100), st.integers(0, 10_000))
def test_overall_takes_the_highest_not_the_lowest(examples: int, total: int, seed: int) -> None:
    logits, labels, scores = random(examples, 4, seed)
    result = transfer_set(logits, labels, balanced=False, total=total)
    np.testing.assert_allclose(result.scores, np.sort(scores)[::-1][:total], atol=1e-6)
    assert result.scores[0] == pytest.approx(scores.max(), abs=1e-6)


def test_rows_belong_together_and_carry_the_original_index() -> None:
    logits, labels, scores = random(200, 3, 1)
    index = np.random.default_rng(2).permutation(5000)[:200]
    result = transfer_set(logits, labels, index, per_class=10)
    place = {int(original): position for position, original in enumerate(index)}
    positions = [place[i] for i in result.index.tolist()]
    np.testing.assert_array_equal(result.labels, labels[positions])
    np.testing.assert_array_equal(result.predictions, logits[positions].argmax(axis=1))
    np.testing.assert_allclose(result.scores, scores[positions], atol=1e-6)


def test_total_defaults_to_as_many_as_a_balanced_set() -> None:
    logits, labels, _ = random(500, 5, 3)
    assert len(transfer_set(logits, labels, per_class=7, balanced=False).index) == 35


def test_equal_scores_keep_the_order_of_the_split() -> None:
    result = transfer_set(np.zeros((6, 2)), np.array([1, 0, 1, 0, 1, 0]), per_class=2)
    assert result.index.tolist() == [0, 1, 2, 3]


def test_summary_by_class() -> None:
    # Class 0: entropies log 2 (z = 0, 0) and 0; class 1: one example; class 2: none.
    low = [0, 1e4, 0]
    logits = np.array([[0, 0, -1e4], [1e4, 0, 0], low], dtype=np.float64)
    result = transfer_set(logits, np.array([0, 0, 1]), None, ("ant", "bee", "cat"), temperature=1, per_class=2)
    scalars, table, pictures = result.report().blocks
    assert table.rows[0] == ("ant", 2, 2, pytest.approx(0.6931), pytest.approx(0.3466), 0, pytest.approx(0.3466), 0)
    assert table.rows[1] == ("bee", 1, 1, 0, 0, 0, 0, 0)
    assert table.rows[2] == ("cat", 0, 0, None, None, None, None, 0)
    assert scalars.values["accuracy on these"] == 1
    assert pictures.index == (0, 1, 2)
    assert pictures.captions[0] == "label ant, predicted ant, 0.693 nats"
    assert result.report().notes == ("Fewer than 2 examples there are of bee, cat.",)


def test_pictures_show_every_class_of_a_balanced_set() -> None:
    logits, labels, _ = random(400, 10, 4)
    logits[labels == 3] = 0
    result = transfer_set(logits, labels, per_class=20)
    pictures = result.report().blocks[2]
    captions = [c.split(",")[0] for c in pictures.captions]
    assert [captions.count(f"label {c}") for c in range(10)] == [2] * 10
    overall = transfer_set(logits, labels, balanced=False, total=30).report().blocks[2]
    assert len(overall.index) == 20
    assert {c.split(",")[0] for c in overall.captions} == {"label 3"}


def test_refuses() -> None:
    logits, labels, _ = random(5, 3, 0)
    with pytest.raises(UsageError, match="0 examples"):
        transfer_set(logits, labels, per_class=0)
    with pytest.raises(UsageError, match="0 examples"):
        transfer_set(logits, labels, balanced=False, total=0)
    with pytest.raises(UsageError, match="--no-balanced"):
        transfer_set(logits, labels, total=5)
    with pytest.raises(UsageError, match="temperature"):
        transfer_set(logits, labels, temperature=-1)
    with pytest.raises(DataError, match="index"):
        transfer_set(logits, labels, np.arange(4))
    with pytest.raises(DataError, match="labels"):
        transfer_set(logits, labels + 3)
    logits[2, 0] = np.nan
    with pytest.raises(DataError, match=r"logits\[2, 0\]"):
        transfer_set(logits, labels)

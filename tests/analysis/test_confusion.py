"""Against scikit-learn on random data, and the edges it leaves undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fierce_tools.analysis import confusion
from fierce_tools.errors import DataError, UsageError


def random(examples: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a model that is right somewhat more often than not."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, examples)
    return (generator.normal(size=(examples, classes)) + 2 * np.eye(classes)[labels]).astype(np.float32), labels


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 7), st.integers(0, 10_000))
def test_counts_precision_and_recall_are_scikit_learns(examples: int, classes: int, seed: int) -> None:
    logits, labels = random(examples, classes, seed)
    predicted, every = logits.argmax(axis=1), np.arange(classes)
    result = confusion(logits, labels)
    np.testing.assert_array_equal(result.counts, metrics.confusion_matrix(labels, predicted, labels=every))
    theirs = metrics.precision_recall_fscore_support(labels, predicted, labels=every, zero_division=np.nan)
    for own, other in ((result.precision, theirs[0]), (result.recall, theirs[1])):
        np.testing.assert_allclose([np.nan if v is None else v for v in own], other)
    assert result.accuracy == metrics.accuracy_score(labels, predicted)
    there = np.unique(labels)
    recalls = metrics.recall_score(labels, predicted, labels=there, average=None)
    assert result.balanced_accuracy == pytest.approx(recalls.mean())


@pytest.mark.parametrize("normalize", ["true", "predicted"])
def test_shares_are_scikit_learns(normalize: str) -> None:
    logits, labels = random(500, 6, 3)
    theirs = metrics.confusion_matrix(labels, logits.argmax(axis=1), normalize=normalize.replace("predicted", "pred"))
    np.testing.assert_allclose(confusion(logits, labels, normalize=normalize).matrix(), theirs)


def test_pairs_come_by_number_then_by_class() -> None:
    predicted = np.array([1, 1, 2, 0, 0, 1, 2])
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    result = confusion(np.eye(3)[predicted], labels, ("ant", "bee", "cat"), pairs=3)
    assert result.pairs == ((0, 1, 2), (1, 0, 2), (0, 2, 1))
    rows = result.report().blocks[3].rows
    assert rows[0] == ("ant", "bee", 2, pytest.approx(2 / 3))
    assert len(confusion(np.eye(3)[predicted], labels).pairs) == 4


def test_ties_go_to_the_lower_class() -> None:
    assert confusion(np.zeros((2, 3)), np.array([2, 0])).counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


def test_nothing_wrong_and_classes_without_examples() -> None:
    result = confusion(np.eye(3)[[0, 0]], np.array([0, 0]), normalize="true")
    assert (result.accuracy, result.balanced_accuracy, result.pairs) == (1.0, 1.0, ())
    assert result.recall == (1.0, None, None)
    report = result.report()
    assert report.notes == ("No example is misclassified.",)
    assert report.blocks[1].values[1] == (None, None, None)
    wrong = confusion(np.eye(3)[[1, 1]], np.array([0, 0]), pairs=0).report()
    assert not wrong.notes


def test_many_classes_are_shown_by_most_errors() -> None:
    logits, labels = random(2000, 50, 5)
    # Class 33 is always taken for 7, so that both have by far the most errors.
    logits[labels == 33] = 10 * np.eye(50)[7]
    matrix, table = confusion(logits, labels).report().blocks[1:3]
    assert (len(matrix.rows), len(table.rows)) == (12, 20)
    assert {"33", "7"} <= set(matrix.rows)
    assert matrix.rows == tuple(sorted(matrix.rows, key=int))


def test_refuses() -> None:
    logits, labels = random(5, 3, 0)
    with pytest.raises(UsageError, match="did you mean 'true'"):
        confusion(logits, labels, normalize="tru")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="-1 pairs"):
        confusion(logits, labels, pairs=-1)
    with pytest.raises(DataError, match="is 3, expected 0 to 2"):
        confusion(logits, np.full(5, 3))
    logits[4, 1] = np.nan
    with pytest.raises(DataError, match=r"logits\[4, 1\] is nan"):
        confusion(logits, labels)

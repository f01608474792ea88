"""Against scipy row by row; a model agrees with itself; what cannot be had is refused or None."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy
from scipy.stats import pearsonr, spearmanr

from fierce_tools.analysis import agreement
from fierce_tools.errors import DataError, UsageError


def random(examples: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of a student and a teacher that share something, and labels."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, examples)
    common = generator.normal(size=(examples, classes)) + 2 * np.eye(classes)[labels]
    mine, theirs = (common + generator.normal(size=(examples, classes)) for _ in range(2))
    return mine.astype(np.float32), theirs.astype(np.float32), labels


def similarity(p: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The off-diagonal mean soft labels of the classes there are."""
    return np.concatenate([np.delete(p[groups == c].mean(axis=0), c) for c in np.unique(groups)])


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_teacher_against_scipy(temperature: float) -> None:
    mine, theirs, labels = random(200, 6, 0)
    result = agreement(mine, labels, None, theirs, temperature=temperature)
    p, q = softmax(mine / temperature, axis=1), softmax(theirs / temperature, axis=1)
    assert result.top1 == (mine.argmax(axis=1) == theirs.argmax(axis=1)).mean()
    assert result.accuracy == (mine.argmax(axis=1) == labels).mean()
    assert result.reference_accuracy == (theirs.argmax(axis=1) == labels).mean()
    assert result.kl == pytest.approx(scipy_entropy(q, p, axis=1).mean(), rel=1e-5)
    assert result.entropy == pytest.approx(scipy_entropy(p, axis=1).mean(), rel=1e-5)
    assert result.reference_entropy == pytest.approx(scipy_entropy(q, axis=1).mean(), rel=1e-5)
    ranks = [spearmanr(np.delete(a, y), np.delete(b, y))[0] for a, b, y in zip(mine, theirs, labels, strict=True)]
    assert result.rank_correlation == pytest.approx(np.mean(ranks))
    expected = pearsonr(similarity(p, labels), similarity(q, labels))[0]
    assert result.similarity_correlation == pytest.approx(expected, rel=1e-5)


def test_label_distributions_against_scipy_with_ties_and_zeros() -> None:
    mine, _, labels = random(200, 6, 1)
    # Votes of seven people: many classes get none, several as many.
    votes = np.random.default_rng(2).multinomial(7, softmax(mine, axis=1)).astype(np.float32)
    q = votes.astype(np.float64) / 7
    p = softmax(mine.astype(np.float64), axis=1)
    result = agreement(mine, labels, votes / np.float32(7))
    assert result.reference == "label distributions"
    assert result.kl == pytest.approx(scipy_entropy(q, p, axis=1).mean(), rel=1e-5)
    assert result.reference_entropy == pytest.approx(scipy_entropy(q, axis=1).mean(), rel=1e-5)
    kept = [(np.delete(a, y), np.delete(b, y)) for a, b, y in zip(mine, q, labels, strict=True)]
    ranks = [spearmanr(a, b)[0] for a, b in kept if np.ptp(b) > 0]
    assert result.ranked == len(ranks) < 200
    assert result.rank_correlation == pytest.approx(np.mean(ranks))
    assert any("leaves out" in note for note in result.report().notes)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.sampled_from([1e-4, 1.0, 1e4]), st.integers(0, 1000))
def test_with_itself(examples: int, classes: int, scale: float, seed: int) -> None:
    mine, _, labels = random(examples, classes, seed)
    mine *= np.float32(scale)
    result = agreement(mine, labels, None, mine)
    assert (result.kl, result.top1) == (0, 1)
    assert result.accuracy == result.reference_accuracy
    if classes > 2:
        assert result.rank_correlation == pytest.approx(1)
    else:
        assert (result.rank_correlation, result.ranked) == (None, 0)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.floats(0.5, 20), st.integers(0, 1000))
def test_bounds(examples: int, classes: int, temperature: float, seed: int) -> None:
    mine, theirs, labels = random(examples, classes, seed)
    result = agreement(mine, labels, None, theirs, temperature=temperature)
    assert result.kl > 0
    for value in (result.rank_correlation, result.similarity_correlation):
        assert value is None or -1 - 1e-9 <= value <= 1 + 1e-9


def test_quality_is_not_amount() -> None:
    """Sharper soft labels in the same order keep both correlations high; shuffled ones of equal entropy do not."""
    _, theirs, labels = random(300, 8, 3)
    sharper = agreement(2 * theirs, labels, None, theirs)
    assert sharper.rank_correlation == pytest.approx(1)
    assert sharper.kl > 0.1
    generator = np.random.default_rng(0)
    shuffled = generator.permuted(theirs, axis=1)
    other = agreement(shuffled, labels, None, theirs)
    assert other.entropy == pytest.approx(other.reference_entropy, rel=1e-5)
    assert abs(other.rank_correlation or 0) < 0.1


def test_label_smoothing_has_no_order_and_no_similarity() -> None:
    mine, _, labels = random(50, 5, 4)
    smoothed = np.log(0.5 * np.eye(5)[labels] + 0.1).astype(np.float32)
    result = agreement(mine, labels, None, smoothed)
    assert (result.rank_correlation, result.ranked, result.similarity_correlation) == (None, 0, None)


def test_without_labels_the_reference_says_the_class() -> None:
    mine, theirs, _ = random(100, 5, 5)
    result = agreement(mine, None, None, theirs)
    assert (result.accuracy, result.reference_accuracy) == (None, None)
    same = agreement(mine, theirs.argmax(axis=1), None, theirs)
    assert result.rank_correlation == same.rank_correlation
    np.testing.assert_array_equal(result.similarity, same.similarity)


def test_a_teacher_goes_before_targets_of_any_kind() -> None:
    mine, theirs, labels = random(20, 5, 6)
    fine = np.arange(20)
    assert agreement(mine, labels, fine, theirs).reference == "teacher"


def test_report() -> None:
    mine, theirs, labels = random(60, 3, 7)
    result = agreement(mine, labels, None, theirs, ("ant", "bee", "cat"))
    scalars, own, other = result.report().blocks
    assert scalars.values["KL(reference ‖ model)"] == result.kl
    assert own.rows == ("ant", "bee", "cat")
    assert own.values[0][0] is None
    assert other.values[1][2] == round(float(softmax(theirs, axis=1)[labels == 1, 2].mean()), 4)


def test_report_of_many_classes_lists_the_likest() -> None:
    mine, theirs, _ = random(300, 30, 8)
    labels = np.arange(300) % 29
    theirs[labels == 4, 17] = theirs.max() + 1
    rows = agreement(mine, labels, None, theirs).report().blocks[1].rows
    p, q = softmax(mine, axis=1), softmax(theirs, axis=1)
    at = labels == 4
    assert rows[0] == ("4", "17", round(float(q[at, 17].mean()), 4), round(float(p[at, 17].mean()), 4))
    assert len(rows) == 20
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs, labels = random(53, 4, 9)
    whole = agreement(mine, labels, None, theirs)
    for module in ("agreement", "_classes", "_soft"):
        monkeypatch.setattr(sys.modules[f"fierce_tools.analysis.{module}"], "BLOCK", 20)
    parts = agreement(mine, labels, None, theirs)
    assert parts.kl == pytest.approx(whole.kl, abs=1e-12)
    assert parts.rank_correlation == pytest.approx(whole.rank_correlation, abs=1e-12)
    np.testing.assert_allclose(parts.similarity, whole.similarity, atol=1e-7)


def test_refuses() -> None:
    mine, theirs, labels = random(6, 4, 10)
    with pytest.raises(DataError, match="--teacher PATH"):
        agreement(mine, labels)
    with pytest.raises(DataError, match=r"targets have shape \[6\]"):
        agreement(mine, labels, np.arange(6))
    with pytest.raises(DataError, match=r"targets\[0\] sums to 4"):
        agreement(mine, labels, np.ones((6, 4)))
    with pytest.raises(DataError, match="no distribution"):
        agreement(mine, labels, np.tile([1.5, -0.5, 0, 0], (6, 1)))
    with pytest.raises(DataError, match="no distribution"):
        agreement(mine, labels, np.full((6, 4), np.nan))
    with pytest.raises(DataError, match="do not fit"):
        agreement(mine, labels, None, theirs[:5])
    with pytest.raises(DataError, match="other examples"):
        agreement(mine, labels, None, theirs, None, np.arange(6), np.arange(6) + 1)
    with pytest.raises(UsageError, match="temperature"):
        agreement(mine, labels, None, theirs, temperature=0)
    with pytest.raises(DataError, match="labels"):
        agreement(mine, labels + 4, None, theirs)
    theirs[3, 3] = np.inf
    with pytest.raises(DataError, match=r"teacher: logits\[3, 3\]"):
        agreement(mine, labels, None, theirs)
    mine[1] = -np.inf
    with pytest.raises(DataError, match=r"logits\[1\] is -inf for every class"):
        agreement(mine, labels, None, theirs)
    mine[1, 1] = np.nan
    with pytest.raises(DataError, match=r"logits\[1, 1\] is nan"):
        agreement(mine, labels, None, theirs)

"""The rows of Vats's Tables 3.2 and 3.3 (digit 6, T=9), and a plain loop on random data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy

from fierce_tools.analysis import soft_labels
from fierce_tools.analysis.soft_labels import figures
from fierce_tools.errors import DataError, UsageError

SMALL_TEACHER = np.array([
    [0.087, 0.048, 0.095, 0.093, 0.077, 0.144, 0.206, 0.051, 0.122, 0.078],
    [0.087, 0.048, 0.089, 0.1, 0.09, 0.119, 0.177, 0.056, 0.114, 0.095],
    [0.09, 0.078, 0.089, 0.097, 0.115, 0.091, 0.179, 0.071, 0.108, 0.082],
    [0.107, 0.068, 0.089, 0.076, 0.104, 0.1, 0.229, 0.07, 0.086, 0.071],
    [0.118, 0.079, 0.095, 0.075, 0.101, 0.081, 0.21, 0.069, 0.098, 0.073],
])  # fmt: skip
LARGE_TEACHER = np.array([
    [0.078, 0.069, 0.063, 0.059, 0.07, 0.135, 0.356, 0.039, 0.078, 0.053],
    [0.083, 0.077, 0.073, 0.056, 0.078, 0.107, 0.339, 0.042, 0.09, 0.053],
    [0.077, 0.067, 0.068, 0.047, 0.073, 0.086, 0.425, 0.034, 0.079, 0.044],
    [0.076, 0.062, 0.057, 0.039, 0.059, 0.09, 0.485, 0.027, 0.065, 0.039],
    [0.077, 0.067, 0.061, 0.043, 0.068, 0.089, 0.45, 0.031, 0.075, 0.041],
])  # fmt: skip
SIX = np.full(5, 6)


@pytest.mark.parametrize(
    ("printed", "entropy", "confidence", "row", "column"),
    [(SMALL_TEACHER, 2.230, 0.200, 0.000390, 0.000159), (LARGE_TEACHER, 1.938, 0.411, 0.000391, 0.000069)],
)
def test_reported_rows_as_printed(
    printed: np.ndarray, entropy: float, confidence: float, row: float, column: float
) -> None:
    found = figures(printed, SIX)
    assert found.entropy == pytest.approx(entropy, abs=5e-4)
    assert found.confidence == pytest.approx(confidence, abs=5e-4)
    assert found.row_variance == pytest.approx(row, abs=5e-7)
    assert found.column_variance == pytest.approx(column, abs=5e-7)


@pytest.mark.parametrize(("printed", "entropy"), [(SMALL_TEACHER, 2.236), (LARGE_TEACHER, 1.938)])
def test_reported_rows_from_logits_are_renormalised(printed: np.ndarray, entropy: float) -> None:
    result = soft_labels(9 * np.log(printed), SIX)
    assert result.split.entropy == pytest.approx(entropy, abs=5e-4)
    np.testing.assert_allclose(result.probabilities, printed / printed.sum(axis=1, keepdims=True))
    for name in ("entropy", "confidence", "row_variance", "column_variance"):
        assert getattr(result.shown, name) == pytest.approx(getattr(result.split, name), abs=1e-12)
        assert getattr(result.by_class[6], name) == pytest.approx(getattr(result.split, name), abs=1e-12)


def test_the_split_equals_the_plain_loop() -> None:
    generator = np.random.default_rng(0)
    logits, labels = 5 * generator.normal(size=(300, 6)), generator.integers(0, 5, 300)
    p = softmax(logits / 3, axis=1)
    away = [np.delete(row, y) for row, y in zip(p, labels, strict=True)]
    columns = [np.delete(p[labels == c], c, axis=1).var(axis=0).mean() for c in range(5)]
    result = soft_labels(logits, labels, temperature=3)
    assert result.split.entropy == pytest.approx(scipy_entropy(p, axis=1).mean())
    assert result.split.confidence == pytest.approx(np.mean([row[y] for row, y in zip(p, labels, strict=True)]))
    assert result.split.row_variance == pytest.approx(np.mean([row.var() for row in away]))
    assert result.split.column_variance == pytest.approx(np.mean(columns))
    assert result.by_class[5] is None
    assert result.most_like[5] is None
    for c in range(5):
        mean = p[labels == c].mean(axis=0)
        mean[c] = -1
        assert result.most_like[c] == (int(mean.argmax()), pytest.approx(mean.max()))
        assert result.by_class[c].column_variance == pytest.approx(columns[c])


@settings(deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(2, 6)), elements=st.floats(-1e4, 1e4, width=32)),
    st.integers(0, 1000),
)
def test_the_split_equals_all_of_its_rows(logits: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, logits.shape[1], len(logits))
    result = soft_labels(logits, labels, examples=tuple(range(len(logits))))
    for name in ("entropy", "confidence", "row_variance", "column_variance"):
        shown, split = getattr(result.shown, name), getattr(result.split, name)
        assert (shown is None) == (split is None)
        assert shown is None or split == pytest.approx(shown, abs=1e-5)


def test_uniform_label_smoothing_has_no_variance() -> None:
    labels = np.arange(40) % 10
    logits = np.log(0.4 * np.eye(10)[labels] + 0.06)
    split = soft_labels(logits, labels, temperature=1).split
    assert split.confidence == pytest.approx(0.46)
    assert split.row_variance == pytest.approx(0, abs=1e-15)
    assert split.column_variance == pytest.approx(0, abs=1e-15)


def test_which_examples_are_shown() -> None:
    labels = np.array([1, 0, 0, 2, 1, 0, 2, 2])
    logits = np.random.default_rng(0).normal(size=(8, 3))
    index = np.arange(8) * 10
    result = soft_labels(logits, labels, index, rows=6)
    assert (result.positions, result.labels) == ((1, 2, 0, 4, 3, 6), (0, 0, 1, 1, 2, 2))
    assert result.index == (10, 20, 0, 40, 30, 60)
    assert soft_labels(logits, labels, examples=(7, 0)).positions == (7, 0)
    named = soft_labels(logits, labels, None, ("ant", "bee", "cat"), of_class="cat", rows=2)
    assert (named.positions, named.of_class) == ((3, 6), "cat")
    assert soft_labels(logits, labels, of_class="2", rows=2).positions == (3, 6)
    assert soft_labels(logits, labels, rows=2).labels == (0, 1)


def test_report_leaves_the_true_class_to_its_own_column() -> None:
    labels = np.array([1, 0])
    report = soft_labels(np.log([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]]), labels, temperature=1, examples=(0,)).report()
    table = report.blocks[1]
    assert table.columns == ("example", "own", "0", "1", "2")
    assert table.rows == (("1 #0", 0.7, 0.1, None, 0.2),)


def test_report_of_many_classes_names_the_likest() -> None:
    p = np.full((1, 30), 0.3 / 25)
    p[0, [4, 9, 2, 7, 29]] = 0.4, 0.1, 0.09, 0.08, 0.03
    report = soft_labels(np.log(p), np.array([4]), temperature=1).report()
    assert report.blocks[1].rows[0] == ("4 #0", 0.4, "9 0.100", "2 0.090", "7 0.080", "29 0.030", "0 0.012")
    assert len(report.blocks[3].rows) == 20


def test_refuses() -> None:
    logits, labels = np.zeros((3, 4), np.float32), np.array([0, 1, 3])
    with pytest.raises(UsageError, match="example 3 of a split of 3"):
        soft_labels(logits, labels, examples=(0, 3))
    with pytest.raises(UsageError, match="unknown class 'cta'; did you mean 'cat'"):
        soft_labels(logits, labels, None, ("ant", "bee", "cat", "dog"), of_class="cta")
    with pytest.raises(DataError, match="no example of class 2"):
        soft_labels(logits, labels, of_class="2")
    with pytest.raises(UsageError, match="--of-class"):
        soft_labels(logits, labels, examples=(0,), of_class="0")
    with pytest.raises(UsageError, match="0 rows"):
        soft_labels(logits, labels, rows=0)
    with pytest.raises(UsageError, match="temperature"):
        soft_labels(logits, labels, temperature=0)
    with pytest.raises(DataError, match="expected 0 to 3"):
        soft_labels(logits, labels + 1)
    logits[0, 3] = np.nan
    with pytest.raises(DataError, match=r"logits\[0, 3\] is nan"):
        soft_labels(logits, labels)

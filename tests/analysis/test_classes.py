"""Classes by name or number, and moments by blocks against a plain loop."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.analysis._classes import class_moments, index_of, moments, names_of, number_of, rank_in_class
from fierce_tools.analysis._soft import probabilities
from fierce_tools.errors import DataError, UsageError


def test_a_name_goes_before_a_number() -> None:
    names = ("5", "bee", "0")
    assert [number_of(text, names) for text in ("5", "bee", "0", "1")] == [0, 1, 2, 1]
    for wrong in ("3", "-1", "be", "²"):
        with pytest.raises(UsageError, match="unknown class"):
            number_of(wrong, names)
    assert names_of(None, 3) == ("0", "1", "2")
    with pytest.raises(DataError, match="2 class names for 3"):
        names_of(("a", "b"), 3)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 5), st.integers(1, 50), st.integers(0, 1000))
def test_moments_by_blocks(examples: int, classes: int, block: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits, labels = 4 * generator.normal(size=(examples, classes)), generator.integers(0, classes, examples)
    p = probabilities(logits, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[moments.__module__], "BLOCK", block)
        found = class_moments(logits, labels, 2)
    for c in range(classes):
        mine = p[labels == c]
        assert found.counts[c] == len(mine)
        if len(mine):
            np.testing.assert_allclose(found.mean[c], mine.mean(axis=0), atol=1e-12)
            np.testing.assert_allclose(found.variance[c], mine.var(axis=0), atol=1e-12)
        else:
            assert np.isnan(found.mean[c]).all()


def test_rank_and_index() -> None:
    assert rank_in_class(np.array([3, 0, 3, 3, 0, 1])).tolist() == [0, 0, 1, 2, 1, 0]
    assert index_of(None, np.zeros(3)).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="one for each row"):
        index_of(np.arange(2), np.zeros(3))

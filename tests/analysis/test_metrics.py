"""The plain figures against torchmetrics, scikit-learn and numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, top_k_accuracy_score
from torchmetrics.classification import MulticlassCalibrationError

from fierce_tools.analysis._metrics import accuracy, confidence, ece, nll, top_label_ece
from fierce_tools.analysis._soft import probabilities

VECTORS = [
    ([[0.5, 0.3, 0.2], [0.45, 0.35, 0.2], [0.55, 0.25, 0.2], [0.58, 0.22, 0.2]], [1, 0, 0, 2], 0.045),
    ([[1.0, 0, 0], [0.97, 0.02, 0.01], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]], [1, 0, 2, 0], 0.4675),
]


@pytest.mark.parametrize(("probabilities", "labels", "value"), VECTORS)
def test_ece_worked_by_hand(probabilities: list, labels: list, value: float) -> None:
    p, y = np.array(probabilities), np.array(labels)
    assert ece(p.max(axis=1), p.argmax(axis=1) == y, bins=10) == pytest.approx(value, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 200), c=st.integers(2, 12), seed=st.integers(0, 1000))
def test_they_are_those_of_the_libraries(n: int, c: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = (rng.normal(size=(n, c)) * 3).astype(np.float32), rng.integers(0, c, n)
    p = probabilities(logits.astype(np.float64))
    assert nll(logits, labels) == pytest.approx(log_loss(labels, p, labels=range(c)), rel=1e-4)
    theirs = MulticlassCalibrationError(num_classes=c, n_bins=15, norm="l1")(
        torch.from_numpy(p), torch.from_numpy(labels)
    )
    assert top_label_ece(logits, labels) == pytest.approx(float(theirs), abs=1e-5)
    assert accuracy(logits, labels) == pytest.approx((logits.argmax(axis=1) == labels).mean())
    if c > 3:
        assert accuracy(logits, labels, top=3) == pytest.approx(
            top_k_accuracy_score(labels, logits, k=3, labels=range(c))
        )


def test_ties_go_to_the_lower_class() -> None:
    logits = np.zeros((3, 4), np.float32)
    labels = np.array([0, 1, 3])
    assert accuracy(logits, labels) == pytest.approx(1 / 3)
    assert accuracy(logits, labels, top=2) == pytest.approx(2 / 3)
    assert accuracy(logits, labels, top=4) == 1


def test_extremes() -> None:
    logits = np.array([[1e4, 0], [0, 1e4]], np.float32)
    assert nll(logits, np.array([0, 1])) == 0
    assert nll(logits, np.array([1, 1])) == pytest.approx(5000)
    assert confidence(logits).tolist() == [1, 1]
    assert top_label_ece(logits, np.array([1, 1])) == pytest.approx(0.5)

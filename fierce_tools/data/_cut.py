"""A seeded, stratified test split for data that have none of their own."""

from __future__ import annotations

import numpy as np

from fierce_tools.errors import UsageError


def test_rows(labels: np.ndarray, test_fraction: float, test_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted rows i64 for training and for testing, round(test_fraction · N) of them for testing.

    Each class of `labels` [N] gives its share, rounded so that the sum is right, and never its last example. Raises
    UsageError for a fraction outside (0, 1) or one that leaves a split empty.
    """
    if not 0 < test_fraction < 1:
        raise UsageError(f"--test-fraction is {test_fraction:g}, expected above 0 to below 1", "such as 0.3")
    if test_seed < 0:
        raise UsageError(f"--test-seed is {test_seed}, expected 0 or more")
    counts = np.bincount(labels)
    most = np.maximum(counts - 1, 0)
    exact = test_fraction * counts
    quota = np.minimum(np.floor(exact).astype(np.int64), most)
    for _ in range(min(round(test_fraction * len(labels)), int(most.sum())) - int(quota.sum())):
        quota[np.where(quota < most, exact - quota, -np.inf).argmax()] += 1  # to the largest remainder
    rng = np.random.default_rng(test_seed)
    chosen = [rng.permutation(np.flatnonzero(labels == c))[: quota[c]] for c in range(len(counts))]
    test = np.sort(np.concatenate(chosen))
    if len(test) == 0:
        raise UsageError(f"--test-fraction {test_fraction:g} of {len(labels)} examples leaves none to test on")
    return np.setdiff1d(np.arange(len(labels)), test), test

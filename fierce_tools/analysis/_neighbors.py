"""k nearest neighbours for several k in one search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def nearest_classes(
    train_features: np.ndarray, train_labels: np.ndarray, features: np.ndarray, neighbors: Sequence[int]
) -> dict[int, np.ndarray]:
    """For each k, the commonest class [N] among the k nearest training examples; ties go to the lower class.

    Euclidean distance between train_features [M, D] and features [N, D]; train_labels [M] from 0. Brute force, by
    blocks: nothing of size M·N is held.
    """
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=max(neighbors), algorithm="brute").fit(train_features)
    classes = int(train_labels.max()) + 1
    rows = max(1, (1 << 22) // max(classes, max(neighbors)))
    out = {k: np.empty(len(features), dtype=np.int64) for k in neighbors}
    for start in range(0, len(features), rows):
        part = features[start : start + rows]
        found = train_labels[search.kneighbors(part, return_distance=False)]
        votes, before = np.zeros((len(part), classes), dtype=np.int32), 0
        for k in sorted(neighbors):
            for column in range(before, k):
                votes[np.arange(len(part)), found[:, column]] += 1
            out[k][start : start + rows], before = votes.argmax(axis=1), k
    return out

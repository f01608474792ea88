"""Optimal transport in one dimension."""

from __future__ import annotations

import numpy as np

from fierce_tools.analysis._features import floating, moments, row_blocks

# Up to this width the covariance is a small matrix; beyond it the leading direction is found without one.
MOST_SQUARED = 512


def transported(values: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What each of values [N] gets of targets [N] by the monotone transport between them: the k-th smallest the k-th.

    Equal values are ordered by `rng`, so that their order in a file says nothing.
    """
    out = np.empty(len(values))
    out[np.lexsort((rng.random(len(values)), values))] = np.sort(targets)
    return out


def transport_map(values: np.ndarray, targets: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The monotone transport from values [M] to targets [M], as a function, at other values [N].

    Linear between the values, constant beyond them; equal values share the mean of what they get.
    """
    places, which, often = np.unique(values, return_inverse=True, return_counts=True)
    means = np.bincount(np.sort(which), weights=np.sort(targets)) / often
    return np.interp(at, places, means)


def along(features: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Coordinate [N] of features [N, D] along a direction [D], in float64."""
    out = np.empty(len(features))
    for part in row_blocks(features):
        out[part] = features[part] @ direction
    return out


def first_direction(features: np.ndarray) -> np.ndarray:
    """The unit direction [D] of largest variance of features [N, D], its largest entry positive."""
    mean, _ = moments(features)
    width = features.shape[1]
    if width <= MOST_SQUARED:
        covariance = np.zeros((width, width))
        for part in row_blocks(features):
            block = features[part] - mean
            covariance += block.T @ block
        direction = np.linalg.eigh(covariance)[1][:, -1]
    else:
        direction = _leading(floating(features), mean)
    return direction * (1 if direction[np.abs(direction).argmax()] >= 0 else -1)


def _leading(features: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The same without a matrix of D×D, by Lanczos' iteration in the features' own precision."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    def multiplied(vector: np.ndarray) -> np.ndarray:
        v = vector.ravel()
        along = features @ v.astype(features.dtype) - mean @ v
        return (along.astype(features.dtype) @ features).astype(np.float64) - along.sum(dtype=np.float64) * mean

    width = len(mean)
    start = np.random.default_rng(0).standard_normal(width)
    if np.abs(multiplied(start)).max() <= 1e-12 * max(1.0, float(np.abs(features[0]).max()) ** 2):
        return np.eye(1, width)[0]
    operator = LinearOperator((width, width), matvec=multiplied, dtype=np.float64)
    return eigsh(operator, k=1, v0=start, tol=1e-6)[1][:, 0]

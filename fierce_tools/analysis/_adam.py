"""A small softmax regression fitted by Adam, as papers fit theirs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIRST, SECOND, TINY = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class SoftmaxRegression:
    """softmax(W·f + b) from several starts: weight [S, P, D], bias [S, P]."""

    weight: np.ndarray
    bias: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Proportions [N, S, P] of features [N, D], rows summing to 1."""
        starts, columns, width = self.weight.shape
        flat = self.weight.reshape(starts * columns, width).astype(features.dtype)
        z = (features @ flat.T).reshape(len(features), starts, columns) + self.bias.astype(features.dtype)
        e = np.exp(z - z.max(axis=2, keepdims=True))
        return e / e.sum(axis=2, keepdims=True)


def fit(
    features: np.ndarray, proportions: np.ndarray, *, learning_rate: float, steps: int, starts: int, seed: int
) -> SoftmaxRegression:
    """Least Σ_k (z_k - p_k)² by Adam (.9, .999), every example in each step, started as torch starts a linear layer.

    features [N, D], proportions z [N, P]. Weights and biases start uniform in ±1/√D, drawn from the seed; the starts
    run side by side and do not know of one another.
    """
    width, columns = features.shape[1], proportions.shape[1]
    theta = np.random.default_rng(seed).uniform(-1, 1, size=(starts, columns, width + 1)) / np.sqrt(width)
    mean, square = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, steps + 1):
        gradient = squared_error(theta, features, proportions)[1]
        mean += (1 - FIRST) * (gradient - mean)
        square += (1 - SECOND) * (gradient**2 - square)
        size = np.sqrt(square / (1 - SECOND**step)) + TINY
        theta -= learning_rate * mean / (1 - FIRST**step) / size
    return SoftmaxRegression(theta[..., :-1], theta[..., -1])


def squared_error(theta: np.ndarray, features: np.ndarray, proportions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each start, mean over examples of Σ_k (z_k - p_k)² [S], and its gradient [S, P, D+1] by theta, bias last."""
    p = SoftmaxRegression(theta[..., :-1], theta[..., -1]).predict(features)
    apart = p - proportions[:, None]
    by_p = 2 * apart / len(features)
    by_logit = p * (by_p - (by_p * p).sum(axis=2, keepdims=True))
    gradient = np.empty_like(theta)
    flat = by_logit.reshape(len(features), -1).astype(features.dtype)
    gradient[..., :-1] = (flat.T @ features).reshape(theta.shape[0], theta.shape[1], -1)
    gradient[..., -1] = by_logit.sum(axis=0)
    return np.square(apart).sum(axis=2).mean(axis=0), gradient

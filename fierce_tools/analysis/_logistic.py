"""Multinomial logistic regression: scikit-learn's objective, solved in coordinates in which it is nearly round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from fierce_tools.analysis._features import row_blocks

# The largest matrix that is factorised has this many rows: 128 MiB in float64, about a second on two cores.
MOST_FACTORED = 4096
# Numbers of a block of features that is read for the logits and again, still cached, for the gradient.
BLOCK = 1 << 20
ITERATIONS = 500
# Of the mean curvature where a fit starts: it falls as the fit improves, and half of it served best.
CURVATURE = 0.5


@dataclass(frozen=True)
class Logistic:
    """A fitted probe: weight [C, D] and bias [C], one row for two classes; `objective` is ½‖W‖² + strength·Σ CE."""

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    objective: float
    evaluations: int
    converged: bool

    def predict(self, features: np.ndarray) -> np.ndarray:
        """The most probable class [N] of features [N, D]; ties go to the lower class."""
        out = np.empty(len(features), dtype=np.int64)
        weight, bias = self.weight.astype(features.dtype), self.bias.astype(features.dtype)
        for part in row_blocks(features):
            z = features[part] @ weight.T + bias
            out[part] = z[:, 0] > 0 if len(bias) == 1 else z.argmax(axis=1)
        return out


def logistic_path(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    strengths: Sequence[float],
    *,
    tolerance: float | None = None,
) -> Iterator[Logistic]:
    """A Logistic for each strength C, from the smallest on, each started at the one before.

    Minimises ½‖W‖² + C·Σ_i CE_i, the bias free, as scikit-learn's LogisticRegression(C) does; two classes have one
    weight vector. features [N, D] centred, f32 or f64; labels [N] in 0..classes-1. Where D or N is at most 4,096, the
    objective is solved in the coordinates V = W·R', R'R the regularised second moment, in which its curvature is
    nearly the same in every direction; else as it is. `tolerance` bounds the gradient of the mean loss there.
    """
    wide = features.shape[1] > MOST_FACTORED
    if wide and len(features) <= MOST_FACTORED:
        yield from _in_span(features, labels, classes, strengths, tolerance)
        return
    columns = 1 if classes == 2 else classes
    gram = None if wide else (features.T @ features).astype(np.float64) / len(features)
    weight, bias = np.zeros((columns, features.shape[1])), np.zeros(columns)
    for strength in sorted(strengths):
        fitted = _solve(features, labels, strength, weight, bias, gram, tolerance)
        weight, bias = fitted.weight, fitted.bias
        yield fitted


def _solve(
    features: np.ndarray,
    labels: np.ndarray,
    strength: float,
    weight: np.ndarray,
    bias: np.ndarray,
    gram: np.ndarray | None,
    tolerance: float | None,
) -> Logistic:
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import minimize

    columns, width = weight.shape
    penalty = 1 / (strength * len(features))
    curvature = CURVATURE * max(_curvature(features, weight, bias), 1e-9)
    # Without a second moment its diagonal serves, which is 1: the features are standardised.
    scale = np.sqrt(curvature + penalty)
    root = None if gram is None else cholesky(curvature * gram + penalty * np.eye(width), check_finite=False)

    # The inverse once, for numpy to multiply by: scipy brings BLAS threads of its own, and the two sets would wait for
    # the same cores at every evaluation. Any change of coordinates is exact whose transpose carries the gradient.
    inverse = None if root is None else solve_triangular(root, np.eye(width), check_finite=False)

    def divided(w: np.ndarray, *, transposed: bool = False) -> np.ndarray:
        if inverse is None:
            return w / scale
        return w @ inverse if transposed else w @ inverse.T

    def weights(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        v = v.reshape(columns, width + 1)
        return divided(v[:, :width]), v[:, width] / np.sqrt(curvature)

    def objective(v: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = weights(v)
        loss, by_weight, by_bias = _loss(features, labels, w, b)
        out = np.empty((columns, width + 1))
        out[:, :width] = divided(by_weight + penalty * w, transposed=True)
        out[:, width] = by_bias / np.sqrt(curvature)
        return loss + 0.5 * penalty * float(np.square(w).sum()), out.ravel()

    start = np.empty((columns, width + 1))
    start[:, :width] = weight * scale if root is None else weight @ root.T
    start[:, width] = bias * np.sqrt(curvature)
    double = features.dtype == np.float64
    with _one_scipy_thread():
        found = minimize(
            objective,
            start.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": ITERATIONS,
                "maxfun": 2 * ITERATIONS,
                "gtol": tolerance or (1e-6 if double else 3e-4),
                "ftol": 1e-14 if double else 1e-9,
            },
        )
    w, b = weights(found.x)
    # Status 2 is a line search at the end of what the precision can tell apart.
    return Logistic(w, b, strength, float(found.fun) / penalty, int(found.nfev), found.status in (0, 2))


@contextmanager
def _one_scipy_thread() -> Iterator[None]:
    """While inside, scipy's own BLAS has one thread: its idle ones would spin on the cores that numpy's need."""
    from threadpoolctl import ThreadpoolController

    libraries = ThreadpoolController()
    theirs = [path for path in (info["filepath"] for info in libraries.info()) if "scipy" in path]
    with libraries.select(filepath=theirs).limit(limits=1):
        yield


def _loss(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean cross-entropy in nats and its gradients by weight [C, D] and bias [C], classes first."""
    rows = max(64, BLOCK // features.shape[1])
    w, b = weight.astype(features.dtype), bias.astype(features.dtype)[:, None]
    total, by_weight, by_bias = 0.0, np.zeros(weight.shape), np.zeros(bias.shape)
    residual: Callable[[np.ndarray, np.ndarray], float] = _binary if len(bias) == 1 else _multinomial
    for start in range(0, len(features), rows):
        x = features[start : start + rows]
        z = w @ x.T
        z += b
        total += residual(z, labels[start : start + rows])
        by_weight += z @ x
        by_bias += z.sum(axis=1, dtype=np.float64)
    count = len(features)
    return total / count, by_weight / count, by_bias / count


def _curvature(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
    """Mean p·(1 - p) over examples and classes: the cross-entropy's curvature by one logit."""
    rows = max(64, BLOCK // features.shape[1])
    w, b = weight.astype(features.dtype), bias.astype(features.dtype)[:, None]
    total = 0.0
    for start in range(0, len(features), rows):
        z = w @ features[start : start + rows].T
        z += b
        if len(z) == 1:
            p = 0.5 * (1 + np.tanh(0.5 * z))
        else:
            z -= z.max(axis=0)
            p = np.exp(z)
            p /= p.sum(axis=0)
        total += float((p - p * p).sum(dtype=np.float64))
    return total / (len(features) * len(bias))


def _multinomial(z: np.ndarray, labels: np.ndarray) -> float:
    """Σ CE of logits z [C, rows], which become p - y in place."""
    rows = np.arange(len(labels))
    z -= z.max(axis=0)
    own = z[labels, rows]
    np.exp(z, out=z)
    sums = z.sum(axis=0)
    z /= sums
    z[labels, rows] -= 1
    return float((np.log(sums) - own).sum(dtype=np.float64))


def _binary(z: np.ndarray, labels: np.ndarray) -> float:
    """Σ CE of the one logit z [1, rows] of class 1, which becomes p - y in place."""
    loss = np.logaddexp(0, z[0]) - labels * z[0]
    z[0] = 0.5 * (1 + np.tanh(0.5 * z[0])) - labels
    return float(loss.sum(dtype=np.float64))


def _in_span(
    features: np.ndarray, labels: np.ndarray, classes: int, strengths: Sequence[float], tolerance: float | None
) -> Iterator[Logistic]:
    """The same where D is large and N small: the weights lie in the span of the examples, W = V·L⁻¹X, XX' = LL'."""
    from scipy.linalg import cholesky, solve_triangular

    count = len(features)
    kernel = np.zeros((count, count))
    for start in range(0, features.shape[1], 1024):
        part = features[:, start : start + 1024].astype(np.float64)
        kernel += part @ part.T
    # Centred examples sum to zero, so that the kernel is singular; this much more moves no digit of the objective.
    kernel[np.diag_indices(count)] += 1e-10 * max(float(np.trace(kernel)) / count, 1e-300)
    root = cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
    coordinates = root.astype(features.dtype)
    for fitted in logistic_path(coordinates, labels, classes, strengths, tolerance=tolerance):
        dual = solve_triangular(root, fitted.weight.T, lower=True, trans=1, check_finite=False).T
        weight = (dual.astype(features.dtype) @ features).astype(np.float64)
        yield Logistic(weight, fitted.bias, fitted.strength, fitted.objective, fitted.evaluations, fitted.converged)


def drawn(count: int, width: int, examples: int | None, seed: int) -> slice | np.ndarray:
    """Which of `count` training examples to fit on: all, or a sorted draw of so many without replacement.

    Unless it is said how many, at most MOST_FACTORED of features wider than that.
    """
    most = (MOST_FACTORED if width > MOST_FACTORED else count) if examples is None else examples
    if most >= count:
        return slice(None)
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])

"""How spread the features are, by one yardstick for every run whatever its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._features import check_features, check_seed, moments, standardize
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Report, Scalars


@dataclass(frozen=True)
class FeatureEntropy:
    """Entropy in bits over an evaluation codebook; over the run's own anchors and a histogram where they apply."""

    bits: float
    most_bits: float
    features: int
    own_anchor_bits: float | None
    histogram_bits: float | None

    def report(self) -> Report:
        """Scalars in bits."""
        values: dict[str, float | int | str | None] = {
            "feature entropy": self.bits,
            "of at most": self.most_bits,
            "features": self.features,
        }
        if self.own_anchor_bits is not None:
            values["with its own anchors"] = self.own_anchor_bits
        if self.histogram_bits is not None:
            values["100-bin histogram"] = self.histogram_bits
        units = {name: "bits" for name in values if name != "features"}
        return Report("Feature entropy", (Scalars("Feature entropy", values, units),))


def feature_entropy(
    features: np.ndarray,
    train_features: np.ndarray,
    anchors: np.ndarray | None = None,
    *,
    codebook: Annotated[int, "anchors of the evaluation codebook, 2 or more"] = 100,
    codebook_seed: Annotated[int, "seed of the evaluation codebook"] = 0,
    temperature: Annotated[float, "of the assignment, in standard deviations of a random cosine, above 0"] = 0.16,
) -> FeatureEntropy:
    """Entropy of the features over a fixed codebook, comparable between any two runs.

    Features [N, D] are standardised by the training split's mean and deviation; q = softmax(√D·cos(f, a_k)/τ) over K
    normal anchors from a fixed seed; Ĥ = -Σ p_k log2 p_k of the mean p of q, in bits, 0 to log2 K. A cosine of
    one-dimensional features is a sign, so for them q = softmax(-(f - a_k)²/2h²), h = 12.5·τ/K: a single point has
    about one bit, as it has with wide features. The same estimate with the run's own anchors [M, K, D], by cosine, or
    by squared distance at temperature 1 in one dimension, on the features as they are. One-dimensional features: also
    the entropy of a 100-bin histogram over the range of the training features. Raises UsageError for options out of
    range, DataError for features not finite or of differing width. Source: Baena, Drumetz, Gripon, GRETSI 2023.
    """
    if codebook_seed < 0:
        raise UsageError(f"--codebook-seed is {codebook_seed}, expected 0 or more")
    if codebook < 2 or not temperature > 0:
        raise UsageError(f"codebook of {codebook} at temperature {temperature:g}", "expected 2 anchors and above 0")
    check_seed(codebook_seed, "codebook-seed")
    check_features("train_features", train_features)
    check_features("features", features, like=("train_features", train_features))
    width = features.shape[1]
    standard = standardize(features, *moments(train_features)).astype(np.float32, copy=False)
    drawn = np.random.default_rng(codebook_seed).standard_normal((codebook, width)).astype(np.float32)
    tau = temperature / np.sqrt(width)
    bits = codebook_bits(standard, drawn, tau) if width > 1 else line_bits(standard, drawn, 12.5 * tau / codebook)
    own = None
    if anchors is not None:
        books = anchors if anchors.ndim == 3 else anchors[None]
        if books.ndim != 3 or books.shape[2] != width:
            raise DataError(f"anchors have shape {list(anchors.shape)}, expected [M, K, {width}]")
        # exp(-(f - a)²) is h = √½.
        each = [codebook_bits(features, b, tau) if width > 1 else line_bits(features, b, np.sqrt(0.5)) for b in books]
        own = float(np.mean(each))
    histogram = None
    if width == 1:
        low, high = float(train_features.min()), float(train_features.max())
        place = (features[:, 0].astype(np.float64) - low) / (high - low if high > low else 1)
        histogram = bits_of(np.bincount(np.clip(100 * place, 0, 99).astype(np.int64)) / len(features))
    return FeatureEntropy(bits, float(np.log2(codebook)), width, own, histogram)


def codebook_bits(features: np.ndarray, anchors: np.ndarray, tau: float) -> float:
    """Entropy in bits of the mean of softmax(cos(f, a_k)/τ) over features [N, D], for anchors [K, D]."""
    unit = anchors / np.maximum(np.linalg.norm(anchors, axis=1, keepdims=True), 1e-12)

    def cosine(block: np.ndarray) -> np.ndarray:
        length = np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
        return (block @ unit.T / length).astype(np.float64) / tau

    return _assigned_bits(features, len(anchors), cosine)


def line_bits(features: np.ndarray, anchors: np.ndarray, h: float) -> float:
    """Entropy in bits of the mean of softmax(-(f - a_k)²/2h²) over features [N, 1], for anchors [K, 1]."""
    places = anchors.astype(np.float64).T
    return _assigned_bits(features, len(anchors), lambda block: -0.5 * np.square((block - places) / h))


def _assigned_bits(features: np.ndarray, anchors: int, score: Callable[[np.ndarray], np.ndarray]) -> float:
    mass = np.zeros(anchors)
    for start in range(0, len(features), 1024):
        z = score(features[start : start + 1024])
        q = np.exp(z - z.max(axis=1, keepdims=True))
        mass += (q / q.sum(axis=1, keepdims=True)).sum(axis=0)
    return bits_of(mass / len(features))


def bits_of(p: np.ndarray) -> float:
    """-Σ p log2 p in bits; 0 log 0 is 0."""
    kept = p[p > 0]
    return float(abs(-(kept * np.log2(kept)).sum()))

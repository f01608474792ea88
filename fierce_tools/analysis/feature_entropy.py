"""How spread the features are, by one yardstick for every run whatever its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

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
    normal anchors from a fixed seed; Ĥ = -Σ p_k log2 p_k of the mean p of q, in bits, 0 to log2 K. The same estimate
    with the run's own anchors [M, K, D] on the features as they are, where it has them. One-dimensional features: also
    the entropy of a 100-bin histogram over the range of the training features. Raises DataError for features that are
    not finite or differ in width. Source: Baena, Drumetz, Gripon, GRETSI 2023.
    """
    if codebook_seed < 0:
        raise UsageError(f"--codebook-seed is {codebook_seed}, expected 0 or more")
    if codebook < 2 or not temperature > 0:
        raise UsageError(f"codebook of {codebook} at temperature {temperature:g}", "expected 2 anchors and above 0")
    for name, array in (("features", features), ("train_features", train_features)):
        if array.ndim != 2 or not np.isfinite(array).all():
            raise DataError(f"{name} {list(array.shape)}: expected finite numbers [N, D]")
    if features.shape[1] != train_features.shape[1]:
        raise DataError(f"features have width {features.shape[1]}, training features {train_features.shape[1]}")
    width = features.shape[1]
    mean = train_features.mean(axis=0, dtype=np.float64)
    deviation = train_features.std(axis=0, dtype=np.float64)
    standard = ((features - mean) / np.where(deviation > 1e-6, deviation, 1)).astype(np.float32)
    drawn = np.random.default_rng(codebook_seed).standard_normal((codebook, width)).astype(np.float32)
    bits = codebook_bits(standard, drawn, temperature / np.sqrt(width))
    own = None
    if anchors is not None and width > 1:
        books = anchors if anchors.ndim == 3 else anchors[None]
        own = float(np.mean([codebook_bits(features, book, temperature / np.sqrt(width)) for book in books]))
    histogram = None
    if width == 1:
        low, high = float(train_features.min()), float(train_features.max())
        counts, _ = np.histogram(np.clip(features[:, 0], low, high), bins=100, range=(low, max(high, low + 1e-12)))
        histogram = bits_of(counts / counts.sum())
    return FeatureEntropy(bits, float(np.log2(codebook)), width, own, histogram)


def codebook_bits(features: np.ndarray, anchors: np.ndarray, tau: float) -> float:
    """Entropy in bits of the mean of softmax(cos(f, a_k)/τ) over features [N, D], for anchors [K, D]."""
    unit = anchors / np.maximum(np.linalg.norm(anchors, axis=1, keepdims=True), 1e-12)
    mass = np.zeros(len(anchors))
    for start in range(0, len(features), 1024):
        block = features[start : start + 1024]
        cosine = block @ unit.T / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
        q = np.exp((cosine - cosine.max(axis=1, keepdims=True)).astype(np.float64) / tau)
        mass += (q / q.sum(axis=1, keepdims=True)).sum(axis=0)
    return bits_of(mass / len(features))


def bits_of(p: np.ndarray) -> float:
    """-Σ p log2 p in bits; 0 log 0 is 0."""
    kept = p[p > 0]
    return float(abs(-(kept * np.log2(kept)).sum()))

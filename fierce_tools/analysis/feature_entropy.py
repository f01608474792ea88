"""How spread the features are, by one yardstick for every run whatever its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._features import (
    all_the_same,
    check_features,
    check_seed,
    constant,
    floating,
    rounding,
    same_note,
    standardize,
    variation,
)
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Report, Scalars

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2


@dataclass(frozen=True)
class FeatureEntropy:
    """Entropy in bits over an evaluation codebook; over the run's own anchors and a histogram where they apply.

    `constant`: all rows are the same, which is 0 bits by each of them. `constant_features` counts those that are
    constant on training, `varying_features` those among them that vary or differ here.
    """

    bits: float
    most_bits: float
    features: int
    own_anchor_bits: float | None
    histogram_bits: float | None
    examples: int
    constant: bool
    constant_features: int
    varying_features: int

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
        return Report("Feature entropy", (Scalars("Feature entropy", values, units),), tuple(self._notes()))

    def _notes(self) -> list[str]:
        if self.constant:
            return [same_note(self.examples, "0 bits. The network may be dead")]
        notes = []
        if self.constant_features:
            notes.append(
                f"{self.constant_features} of {self.features} features are constant on training and contribute nothing."
                if not self.varying_features
                else f"{self.constant_features} of {self.features} features are constant on training; "
                f"{self.varying_features} of them vary or differ here, and are centred and not scaled."
            )
        if self.features == 1 and self.histogram_bits is None:
            notes.append("No histogram: the training features have no range.")
        return notes


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
    books = anchors if anchors is None or anchors.ndim == 3 else anchors[None]
    if anchors is not None and books is not None and (books.ndim != 3 or books.shape[2] != width):
        raise DataError(f"anchors have shape {list(anchors.shape)}, expected [M, K, {width}]")
    (place, deviation), (here, spread) = variation(train_features), variation(features)
    dead, same = constant(place, deviation), all_the_same(features)
    # Constant here as on training: what differs is rounding error.
    still = dead & (np.hypot(spread, here - place) <= rounding(features.dtype) * np.abs(place))
    tau = temperature / np.sqrt(width)

    def common() -> float:
        standard = standardize(features, place, np.where(dead, 1, deviation)).astype(np.float32, copy=False)
        standard[:, still] = 0
        drawn = np.random.default_rng(codebook_seed).standard_normal((codebook, width)).astype(np.float32)
        return codebook_bits(standard, drawn, tau) if width > 1 else line_bits(standard, drawn, 12.5 * tau / codebook)

    def own(book: np.ndarray) -> float:
        # exp(-(f - a)²) is h = √½.
        return codebook_bits(features, book, tau) if width > 1 else line_bits(features, book, np.sqrt(0.5))

    def histogram() -> float:
        low, high = float(train_features.min()), float(train_features.max())
        share = (features[:, 0].astype(np.float64) - low) / (high - low)
        return bits_of(np.bincount(np.clip(100 * share, 0, 99).astype(np.int64)) / len(features))

    return FeatureEntropy(
        bits=0.0 if same else common(),
        most_bits=float(np.log2(codebook)),
        features=width,
        own_anchor_bits=None if books is None else 0.0 if same else float(np.mean([own(book) for book in books])),
        histogram_bits=None if width > 1 else 0.0 if same else None if dead[0] else histogram(),
        examples=len(features),
        constant=same,
        constant_features=int(dead.sum()),
        varying_features=int((dead & ~still).sum()),
    )


def codebook_bits(features: np.ndarray, anchors: np.ndarray, tau: float) -> float:
    """Entropy in bits of the mean of softmax(cos(f, a_k)/τ) over features [N, D], for anchors [K, D].

    A feature vector of norm 0 is as near to every anchor, and puts its whole mass on the first.
    """
    unit = anchors / np.maximum(np.linalg.norm(anchors, axis=1, keepdims=True), 1e-12)

    def cosine(block: np.ndarray) -> np.ndarray:
        block, length = _with_norm(floating(block))
        lost = length[:, 0] == 0
        scores = (block @ unit.T / np.where(length == 0, 1, length)).astype(np.float64) / tau
        scores[lost] = np.where(np.arange(len(anchors)) == 0, 0, -np.inf)
        return scores

    return _assigned_bits(features, len(anchors), cosine)


def _with_norm(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [n, D] and their norms [n, 1]; those whose squares float32 cannot hold are brought to ordinary length."""
    with np.errstate(over="ignore", under="ignore"):
        length = np.linalg.norm(block, axis=1, keepdims=True)
    odd = np.flatnonzero(~((length[:, 0] > 1e-12) & np.isfinite(length[:, 0])))
    if len(odd):
        largest = np.abs(block[odd]).max(axis=1, keepdims=True)
        block = block.copy()
        block[odd] /= np.where(largest > 0, largest, 1)
        length[odd] = np.linalg.norm(block[odd], axis=1, keepdims=True)
    return block, length


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

"""How much soft labels vary by themselves, and by the noise that is put on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fierce_tools.analysis.soft_labels import figures

# Draws that the part of the noise is estimated from.
DRAWS = 16


@dataclass(frozen=True)
class Variances:
    """Of noisy soft labels: entropy (nats), confidence label, and the variances of the similarity labels.

    `row_variance` is within an example, `column_variance` within a class, `induced` of one example's label over draws
    of the noise. None where there are too few examples.
    """

    entropy: float
    confidence: float
    row_variance: float
    column_variance: float | None
    induced: float


def variances(soft: np.ndarray, labels: np.ndarray, kind: Literal["uniform", "normal"], scale: float) -> Variances:
    """Those of soft labels [N, C] with true classes [N] under noise of this scale; the mean over a few draws."""
    import torch

    from fierce_tools.losses.noisy_labels import with_noise

    rng = np.random.default_rng(0)
    q = soft.astype(np.float64)
    away = np.arange(q.shape[1]) != labels[:, None]
    sums, squares = np.zeros_like(q), np.zeros_like(q)
    each = []
    for _ in range(DRAWS if scale else 1):
        drawn = rng.normal(size=q.shape) if kind == "normal" else rng.uniform(-1, 1, q.shape)
        noisy = with_noise(torch.from_numpy(q), torch.from_numpy(scale * drawn)).numpy() if scale else q
        each.append(figures(noisy, labels))
        sums += noisy
        squares += noisy**2
    count = len(each)
    # Unbiased: a draw's own part of the mean is taken out.
    spread = (squares / count - (sums / count) ** 2) * count / (count - 1) if count > 1 else np.zeros_like(q)
    columns = [f.column_variance for f in each if f.column_variance is not None]
    return Variances(
        entropy=float(np.mean([f.entropy for f in each])),
        confidence=float(np.mean([f.confidence for f in each])),
        row_variance=float(np.mean([f.row_variance for f in each])),
        column_variance=float(np.mean(columns)) if columns else None,
        induced=float(np.maximum(spread, 0).mean(where=away)),
    )

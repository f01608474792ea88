"""Shared maths of the losses, in nats, stable for any finite logits."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

# Below this mass the logarithm is held, so that an empty bin of a hard assignment gives no infinite gradient.
FLOOR = 1e-12


def nll(logits: Tensor, labels: Tensor) -> Tensor:
    """-log p_y [N] in nats of logits [N, C] and labels i64 [N]."""
    return F.cross_entropy(logits, labels, reduction="none")


def entropy(logits: Tensor) -> Tensor:
    """H(softmax(z)) = -Σ p log p [N] in nats of logits [N, C]; its gradient is -p_i (log p_i + H)."""
    log_p = F.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)


def entropy_bits(p: Tensor) -> Tensor:
    """-Σ p log2 p [...] in bits of probabilities [..., K]; 0 log 0 is 0, and the gradient there is finite."""
    return -(p * p.clamp_min(FLOOR).log2()).sum(dim=-1)

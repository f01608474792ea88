"""What classifiers that are trained at once take from their labels, from themselves and from each other.

Sources: Zhang et al. 2018 (deep mutual learning, arXiv 1706.00384); Li et al. (CMD, arXiv 2106.01489), whose exact
progressive schedule was not available: `threshold` is ours; Wang et al. 2021 (ProSelfLC, arXiv 2005.03788).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.errors import UsageError
from fierce_tools.losses._nats import entropy, nll

FORMULAS = {
    "independent": "CE",
    "dml": "CE + mean over peers j of KL(p_j‖p)",
    "self-kd": "H(q̃, p)",
    "mkd": "H(q̃, p) + mean over peers j of H(q̃_j, p)",
    "cmd": "H(q̃, p) + mean over peers j with H(p_j) < χ of H(q̃_j, p)",
}
# Those that learn from corrected labels q̃ = (1-e)·y + e·p, and those of them that take the peers' too.
CORRECTING = ("self-kd", "mkd", "cmd")
EXCHANGING = ("mkd", "cmd")


class Learned(NamedTuple):
    """One peer's share: loss [B] = own [B] + exchanged [B], in nats; `gates` bool [B, K-1], open to each other peer."""

    loss: Tensor
    own: Tensor
    exchanged: Tensor
    gates: Tensor


def mutual(
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    method: str = "cmd",
    chi: float = math.inf,
    self_trust: float | None = None,
    peer_trust: float | None = None,
    growth: float = 1.0,
) -> tuple[Learned, ...]:
    """What each of K peers is to minimise; whatever it learns from is a constant (no gradient flows into a target).

    independent: -log p_y. dml: -log p_y + 1/(K-1) Σ_j KL(p_j‖p). self-kd: H(q̃, p). mkd: H(q̃, p) + 1/(K-1) Σ_j
    H(q̃_j, p). cmd: H(q̃, p) + Σ_j g_j H(q̃_j, p) / Σ_j g_j with g_j = [H(p_j) < χ], 0 where every gate is shut.
    H(a, p) is -Σ a log p; q̃ = (1-e)·y + e·p, e = `self_trust` in a peer's own and `peer_trust` in the others' labels,
    or, where that is none, trust(…, growth). χ ≤ 0 is self-kd and χ > log C mkd, bit for bit; dml's gradient is that
    of mkd with e = 0 for itself and 1 for the others. Since targets are constants, the gradient of H(q̃, p) is
    (1-e)(p - y): by itself alone, a peer only learns less from examples it is sure of.
    logits K × [B, C], labels i64 [B], χ in nats; returns K × Learned, one value per example, no mean inside. Raises
    UsageError for an unknown method or fewer than 2 peers. Source: Zhang et al. 2018; Li et al. 2021.
    """
    if method not in FORMULAS:
        raise UsageError(f"--method is {method!r}, expected one of {', '.join(FORMULAS)}")
    if len(logits) < 2:
        raise UsageError(f"mutual learning of {len(logits)} model", "name 2 or more, for example --models cnn mlp:64")
    classes = logits[0].shape[-1]
    fixed = [z.detach() for z in logits]
    if method in CORRECTING:
        mine = [corrected(z, labels, self_trust, growth) for z in fixed]
        given = mine if peer_trust == self_trust else [corrected(z, labels, peer_trust, growth) for z in fixed]
    # Rounding may put the entropy of a uniform prediction on either side of log C; above it every gate is open.
    everything = method in ("dml", "mkd") or (method == "cmd" and chi > math.log(classes))
    found = []
    for number, z in enumerate(logits):
        others = [j for j in range(len(logits)) if j != number]
        if method == "cmd" and not everything:
            gates = torch.stack([entropy(fixed[j]) < chi for j in others], dim=-1)
        else:
            gates = torch.full((len(labels), len(others)), everything, device=z.device)
        own = cross_entropy(mine[number], z) if method in CORRECTING else nll(z, labels)
        weights = gates.to(z.dtype) / gates.sum(dim=-1, keepdim=True).clamp_min(1)
        exchanged = torch.zeros_like(own)
        for place, j in enumerate(others):
            if method == "dml":
                exchanged = exchanged + weights[:, place] * divergence(fixed[j], z)
            elif method in EXCHANGING:
                exchanged = exchanged + weights[:, place] * cross_entropy(given[j], z)
        found.append(Learned(own + exchanged, own, exchanged, gates))
    return tuple(found)


def corrected(logits: Tensor, labels: Tensor, share: float | None, growth: float = 1.0) -> Tensor:
    """The self-corrected label q̃ = (1-e)·y + e·p [B, C], rows summing to 1, without a gradient.

    e is `share`, or trust(logits, growth) where that is none. Source: Wang et al. 2021, eq. 6.
    """
    z = logits.detach()
    e = trust(z, growth)[:, None] if share is None else share
    return (1 - e) * F.one_hot(labels, z.shape[-1]).to(z.dtype) + e * z.softmax(dim=-1)


def trust(logits: Tensor, growth: float) -> Tensor:
    """How far a prediction is trusted over its label: e = g·(1 - H(p)/log C) [B], a fraction; g is `growth`.

    0 for a uniform prediction, g for a certain one. Source: Wang et al. 2021 (ProSelfLC).
    """
    return growth * (1 - entropy(logits) / math.log(logits.shape[-1])).clamp(0, 1)


def logistic(share: float, steepness: float) -> float:
    """g(t) = 1/(1 + exp(-b·(t - 1/2))), t the share of the training that is done: 1/2 halfway, steeper with b."""
    return 1 / (1 + math.exp(-steepness * (share - 0.5)))


def threshold(schedule: str, share: float, *, start: float, end: float, steepness: float) -> float:
    """χ(t) in nats: `end` throughout (static), or from `start` at t = 0 to `end` at t = 1, never turning back.

    (1-s)·start + s·end with s = t (linear) or s = (g(t) - g(0))/(g(1) - g(0)), g the logistic function (logistic).
    Raises UsageError for an unknown schedule. Source: CMD-S and CMD-P of Li et al. 2021; the form is ours.
    """
    if schedule == "static":
        return end
    if schedule == "linear":
        s = share
    elif schedule == "logistic":
        low, high = logistic(0.0, steepness), logistic(1.0, steepness)
        s = (logistic(share, steepness) - low) / (high - low)
    else:
        raise UsageError(f"--chi-schedule is {schedule!r}, expected static, linear or logistic")
    return (1 - s) * start + s * end


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    """H(a, p) = -Σ a log p [B] in nats of targets [B, C] and logits [B, C]; its gradient in them is (Σa)·p - a."""
    return -(target * F.log_softmax(logits, dim=-1)).sum(dim=-1)


def divergence(peer: Tensor, logits: Tensor) -> Tensor:
    """KL(p_j‖p) = Σ p_j (log p_j - log p) [B] in nats, of a peer's and one's logits; its gradient is p - p_j."""
    log_j = F.log_softmax(peer.detach(), dim=-1)
    return (log_j.exp() * (log_j - F.log_softmax(logits, dim=-1))).sum(dim=-1)

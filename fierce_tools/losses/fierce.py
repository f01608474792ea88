"""FIERCE: cross-entropy with a reward for the entropy of quantised features."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.errors import UsageError
from fierce_tools.losses._nats import entropy_bits, nll

PRESETS = {
    "age": {"similarity": "sqdist", "assignment": "soft", "tau": 1.0, "mixing": "convex", "lam": 0.2,
            "anchor_distribution": "linspace", "num_anchors": 100},
    "hyperspectral": {"similarity": "dot", "assignment": "soft", "tau": 0.1, "lam": 1.0,
                      "anchor_distribution": "uniform", "num_anchors": 100},
    "few-shot": {"similarity": "cosine", "assignment": "soft", "lam": 1.5,
                 "anchor_distribution": "symmetric", "anchor_scale": 0.01, "num_anchors": 100},
}  # fmt: skip

MOST_ANCHORS = 1_000_000
# A vector shorter than this has no direction: it is where torch's normalize stops giving unit length.
SHORTEST = 1e-12


def fierce(
    logits: Tensor,
    labels: Tensor,
    features: Tensor,
    anchors: Tensor,
    *,
    lam: Annotated[float, "weight of the feature entropy: λ (subtract) or a (convex), 0 or more"] = 0.1,
    mixing: Annotated[
        Literal["subtract", "convex"], "CE - λ·Ĥ (subtract) or (CE + a·(log2 K - Ĥ))/(1 + a) (convex)"
    ] = "subtract",
    similarity: Annotated[Literal["cosine", "dot", "sqdist"], "how a feature is compared with an anchor"] = "cosine",
    assignment: Annotated[
        Literal["soft", "gumbel-soft", "gumbel-hard"], "softmax, the same with Gumbel noise, or its one-hot argmax"
    ] = "soft",
    tau: Annotated[float | None, "temperature of the assignment, above 0; none: 0.16/√D with cosine, else 1"] = None,
    similarity_scale: Annotated[float, "factor on the similarity before any noise, above 0"] = 1.0,
) -> Tensor:
    """Cross-entropy less the entropy of the features over a fixed codebook: CE - λ·Ĥ(r).

    Ĥ = feature_entropy(features, anchors) in bits is one value of the whole batch, CE is in nats. logits [N, C],
    labels i64 [N], features [N, D], anchors [M, K, D] or [K, D]; returns [N], each example's CE mixed with the batch's
    Ĥ, so that the mean is the loss. Raises UsageError for a negative λ, a tau or scale not above 0, or widths that
    differ. Source: Baena, Drumetz, Gripon, GRETSI 2023.
    """
    if lam < 0:
        raise UsageError(f"--lam is {lam:g}, expected 0 or more", "for example --lam 0.1")
    bits = feature_entropy(
        features, anchors, similarity=similarity, assignment=assignment, tau=tau, similarity_scale=similarity_scale
    )
    if mixing == "convex":
        return (nll(logits, labels) + lam * (math.log2(anchors.shape[-2]) - bits)) / (1 + lam)
    return nll(logits, labels) - lam * bits


def anchors(
    feature_dim: int,
    *,
    num_anchors: Annotated[int, "anchors in a codebook, K, 2 or more"] = 100,
    anchor_distribution: Annotated[
        Literal["normal", "uniform", "symmetric", "linspace"],
        "N(0, s²), U[0, s], U[-s, s], or 1…K for one-dimensional features",
    ] = "normal",
    anchor_scale: Annotated[float, "s of the anchors' distribution, above 0"] = 1.0,
    codebooks: Annotated[int, "codebooks drawn; their entropies are averaged"] = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """A fixed codebook [M, K, D] for features of width D; never trained.

    Raises UsageError for fewer than 2 anchors, fewer than 1 codebook, a scale not above 0, or linspace where D is
    not 1. Source: Baena, Drumetz, Gripon, GRETSI 2023.
    """
    if not 2 <= num_anchors <= MOST_ANCHORS or not 1 <= codebooks <= MOST_ANCHORS or not anchor_scale > 0:
        raise UsageError(
            f"{codebooks} codebook(s) of {num_anchors} anchors at scale {anchor_scale:g}",
            f"expected 1 to {MOST_ANCHORS:,} codebooks, 2 to {MOST_ANCHORS:,} anchors and a scale above 0",
        )
    shape = (codebooks, num_anchors, feature_dim)
    if anchor_distribution == "linspace":
        if feature_dim != 1:
            raise UsageError(
                f"linspace anchors are for features of one dimension, these have {feature_dim}",
                "use --anchor-distribution normal or a model with one-dimensional features",
            )
        return torch.linspace(1, num_anchors, num_anchors).view(1, -1, 1).repeat(codebooks, 1, 1)
    if anchor_distribution == "normal":
        return torch.randn(shape, generator=generator) * anchor_scale
    drawn = torch.rand(shape, generator=generator) * anchor_scale
    return drawn if anchor_distribution == "uniform" else 2 * drawn - anchor_scale


def feature_entropy(
    features: Tensor,
    anchors: Tensor,
    *,
    similarity: str = "cosine",
    assignment: str = "soft",
    tau: float | None = None,
    similarity_scale: float = 1.0,
) -> Tensor:
    """Ĥ = -Σ p_k log2 p_k in bits, a scalar in [0, log2 K]; p_k is the mean over the batch of the assignments.

    s_bk = -‖f_b - a_k‖² (sqdist), <f_b, a_k> (dot) or their cosine, times the scale; q_b = softmax(s_b/τ) (soft),
    softmax((s_b + g_b)/τ) (gumbel-soft) or the one-hot of argmax(s_b + g_b), with the gradient of gumbel-soft
    (gumbel-hard). τ is default_tau where none is given. A feature vector of norm 0, which is as near to every anchor by
    cosine or dot, puts its whole mass on the first, so that a dead network has 0 bits; short ones are spread evenly by
    dot, which rewards a small norm. features [N, D], anchors [M, K, D] or [K, D]; several codebooks: the mean of their
    Ĥ. Raises UsageError for a tau or scale not above 0, an unknown word, or widths that differ.
    """
    tau = default_tau(similarity, features.shape[-1]) if tau is None else tau
    if not tau > 0 or not similarity_scale > 0:
        raise UsageError(f"--tau is {tau:g} and --similarity-scale {similarity_scale:g}, expected both above 0")
    books = anchors if anchors.dim() == 3 else anchors.unsqueeze(0)
    if features.shape[-1] != books.shape[-1]:
        raise UsageError(
            f"features have width {features.shape[-1]}, anchors {books.shape[-1]}",
            "make the anchors with anchors(feature_dim)",
        )
    # In float32 whatever autocast does: the entropy is a difference of near-equal masses.
    with torch.autocast(features.device.type, enabled=False):
        features = features.float() if features.dtype.itemsize < 4 else features
        q = _assign(similarity_scale * _similarity(features, books, similarity), assignment, tau)
        if similarity != "sqdist":  # a distance from 0 is as good as any other
            q = torch.where(_without_direction(features), _on_the_first(q), q)
        return entropy_bits(q.mean(dim=1)).mean()


def default_tau(similarity: str, feature_dim: int) -> float:
    """0.16/√D with cosine, whose values for random directions have deviation 1/√D; 1 else.

    At 0.16 deviations, with K = 100, ten tight clusters give about 4 bits and spread features 6.6, for D of 8 or more.
    """
    return 0.16 / math.sqrt(feature_dim) if similarity == "cosine" else 1.0


def _similarity(features: Tensor, books: Tensor, similarity: str) -> Tensor:
    """[M, N, K] of features [N, D] and books [M, K, D]."""
    if similarity == "sqdist":
        return -torch.cdist(features, books, compute_mode="donot_use_mm_for_euclid_dist").square()
    if similarity == "cosine":
        # The cosine has no gradient at 0, and 1/|f| grows beyond bounds on the way. A vector without direction is taken
        # as it is, <f, a/|a|>: the gradient it would have at length 1, large enough to leave and never infinite.
        towards = torch.where(_without_direction(features), features, F.normalize(features, dim=-1))
        return towards @ F.normalize(books, dim=-1).transpose(1, 2)
    if similarity == "dot":
        return features @ books.transpose(1, 2)
    raise UsageError(f"--similarity is {similarity!r}, expected cosine, dot or sqdist")


def _without_direction(features: Tensor) -> Tensor:
    """Which rows [N, 1] of features [N, D] have norm 0."""
    return torch.linalg.vector_norm(features.detach(), dim=-1, keepdim=True) <= SHORTEST


def _on_the_first(q: Tensor) -> Tensor:
    """All mass on the first anchor, with the gradient of the assignments q [M, N, K], as gumbel-hard's.

    The mass alone is a constant, and a feature at 0 could never leave; by q it moves towards anchors of less mass.
    """
    first = (torch.arange(q.shape[-1], device=q.device) == 0).to(q.dtype)
    return first + (q - q.detach())


def _assign(s: Tensor, assignment: str, tau: float) -> Tensor:
    """Assignments [M, N, K], rows summing to 1, of similarities s [M, N, K]."""
    if assignment == "soft":
        return (s / tau).softmax(dim=-1)
    if assignment not in ("gumbel-soft", "gumbel-hard"):
        raise UsageError(f"--assignment is {assignment!r}, expected soft, gumbel-soft or gumbel-hard")
    return F.gumbel_softmax(s, tau=tau, hard=assignment == "gumbel-hard", dim=-1)


def separation(
    anchors: Tensor,
    *,
    similarity: str,
    assignment: str,
    tau: float | None,
    similarity_scale: float = 1.0,
    classes: int = 10,
) -> dict[str, float]:
    """Ĥ in bits of features that are all zero, one point, tight clusters and spread: does the estimate tell them apart?

    Spread: 2,000 draws of N(0, 1) in the anchors' space, over their range where they are one-dimensional. Tight
    clusters: one such draw for each class, repeated; one point: one draw alone. An estimate that gives any of the first
    three about as much as spread features rewards nothing.
    """
    books = anchors if anchors.dim() == 3 else anchors.unsqueeze(0)
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(2000, books.shape[-1], generator=generator)
    if books.shape[-1] == 1:
        low, high = float(books.min()), float(books.max())
        spread = low + (high - low) * torch.rand(2000, 1, generator=generator)
    tried = {
        "all zero": torch.zeros_like(spread),
        "one point": spread[:1].expand_as(spread),
        "tight clusters": spread[:classes].repeat(2000 // classes + 1, 1)[:2000],
        "spread": spread,
    }
    how = {"similarity": similarity, "assignment": assignment, "tau": tau, "similarity_scale": similarity_scale}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        return {name: float(feature_entropy(f, books.cpu(), **how)) for name, f in tried.items()}  # type: ignore[arg-type]

"""Distillation from soft labels with noise on them."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from fierce_tools.errors import UsageError
from fierce_tools.losses._kd import check, kl, log_soft, told
from fierce_tools.losses._labels import targets
from fierce_tools.losses._nats import nll


def noisy_labels(
    logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor | None = None,
    *,
    noise: Annotated[Literal["uniform", "normal"], "U[-s, s] or N(0, s²) on every probability"] = "uniform",
    noise_scale: Annotated[float, "s of the noise, 0 or more"] = 0.1,
    noise_on: Annotated[Literal["teacher", "smoothed"], "the teacher's soft labels, or smoothed labels"] = "teacher",
    alpha: Annotated[float, "how much of the label is spread over classes, 0 to 1"] = 0.1,
    convention: Annotated[
        Literal["uniform", "others"], "spread over all C classes (uniform) or over the other C-1 (others)"
    ] = "uniform",
    temperature: Annotated[float, "T that softens the teacher's probabilities, and the student's, above 0"] = 9.0,
    kd_weight: Annotated[float, "weight of the teacher's term, 0 or more"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels, 0 or more"] = 0.01,
    t2: Annotated[bool, "multiply the teacher's term by T², so that its gradient does not fade with T"] = True,
) -> Tensor:
    """Distillation from noisy soft labels: kd_weight·T²·KL(q̃ ‖ p_student(T)) + ce_weight·CE.

    q̃ is the soft label q plus noise, clipped at 0 and divided by its sum, drawn anew at every call from torch's
    global generator; a row of which nothing is left stays q. q is the teacher's softmax at T, or smoothed labels,
    which have no T: then the student's is 1 and there is no T². logits [N, C], labels i64 [N], teacher_logits
    [N, C]; returns [N] in nats, one value per example, no mean inside. Raises UsageError for values out of range, or
    where the teacher's labels are wanted and there is none. Source: Vats 2021, eq. 4.4.
    """
    check(temperatures=(temperature,), kd_weight=kd_weight, ce_weight=ce_weight, noise_scale=noise_scale)
    if noise_on == "smoothed":
        q = targets(labels, logits.shape[-1], alpha=alpha, convention=convention, dtype=logits.dtype)
        own, factor = 1.0, 1.0
    elif teacher_logits is None:
        raise UsageError(
            "noise on the teacher's soft labels needs a teacher",
            "say which: fierce distill --method noisy --teacher CHECKPOINT; or --noise-on smoothed",
        )
    else:
        q = log_soft(teacher_logits, temperature).exp()
        own, factor = temperature, temperature**2 if t2 else 1.0
    soft = kl(noisy(q, noise, noise_scale).log(), log_soft(logits, own))
    return kd_weight * factor * soft + ce_weight * nll(logits, labels)


def noisy(q: Tensor, noise: str, scale: float) -> Tensor:
    """Soft labels [N, C] plus noise, clipped at 0 and renormalised; drawn from torch's global generator."""
    drawn = torch.randn_like(q) if noise == "normal" else 2 * torch.rand_like(q) - 1
    return with_noise(q, scale * drawn)


def with_noise(q: Tensor, noise: Tensor) -> Tensor:
    """Soft labels q [..., C] plus noise, clipped at 0, divided by their sum; q itself where nothing is left."""
    clipped = (q + noise).clamp_min(0)
    total = clipped.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, clipped / total.clamp_min(torch.finfo(q.dtype).tiny), q)


def formula(
    *, noise: str, noise_scale: float, noise_on: str, alpha: float, convention: str, temperature: float,
    kd_weight: float, ce_weight: float, t2: bool,
) -> str:  # fmt: skip
    """What `noisy_labels` computes with these options, in one line."""
    drawn = f"{noise} noise {noise_scale:g}"
    if noise_on == "smoothed":
        about = f"smoothed labels, α={alpha:g} {convention}, with {drawn}"
        return f"{kd_weight:g}·KL({about} ‖ student at T=1), no T² + {ce_weight:g}·CE"
    return f"{told(kd_weight, f'KL(teacher with {drawn} ‖ student)', temperature, t2)} + {ce_weight:g}·CE"

"""Decoupled distillation: how sure the teacher is, and how it sees the other classes, weighted apart."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.errors import UsageError
from fierce_tools.losses._kd import check, kl
from fierce_tools.losses._nats import nll


def dkd(
    logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    epoch: float,
    *,
    temperature: Annotated[float, "T that softens the teacher's probabilities, and the student's, above 0"] = 4.0,
    tckd_weight: Annotated[float, "weight of what the teacher says of the true class (α), 0 or more"] = 1.0,
    nckd_weight: Annotated[float, "weight of what it says among the other classes (β), 0 or more"] = 8.0,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels, 0 or more"] = 1.0,
    t2: Annotated[bool, "multiply the teacher's term by T², so that its gradient does not fade with T"] = True,
    dkd_warmup: Annotated[int, "epochs over which the teacher's terms grow linearly from 0; 0: at once"] = 20,
) -> Tensor:
    """Decoupled knowledge distillation: w·T²·(α·TCKD + β·NCKD) + ce_weight·CE, w = min(epoch/warm-up, 1).

    TCKD is the KL between teacher and student over (true class, all others), NCKD that among the other classes, at
    T; KL = TCKD + (1 - p_y)·NCKD with the teacher's p_y at T. logits [N, C], labels i64 [N], teacher_logits [N, C],
    -inf where the teacher gives no probability, epoch (epochs done); returns [N] in nats, one value per example, no
    mean inside. Two classes have no others to tell apart: NCKD is 0. Raises UsageError for a temperature not above 0
    or a value below 0. Source: Zhao et al. 2022.
    """
    check(temperatures=(temperature,), tckd_weight=tckd_weight, nckd_weight=nckd_weight, ce_weight=ce_weight)
    if dkd_warmup < 0:
        raise UsageError(f"--dkd-warmup is {dkd_warmup}, expected 0 or more", "for example --dkd-warmup 20")
    target, others = parts(logits, labels, teacher_logits, temperature)
    ramp = min(epoch / dkd_warmup, 1.0) if dkd_warmup else 1.0
    factor = ramp * (temperature**2 if t2 else 1.0)
    return factor * (tckd_weight * target + nckd_weight * others) + ce_weight * nll(logits, labels)


def parts(logits: Tensor, labels: Tensor, teacher_logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """TCKD and NCKD [N] each, in nats, unweighted and without T²."""
    log_p = _binary(logits / temperature, labels)
    log_q = _binary(teacher_logits / temperature, labels)
    theirs = _without(teacher_logits / temperature, labels)
    # A teacher wholly sure of the true class says nothing of the others.
    silent = (theirs == -torch.inf).all(dim=-1, keepdim=True)
    log_rest_q = F.log_softmax(torch.where(silent, 0.0, theirs), dim=-1)
    log_rest_p = F.log_softmax(_without(logits / temperature, labels), dim=-1)
    return kl(log_q, log_p), torch.where(silent.squeeze(-1), 0.0, kl(log_rest_q, log_rest_p))


def _binary(z: Tensor, labels: Tensor) -> Tensor:
    """log of (p_y, 1 - p_y) [N, 2], the second from the other classes' logits, so that it does not cancel."""
    own = z.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    rest = _without(z, labels).logsumexp(dim=-1)
    return F.log_softmax(torch.stack((own, rest), dim=-1), dim=-1)


def _without(z: Tensor, labels: Tensor) -> Tensor:
    """The logits of the other classes [N, C-1]."""
    rank = torch.arange(z.shape[-1] - 1, device=z.device)
    return z.gather(-1, rank + (rank >= labels.unsqueeze(-1)))


def formula(
    *, temperature: float, tckd_weight: float, nckd_weight: float, ce_weight: float, t2: bool, dkd_warmup: int
) -> str:
    """What `dkd` computes with these options, in one line."""
    factor = f"T={temperature:g} (T²={temperature**2:g})" if t2 else f"T={temperature:g}, no T²"
    warm = f", warm-up of {dkd_warmup} epochs" if dkd_warmup else ""
    start = "T²·" if t2 else ""
    return f"{start}({tckd_weight:g}·TCKD + {nckd_weight:g}·NCKD), {factor}{warm} + {ce_weight:g}·CE"

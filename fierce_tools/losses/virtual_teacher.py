"""Distillation without a teacher: a made-up one that is nearly sure of every label."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.errors import UsageError
from fierce_tools.losses._kd import check, kl, log_soft, told
from fierce_tools.losses._nats import nll


def virtual_teacher(
    logits: Tensor,
    labels: Tensor,
    *,
    temperature: Annotated[float, "T that softens the teacher's probabilities, and the student's, above 0"] = 20.0,
    correct: Annotated[
        float, "what the made-up teacher gives the label, a, above 1/C to 1; the paper: .9 or more"
    ] = 0.99,
    kd_weight: Annotated[float, "weight of the teacher's term, 0 or more"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels, 0 or more"] = 0.01,
    t2: Annotated[bool, "multiply the teacher's term by T², so that its gradient does not fade with T"] = False,
) -> Tensor:
    """Teacher-free distillation: kd_weight·KL(p_virtual(T) ‖ p_student(T)) + ce_weight·CE.

    The virtual teacher gives a to the label and (1 - a)/(C - 1) to each other class; both it and the student are
    softened, p(T) ∝ p^(1/T). The authors' code takes softmax(p/T) instead, which is next to uniform, and torch's
    'mean', C times smaller; this is the paper's. logits [N, C], labels i64 [N]; returns [N] in nats, one value per
    example, no mean inside; T² only with t2. Raises UsageError for a temperature not above 0, a weight below 0, or
    an a that is not above 1/C. Source: Yuan et al. 2020, Tf-KD with regularisation.
    """
    check(temperatures=(temperature,), kd_weight=kd_weight, ce_weight=ce_weight)
    classes = logits.shape[-1]
    if not 1 / classes < correct <= 1:
        raise UsageError(f"--correct is {correct:g}, expected above 1/{classes} to 1", "for example --correct 0.99")
    on = torch.full_like(logits, math.log((1 - correct) / (classes - 1)) if correct < 1 else -torch.inf)
    on = on.scatter(-1, labels.unsqueeze(-1), math.log(correct))
    log_q = F.log_softmax(on / temperature, dim=-1)
    factor = temperature**2 if t2 else 1.0
    return kd_weight * factor * kl(log_q, log_soft(logits, temperature)) + ce_weight * nll(logits, labels)


def formula(*, temperature: float, correct: float, kd_weight: float, ce_weight: float, t2: bool) -> str:
    """What `virtual_teacher` computes with these options, in one line."""
    return f"{told(kd_weight, f'KL(virtual teacher, a={correct:g} ‖ student)', temperature, t2)} + {ce_weight:g}·CE"

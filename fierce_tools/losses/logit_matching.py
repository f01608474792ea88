"""Distillation of logits themselves."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from fierce_tools.losses._kd import check
from fierce_tools.losses._nats import nll


def logit_matching(
    logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    kd_weight: Annotated[float, "weight of the teacher's term, 0 or more"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels, 0 or more"] = 0.01,
) -> Tensor:
    """Logit matching: kd_weight·½ Σ_k (z_k - z_teacher,k)² + ce_weight·CE.

    logits [N, C], labels i64 [N], teacher_logits [N, C]; a class whose teacher logit is -inf has no logit to match
    and counts nothing. Returns [N], one value per example (a sum over classes, the CE in nats), no mean and no
    temperature inside. Raises UsageError for a weight below 0. Source: Ba and Caruana 2014; Müller et al. 2019 with
    weights .6 and .4.
    """
    check(kd_weight=kd_weight, ce_weight=ce_weight)
    there = teacher_logits > -torch.inf
    error = torch.where(there, logits - torch.where(there, teacher_logits, 0.0), 0.0)
    return kd_weight * 0.5 * error.square().sum(dim=-1) + ce_weight * nll(logits, labels)


def formula(*, kd_weight: float, ce_weight: float) -> str:
    """What `logit_matching` computes with these options, in one line."""
    return f"{kd_weight:g}·½ Σ (z_student - z_teacher)² + {ce_weight:g}·CE, no temperature"

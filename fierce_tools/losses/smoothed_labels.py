"""Distillation from label smoothing: a degenerate teacher, the control for a real one."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from fierce_tools.losses._kd import check, kl, log_soft
from fierce_tools.losses._labels import targets
from fierce_tools.losses._nats import nll


def smoothed_labels(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: Annotated[float, "how much of the label is spread over classes, 0 to 1"] = 0.1,
    convention: Annotated[
        Literal["uniform", "others"], "spread over all C classes (uniform) or over the other C-1 (others)"
    ] = "uniform",
    student_temperature: Annotated[float, "the student's own T, above 0"] = 1.0,
    kd_weight: Annotated[float, "weight of the teacher's term, 0 or more"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels, 0 or more"] = 0.01,
) -> Tensor:
    """Distillation from smoothed labels: kd_weight·KL(q ‖ p_student) + ce_weight·CE.

    q as in label_smoothing, in either convention, which says how much but never which classes are alike: the same
    soft label for every example of a class. It is not softened further. At the student's temperature 1 KL is the
    label-smoothing loss less H(q), a constant. logits [N, C], labels i64 [N]; returns [N] in nats, one value per
    example, no mean and no T² inside. Raises UsageError for α outside [0, 1], a temperature not above 0 or a weight
    below 0. Source: Vats 2021, the control.
    """
    check(temperatures=(student_temperature,), kd_weight=kd_weight, ce_weight=ce_weight)
    q = targets(labels, logits.shape[-1], alpha=alpha, convention=convention, dtype=logits.dtype)
    return kd_weight * kl(q.log(), log_soft(logits, student_temperature)) + ce_weight * nll(logits, labels)


def formula(*, alpha: float, convention: str, student_temperature: float, kd_weight: float, ce_weight: float) -> str:
    """What `smoothed_labels` computes with these options, in one line."""
    return (
        f"{kd_weight:g}·KL(smoothed labels, α={alpha:g} {convention} ‖ student at T={student_temperature:g}), no T² "
        f"+ {ce_weight:g}·CE"
    )

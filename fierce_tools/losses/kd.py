"""Distillation: a student learns a teacher's softened probabilities."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from fierce_tools.errors import UsageError
from fierce_tools.losses._kd import check, kl, log_soft, told
from fierce_tools.losses._nats import nll


def kd(
    logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    temperature: Annotated[float, "T that softens the teacher's probabilities, and the student's, above 0"] = 9.0,
    student_temperature: Annotated[float | None, "the student's own T, which goes with --no-t2; none: the same"] = None,
    kd_weight: Annotated[float, "weight of the teacher's term, 0 or more"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels, 0 or more"] = 0.01,
    t2: Annotated[bool, "multiply the teacher's term by T², so that its gradient does not fade with T"] = True,
) -> Tensor:
    """Knowledge distillation: kd_weight·T²·KL(p_teacher(T) ‖ p_student(T)) + ce_weight·CE.

    logits [N, C], labels i64 [N], teacher_logits [N, C], -inf where the teacher gives no probability; returns [N] in
    nats, one value per example, no mean inside: their mean is torch's `batchmean`. T² is inside with t2, where the
    gradient of the unweighted term is T·(p_s - p_t), else (p_s - p_t)/T. A student with a temperature of its own has
    no T² (Müller et al. train it at 1); Vats uses none either. Raises UsageError for a temperature not above 0, a
    weight below 0, or T² with two temperatures. Source: Hinton et al. 2015; Müller et al. 2019; Vats 2021.
    """
    check(temperatures=(temperature, student_temperature), kd_weight=kd_weight, ce_weight=ce_weight)
    if student_temperature is not None and t2:
        raise UsageError(
            f"--student-temperature {student_temperature:g} with T²: that factor belongs to one temperature for both",
            "add --no-t2",
        )
    own = temperature if student_temperature is None else student_temperature
    soft = kl(log_soft(teacher_logits, temperature), log_soft(logits, own))
    factor = temperature**2 if t2 else 1.0
    return kd_weight * factor * soft + ce_weight * nll(logits, labels)


def formula(
    *, temperature: float, student_temperature: float | None, kd_weight: float, ce_weight: float, t2: bool
) -> str:
    """What `kd` computes with these options, in one line."""
    if student_temperature is None:
        term = told(kd_weight, "KL(teacher ‖ student)", temperature, t2)
    else:
        term = f"{kd_weight:g}·KL(teacher at T={temperature:g} ‖ student at T={student_temperature:g}), no T²"
    return f"{term} + {ce_weight:g}·CE"

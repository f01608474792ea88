"""Cross-entropy with a reward for uncertain predictions."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from fierce_tools.errors import UsageError
from fierce_tools.losses._nats import entropy, nll


def confidence_penalty(
    logits: Tensor,
    labels: Tensor,
    *,
    beta: Annotated[float, "weight of the entropy, 0 or more"] = 0.1,
    hinge: Annotated[float | None, "entropy in nats above which nothing is rewarded; none: always rewarded"] = None,
) -> Tensor:
    """Cross-entropy less the entropy of the prediction: CE - β·H(p); with a hinge Γ: CE + β·max(0, Γ - H(p)).

    logits [N, C], labels i64 [N]; returns [N] in nats, one value per example, no mean inside. Raises UsageError for a
    negative β or Γ. Source: Pereyra et al. 2017, eq. 2 and 5.
    """
    if beta < 0:
        raise UsageError(f"--beta is {beta:g}, expected 0 or more", "for example --beta 0.1")
    if hinge is None:
        return nll(logits, labels) - beta * entropy(logits)
    if hinge < 0:
        raise UsageError(f"--hinge is {hinge:g} nats, expected 0 or more", "for example --hinge 1.0")
    return nll(logits, labels) + beta * (hinge - entropy(logits)).clamp_min(0)

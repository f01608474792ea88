"""Cross-entropy."""

from __future__ import annotations

from torch import Tensor

from fierce_tools.losses._nats import nll


def ce(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with hard labels: -log p_y.

    logits [N, C], labels i64 [N]; returns [N] in nats, one value per example, no mean inside.
    """
    return nll(logits, labels)

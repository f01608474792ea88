"""Cross-entropy with smoothed labels, in the two conventions in use."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor
from torch.nn import functional as F

from fierce_tools.losses._labels import uniform_alpha
from fierce_tools.losses._nats import nll


def label_smoothing(
    logits: Tensor,
    labels: Tensor,
    *,
    alpha: Annotated[float, "how much of the label is spread over classes, 0 to 1"] = 0.1,
    convention: Annotated[
        Literal["uniform", "others"], "spread over all C classes (uniform) or over the other C-1 (others)"
    ] = "uniform",
) -> Tensor:
    """Cross-entropy with smoothed labels: -Σ q_k log p_k.

    uniform: q = (1-α)·y + α/C on every class (Müller et al.; Vats; torch). others: q = 1-α on the label and α/(C-1)
    elsewhere (Shen et al.; FIERCE). The same targets when α_others = α_uniform·(C-1)/C.
    logits [N, C], labels i64 [N]; returns [N] in nats, one value per example, no mean inside. Raises UsageError for α
    outside [0, 1]. Source: Szegedy et al. 2016; Müller et al. 2019; Shen et al. 2021.
    """
    spread = uniform_alpha(alpha, convention, logits.shape[-1])
    if spread <= 1:
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=spread)
    # `others` may put less on the label than on the rest, which torch's own smoothing cannot.
    return (1 - spread) * nll(logits, labels) - spread * F.log_softmax(logits, dim=-1).mean(dim=-1)

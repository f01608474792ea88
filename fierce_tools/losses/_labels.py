"""Smoothed labels, in the two conventions in use."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.errors import UsageError


def targets(
    labels: Tensor,
    classes: int,
    *,
    alpha: float = 0.1,
    convention: str = "uniform",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """The smoothed labels [N, C] themselves, rows summing to 1. Raises UsageError for α outside [0, 1]."""
    spread = uniform_alpha(alpha, convention, classes)
    # Of 1 - spread, what the others' convention leaves on the label may be a rounding error below 0.
    return ((1 - spread) * F.one_hot(labels, classes).to(dtype) + spread / classes).clamp_min(0)


def uniform_alpha(alpha: float, convention: str, classes: int) -> float:
    """The α of the uniform convention that gives the same targets. Raises UsageError for α outside [0, 1]."""
    if not 0 <= alpha <= 1:
        raise UsageError(f"--alpha is {alpha:g}, expected 0 to 1", "for example --alpha 0.1")
    if convention not in ("uniform", "others"):
        raise UsageError(f"--convention is {convention!r}, expected uniform or others")
    return alpha if convention == "uniform" else alpha * classes / (classes - 1)

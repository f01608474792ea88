"""Shared maths of distillation, in nats. A teacher's logit of -inf is a class it gives no probability at all."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.errors import UsageError

# Beyond these logits/T, or T², leave float32.
LOWEST, HIGHEST = 1e-6, 1e6


def log_soft(logits: Tensor, temperature: float) -> Tensor:
    """log softmax(z/T) [N, C]; -inf stays -inf."""
    return F.log_softmax(logits / temperature, dim=-1)


def kl(log_q: Tensor, log_p: Tensor) -> Tensor:
    """KL(q ‖ p) = Σ q (log q - log p) [N] in nats; a class with q = 0 counts nothing."""
    finite = log_q.clamp_min(torch.finfo(log_q.dtype).min)  # 0 times what is finite is 0
    return (log_q.exp() * (finite - log_p)).sum(dim=-1)


def check(*, temperatures: tuple[float | None, ...] = (), **weights: float) -> None:
    """Raises UsageError for a temperature outside 1e-6 to 1e6, a weight below 0, or weights that are all 0."""
    for temperature in temperatures:
        if temperature is not None and not LOWEST <= temperature <= HIGHEST:
            raise UsageError(
                f"temperature {temperature:g}: expected a number above 0, from {LOWEST:g} to {HIGHEST:,.0f}",
                "for example --temperature 9",
            )
    for name, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')} is {weight:g}, expected 0 or more")
    if not any(weight for name, weight in weights.items() if name.endswith("weight")):
        raise UsageError("every weight of the loss is 0: there is nothing to learn", "for example --kd-weight 0.99")


def told(weight: float, term: str, temperature: float, t2: bool) -> str:
    """A softened term with its weight, such as `0.99·T²·KL(teacher ‖ student), T=9 (T²=81)`."""
    if t2:
        return f"{weight:g}·T²·{term}, T={temperature:g} (T²={temperature**2:g})"
    return f"{weight:g}·{term}, T={temperature:g}, no T²"

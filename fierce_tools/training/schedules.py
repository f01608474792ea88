"""The learning rate as a function of the step."""

from __future__ import annotations

import math


def rate(schedule: str, lr: float, step: int, steps: int) -> float:
    """The learning rate of step 0..steps-1: `constant`, or `cosine` from lr towards 0: lr·(1 + cos(π·step/steps))/2."""
    if schedule == "cosine":
        return lr * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
    return lr

"""Layers that several families share, with the checks of their options."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from fierce_tools.errors import UsageError

Layers = OrderedDict[str, nn.Module]


def scaled(channels: int, factor: float) -> int:
    """`channels` times the factor, rounded, 1 or more. Raises UsageError for a factor not above 0."""
    if not 0 < factor < float("inf"):
        raise UsageError(f"--width-factor is {factor:g}, expected above 0", "for example --width-factor 0.5")
    return max(1, round(channels * factor))


def drop(share: float) -> nn.Module:
    """Dropout, or nothing where the share is 0. Raises UsageError for a share that is not 0 to below 1."""
    if not 0 <= share < 1:
        raise UsageError(f"--dropout is {share:g}, expected 0 to below 1", "for example --dropout 0.5")
    return nn.Dropout(share) if share else nn.Identity()


def add_dense(layers: Layers, size: int, widths: Sequence[int], share: float) -> int:
    """Append dense layers with ReLU and dropout to `layers`; returns the width of the last, or `size`."""
    for number, width in enumerate(widths, 1):
        layers[f"dense{number}"] = nn.Linear(size, width)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"dropout{number}"] = drop(share)
        size = width
    return size

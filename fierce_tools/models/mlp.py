"""Fully connected networks of any widths."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated

from torch import nn

from fierce_tools.errors import UsageError
from fierce_tools.models._classifier import Classifier


def mlp(
    shape: tuple[int, ...],
    classes: int,
    hidden: Annotated[str, "the widths of its hidden layers, joined by hyphens, such as 800-800"],
    *,
    dropout: Annotated[float, "share of units dropped after each hidden layer while training"] = 0.0,
) -> Classifier:
    """Dense layers with ReLU, as `mlp:800-800`. 2,395,210 parameters for mlp:1200-1200 on MNIST.

    Features are the last hidden layer's. Raises UsageError for widths that are not whole numbers above 0.
    Source: Müller et al. 2019, Hinton et al. 2015 (1200-1200, 800-800), Pereyra et al. 2017 (1024-1024).
    """
    try:
        widths = [int(w) for w in hidden.split("-")]
    except ValueError:
        widths = [0]
    if min(widths) < 1:
        raise UsageError(f"mlp:{hidden}: expected whole numbers above 0 joined by hyphens", "for example mlp:800-800")
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    size = math.prod(shape)
    for number, width in enumerate(widths, 1):
        layers[f"dense{number}"] = nn.Linear(size, width)
        layers[f"relu{number}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
        size = width
    return Classifier(nn.Sequential(layers), size, classes)

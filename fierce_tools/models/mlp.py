"""Fully connected networks of any widths."""

from __future__ import annotations

import math
from typing import Annotated

from torch import nn

from fierce_tools.errors import UsageError
from fierce_tools.models._classifier import Classifier
from fierce_tools.models._layers import Layers, add_dense


def mlp(
    shape: tuple[int, ...],
    classes: int,
    hidden: Annotated[str, "the widths of its hidden layers, joined by hyphens, such as 800-800"],
    *,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.0,
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
    layers = Layers(flatten=nn.Flatten())
    size = add_dense(layers, math.prod(shape), widths, dropout)
    return Classifier(nn.Sequential(layers), size, classes)

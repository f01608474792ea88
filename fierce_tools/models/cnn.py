"""A small convolutional net for small images."""

from __future__ import annotations

from typing import Annotated

from torch import nn

from fierce_tools.errors import UsageError
from fierce_tools.models._classifier import Classifier, needs_images, output_size
from fierce_tools.models._layers import Layers, drop


def cnn(
    shape: tuple[int, ...],
    classes: int,
    *,
    width: Annotated[int, "channels of the first convolution; the second has twice as many"] = 32,
    feature_dim: Annotated[int, "width of the dense layer before the head, the features"] = 64,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.0,
) -> Classifier:
    """Two 3×3 convolutions with ReLU, the second of stride 2, then a dense layer of features with ReLU.

    The default for digits; 85,066 parameters there. Raises UsageError for a width below 1, a dropout that is not 0 to
    below 1, or where the data are no images.
    """
    if width < 1 or feature_dim < 1:
        raise UsageError(f"--width is {width} and --feature-dim {feature_dim}, expected both 1 or more")
    height, wide, channels = needs_images("cnn", shape)
    layers = Layers(
        conv1=nn.Conv2d(channels, width, 3, padding=1),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
    )
    flat = output_size(nn.Sequential(layers), height, wide, channels)
    layers["dense"] = nn.Linear(flat, feature_dim)
    layers["relu3"] = nn.ReLU()
    layers["dropout"] = drop(dropout)
    return Classifier(nn.Sequential(layers), feature_dim, classes)

"""Plain convolutional nets of 2 to 10 layers, the ladder of the teacher-assistant experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import nn

from fierce_tools.models._classifier import Classifier, needs_images, output_size
from fierce_tools.models._layers import Layers, add_dense, drop, scaled

MEMBERS = ("plain-2", "plain-4", "plain-6", "plain-8", "plain-10")


def plain_2(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of features dropped while training"] = 0.0,
) -> Classifier:
    """C16 P C16 P D10: 13,082 parameters on CIFAR-10.

    3×3 convolutions, each with batch normalisation and ReLU, P a 2×2 max-pool; features are the flattened 1,024.
    Raises UsageError where the data are no images of 4×4 or more. Source: Mirzadeh et al. 2020, their CIFAR-10 plain
    CNN of 2 layers (factor 2: their CIFAR-100 one).
    """
    return _plain("plain-2", shape, classes, ((16,), (16,)), (), width_factor, dropout)


def plain_4(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of features dropped while training"] = 0.0,
) -> Classifier:
    """C16 C16 P C32 C32 P D10: 37,338 parameters on CIFAR-10.

    3×3 convolutions, each with batch normalisation and ReLU, P a 2×2 max-pool; features are the flattened 2,048.
    Raises UsageError where the data are no images of 4×4 or more. Source: Mirzadeh et al. 2020, their CIFAR-10 plain
    CNN of 4 layers (factor 2: their CIFAR-100 one).
    """
    return _plain("plain-4", shape, classes, ((16, 16), (32, 32)), (), width_factor, dropout)


def plain_6(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of features dropped while training"] = 0.0,
) -> Classifier:
    """C16 C16 P C32 C32 P C64 C64 P D10: 82,778 parameters on CIFAR-10.

    3×3 convolutions, each with batch normalisation and ReLU, P a 2×2 max-pool; features are the flattened 1,024.
    Raises UsageError where the data are no images of 8×8 or more. Source: Mirzadeh et al. 2020, their CIFAR-10 plain
    CNN of 6 layers.
    """
    return _plain("plain-6", shape, classes, ((16, 16), (32, 32), (64, 64)), (), width_factor, dropout)


def plain_8(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of features dropped while training"] = 0.0,
) -> Classifier:
    """C16 C16 P C32 C32 P C64 C64 P C128 C128 P D64 D10: 327,962 parameters on CIFAR-10.

    3×3 convolutions, each with batch normalisation and ReLU, P a 2×2 max-pool, a dense layer with ReLU; features are
    its 64. Raises UsageError where the data are no images of 16×16 or more. Source: Mirzadeh et al. 2020, their
    CIFAR-10 plain CNN of 8 layers.
    """
    blocks = ((16, 16), (32, 32), (64, 64), (128, 128))
    return _plain("plain-8", shape, classes, blocks, (64,), width_factor, dropout)


def plain_10(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of features dropped while training"] = 0.0,
) -> Classifier:
    """C32 C32 P C64 C64 P C128 C128 P C256 C256 C256 C256 P D128 D10: 2,487,850 parameters on CIFAR-10.

    3×3 convolutions, each with batch normalisation and ReLU, P a 2×2 max-pool, a dense layer with ReLU; features are
    its 128. Raises UsageError where the data are no images of 16×16 or more. Source: Mirzadeh et al. 2020, their
    CIFAR-10 plain CNN of 10 layers.
    """
    blocks = ((32, 32), (64, 64), (128, 128), (256, 256, 256, 256))
    return _plain("plain-10", shape, classes, blocks, (128,), width_factor, dropout)


def _plain(
    name: str,
    shape: tuple[int, ...],
    classes: int,
    blocks: Sequence[Sequence[int]],
    hidden: Sequence[int],
    width_factor: float,
    dropout: float,
) -> Classifier:
    height, wide, channels = needs_images(name, shape, smallest=2 ** len(blocks))
    layers = Layers()
    for block, widths in enumerate(blocks, 1):
        for part, width in zip("abcd", widths, strict=False):
            width = scaled(width, width_factor)
            layers[f"conv{block}{part}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"norm{block}{part}"] = nn.BatchNorm2d(width)
            layers[f"act{block}{part}"] = nn.ReLU()
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    size = output_size(nn.Sequential(layers), height, wide, shape[2])
    size = add_dense(layers, size, hidden, 0.0)
    layers["dropout"] = drop(dropout)
    return Classifier(nn.Sequential(layers), size, classes)

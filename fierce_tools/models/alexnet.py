"""The small AlexNet of TensorFlow's CIFAR-10 tutorial."""

from __future__ import annotations

from typing import Annotated

from torch import nn

from fierce_tools.models._classifier import Classifier, needs_images, output_size
from fierce_tools.models._layers import Layers, add_dense, scaled

MEMBERS = ("alexnet-cifar",)


def alexnet_cifar(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.0,
) -> Classifier:
    """C64 5×5, P, norm, C64 5×5, norm, P, D384, D192, D10: 1,756,426 parameters on CIFAR-10.

    ReLU throughout, P a 3×3 max-pool of stride 2, norm the local response normalisation of 9 channels with α .001/9,
    β .75 and bias 1; features are the 192. On the tutorial's crops of 24×24 it has the 1,068,298 parameters printed
    there; weights start as torch's do, not as the tutorial's. Raises UsageError where the data are no images of 4×4 or
    more. Source: TensorFlow's CIFAR-10 tutorial; the CIFAR student of Müller et al. 2019.
    """
    height, wide, channels = needs_images("alexnet-cifar", shape, smallest=4)
    width = scaled(64, width_factor)
    layers = Layers(
        conv1=nn.Conv2d(channels, width, 5, padding=2),
        act1=nn.ReLU(),
        pool1=_pool(),
        norm1=_norm(),
        conv2=nn.Conv2d(width, width, 5, padding=2),
        act2=nn.ReLU(),
        norm2=_norm(),
        pool2=_pool(),
        flatten=nn.Flatten(),
    )
    size = output_size(nn.Sequential(layers), height, wide, channels)
    size = add_dense(layers, size, (384, 192), dropout)
    return Classifier(nn.Sequential(layers), size, classes)


def _pool() -> nn.Module:
    # Windows begin at the first pixel and may reach over the edge, which is TensorFlow's 'same' for even sizes.
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _norm() -> nn.Module:
    # TensorFlow's α counts once for each of the 9 channels, torch's is divided by their number.
    return nn.LocalResponseNorm(9, alpha=0.001, beta=0.75, k=1.0)

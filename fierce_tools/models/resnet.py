"""Residual networks for small images, after He et al.'s section on CIFAR-10."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fierce_tools.models._classifier import Classifier, needs_images
from fierce_tools.models._layers import Layers, drop, scaled

MEMBERS = ("resnet20", "resnet56")


class PaddedShortcut(nn.Module):
    """Option A, without parameters: every second pixel, and channels of zeros on both sides."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        before = self.added // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, before, self.added - before))


class Block(nn.Module):
    """Two 3×3 convolutions with batch normalisation, added to what came in."""

    def __init__(self, channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 and shortcut == "zeros":
            self.shortcut = PaddedShortcut(width - channels)
        elif stride != 1:
            layers = OrderedDict(conv=nn.Conv2d(channels, width, 1, stride, bias=False), bn=nn.BatchNorm2d(width))
            self.shortcut = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.shortcut(x))


def resnet20(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of features dropped while training"] = 0.0,
    shortcut: Annotated[
        Literal["zeros", "projection"], "where the width changes: padded with zeros (He's A), or a 1×1 convolution (B)"
    ] = "zeros",
) -> Classifier:
    """A residual network of 20 layers for small images: 269,722 parameters on CIFAR-10, .27 million as printed.

    A 3×3 convolution, three stages of 3 blocks with 16, 32 and 64 channels, the last two begun by stride 2, and a
    global mean: features are the 64. Raises UsageError where the data are no images. Source: He et al. 2016
    (arXiv 1512.03385), section 4.2.
    """
    return _resnet("resnet20", shape, classes, 3, width_factor, dropout, shortcut)


def resnet56(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of features dropped while training"] = 0.0,
    shortcut: Annotated[
        Literal["zeros", "projection"], "where the width changes: padded with zeros (He's A), or a 1×1 convolution (B)"
    ] = "zeros",
) -> Classifier:
    """A residual network of 56 layers for small images: 853,018 parameters on CIFAR-10, .85 million as printed.

    As resnet20, with 9 blocks a stage; features are the 64. Raises UsageError where the data are no images. Source: He
    et al. 2016 (arXiv 1512.03385), section 4.2; the CIFAR teacher of Müller et al. 2019.
    """
    return _resnet("resnet56", shape, classes, 9, width_factor, dropout, shortcut)


def _resnet(
    name: str, shape: tuple[int, ...], classes: int, blocks: int, width_factor: float, dropout: float, shortcut: str
) -> Classifier:
    _, _, channels = needs_images(name, shape)
    width = scaled(16, width_factor)
    layers = Layers(conv=nn.Conv2d(channels, width, 3, 1, 1, bias=False), bn=nn.BatchNorm2d(width), relu=nn.ReLU())
    channels = width
    for stage in range(3):
        width = scaled(16 * 2**stage, width_factor)
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers[f"stage{stage + 1}_{block + 1}"] = Block(channels, width, stride, shortcut)
            channels = width
    layers["pool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["dropout"] = drop(dropout)
    features = nn.Sequential(layers)
    for part in features.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return Classifier(features, channels, classes)

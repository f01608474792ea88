"""Vats' networks for CIFAR-10, recovered by their exact parameter counts.

The counts fix the layers of the student and the small teacher. Activations and dropout rates are not stated there;
the large teacher is a stand-in as a whole.
"""

from __future__ import annotations

from typing import Annotated

from torch import nn

from fierce_tools.models._classifier import Classifier, needs_images, output_size
from fierce_tools.models._layers import Layers, drop, scaled
from fierce_tools.models._vats import chain

MEMBERS = ("cifar-student", "cifar-small", "cifar-large")


def cifar_student(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
) -> Classifier:
    """C64 s2, C128 s2, C256, D10: 534,666 parameters on CIFAR-10.

    3×3 convolutions, two of stride 2; features are the flattened 16,384. LeakyReLU .2 is a stand-in, Vats states none.
    Raises UsageError where the data are no images. Source: Vats 2021, the student.
    """
    return chain("cifar-student", shape, classes, ((64, 2), (128, 2), (256, 1)), width_factor=width_factor)


def cifar_small(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.0,
) -> Classifier:
    """C128 s2, C256 s2, C512, D128, D10: 5,674,634 parameters on CIFAR-10.

    3×3 convolutions, two of stride 2, a dense layer with ReLU; features are its 128. The count is exact with this
    dense layer, where Vats' table counts a single one. LeakyReLU .2 is a stand-in, Vats states none. Raises UsageError
    where the data are no images. Source: Vats 2021, the small teacher.
    """
    convolutions = ((128, 2), (256, 2), (512, 1))
    return chain("cifar-small", shape, classes, convolutions, (128,), dropout=dropout, width_factor=width_factor)


def cifar_large(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.5,
) -> Classifier:
    """C128 C128 P C256 C256 P C512 C512 P C512 C512 P D3000 D3800 D10: 26,893,626 trained parameters on CIFAR-10.

    3×3 convolutions with ReLU, batch normalisation before each 2×2 max-pool P and after D3000, dropout after the dense
    layers; features are the 3,800. With the running means and variances of batch normalisation it has Vats' 26,902,442
    numbers. A stand-in with the exact count: the original is not identifiable. Raises UsageError where the data are no
    images of 16×16 or more. Source: Vats 2021, the large teacher.
    """
    height, wide, channels = needs_images("cifar-large", shape, smallest=16)
    layers = Layers()
    for block, width in enumerate((128, 256, 512, 512), 1):
        width = scaled(width, width_factor)
        for part in "ab":
            layers[f"conv{block}{part}"] = nn.Conv2d(channels, width, 3, padding=1)
            layers[f"act{block}{part}"] = nn.ReLU()
            channels = width
        layers[f"norm{block}"] = nn.BatchNorm2d(width)
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    size = output_size(nn.Sequential(layers), height, wide, shape[2])
    layers["dense1"] = nn.Linear(size, 3000)
    layers["relu1"] = nn.ReLU()
    layers["norm5"] = nn.BatchNorm1d(3000)
    layers["dropout1"] = drop(dropout)
    layers["dense2"] = nn.Linear(3000, 3800)
    layers["relu2"] = nn.ReLU()
    layers["dropout2"] = drop(dropout)
    return Classifier(nn.Sequential(layers), 3800, classes)

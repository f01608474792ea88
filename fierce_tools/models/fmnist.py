"""Vats' networks for Fashion-MNIST, recovered by their exact parameter counts.

The counts fix the layers. Activations and dropout rates are not stated there: LeakyReLU .2 after convolutions is that
of the networks for MNIST, and .5 is a usual rate.
"""

from __future__ import annotations

from typing import Annotated

from fierce_tools.models._classifier import Classifier
from fierce_tools.models._vats import chain

MEMBERS = ("fmnist-student", "fmnist-small", "fmnist-large")


def fmnist_student(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
) -> Classifier:
    """C32 s2, C64 s2, D10: 50,186 parameters on Fashion-MNIST.

    3×3 convolutions of stride 2; features are the flattened 3,136. LeakyReLU .2 is a stand-in, Vats states none.
    Raises UsageError where the data are no images. Source: Vats 2021, the student.
    """
    return chain("fmnist-student", shape, classes, ((32, 2), (64, 2)), width_factor=width_factor)


def fmnist_small(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
) -> Classifier:
    """C128 s2, C256 s2, C512 s2, D10: 1,558,538 parameters on Fashion-MNIST.

    3×3 convolutions of stride 2; features are the flattened 8,192. LeakyReLU .2 is a stand-in, Vats states none.
    Raises UsageError where the data are no images. Source: Vats 2021, the small teacher.
    """
    return chain("fmnist-small", shape, classes, ((128, 2), (256, 2), (512, 2)), width_factor=width_factor)


def fmnist_large(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.5,
) -> Classifier:
    """C64 s2, C128 s2, C256 s2, C512 s2, D256, D512, D256, D10 with dropout: 2,339,850 parameters on Fashion-MNIST.

    3×3 convolutions of stride 2, dense layers with ReLU; features are the last 256. LeakyReLU .2 and the dropout rate
    are stand-ins, Vats states none. Raises UsageError where the data are no images. Source: Vats 2021, the large
    teacher.
    """
    convolutions, hidden = ((64, 2), (128, 2), (256, 2), (512, 2)), (256, 512, 256)
    return chain("fmnist-large", shape, classes, convolutions, hidden, dropout=dropout, width_factor=width_factor)

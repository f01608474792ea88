"""Vats' networks for MNIST, recovered by their exact parameter counts."""

from __future__ import annotations

from typing import Annotated

from fierce_tools.models._classifier import Classifier
from fierce_tools.models._vats import chain

MEMBERS = ("mnist-student", "mnist-small", "mnist-large")


def mnist_student(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
) -> Classifier:
    """C16 s2, max-pool, C32 s2, D10: 20,490 parameters on MNIST.

    3×3 convolutions of stride 2 with LeakyReLU .2; features are the flattened 1,568. Raises UsageError where the data
    are no images. Source: Vats 2021 (the Keras knowledge-distillation example's student).
    """
    return chain("mnist-student", shape, classes, ((16, 2), (32, 2)), pooled=True, width_factor=width_factor)


def mnist_small(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
) -> Classifier:
    """C256 s2, max-pool, C512 s2, D10: 1,433,610 parameters on MNIST.

    3×3 convolutions of stride 2 with LeakyReLU .2; features are the flattened 25,088. Raises UsageError where the data
    are no images. Source: Vats 2021, the small teacher (the Keras knowledge-distillation example's teacher).
    """
    return chain("mnist-small", shape, classes, ((256, 2), (512, 2)), pooled=True, width_factor=width_factor)


def mnist_large(
    shape: tuple[int, ...],
    classes: int,
    *,
    width_factor: Annotated[float, "factor on the channels of every convolution"] = 1.0,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.5,
) -> Classifier:
    """C128 s2, C256 s2, C512 s2, D128, D256, D10 with dropout: 2,560,906 parameters on MNIST.

    3×3 convolutions of stride 2 with LeakyReLU .2, dense layers with ReLU; features are the 256. Vats does not state
    the dropout rate. Raises UsageError where the data are no images. Source: Vats 2021, the large teacher.
    """
    convolutions = ((128, 2), (256, 2), (512, 2))
    return chain("mnist-large", shape, classes, convolutions, (128, 256), dropout=dropout, width_factor=width_factor)

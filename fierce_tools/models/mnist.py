"""Vats' networks for MNIST, recovered by their exact parameter counts."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F

from fierce_tools.models._classifier import Classifier, needs_images, output_size

MEMBERS = ("mnist-student", "mnist-small", "mnist-large")


class SamePool(nn.Module):
    """2×2 maximum with stride 1 and the size kept; the last row and column look only inwards."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 2, stride=1)


def mnist_student(shape: tuple[int, ...], classes: int) -> Classifier:
    """C16 s2, max-pool, C32 s2, D10: 20,490 parameters on MNIST.

    3×3 convolutions of stride 2 with LeakyReLU .2; features are the flattened 1,568. Raises UsageError where the data
    are no images. Source: Vats 2021 (the Keras knowledge-distillation example's student).
    """
    return _pair("mnist-student", shape, classes, 16, 32)


def mnist_small(shape: tuple[int, ...], classes: int) -> Classifier:
    """C256 s2, max-pool, C512 s2, D10: 1,433,610 parameters on MNIST.

    3×3 convolutions of stride 2 with LeakyReLU .2; features are the flattened 25,088. Raises UsageError where the data
    are no images. Source: Vats 2021, the small teacher (the Keras knowledge-distillation example's teacher).
    """
    return _pair("mnist-small", shape, classes, 256, 512)


def mnist_large(
    shape: tuple[int, ...],
    classes: int,
    *,
    dropout: Annotated[float, "share of units dropped after each dense layer while training"] = 0.5,
) -> Classifier:
    """C128 s2, C256 s2, C512 s2, D128, D256, D10 with dropout: 2,560,906 parameters on MNIST.

    3×3 convolutions of stride 2 with LeakyReLU .2, dense layers with ReLU; features are the 256. Vats does not state
    the dropout rate. Raises UsageError where the data are no images. Source: Vats 2021, the large teacher.
    """
    height, wide, channels = needs_images("mnist-large", shape)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, width in enumerate((128, 256, 512), 1):
        layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        layers[f"act{number}"] = nn.LeakyReLU(0.2)
        channels = width
    layers["flatten"] = nn.Flatten()
    size = output_size(nn.Sequential(layers), height, wide, shape[2])
    for number, width in enumerate((128, 256), 1):
        layers[f"dense{number}"] = nn.Linear(size, width)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"dropout{number}"] = nn.Dropout(dropout)
        size = width
    return Classifier(nn.Sequential(layers), size, classes)


def _pair(name: str, shape: tuple[int, ...], classes: int, first: int, second: int) -> Classifier:
    height, wide, channels = needs_images(name, shape)
    features = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, first, 3, stride=2, padding=1),
            act1=nn.LeakyReLU(0.2),
            pool=SamePool(),
            conv2=nn.Conv2d(first, second, 3, stride=2, padding=1),
            act2=nn.LeakyReLU(0.2),
            flatten=nn.Flatten(),
        )
    )
    return Classifier(features, output_size(features, height, wide, channels), classes)

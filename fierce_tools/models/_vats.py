"""What Vats' networks have in common: a chain of 3×3 convolutions, then dense layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from fierce_tools.models._classifier import Classifier, needs_images, output_size
from fierce_tools.models._layers import Layers, add_dense, scaled


class SamePool(nn.Module):
    """2×2 maximum with stride 1 and the size kept; the last row and column look only inwards."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 2, stride=1)


def chain(
    name: str,
    shape: tuple[int, ...],
    classes: int,
    convolutions: Sequence[tuple[int, int]],
    hidden: Sequence[int] = (),
    *,
    pooled: bool = False,
    dropout: float = 0.0,
    width_factor: float = 1.0,
) -> Classifier:
    """3×3 convolutions of (channels, stride) with bias and LeakyReLU .2, flattened, dense layers with ReLU.

    A `pooled` one has a stride-1 max-pool after its first convolution. Raises UsageError where the data are no images.
    """
    height, wide, channels = needs_images(name, shape)
    layers = Layers()
    for number, (width, stride) in enumerate(convolutions, 1):
        width = scaled(width, width_factor)
        layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, stride=stride, padding=1)
        layers[f"act{number}"] = nn.LeakyReLU(0.2)
        if pooled and number == 1:
            layers["pool"] = SamePool()
        channels = width
    layers["flatten"] = nn.Flatten()
    size = output_size(nn.Sequential(layers), height, wide, shape[2])
    size = add_dense(layers, size, hidden, dropout)
    return Classifier(nn.Sequential(layers), size, classes)

"""torchvision's image classifiers, by their names there."""

from __future__ import annotations

from typing import Annotated, Any

from torch import nn

from fierce_tools.errors import UsageError
from fierce_tools.menu import unknown
from fierce_tools.models._classifier import Classifier, needs_images
from fierce_tools.models._foreign import find_head, wrap

# What torchvision's own weights were trained with, of values from 0 to 1: mean and deviation of ImageNet's channels.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Those whose own weights were trained with 0.5 and 0.5 instead, which torchvision makes of the above inside the module.
CENTERED = ("googlenet", "inception_v3")


def torchvision(
    shape: tuple[int, ...],
    classes: int,
    name: Annotated[str, "a name in torchvision.models, such as resnet18"],
    *,
    head: Annotated[
        str | None, "dotted name of the linear layer that makes the logits; else the last that fits"
    ] = None,
) -> Classifier:
    """Any classifier of torchvision's, as `torchvision:resnet18`, with fresh weights.

    Features are what its last linear layer is given. Auxiliary classifiers are left out. Raises UsageError for a name
    that is none, images without three channels, and a size the architecture does not take.
    """
    what = f"torchvision:{name}"
    net = module(name, shape, classes)
    return wrap(net, find_head(net, classes, head, what), shape, what)


def module(name: str, shape: tuple[int, ...], classes: int | None) -> nn.Module:
    """The module itself, for images of `shape`; with ImageNet's 1,000 classes where they are None."""
    height, width, channels = needs_images(f"torchvision:{name}", shape)
    if channels != 3:
        raise UsageError(
            f"torchvision:{name} takes images of 3 channels, these have {channels}",
            "write a factory that changes its first layer, and say --model package.module:function",
        )
    from torchvision import models

    names = tuple(models.list_models(module=models))
    if name not in names:
        raise unknown("architecture", name, names, "torchvision.models.list_models(module=torchvision.models)")
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if name in CENTERED:
        options |= {"aux_logits": False, "init_weights": True}
    if name.startswith("vit"):
        options |= {"image_size": height}
    if name.startswith("maxvit"):
        options |= {"input_size": (height, width)}
    try:
        return models.get_model(name, weights=None, **options)
    except (ValueError, AssertionError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise UsageError(f"torchvision:{name} does not take images of {height}×{width}: {reason}") from None

"""torchvision's image classifiers, by their names there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

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
# The families that begin with a convolution of stride 2, and the max-pool of stride 2 behind it where there is one.
STEMS: dict[str, str | None] = {
    "resnet": "maxpool", "resnext": "maxpool", "wide_resnet": "maxpool", "shufflenet": "maxpool",
    "densenet": "features.pool0", "googlenet": "maxpool1",
    "mobilenet": None, "mnasnet": None, "efficientnet": None, "regnet": None,
}  # fmt: skip
# Images with both sides below this get the small stem from `auto`.
SMALL = 64


def torchvision(
    shape: tuple[int, ...],
    classes: int,
    name: Annotated[str, "a name in torchvision.models, such as resnet18"],
    *,
    head: Annotated[
        str | None, "dotted name of the linear layer that makes the logits; else the last that fits"
    ] = None,
    stem: Annotated[
        Literal["standard", "small", "auto"],
        "how it begins; small: a 3×3 convolution of stride 1, no max-pool; auto: small for images below 64 pixels",
    ] = "standard",
) -> Classifier:
    """Any classifier of torchvision's, as `torchvision:resnet18`, with fresh weights; for small images `--stem auto`.

    Features are what its last linear layer is given. Auxiliary classifiers are left out. The standard stem leaves a
    half or a quarter of each side to the first block, and torchvision's own weights need it; the small one leaves all
    of it, as He et al.'s networks for CIFAR do. Images of other than 3 channels get a first convolution of their own.
    Raises UsageError for a name that is none, an architecture without a stem to make small, and a size it does not
    take. Source: torchvision.models; He et al. 2016 (arXiv 1512.03385), section 4.2, for the small stem.
    """
    what = f"torchvision:{name}"
    height, width, channels = needs_images(what, shape)
    net = _make(name, height, width, classes)
    family = next((f for f in STEMS if name.startswith(f)), None)
    if stem == "small" and family is None:
        raise UsageError(
            f"{what} has no stem to make small", f"those that have one: {', '.join(f + '…' for f in STEMS)}"
        )
    small = stem == "small" or (stem == "auto" and family is not None and max(height, width) < SMALL)
    _fit_first(net, channels, small)
    if small and family is not None and (pool := STEMS[family]) is not None:
        net.set_submodule(pool, nn.Identity())
    last = find_head(net, classes, head, what)
    try:
        return wrap(net, last, shape, what)
    except UsageError as error:
        if small or family is None or "does not take inputs" not in error.message:
            raise
        raise UsageError(error.message, "for small images add --stem small") from None


def module(name: str, shape: tuple[int, ...], classes: int | None) -> nn.Module:
    """The module itself as its weights need it, for images of `shape`; with ImageNet's 1,000 classes where None."""
    height, width, channels = needs_images(f"torchvision:{name}", shape)
    if channels != 3:
        raise UsageError(
            f"torchvision:{name} takes images of 3 channels, these have {channels}",
            "write a factory that changes its first layer, and say --model package.module:function",
        )
    return _make(name, height, width, classes)


def _make(name: str, height: int, width: int, classes: int | None) -> nn.Module:
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


def _fit_first(net: nn.Module, channels: int, small: bool) -> None:
    """Give the net a first convolution for so many channels, of 3×3 and stride 1 where it is to be small."""
    name, old = next((n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv2d))
    size, stride, padding = ((3, 3), (1, 1), (1, 1)) if small else (old.kernel_size, old.stride, old.padding)
    if (channels, size) == (old.in_channels, old.kernel_size):
        old.stride = stride  # its weights stay as the architecture starts them
        return
    new = nn.Conv2d(channels, old.out_channels, size, stride, padding, bias=old.bias is not None)  # type: ignore[arg-type]
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    net.set_submodule(name, new)

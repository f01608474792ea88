"""torchvision's networks on small images, with any channels; what its own weights need stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fierce_tools import checkpoints, recipe
from fierce_tools.errors import UsageError
from fierce_tools.menu import MODELS
from fierce_tools.models._classifier import Classifier


def build(name: str, shape: tuple[int, ...], **options: object) -> Classifier:
    return MODELS.get("torchvision")(shape, 10, name, **options)


def first(model: nn.Module) -> nn.Conv2d:
    return next(m for m in model.modules() if isinstance(m, nn.Conv2d))


# Known of the widely used small-image forms (3 channels, 10 classes); mobilenets keep their 3×3 convolution.
SMALL = [
    ("resnet18", 11_173_962, 512),
    ("resnet34", 21_282_122, 512),
    ("resnet50", 23_520_842, 2048),
    ("mobilenet_v2", 2_236_682, 1280),
    ("mobilenet_v3_small", 1_528_106, 1024),
    ("densenet121", 6_964_106 - 64 * 3 * (49 - 9), 1024),
]


LARGE = ("resnet34", "resnet50", "densenet121")


@pytest.mark.parametrize(
    ("name", "count", "features"),
    [pytest.param(*known, marks=pytest.mark.slow if known[0] in LARGE else ()) for known in SMALL],
)
def test_the_small_stem(name: str, count: int, features: int) -> None:
    torch.manual_seed(0)
    model = build(name, (32, 32, 3), stem="small")
    assert sum(p.numel() for p in model.parameters()) == count
    conv = first(model)
    assert (conv.kernel_size, conv.stride, conv.padding, conv.bias) == ((3, 3), (1, 1), (1, 1), None)
    sides: list[int] = []
    second = [m for m in model.modules() if isinstance(m, nn.Conv2d)][1]
    handle = second.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    assert model.eval().features(torch.randn(2, 3, 32, 32)).shape == (2, features)
    handle.remove()
    assert sides == [32], "the first block sees every pixel"


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", pytest.param("densenet121", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1)])
def test_digits_and_mnist(name: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    model = build(name, shape, stem="auto")
    assert first(model).in_channels == 1
    model.train()(torch.randn(4, 1, *shape[:2])).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_auto_is_small_below_64_pixels() -> None:
    def kernel(side: int, stem: str) -> int:
        with torch.device("meta"):
            return first(build("resnet18", (side, side, 3), stem=stem)).kernel_size[0]

    assert [kernel(32, "auto"), kernel(63, "auto"), kernel(64, "auto")] == [3, 3, 7]
    assert [kernel(32, "standard"), kernel(96, "small")] == [7, 3]


def test_a_standard_network_is_torchvisions_to_the_bit() -> None:
    """By default, so that a recipe from before there was a stem gives the network it gave."""
    from torchvision import models

    torch.manual_seed(5)
    model = build("resnet18", (40, 40, 3)).eval()
    torch.manual_seed(5)
    theirs = models.resnet18(weights=None, num_classes=10).eval()
    x = torch.randn(2, 3, 40, 40)
    assert model.features.body.conv1.kernel_size == (7, 7)  # type: ignore[union-attr]
    assert torch.equal(model(x), theirs(x))
    assert recipe.resolve({"model": {"name": "torchvision:resnet18", "head": "fc"}}).model["stem"] == "standard"


def test_a_checkpoint_from_before_there_was_a_stem(tmp_path: Path) -> None:
    """Its recipe says nothing of a stem or a bottleneck, and the weights are of 7×7."""
    from fierce_tools import arrayfile

    made = recipe.resolve({"model": {"name": "torchvision:resnet18", "head": "fc"}})
    torch.manual_seed(0)
    model = checkpoints.build(made, (32, 32, 3), 3)
    path, old = tmp_path / "m.safetensors", tmp_path / "old.safetensors"
    names, zero, one = ("a", "b", "c"), np.zeros(3, np.float32), np.ones(3, np.float32)
    checkpoints.save(path, model, made, shape=(32, 32, 3), class_names=names, mean=zero, std=one)
    arrays, document = arrayfile.load_arrays(path)
    assert document is not None
    document["recipe"]["model"] = {"name": "torchvision:resnet18", "head": "fc"}
    arrayfile.save_arrays(old, arrays, document)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(checkpoints.load(old).model(x), model.eval()(x))


def test_grey_images_with_the_standard_stem() -> None:
    model = build("resnet18", (64, 64, 1))
    assert (first(model).in_channels, first(model).kernel_size, first(model).stride) == (1, (7, 7), (2, 2))
    assert sum(p.numel() for p in model.parameters()) == 11_181_642 - 2 * 64 * 49
    deviation = (2 / (64 * 49)) ** 0.5  # He et al.'s, by outputs, as torchvision begins a resnet
    assert float(first(model).weight.detach().std()) == pytest.approx(deviation, rel=0.1)


def test_architectures_without_such_a_stem() -> None:
    with pytest.raises(
        UsageError, match="torchvision:squeezenet1_0 has no stem to make small; those that have one: resnet…"
    ):
        build("squeezenet1_0", (64, 64, 3), stem="small")
    with torch.device("meta"):
        assert first(build("vit_b_32", (32, 32, 1), stem="auto")).kernel_size == (32, 32)
    with pytest.raises(UsageError, match=r"does not take inputs of shape.*; for small images add --stem small"):
        build("densenet121", (28, 28, 1))
    with pytest.raises(UsageError, match=r"unknown linear layer .*choose from fc"):
        build("resnet18", (28, 28, 1), head="top")

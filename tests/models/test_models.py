"""Every model keeps the one contract; those of the papers have exactly their parameter counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fierce_tools.errors import UsageError
from fierce_tools.menu import MODELS, split

MNIST = (28, 28, 1)
COUNTS = [
    ("mnist-student", 20_490),
    ("mnist-small", 1_433_610),
    ("mnist-large", 2_560_906),
    ("linear", 7_850),
    ("mlp:1200-1200", 2_395_210),
    ("mlp:800-800", 1_276_810),
]
ARGUMENTS = {
    "mlp": "mlp:20-15",
    "torchvision": "torchvision:resnet18",
    "factory": "factory:test_models:Foreign",
}
EVERY = [ARGUMENTS.get(name, name) for name in MODELS.names()]
THREE = ["torchvision:resnet18"]  # models that take images of three channels alone


class Foreign(nn.Module):
    """A module as somebody would write it."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(16, 20)
        self.fc = nn.Linear(20, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        small = nn.functional.adaptive_avg_pool2d(x.mean(1, keepdim=True), 4).flatten(1)
        return self.fc(nn.functional.relu(self.hidden(small)))


def build(name: str, shape: tuple[int, ...], classes: int, **options: object) -> nn.Module:
    argument = split(name)[1]
    return MODELS.get(name)(shape, classes, *(() if argument is None else (argument,)), **options)


@pytest.mark.parametrize(("name", "count"), COUNTS)
def test_exact_parameter_counts(name: str, count: int) -> None:
    assert sum(p.numel() for p in build(name, MNIST, 10).parameters()) == count


def test_counts_of_digits_and_of_cifars_baseline() -> None:
    assert sum(p.numel() for p in build("cnn", (8, 8, 1), 10).parameters()) == 85_066
    assert sum(p.numel() for p in build("linear", (32, 32, 3), 10).parameters()) == 30_730
    assert sum(p.numel() for p in build("torchvision:resnet18", (32, 32, 3), 10).parameters()) == 11_181_642


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("shape", "classes"), [(MNIST, 10), ((9, 11, 3), 2)])
def test_features_head_logits(name: str, shape: tuple[int, int, int], classes: int) -> None:
    if name in THREE and shape[2] != 3:
        with pytest.raises(UsageError, match="3 channels"):
            build(name, shape, classes)
        return
    torch.manual_seed(0)
    model = build(name, shape, classes).eval()
    x = torch.randn(3, shape[2], *shape[:2])
    features = model.features(x)  # type: ignore[operator]
    assert features.dim() == 2
    assert isinstance(model.head, nn.Linear)
    assert model.head.weight.shape == (classes, features.shape[1])
    torch.testing.assert_close(model(x), model.head(features))
    torch.testing.assert_close(model(x), model(x))


@pytest.mark.parametrize("name", EVERY)
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    channels = 3 if name in THREE else 1
    model = build(name, (12, 12, channels), 3).train()
    model(torch.randn(16, channels, 12, 12)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", EVERY)
def test_memory_layout_changes_nothing_but_rounding(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, (12, 12, 3), 3).eval()
    x = torch.randn(4, 3, 12, 12)
    plain = model(x)
    torch.testing.assert_close(model.to(memory_format=torch.channels_last)(x), plain, rtol=1e-4, atol=1e-5)


def test_options() -> None:
    assert build("cnn", MNIST, 10, feature_dim=7, width=4).head.in_features == 7  # type: ignore[union-attr]
    dropped = [m for m in build("mlp:8-8", MNIST, 10, dropout=0.3).modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in dropped] == [0.3, 0.3]


@pytest.mark.parametrize("name", ["mlp:", "mlp:0", "mlp:10-", "mlp:a", "mlp:1.5"])
def test_widths_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        build(name, MNIST, 10)


@pytest.mark.parametrize("name", [n for n in EVERY if n.partition(":")[0] not in ("linear", "mlp", "factory")])
def test_vectors_are_refused_where_images_are_needed(name: str) -> None:
    with pytest.raises(UsageError, match="needs images"):
        build(name, (20,), 3)


def test_vectors_are_fine_elsewhere() -> None:
    for name in ("linear", "mlp:4"):
        assert build(name, (20,), 3)(torch.randn(5, 20)).shape == (5, 3)

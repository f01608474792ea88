"""Every model keeps the one contract, on images of every usual shape; it goes into a checkpoint and out, and trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fierce_tools import checkpoints, recipe
from fierce_tools.errors import UsageError
from fierce_tools.menu import MODELS, split

DIGITS, MNIST, CIFAR, ODD = (8, 8, 1), (28, 28, 1), (32, 32, 3), (9, 11, 2)
ARGUMENTS = {
    "mlp": "mlp:20-15",
    "torchvision": "torchvision:shufflenet_v2_x0_5",
    "factory": "factory:test_models:Foreign",
}
EVERY = [ARGUMENTS.get(name, name) for name in MODELS.names()]
SMALLEST = {"cifar-large": 16, "plain-8": 16, "plain-10": 16}  # above 8
# Networks of many channels: a quarter of them shows the same in less time.
WIDE = ("mnist-small", "mnist-large", "fmnist-small", "fmnist-large", "cifar-small", "cifar-large", "plain-10")
each = pytest.mark.parametrize("name", EVERY)


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


def options_of(name: str) -> dict[str, object]:
    """Options with which a test of the model is quick: what is tested holds for every width."""
    return {"width_factor": 0.25} if name in WIDE else {"stem": "small"} if name.startswith("torchvision") else {}


def made_of(name: str, **more: object) -> recipe.Recipe:
    return recipe.resolve({"model": {"name": name, **options_of(name), **more}})


@each
@pytest.mark.parametrize("shape", [DIGITS, MNIST, CIFAR, ODD], ids=["digits", "mnist", "cifar", "odd"])
def test_features_head_logits(name: str, shape: tuple[int, int, int]) -> None:
    if min(shape[:2]) < SMALLEST.get(name, 1):
        with pytest.raises(UsageError, match=r"needs images of 16×16 or more, these are") as caught:
            build(name, shape, 10)
        assert "try --model" in caught.value.hint
        return
    torch.manual_seed(0)
    model = build(name, shape, 10, **options_of(name))
    x = torch.randn(4, shape[2], *shape[:2])
    before = [t.clone() for t in model.eval().state_dict().values()]
    with torch.no_grad():
        features = model.features(x)  # type: ignore[operator]
        logits = model(x)
        assert features.dim() == 2
        assert isinstance(model.head, nn.Linear)
        assert model.head.weight.shape == (10, features.shape[1])
        assert torch.equal(logits, model.head(features))
        assert torch.equal(logits, model(x)), "in eval mode nothing is drawn"
        torch.testing.assert_close(model(x[2:]), logits[2:], rtol=1e-4, atol=1e-5)  # nor does a neighbour count
    assert all(torch.equal(a, b) for a, b in zip(before, model.state_dict().values(), strict=True)), (
        "asking is not telling"
    )
    model.train()(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        plain = model.eval()(x)
        torch.testing.assert_close(model.to(memory_format=torch.channels_last)(x), plain, rtol=1e-3, atol=1e-4)


@each
def test_every_parameter_learns(name: str) -> None:
    torch.manual_seed(0)
    side = 16 if name in SMALLEST else 12
    model = build(name, (side, side, 2), 3, **options_of(name)).train()
    model(torch.randn(16, 2, side, side)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@each
def test_it_trains_and_says_the_same_from_its_file(name: str, tmp_path: Path) -> None:
    """Of five steps on one batch some lower the loss (normalised by a dozen values, networks of 8 × 8 images jump); from
    a checkpoint come the same logits, to the bit."""
    side = 16 if name in SMALLEST else 8
    shape, made = (side, side, 1), made_of(name)
    torch.manual_seed(0)
    trusted = split(name)[1] if name.startswith("factory") else None
    model = checkpoints.build(made, shape, 3, trusted=trusted).train()
    x, y = torch.randn(12, 1, side, side), torch.arange(12) % 3
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        torch.manual_seed(1)  # the same units are dropped, so that the losses compare
        loss = nn.functional.cross_entropy(model(x), y)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert min(losses[1:]) < losses[0]
    assert losses[-1] < 1.5 * losses[0]
    path = tmp_path / "m.safetensors"
    checkpoints.save(
        path, model, made, shape=shape, class_names=("a", "b", "c"), mean=np.zeros(1, np.float32),
        std=np.ones(1, np.float32),
    )  # fmt: skip
    loaded = checkpoints.load(path, trusted=trusted)
    with torch.no_grad():
        assert torch.equal(loaded.model(x), model.eval()(x))


QUICK = ("linear", "cnn")
TRAINED = [n for n in EVERY if not n.startswith("factory")]  # tests/cli/test_import.py trains one of those


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in TRAINED])
def test_the_command_trains_it(name: str, fierce, tmp_path: Path) -> None:
    side = 16 if name in SMALLEST else 8
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (16, side, side, 1), dtype=np.uint8), np.arange(16) % 2
    np.savez("t.npz", train_images=images, train_labels=labels, test_images=images[:4], test_labels=labels[:4])
    settings = [f"--set=model.{key}={value}" for key, value in options_of(name).items()]
    code, out, err = fierce(
        "train", "--data", "arrays:t.npz", "--model", name, *settings, "--epochs", "1", "--batch-size", "7",
        "--val-fraction", "0.2", "--device", "cpu", "--progress", "off", "--name", "m",
    )  # fmt: skip
    assert code == 0, err
    assert out.strip().endswith("m/model.safetensors")
    assert fierce("analyze", "entropy", "m", "--temperatures", "1")[0] == 0


def test_the_option_of_width() -> None:
    """A factor scales every convolution, and nothing but those; .5 of a few channels is still one."""
    for name in EVERY:
        if "width_factor" in {o.name for o in recipe.spec("model", name).options}:
            side, whole = 32, [m.out_channels for m in build(name, CIFAR, 10).modules() if isinstance(m, nn.Conv2d)]
            half = build(name, (side, side, 3), 10, width_factor=0.5)
            assert [m.out_channels for m in half.modules() if isinstance(m, nn.Conv2d)] == [c // 2 for c in whole]
            tiny = build(name, (side, side, 3), 10, width_factor=0.001)
            assert {m.out_channels for m in tiny.modules() if isinstance(m, nn.Conv2d)} == {1}
    assert build("cnn", MNIST, 10, feature_dim=7, width=4).head.in_features == 7  # type: ignore[union-attr]
    for factor in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="--width-factor is"):
            build("resnet20", CIFAR, 10, width_factor=factor)


def test_the_option_of_dropout() -> None:
    for name in EVERY:
        options = {o.name for o in recipe.spec("model", name).options}
        if "dropout" not in options:
            continue
        quick = {k: v for k, v in options_of(name).items() if k in options}
        torch.manual_seed(0)
        model = build(name, CIFAR, 10, dropout=0.3, **quick)
        assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.3}
        x = torch.randn(2, 3, 32, 32)
        with torch.no_grad():
            assert not torch.equal(model.train().features(x), model.features(x)), name  # type: ignore[operator]
        without = build(name, CIFAR, 10, dropout=0.0, **quick)
        assert not [m for m in without.modules() if isinstance(m, nn.Dropout)]
        assert set(without.state_dict()) == set(model.state_dict()), "the same file either way"
    assert [m.p for m in build("mlp:8-8", MNIST, 10, dropout=0.3).modules() if isinstance(m, nn.Dropout)] == [0.3, 0.3]
    for share in (1.0, -0.1, float("nan")):
        with pytest.raises(UsageError, match="--dropout is"):
            build("mlp:8", MNIST, 10, dropout=share)


@pytest.mark.parametrize("name", ["mlp:", "mlp:0", "mlp:10-", "mlp:a", "mlp:1.5"])
def test_widths_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        build(name, MNIST, 10)


@pytest.mark.parametrize(
    "name", [n for n in EVERY if n.partition(":")[0] not in ("linear", "baseline", "mlp", "factory")]
)
def test_vectors_are_refused_where_images_are_needed(name: str) -> None:
    with pytest.raises(UsageError, match="needs images"):
        build(name, (20,), 3)


def test_vectors_are_fine_elsewhere() -> None:
    for name in ("linear", "baseline", "mlp:4"):
        assert build(name, (20,), 3)(torch.randn(5, 20)).shape == (5, 3)

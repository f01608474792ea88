"""airbench94: whitening against numpy, the network against torch's functions one by one, and what a training does to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fierce_tools import checkpoints, recipe
from fierce_tools.data import digits
from fierce_tools.data._splits import Splits, split
from fierce_tools.errors import UsageError
from fierce_tools.models import airbench94
from fierce_tools.models.airbench94 import Whitening
from fierce_tools.training.batches import measured
from fierce_tools.training.loop import EpochDone
from fierce_tools.training.train import setup, train


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(digits())


def patches(images: torch.Tensor) -> np.ndarray:
    """Every 2×2 patch [n, c·4] of images, by loops."""
    found = images.double().numpy()
    height, wide = found.shape[2:]
    rows = [
        found[:, :, i : i + 2, j : j + 2].reshape(len(found), -1) for i in range(height - 1) for j in range(wide - 1)
    ]
    return np.concatenate(rows)


def test_whitening_is_numpys_principal_components() -> None:
    """Uncorrelated outputs of variance s/(s + 5e-4), s the squared singular values over n; then the same negative."""
    torch.manual_seed(0)
    images = torch.randn(40, 3, 6, 5).cumsum(3) * torch.tensor([1.0, 0.3, 0.02]).view(1, 3, 1, 1)
    layer = Whitening(3, 3)
    layer.measure([images[:25], images[25:]])
    with torch.no_grad():
        out = layer(images).transpose(0, 1).flatten(1).double().numpy()
    found = patches(images)
    variances = np.linalg.svd(found, compute_uv=False) ** 2 / len(found)
    np.testing.assert_allclose(out[:12] @ out[:12].T / out.shape[1], np.diag(variances / (variances + 5e-4)), atol=2e-4)
    assert np.array_equal(out[12:], -out[:12])
    directions = layer.weight.flatten(1)[:12].numpy()
    assert np.argmax(np.linalg.norm(directions, axis=1)) == 11, "the weakest component is the last and raised most"


def test_a_channel_that_is_always_black_stays_finite() -> None:
    layer = Whitening(2, 3)
    layer.measure([torch.randn(20, 2, 5, 5) * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)])
    assert layer.weight.isfinite().all()


def test_the_network_is_that_of_the_source() -> None:
    """Written down once more, in torch's functions, with weights and statistics that are all drawn."""
    torch.manual_seed(1)
    model = airbench94((32, 32, 3), 10).eval()
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point() and not name.endswith("weight"):
            value.copy_(torch.rand_like(value) + (0.5 if "running" in name else 0))
    x = torch.randn(2, 3, 32, 32)
    weights = iter(w for n, w in state.items() if n.startswith("features.conv"))
    norms = iter(n.removesuffix("running_mean") for n in state if n.endswith("running_mean"))

    def norm(x: torch.Tensor) -> torch.Tensor:
        name = next(norms)
        mean, variance, bias = (state[name + k].view(1, -1, 1, 1) for k in ("running_mean", "running_var", "bias"))
        return (x - mean) / (variance + 1e-12).sqrt() + bias

    with torch.no_grad():
        y = F.gelu(F.conv2d(x, state["features.whitening.weight"], state["features.whitening.bias"]))
        assert y.shape == (2, 24, 31, 31)
        for side in (15, 7, 3):
            y = F.gelu(norm(F.max_pool2d(F.conv2d(y, next(weights), padding=1), 2)))
            y = F.gelu(norm(F.conv2d(y, next(weights), padding=1)))
            assert y.shape[2:] == (side, side)
        logits = F.max_pool2d(y, 3).flatten(1) / 9 @ state["head.weight"].T + state["head.bias"]
        torch.testing.assert_close(model(x), logits, atol=1e-4, rtol=1e-4)
    assert next(weights, None) is None


def test_it_starts_as_the_identity_with_small_logits() -> None:
    model = airbench94((32, 32, 3), 10)
    x = torch.randn(2, 64, 7, 7)
    with torch.no_grad():
        assert torch.equal(model.features.conv2a(x)[:, :64], x)
        assert torch.equal(model.features.conv1b(x), x)
    assert not model.head.bias.any()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.4, 1e-12)}
    assert all("weight" not in dict(m.named_parameters()) for m in norms)
    for seed in (0, 1):
        torch.manual_seed(seed)
        again = airbench94((32, 32, 3), 10)
        assert torch.equal(again.features.whitening.weight, model.features.whitening.weight), "nothing of it is drawn"


def test_a_training_whitens_its_own_inputs_and_then_lets_the_bias_rest(splits: Splits, tmp_path: Path) -> None:
    made = recipe.resolve(
        {"model": {"name": "airbench94", "width_factor": 0.1, "whiten_bias_epochs": 1, "bottleneck": 3}}
    )
    ready = setup(made, splits, device="cpu", augment=("flip-alternating",))
    layer = next(m for m in ready.model.modules() if isinstance(m, Whitening))
    seen = torch.cat(list(measured(ready.train)))
    assert len(seen) == len(splits.train)
    assert torch.equal(seen, next(ready.train.in_order(len(seen))).inputs), "as they are, not augmented"
    found = patches(seen)
    variances = np.sort(np.linalg.eigvalsh(found.T @ found / len(found)))[::-1]
    own = (found @ layer.weight.flatten(1).double().numpy().T)[:, :4]
    np.testing.assert_allclose(own.T @ own / len(own), np.diag(variances / (variances + 5e-4)), atol=1e-4)
    before, biases = layer.weight.clone(), [layer.bias.detach().clone()]
    training = train(ready, epochs=3, batch_size=200, lr=0.01, weight_decay=0.1, decay_on="all", ema=0.9)
    for event in training.events:
        if isinstance(event, EpochDone):
            biases.append(layer.bias.detach().clone())
    assert not torch.equal(biases[0], biases[1])
    assert torch.equal(biases[1], biases[2])
    assert torch.equal(biases[1], biases[3])
    assert torch.equal(layer.weight, before)
    path = tmp_path / "m.safetensors"
    checkpoints.save(
        path, training.model, made, shape=(8, 8, 1), class_names=splits.class_names,
        mean=ready.normalization.mean, std=ready.normalization.std,
    )  # fmt: skip
    loaded = checkpoints.load(path).model
    with torch.no_grad():
        loaded.to(memory_format=torch.channels_last)
        assert torch.equal(loaded(seen[:50]), training.model.eval()(seen[:50]))
    assert torch.equal(next(m for m in loaded.modules() if isinstance(m, Whitening)).weight, before)


def test_a_step_is_that_of_the_source(splits: Splits) -> None:
    """Its own terms: summed losses, a rate for 1,024 examples, decay apart from the rate, 64 times that for norm biases.

    lr 11.5 and decay .0153 per 1,024 examples, both over 1 + 1/(1 - .85); ours are 11.5·B/(1,024·7.667) of the mean
    loss and .0153/11.5.
    """
    momentum, size = 0.85, 48
    kilostep = 1024 * (1 + 1 / (1 - momentum))
    lr, decay = 11.5 / kilostep, 0.0153 * size / kilostep
    made = recipe.resolve(
        {"model": {"name": "airbench94", "width_factor": 0.1}, "loss": {"name": "label-smoothing", "alpha": 0.2}}
    )
    model, ready = setup(made, splits, device="cpu").model, setup(made, splits, device="cpu")
    norms = [p for name, p in model.named_parameters() if "norm" in name]
    others = [p for name, p in model.named_parameters() if "norm" not in name]
    assert len(norms) == 6
    theirs = torch.optim.SGD(
        [{"params": norms, "lr": 64 * lr, "weight_decay": decay / (64 * lr)},
         {"params": others, "lr": lr, "weight_decay": decay / lr}], lr=lr, momentum=momentum, nesterov=True,
    )  # fmt: skip
    training = train(
        ready, epochs=1, batch_size=size, optimizer="sgd", nesterov=True, momentum=momentum, decay_on="all",
        lr=11.5 * size / kilostep, weight_decay=0.0153 / 11.5, norm_bias_lr_scale=64.0,
    )  # fmt: skip
    start = model.state_dict()["head.weight"].clone()
    model.train()
    for step, (batch, _) in enumerate(zip(ready.train.epoch(0, 0, size), training.events, strict=False), 1):
        theirs.zero_grad()
        F.cross_entropy(model(batch.inputs), batch.labels, label_smoothing=0.2, reduction="sum").backward()
        theirs.step()
        if step == 4:
            break
    assert not torch.allclose(model.state_dict()["head.weight"], start, atol=1e-3)
    for (name, ours), source in zip(ready.model.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, source, atol=1e-4, rtol=1e-3, msg=name)


def test_of_many_images_some_of_everywhere_are_measured(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = setup(recipe.resolve({"model": {"name": "airbench94", "width_factor": 0.1}}), splits, device="cpu")
    monkeypatch.setattr("fierce_tools.training.batches.MEASURED", 7)
    (few,) = measured(ready.train, np.arange(10, 110))
    rows = np.array([10, 26, 43, 60, 76, 92, 109])
    assert torch.equal(few, next(ready.train.in_order(7, rows)).inputs)


@pytest.mark.slow
def test_steps_in_half_precision_and_in_both_layouts(splits: Splits) -> None:
    for options in ({"precision": "bf16"}, {"channels_last": "no"}):
        made = recipe.resolve({"model": {"name": "airbench94", "width_factor": 0.25}})
        ready = setup(made, splits, device="cpu", **options)  # type: ignore[arg-type]
        done = [e for e in train(ready, epochs=3, batch_size=50, lr=0.01).events if isinstance(e, EpochDone)]
        assert done[-1].val is not None
        assert (done[-1].val.logits.argmax(1) == done[-1].val.get("labels")).mean() > 0.8


def test_epochs_of_the_bias_out_of_range() -> None:
    with pytest.raises(UsageError, match="--whiten-bias-epochs is -1"):
        airbench94((8, 8, 1), 3, whiten_bias_epochs=-1)

"""The loop: it learns, its sums are right, it is the same to the bit twice, stopped and resumed, and it says when it breaks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fierce_tools import recipe
from fierce_tools.data import digits
from fierce_tools.data._splits import Splits, split
from fierce_tools.errors import TrainingError, UsageError
from fierce_tools.training.batches import Examples, batch_ends, measure
from fierce_tools.training.infer import infer
from fierce_tools.training.loop import EpochDone, StepDone, evenly_spaced
from fierce_tools.training.train import Setup, Training, pick_device, setup, train

CPU = {"device": "cpu"}
# With dropout, and a tenth as wide as it is, so that it trains in no time.
NARROW = {"mnist-large": {"model.width_factor": 0.1}}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(digits())


def begin(
    splits: Splits, state: Path | None = None, *, loss: str = "ce", model: str = "mlp:16", **options: object
) -> tuple[Setup, Training]:
    made = recipe.resolve({}, {"loss.name": loss, "model.name": model, **NARROW.get(model, {})})
    seed = options.pop("seed", 0)
    ready = setup(made, splits, seed=seed, **CPU)  # type: ignore[arg-type]
    return ready, train(ready, state, **{"epochs": 2, "batch_size": 50, **options})  # type: ignore[arg-type]


def weights(ready: Setup) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in ready.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[k], b[k]) for k in a)


def epochs_of(training: Training) -> list[EpochDone]:
    return [e for e in training.events if isinstance(e, EpochDone)]


def test_it_learns_digits(splits: Splits) -> None:
    ready, training = begin(splits, model="cnn", epochs=4)
    done = epochs_of(training)
    assert [e.epoch for e in done] == [1, 2, 3, 4]
    assert done[-1].train["loss"] < done[0].train["loss"] / 2
    assert done[-1].val is not None
    labels = done[-1].val.get("labels")
    assert (done[-1].val.logits.argmax(1) == labels).mean() > 0.85
    assert ready.model.training is False, "the last thing an epoch does is evaluate"


def test_the_student_is_in_train_mode_in_every_step(splits: Splits) -> None:
    ready, training = begin(splits, model="mnist-large")
    modes = {ready.model.training for e in training.events if isinstance(e, StepDone)}
    assert modes == {True}


def test_losses_are_means_over_examples(splits: Splits) -> None:
    """At learning rate 1e-12 nothing moves: the epoch's mean is the loss over the whole split, uneven last batch and all."""
    ready, training = begin(splits, lr=1e-12, epochs=1, loss="label-smoothing", batch_size=97)
    (done,) = epochs_of(training)
    whole = next(ready.train.in_order(len(ready.train)))
    step = ready.step_loss(ready.model, whole)
    assert done.train["loss"] == pytest.approx(step.loss.item(), rel=1e-5)
    assert done.train["ce"] + done.train["penalty"] == pytest.approx(done.train["loss"], rel=1e-5)
    assert ready.val is not None
    assert done.val_loss == pytest.approx(
        float(ready.step_loss(ready.model, next(ready.val.in_order(10_000))).loss.item()), rel=1e-5
    )


@pytest.mark.parametrize("loss", ["ce", "fierce"])
@pytest.mark.parametrize("model", ["cnn", "mnist-large"])
def test_the_same_seed_gives_the_same_weights_to_the_bit(splits: Splits, loss: str, model: str) -> None:
    results = []
    for seed in (0, 0, 1):
        ready, training = begin(splits, loss=loss, model=model, seed=seed, epochs=1)
        epochs_of(training)
        results.append(weights(ready))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


LONG = {"model": "mnist-large", "lr": 0.01, "weight_decay": 0.01, "loss": "fierce"}


@pytest.fixture(scope="module")
def uninterrupted(splits: Splits) -> Callable[[str, str], tuple[list[EpochDone], dict[str, torch.Tensor]]]:
    """The epochs and last weights of a training that nothing stops, by optimiser and schedule."""

    @functools.cache
    def trained(optimizer: str, schedule: str) -> tuple[list[EpochDone], dict[str, torch.Tensor]]:
        ready, training = begin(splits, **LONG, optimizer=optimizer, schedule=schedule)
        return epochs_of(training), weights(ready)

    return trained


@pytest.mark.parametrize("stop_after", [1, 26, 27, *(pytest.param(n, marks=pytest.mark.slow) for n in (7, 40))])
@pytest.mark.parametrize(("optimizer", "schedule"), [("adam", "constant"), ("sgd", "cosine"), ("adamw", "cosine")])
def test_resumed_is_never_stopped(
    splits: Splits,
    uninterrupted: Callable[[str, str], tuple[list[EpochDone], dict[str, torch.Tensor]]],
    tmp_path: Path,
    stop_after: int,
    optimizer: str,
    schedule: str,
) -> None:
    """Dropout, shuffling, moments and schedule go on to the bit from within an epoch, at its end, and later."""
    options = {**LONG, "optimizer": optimizer, "schedule": schedule}
    expected, final = uninterrupted(optimizer, schedule)
    first, training = begin(splits, **options)
    for steps, _ in enumerate((e for e in training.events if isinstance(e, StepDone)), 1):
        if steps == stop_after:
            break
    training.save_state(tmp_path / "state.safetensors")
    torch.manual_seed(99)
    second, training = begin(splits, tmp_path / "state.safetensors", **options)
    assert not same(weights(first), final)
    rest = epochs_of(training)
    assert same(weights(second), final)
    assert rest[-1].train == expected[-1].train, "the sums of a broken epoch go on too"
    assert rest[-1].val_loss == expected[-1].val_loss
    assert [e.learning_rate for e in rest] == [e.learning_rate for e in expected][-len(rest) :]


def test_a_loss_that_breaks_names_step_and_rate(splits: Splits) -> None:
    _, training = begin(splits, optimizer="sgd", lr=1e30, model="cnn")
    with pytest.raises(TrainingError) as caught:
        list(training.events)
    assert "learning rate 1e+30" in str(caught.value)
    assert "step" in str(caught.value)
    assert "--lr" in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"batch_size": 0}, {"lr": 0.0}, {"lr": float("inf")}, {"momentum": 1.0}, {"weight_decay": -1.0}],
)
def test_values_out_of_range(splits: Splits, options: dict) -> None:
    with pytest.raises(UsageError):
        begin(splits, **options)


def test_batches_leave_no_single_example() -> None:
    assert batch_ends(10, 4) == [4, 8, 10]
    assert batch_ends(9, 4) == [4, 9]
    assert batch_ends(8, 4) == [4, 8]
    assert batch_ends(3, 100) == [3]
    assert batch_ends(1, 4) == [1]
    assert batch_ends(3, 1) == [1, 3]


def test_an_epochs_order_is_a_function_of_seed_and_epoch(splits: Splits) -> None:
    examples = Examples(splits.train, measure(splits.train.images, "standard"), torch.device("cpu"))
    rows = [torch.cat([b.rows for b in examples.epoch(3, e, 64)]) for e in (0, 0, 1)]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert torch.equal(rows[0].sort().values, torch.arange(len(examples)))
    late = torch.cat([b.rows for b in examples.epoch(3, 0, 64, start=5)])
    assert torch.equal(late, rows[0][5 * 64 :])


@pytest.mark.parametrize("kind", ["standard", "unit"])
def test_normalisation(splits: Splits, kind: str) -> None:
    examples = Examples(splits.train, measure(splits.train.images, kind), torch.device("cpu"))
    x = next(examples.in_order(len(examples))).inputs
    assert examples.data.dtype == torch.uint8
    if kind == "standard":
        assert x.mean() == pytest.approx(0, abs=1e-4)
        assert x.std() == pytest.approx(1, abs=1e-3)
    else:
        assert float(x.min()) == 0
        assert float(x.max()) == 1
        torch.testing.assert_close(x[:, 0], torch.from_numpy(splits.train.images[..., 0] / np.float32(255)))


def test_channels_go_their_own_way() -> None:
    images = np.zeros((4, 2, 2, 3), np.uint8)
    images[..., 1] = 100
    images[:2, ..., 2] = 200
    scale = measure(images, "standard")
    np.testing.assert_allclose(scale.mean, [0, 100, 100])
    np.testing.assert_allclose(scale.std, [1, 1, 100])


def test_outputs_are_the_models_and_leave_it_alone(splits: Splits) -> None:
    ready, training = begin(splits, model="mnist-large", epochs=1)
    epochs_of(training)
    ready.model.train()
    before = weights(ready)
    made = infer(ready.model, splits.test, ready.normalization, splits.class_names, features=True, batch_size=7)
    assert ready.model.training
    assert same(before, weights(ready))
    assert made.features is not None
    assert made.head_weight is not None
    np.testing.assert_allclose(made.logits, made.features @ made.head_weight.T + made.head_bias, atol=1e-4)
    np.testing.assert_array_equal(made.get("index"), splits.test.index)
    again = infer(ready.model, splits.test, ready.normalization, splits.class_names, batch_size=360)
    np.testing.assert_allclose(made.logits, again.logits, atol=1e-4)
    assert again.features is None


def test_outputs_are_made_with_cudnn_where_there_is_one(splits: Splits) -> None:
    seen = []
    ready, _ = begin(splits, model="mlp:4")
    flags = torch.backends.cudnn
    ready.model.head.register_forward_pre_hook(lambda *_: seen.append((flags.enabled, flags.allow_tf32)))
    before = (flags.enabled, flags.benchmark, flags.deterministic, flags.allow_tf32)
    infer(ready.model, splits.test, ready.normalization, splits.class_names)
    assert seen[0] == (flags.enabled, False)
    assert before == (flags.enabled, flags.benchmark, flags.deterministic, flags.allow_tf32)


def test_samples_are_even() -> None:
    assert evenly_spaced(3).tolist() == [0, 1, 2]
    rows = evenly_spaced(54_001)
    assert len(rows) == 2000
    assert rows[0] == 0
    assert rows[-1] == 54_000


def test_a_device_that_is_not_there() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="--device cuda"):
            pick_device("cuda")


def test_convolutions_are_laid_out_channels_last(splits: Splits) -> None:
    ready, _ = begin(splits, model="cnn")
    convolution = next(m for m in ready.model.modules() if isinstance(m, nn.Conv2d) and m.in_channels > 1)
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_in_bf16_and_answers_in_fp32(splits: Splits) -> None:
    made = recipe.resolve({}, {"loss.name": "fierce"})
    ready = setup(made, splits, device="cuda")
    assert ready.bf16
    done = epochs_of(train(ready, epochs=5))
    assert done[-1].val is not None
    assert (done[-1].val.logits.argmax(1) == done[-1].val.get("labels")).mean() > 0.85
    on_gpu = infer(ready.model, splits.test, ready.normalization, splits.class_names)
    on_cpu = infer(ready.model.cpu(), splits.test, ready.normalization, splits.class_names)
    np.testing.assert_allclose(on_gpu.logits, on_cpu.logits, atol=1e-3)


def test_asking_leaves_batch_norms_buffers_alone() -> None:
    """Probing runs in eval mode: running means and variances are those of the training, before and after."""
    data = digits()
    data = replace(
        data, train_images=data.train_images.repeat(3, axis=3), test_images=data.test_images.repeat(3, axis=3)
    )
    colour = split(data, val_fraction=0.02)
    ready = setup(recipe.resolve({}, {"model.name": "torchvision:resnet18"}), colour, **CPU)  # type: ignore[arg-type]
    ready.model.train()
    ready.model(next(ready.train.in_order(16)).inputs)
    before = weights(ready)
    assert all(int(v) == 1 for k, v in before.items() if k.endswith("num_batches_tracked"))
    infer(ready.model, colour.val, ready.normalization, colour.class_names, features=True)
    assert ready.model.training
    assert same(before, weights(ready))

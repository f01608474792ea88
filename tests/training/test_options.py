"""Options of a training: each does what it says, worked by hand or against torch, and all of them resume to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fierce_tools import recipe
from fierce_tools.data import digits
from fierce_tools.data._splits import Splits, split
from fierce_tools.errors import TrainingError, UsageError
from fierce_tools.training.loop import EpochDone, StepDone, enough_memory
from fierce_tools.training.optimizers import make_optimizer, set_rate
from fierce_tools.training.train import Setup, Training, setup, train

# A tenth as wide as they are, so that they train in no time.
NARROW = {name: {"model.width_factor": 0.1} for name in ("mnist-large", "airbench94")}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(digits())


def begin(
    splits: Splits,
    state: Path | None = None,
    *,
    model: str = "mlp:16",
    augment: tuple = (),
    loss: str = "ce",
    **options: object,
) -> tuple[Setup, Training]:
    made = recipe.resolve({}, {"model.name": model, "loss.name": loss, **NARROW.get(model, {})})
    ready = setup(made, splits, device="cpu", augment=augment)
    return ready, train(ready, state, **{"epochs": 2, "batch_size": 50, **options})  # type: ignore[arg-type]


def run(training: Training) -> list[EpochDone]:
    return [e for e in training.events if isinstance(e, EpochDone)]


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


ALL = [
    {"augment": ("shift:1", "flip"), "model": "cnn"},
    {"augment": ("jitter:0.2", "cutmix:1", "mixup:0.4"), "model": "mnist-large", "schedule": "linear"},
    {"optimizer": "sgd", "nesterov": True, "lr": 0.05, "weight_decay": 1e-3, "head_lr_scale": 0.1, "warmup": 0.5},
    {"accumulate": 3, "clip_norm": 0.5, "schedule": "step", "drop_every": 1.0},
    {"ema": 0.9, "patience": 1, "model": "mnist-large", "loss": "fierce"},
    {
        "model": "airbench94", "augment": ("flip-alternating", "crop:1"), "optimizer": "sgd", "nesterov": True, "lr": 0.3,
        "norm_bias_lr_scale": 8.0, "weight_decay": 1e-3, "decay_on": "all", "schedule": "triangular", "lookahead": 4,
        "loss": "label-smoothing",
    },
    {"lookahead": 3, "lookahead_pull": 0.5, "lookahead_power": 0.0, "ema": 0.9, "accumulate": 2},
]  # fmt: skip


@pytest.mark.parametrize("options", ALL, ids=lambda o: "+".join(o)[:60])
@pytest.mark.parametrize("stop_after", [2, 9, pytest.param(11, marks=pytest.mark.slow)])
def test_resumed_is_never_stopped(splits: Splits, tmp_path: Path, options: dict, stop_after: int) -> None:
    whole, training = begin(splits, **options)
    expected = run(training)
    final = weights(training.model)
    _, training = begin(splits, **options)
    for steps, _ in enumerate((e for e in training.events if isinstance(e, StepDone)), 1):
        if steps == stop_after:
            break
    training.save_state(tmp_path / "state.safetensors")
    torch.manual_seed(99)
    second, training = begin(splits, tmp_path / "state.safetensors", **options)
    rest = run(training)
    assert same(weights(second.model), weights(whole.model))
    assert same(weights(training.model), final)
    assert rest[-1].train == expected[-1].train
    assert rest[-1].val_loss == expected[-1].val_loss


def test_accumulated_batches_are_one_large_batch(splits: Splits) -> None:
    """Without batch statistics the mean gradient of 4 batches of 25, weighted by size, is that of one batch of 100."""
    large, training = begin(splits, batch_size=100, optimizer="sgd", lr=0.1, epochs=1)
    (expected,) = run(training)
    small, training = begin(splits, batch_size=25, accumulate=4, optimizer="sgd", lr=0.1, epochs=1)
    (done,) = run(training)
    for a, b in zip(large.model.parameters(), small.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert done.steps == expected.steps
    assert done.learning_rate == expected.learning_rate


def test_clipped_gradients_have_no_more_than_the_norm(splits: Splits) -> None:
    """A first step of plain SGD at rate 1 moves the weights by the clipped gradient."""
    ready, training = begin(splits, optimizer="sgd", momentum=0.0, lr=1.0, clip_norm=0.01)
    before = torch.cat([p.detach().flatten().clone() for p in ready.model.parameters()])
    next(training.events)
    after = torch.cat([p.detach().flatten() for p in ready.model.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_an_average_of_the_weights_is_what_is_judged_and_kept(splits: Splits) -> None:
    ready, training = begin(splits, ema=0.8, epochs=1)
    average = None
    for event in training.events:
        now = ready.model.head.weight.detach()
        if isinstance(event, StepDone):
            average = now.clone() if average is None else 0.8 * average + 0.2 * now
    assert average is not None
    torch.testing.assert_close(training.model.head.weight, average, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(ready.model.head.weight, average)
    assert isinstance(event, EpochDone)
    assert event.val is not None
    assert ready.val is not None
    with torch.no_grad():
        logits = training.model.eval()(next(ready.val.in_order(1000)).inputs)
    torch.testing.assert_close(torch.from_numpy(event.val.logits), logits, atol=1e-4, rtol=1e-4)


def test_patience_ends_a_training_that_no_longer_gains(splits: Splits) -> None:
    """At rate 1e-12 the validation loss stays where it is: after the first epoch, three more and no further."""
    _, training = begin(splits, patience=3, lr=1e-12, epochs=50, optimizer="sgd", momentum=0.0)
    assert len(run(training)) == 4
    with pytest.raises(UsageError, match="validation"):
        begin(split(digits(), val_fraction=0), patience=3)


def test_a_compiled_model_trains_to_the_same_weights(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as a real compilation is, but run by torch's own kernels: a C++ compiler is not needed and takes long."""
    plain, training = begin(splits, epochs=1)
    run(training)
    original, traced = torch.compile, []

    def watched(graph: torch.fx.GraphModule, inputs: object) -> object:
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda f: original(f, backend=watched))
    ready, training = begin(splits, epochs=1, compile=True)
    run(training)
    assert traced, "it was compiled"
    assert weights(ready.model).keys() == weights(plain.model).keys()
    for a, b in zip(ready.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_compiler_that_fails_is_said_in_a_line(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: object, inputs: object) -> None:
        raise RuntimeError("no C++ compiler")

    torch._dynamo.reset()  # what another test compiled is not taken again
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f: original(f, backend=broken))
    _, training = begin(splits, epochs=1, compile=True)
    with pytest.raises(UsageError, match="no C\\+\\+ compiler"):
        run(training)


def test_what_decays_and_how_fast_the_head_learns() -> None:
    model = nn.Sequential()
    model.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    model.head = nn.Linear(3, 2)
    names = {id(p): n for n, p in model.named_parameters()}

    def groups(**options: object) -> dict[str, tuple[float, float]]:
        made = make_optimizer(model, optimizer="sgd", **options)  # type: ignore[arg-type]
        return {names[id(p)]: (g["weight_decay"], g["scale"]) for g in made.param_groups for p in g["params"]}

    weights_only = groups(weight_decay=0.1)
    assert {n for n, (decay, _) in weights_only.items() if decay} == {
        "features.0.weight",
        "features.3.weight",
        "head.weight",
    }
    assert all(decay == 0.1 for decay, _ in groups(weight_decay=0.1, decay_on="all").values())
    assert {n for n, (decay, _) in groups(weight_decay=0.1, decay_on="dense").items() if decay} == {"features.3.weight"}
    assert {n for n, (_, scale) in groups(head_lr_scale=0.1).items() if scale == 0.1} == {"head.weight", "head.bias"}


def test_the_head_learns_at_its_own_rate(splits: Splits) -> None:
    moved = {}
    for scale in (1.0, 0.25):
        ready, training = begin(splits, optimizer="sgd", momentum=0.0, lr=0.1, head_lr_scale=scale)
        before = weights(ready.model)
        next(training.events)
        moved[scale] = {k: v - before[k] for k, v in weights(ready.model).items()}
    torch.testing.assert_close(moved[0.25]["head.weight"], 0.25 * moved[1.0]["head.weight"], atol=1e-7, rtol=1e-3)
    torch.testing.assert_close(moved[0.25]["features.dense1.weight"], moved[1.0]["features.dense1.weight"])


def test_biases_of_norms_learn_at_their_own_rate_and_decay_as_before() -> None:
    """What a step of plain SGD takes from a weight is rate·decay: the same for all of them, as decoupled decay is."""
    model = nn.Sequential()
    model.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten())
    model.head = nn.Linear(2, 2)
    made = make_optimizer(model, optimizer="sgd", momentum=0.0, weight_decay=0.1, decay_on="all", norm_bias_lr_scale=64)
    set_rate(made, 0.5, 0)
    rates = {id(p): g["lr"] for g in made.param_groups for p in g["params"]}
    assert {n for n, p in model.named_parameters() if rates[id(p)] == 32.0} == {"features.1.bias"}
    assert sorted(set(rates.values())) == [0.5, 32.0]
    before = weights(model)
    for parameter in model.parameters():
        parameter.data.add_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), (before[name] + 1) * (1 - 0.5 * 0.1), msg=name)


def test_a_layer_that_learns_for_some_epochs_rests_then() -> None:
    for kind in ("sgd", "adam", "adamw"):
        model = nn.Sequential()
        model.first, model.head = nn.Linear(2, 2), nn.Linear(2, 2)
        model.first.learns_for = 2
        made = make_optimizer(model, optimizer=kind, weight_decay=0.1, decay_on="all", norm_bias_lr_scale=3)  # type: ignore[arg-type]
        moved = []
        for epoch in range(4):
            before = weights(model)
            model.head(model.first(torch.ones(3, 2))).square().sum().backward()
            set_rate(made, 0.01, epoch)
            made.step()
            moved.append([not torch.equal(value, before[name]) for name, value in model.state_dict().items()])
        assert moved == [[True] * 4, [True] * 4, [False, False, True, True], [False, False, True, True]]


@pytest.mark.parametrize(
    "options",
    [
        {"accumulate": 0}, {"clip_norm": 0.0}, {"clip_norm": float("nan")}, {"ema": 1.0}, {"ema": 0.0}, {"patience": 0},
        {"nesterov": True}, {"optimizer": "sgd", "nesterov": True, "momentum": 0.0}, {"head_lr_scale": 0.0},
        {"weight_decay": float("nan")}, {"schedule": "step"}, {"norm_bias_lr_scale": 0.0}, {"lookahead": 0},
        {"lookahead": 5, "lookahead_pull": 1.0}, {"lookahead": 5, "lookahead_power": -1.0},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_range(splits: Splits, options: dict) -> None:
    with pytest.raises(UsageError):
        begin(splits, **options)


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 5 bytes")],
)
def test_out_of_memory_names_the_batch_size_to_try(error: Exception) -> None:
    with pytest.raises(TrainingError) as caught, enough_memory(512):
        raise error
    assert "batches of 512" in str(caught.value)
    assert "--batch-size 256" in str(caught.value)


def test_other_errors_are_not_about_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory(4):
        raise RuntimeError("shapes differ")


def test_memory_that_is_really_not_enough(splits: Splits) -> None:
    """A layer of 2^45 numbers fits nowhere; torch's own words are understood."""
    with pytest.raises(TrainingError, match="out of memory"), enough_memory(50):
        torch.empty(2**45)


def test_mixed_labels_weigh_as_their_images_do(splits: Splits) -> None:
    """λ·CE(labels) + (1 - λ)·CE(partner) is the cross-entropy against the mixed distribution."""
    ready, _ = begin(splits, augment=("mixup:1",))
    batch = next(ready.train.epoch(0, 0, 50))
    assert batch.partner is not None
    assert 0 < batch.lam < 1
    step = ready.step_loss(ready.model, batch)
    soft = batch.lam * nn.functional.one_hot(batch.labels, 10) + (1 - batch.lam) * nn.functional.one_hot(
        batch.partner, 10
    )
    assert step.loss.item() == pytest.approx(nn.functional.cross_entropy(step.logits, soft).item(), rel=1e-5)


def test_batches_say_how_far_the_training_is(splits: Splits) -> None:
    ready, _ = begin(splits)
    batches = list(ready.train.epoch(0, 1, 100, epochs=4))
    assert batches[0].epoch == 1
    assert batches[-1].epoch == pytest.approx(2 - 1 / len(batches))
    assert batches[0].share == 0.25
    assert {b.split for b in batches} == {"train"}
    assert ready.val is not None
    assert next(ready.val.in_order(10)).split == "val"


def test_the_fastest_precision_is_measured(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    from fierce_tools.training import train as module

    made = recipe.resolve({}, {"model.name": "mlp:16"})
    torch.manual_seed(5)
    ready = setup(made, splits, device="cpu", precision="fastest")
    plain = setup(made, splits, device="cpu", precision="fp32")
    assert same(weights(ready.model), weights(plain.model)), "measuring leaves weights and draws alone"
    assert isinstance(ready.bf16, bool)
    monkeypatch.setattr(module, "bf16_is_faster", lambda *_: True)
    assert setup(made, splits, device="cpu", precision="fastest").bf16

"""From a recipe to a running training: model, data on the device, optimiser, loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from fierce_tools import checkpoints
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._splits import Splits
from fierce_tools.data._transform import transform
from fierce_tools.errors import UsageError
from fierce_tools.losses._nats import nll
from fierce_tools.menu import DATASETS, LOSSES
from fierce_tools.menu import split as split_choice
from fierce_tools.models._classifier import Classifier
from fierce_tools.recipe import Recipe
from fierce_tools.training import schedules, state
from fierce_tools.training.batches import Batch, Examples, Normalization, batch_ends, measure
from fierce_tools.training.loop import EpochDone, Progress, Step, StepDone, StepLoss, fit

OPTIMIZERS = ("adam", "adamw", "sgd")


@dataclass(frozen=True)
class Setup:
    """Everything a training starts from; the model is on the device with seeded weights."""

    model: Classifier
    step_loss: StepLoss
    train: Examples
    val: Examples | None
    normalization: Normalization
    anchors: Tensor | None
    device: torch.device
    bf16: bool
    seed: int


def dataset(recipe: Recipe, *, classes: int | None = None) -> Dataset:
    """The recipe's data, in memory, with its labels. Raises DataError where they are missing or damaged.

    Data that come in `classes` classes already, as other data for a model may, keep their labels.
    """
    _, argument = split_choice(recipe.data["name"])
    extra = () if argument is None else (argument,)
    loaded = DATASETS.get(recipe.data["name"])(*extra, **recipe.options("data"))
    labelled = loaded.classes == classes
    taken = set(inspect.signature(transform).parameters) - ({"coarse", "bins", "classes"} if labelled else set())
    return transform(loaded, **{k: v for k, v in recipe.data.items() if k in taken})


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU. Raises UsageError for a device this machine has not."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, has in there.items() if has))
    if not there[name]:
        raise UsageError(f"--device {name}: torch {torch.__version__} sees none here", "use --device auto or cpu")
    return torch.device(name)


def setup(
    recipe: Recipe,
    splits: Splits,
    *,
    trusted: str | None = None,
    seed: Annotated[int, "seed of weights, order, dropout, noise and anchors"] = 0,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], "where to train; auto: CUDA, else MPS, else CPU"] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"], "of the training steps; auto: bf16 on CUDA, else fp32"
    ] = "auto",
    channels_last: Annotated[
        Literal["auto", "yes", "no"], "memory layout of convolutions; auto: wherever the model has any"
    ] = "auto",
    normalization: Annotated[
        Literal["standard", "unit"], "inputs to mean 0, deviation 1 of the training split, or bytes / 255"
    ] = "standard",
) -> Setup:
    """Seed, build the model and its loss, and put the data on the device. Seeds torch's global generators.

    `trusted` names the factory that may be imported (see checkpoints.build). Raises UsageError for a device that is
    not there or options that do not fit the model.
    """
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed is {seed}, expected 0 to below 2^63")
    where = pick_device(device)
    torch.manual_seed(seed)
    model = checkpoints.build(recipe, splits.train.images.shape[1:], len(splits.class_names), trusted=trusted)
    codebook = _codebook(recipe, model)
    model.to(where)
    if channels_last == "yes" or (channels_last == "auto" and any(isinstance(m, nn.Conv2d) for m in model.modules())):
        model.to(memory_format=torch.channels_last)
    scale = measure(splits.train.images, normalization)
    train = Examples(splits.train, scale, where)
    val = Examples(splits.val, scale, where) if len(splits.val) else None
    anchors = None if codebook is None else codebook.to(where)
    step_loss = plain_loss(recipe, anchors)
    with torch.no_grad(), torch.random.fork_rng():
        model.eval()
        step_loss(model, next(train.in_order(2)))  # what does not fit is said before anything is written
    bf16 = precision == "bf16" or (precision == "auto" and where.type == "cuda")
    return Setup(model, step_loss, train, val, scale, anchors, where, bf16, seed)


def _codebook(recipe: Recipe, model: Classifier) -> Tensor | None:
    module = LOSSES.module(recipe.loss["name"])
    if not hasattr(module, "anchors"):
        return None
    taken = inspect.signature(module.anchors).parameters
    return module.anchors(model.head.in_features, **{k: v for k, v in recipe.options("loss").items() if k in taken})


def plain_loss(recipe: Recipe, anchors: Tensor | None) -> StepLoss:
    """The recipe's loss as a step: its mean over the batch, and as parts the cross-entropy and what comes on top."""
    function: Callable[..., Tensor] = LOSSES.get(recipe.loss["name"])
    parameters = inspect.signature(function).parameters
    options = {k: v for k, v in recipe.options("loss").items() if k in parameters}
    wants_features, wants_anchors = "features" in parameters, "anchors" in parameters

    def step(model: nn.Module, batch: Batch) -> Step:
        features = model.features(batch.inputs)  # type: ignore[operator]
        logits = model.head(features)  # type: ignore[operator]
        arrays: dict[str, Any] = {"logits": logits.float(), "labels": batch.labels}
        if wants_features:
            arrays["features"] = features.float()
        if wants_anchors:
            arrays["anchors"] = anchors
        loss = function(**arrays, **options).mean()
        if recipe.loss["name"] == "ce":
            return Step(loss, {}, logits, features)
        ce = nll(logits.detach().float(), batch.labels).mean()
        return Step(loss, {"ce": ce, "penalty": loss.detach() - ce}, logits, features)

    return step


def make_optimizer(
    model: nn.Module, name: str, lr: float, momentum: float, weight_decay: float
) -> torch.optim.Optimizer:
    """One of torch's own, fused where the device has it."""
    device = next(model.parameters()).device
    common: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "fused": device.type in ("cpu", "cuda")}
    if name == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=momentum, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name](model.parameters(), **common)


def check_options(*, epochs: int, batch_size: int, lr: float, momentum: float, weight_decay: float) -> None:
    """Raises UsageError for values out of range."""
    for name, value, low in (("epochs", epochs, 1), ("batch-size", batch_size, 1), ("weight-decay", weight_decay, 0)):
        if value < low:
            raise UsageError(f"--{name} is {value}, expected {low} or more")
    if not (lr > 0 and np.isfinite(lr)) or not 0 <= momentum < 1:
        raise UsageError(f"--lr is {lr:g} and --momentum {momentum:g}, expected above 0, and 0 to below 1")


@dataclass(frozen=True)
class Training:
    """A training ready to run: iterate over `events`; `save_state` writes where it stands after any of them."""

    events: Iterator[StepDone | EpochDone]
    progress: Progress
    save_state: Callable[[Path], None]


def train(
    setup: Setup,
    state_path: Path | None = None,
    *,
    epochs: Annotated[int, "passes over the training split"] = 30,
    batch_size: Annotated[int, "examples a step"] = 64,
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], "torch's optimiser of that name"] = "adam",
    lr: Annotated[float, "learning rate; 0.001 suits adam, 0.1 sgd"] = 0.001,
    momentum: Annotated[float, "momentum of sgd"] = 0.9,
    weight_decay: Annotated[float, "weight decay of every parameter"] = 0.0,
    schedule: Annotated[
        Literal["constant", "cosine"], "how the learning rate goes: level, or by a cosine to 0"
    ] = "constant",
) -> Training:
    """Get a training going, from a saved state where one is given. Raises UsageError for values out of range."""
    check_options(epochs=epochs, batch_size=batch_size, lr=lr, momentum=momentum, weight_decay=weight_decay)
    steps = len(batch_ends(len(setup.train), batch_size))
    optim = make_optimizer(setup.model, optimizer, lr, momentum, weight_decay)
    progress = Progress() if state_path is None else state.restore(state_path, setup.model, optim)
    events = fit(
        setup.model,
        setup.train,
        setup.val,
        setup.step_loss,
        optim,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=lambda step: schedules.rate(schedule, lr, step, steps * epochs),
        seed=setup.seed,
        bf16=setup.bf16,
        progress=progress,
    )
    return Training(events, progress, lambda path: state.save(path, setup.model, optim, progress))

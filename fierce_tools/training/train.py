"""From a recipe to a running training: model, data on the device, optimiser, loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fierce_tools import checkpoints
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._labels import by_name
from fierce_tools.data._remarks import remarks
from fierce_tools.data._splits import Split, Splits
from fierce_tools.data._transform import transform
from fierce_tools.errors import UsageError
from fierce_tools.menu import DATASETS, LOSSES
from fierce_tools.menu import split as split_choice
from fierce_tools.models._classifier import Classifier
from fierce_tools.recipe import Recipe
from fierce_tools.training import optimizers, schedules, state
from fierce_tools.training.augment import parse
from fierce_tools.training.batches import Examples, Normalization, batch_ends, measure, measured
from fierce_tools.training.lookahead import make_lookahead
from fierce_tools.training.loop import (
    EpochDone,
    Progress,
    StepDone,
    StepLoss,
    enough_memory,
    fit,
    members,
)
from fierce_tools.training.precision import bf16_is_faster
from fierce_tools.training.steps import Teaching, loss_step


@dataclass(frozen=True)
class Setup:
    """Everything a training starts from; the model, or several as `members`, is on the device with seeded weights."""

    model: nn.Module
    step_loss: StepLoss
    train: Examples
    val: Examples | None
    normalization: Normalization
    anchors: Tensor | None
    device: torch.device
    bf16: bool
    seed: int


def dataset(recipe: Recipe, *, known: tuple[str, ...] | None = None) -> Dataset:
    """The recipe's data, in memory, with its labels. Raises DataError where they are missing or damaged.

    Data that come in as many classes as are `known`, or in some of them, as other data for a model may, keep their
    labels.
    """
    _, argument = split_choice(recipe.data["name"])
    extra = () if argument is None else (argument,)
    loaded = DATASETS.get(recipe.data["name"])(*extra, **recipe.options("data"))
    labelled = known is not None and (loaded.classes == len(known) or set(loaded.class_names) <= set(known))
    taken = set(inspect.signature(transform).parameters) - ({"coarse", "bins", "classes"} if labelled else set())
    options = {k: v for k, v in recipe.data.items() if k in taken}
    if known is not None:
        options = by_name(loaded, options, known)
    made = transform(loaded, **options)
    if made is not loaded or loaded.own_validation:  # which versions before did not read
        plain = replace(loaded, val_images=None, val_labels=None, val_targets=None, val_index=None)
        made = replace(made, source_sha256=plain.fingerprint())
    said = remarks(made)
    return replace(made, notes=(*made.notes, *said)) if said else made


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
    teach: Callable[[Examples, Examples | None, Normalization], Teaching] | None = None,
    seed: Annotated[int, "seed of weights, order, dropout, noise and anchors"] = 0,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], "where to train; auto: CUDA, else MPS, else CPU"] = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fastest"],
        "of the training steps; auto: bf16 on CUDA, else fp32; fastest: by a short measurement",
    ] = "auto",
    channels_last: Annotated[
        Literal["auto", "yes", "no"], "memory layout of convolutions; auto: wherever the model has any"
    ] = "auto",
    normalization: Annotated[
        Literal["standard", "unit"], "inputs to mean 0, deviation 1 of the training split, or bytes / 255"
    ] = "standard",
    augment: Annotated[
        tuple[str, ...],
        "what training images go through: shift:2, crop:4, flip or flip-alternating, jitter:0.2, cutmix:1, mixup:0.2",
    ] = (),
) -> Setup:
    """Seed, build the model and its loss, and put the data on the device. Seeds torch's global generators.

    `trusted` names the factory that may be imported (see checkpoints.build); `teach` makes what a teacher says of a
    batch from both splits on the device and their normalisation. Raises UsageError for a device that is not there or
    options that do not fit the model, TrainingError where the device's memory is not enough.
    """
    if not 0 <= seed < 2**63:
        raise UsageError(f"--seed is {seed}, expected 0 to below 2^63")
    where = pick_device(device)
    moves = parse(augment, splits.train.images.shape[1:])
    torch.manual_seed(seed)
    scale = measure(splits.train.images, normalization)
    with enough_memory(len(splits.train)):
        model, last = fresh_model(recipe, splits, where, channels_last, trusted)
        codebook = _codebook(recipe, model)
        true = splits.noisy or recipe.train["validate_on"] == "targets"
        put = partial(Examples, normalization=scale, device=where, channels_last=last, with_true=true)
        train = put(splits.train, augment=moves)
        val = put(splits.val, split="val") if len(splits.val) else None
        model.measure(measured(train))
    anchors = None if codebook is None else codebook.to(where)
    step_loss = loss_step(recipe, anchors, None if teach is None else teach(train, val, scale))
    with torch.no_grad(), torch.random.fork_rng():
        model.eval()
        step_loss(model, next(train.in_order(2)))  # what does not fit is said before anything is written
    bf16 = precision == "bf16" or (precision == "auto" and where.type == "cuda")
    ready = Setup(model, step_loss, train, val, scale, anchors, where, bf16, seed)
    return replace(ready, bf16=bf16_is_faster(model, train, step_loss)) if precision == "fastest" else ready


def fresh_model(
    recipe: Recipe, splits: Splits, device: torch.device, channels_last: str, trusted: str | None
) -> tuple[Classifier, bool]:
    """The recipe's model with weights drawn from torch's generator, on the device, and whether it has channels last."""
    model = checkpoints.build(recipe, splits.train.images.shape[1:], len(splits.class_names), trusted=trusted)
    convolves = any(isinstance(m, nn.Conv2d) for m in model.modules())
    last = channels_last == "yes" or (channels_last == "auto" and convolves)
    model.to(device)
    if last:
        model.to(memory_format=torch.channels_last)
    return model, last


def _codebook(recipe: Recipe, model: Classifier) -> Tensor | None:
    module = LOSSES.module(recipe.loss["name"])
    if not hasattr(module, "anchors"):
        return None
    taken = inspect.signature(module.anchors).parameters
    return module.anchors(model.head.in_features, **{k: v for k, v in recipe.options("loss").items() if k in taken})


def check_options(*, epochs: int, batch_size: int, accumulate: int, patience: int | None, **others: Any) -> None:
    """Raises UsageError for values out of range, before any data are read."""
    counts = {
        "epochs": epochs,
        "batch-size": batch_size,
        "accumulate": accumulate,
        "patience": 1 if patience is None else patience,
    }
    for name, value in counts.items():
        if value < 1:
            raise UsageError(f"--{name} is {value}, expected 1 or more")
    clip_norm, ema = others.get("clip_norm"), others.get("ema")
    if (clip_norm is not None and not clip_norm > 0) or (ema is not None and not 0 < ema < 1):
        raise UsageError(f"--clip-norm {clip_norm} --ema {ema}", "expected a norm above 0, and a decay between 0 and 1")
    schedules.learning_rate(1, epochs, **_taken(schedules.learning_rate, others))
    tiny = nn.Linear(1, 2, device="meta")
    optimizers.make_optimizer(tiny, **_taken(optimizers.make_optimizer, others))
    make_lookahead(tiny, 1, **_taken(make_lookahead, others))


def check_patience(patience: int | None, val: Examples | Split | None) -> None:
    """Raises UsageError for patience without a validation split."""
    if patience is not None and (val is None or len(val) == 0):
        raise UsageError(
            f"--patience {patience} waits for the validation loss, and there is no validation split",
            "keep one with --val-fraction 0.1, or leave --patience out",
        )


def check_validate_on(validate_on: str, val: Examples | Split | None) -> None:
    """Raises UsageError where validation should go by true labels, and none are known of it."""
    true = val.true if isinstance(val, Examples) else val.true_labels if val is not None else None
    if validate_on == "targets" and (val is None or len(val) == 0 or true is None):
        why = "there is no validation split" if val is None or len(val) == 0 else "none are known of it"
        raise UsageError(
            f"--validate-on targets goes by the true labels of validation, and {why}",
            "it is for --label-noise, or for arrays files whose targets are class numbers; else leave it out",
        )


def _taken(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k in inspect.signature(function).parameters}


@dataclass(frozen=True)
class Training:
    """A training ready to run: iterate over `events`; `save_state` writes where it stands after any of them.

    `model` is what it ends with: the averaged weights where there are any. `bf16` says whether its steps are.
    """

    events: Iterator[StepDone | EpochDone]
    progress: Progress
    save_state: Callable[[Path], None]
    model: nn.Module
    bf16: bool


def train(
    setup: Setup,
    state_path: Path | None = None,
    *,
    epochs: Annotated[int, "passes over the training split"] = 30,
    batch_size: Annotated[int, "examples a batch"] = 64,
    accumulate: Annotated[int, "batches whose gradients make one step"] = 1,
    clip_norm: Annotated[float | None, "largest norm of the gradient of all parameters together"] = None,
    ema: Annotated[float | None, "decay of an average of the weights, such as 0.999, which is what is kept"] = None,
    patience: Annotated[int | None, "epochs without a lower validation loss after which training ends"] = None,
    validate_on: Annotated[
        Literal["labels", "targets"],
        "what --patience and --save-best compare with on validation; targets: the true labels, where labels are noisy",
    ] = "labels",
    compile: Annotated[bool, "compile the model with torch.compile"] = False,
    **others: Any,
) -> Training:
    """Get a training going, from a saved state where one is given; `others` are those of optimiser, rate, lookahead.

    Raises UsageError for values out of range, or patience without a validation split or without what it goes by.
    """
    check_options(
        epochs=epochs, batch_size=batch_size, accumulate=accumulate, patience=patience,
        clip_norm=clip_norm, ema=ema, **others,
    )  # fmt: skip
    check_patience(patience, setup.val)
    check_validate_on(validate_on, setup.val)
    optimizer = optimizers.make_optimizer(setup.model, **_taken(optimizers.make_optimizer, others))
    steps = -(-len(batch_ends(len(setup.train), batch_size)) // accumulate)
    lookahead = make_lookahead(setup.model, steps * epochs, **_taken(make_lookahead, others))
    average = None
    if ema is not None:
        average = AveragedModel(setup.model, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True)
    progress, bf16 = Progress(), setup.bf16
    if state_path is not None:
        progress = state.restore(state_path, setup.model, optimizer, average, lookahead)
        bf16 = state.read(state_path)[1]["bf16"]
    if compile:
        compiled(setup.model)
    events = fit(
        setup.model,
        setup.train,
        setup.val,
        setup.step_loss,
        optimizer,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=schedules.learning_rate(steps, epochs, **_taken(schedules.learning_rate, others)),
        seed=setup.seed,
        bf16=bf16,
        accumulate=accumulate,
        clip_norm=clip_norm,
        average=average,
        lookahead=lookahead,
        patience=patience,
        validate_on=validate_on,
        progress=progress,
    )
    return Training(
        _said(events) if compile else events,
        progress,
        lambda path: state.save(path, setup.model, optimizer, progress, average, lookahead, bf16),
        setup.model if average is None else average.module,
        bf16,
    )


def _said(events: Iterator[StepDone | EpochDone]) -> Iterator[StepDone | EpochDone]:
    """The events; what a compiler raises becomes a UsageError."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield from events
    except TorchDynamoException as error:
        reason = " ".join(str(error).strip().splitlines()[:2])
        raise UsageError(
            f"--compile: torch could not compile the model here: {reason}", "leave --compile out"
        ) from None


def compiled(model: nn.Module) -> None:
    """Compile the features of a model, or of each of its members, in place; it happens when they are first called.

    Only steps are: evaluation stays with torch's own kernels.
    """
    for member in members(model):
        features: nn.Module = member.features  # type: ignore[assignment]
        features.forward = _quick(features, features.forward)


def _quick(module: nn.Module, plain: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    # torch does not compile its own containers when asked for one itself, but within a function it does.
    quick = torch.compile(lambda x: plain(x))
    return lambda x: quick(x) if module.training else plain(x)

"""The one loop: it trains, and after each step and each epoch hands an event to whoever iterates over it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fierce_tools.errors import TrainingError
from fierce_tools.outputs import Outputs
from fierce_tools.training.batches import Batch, Examples, batch_ends

SAMPLE = 2000


class Step(NamedTuple):
    """What a step gives: loss (scalar), its parts (scalars by name), logits [B, C] and features [B, D]."""

    loss: Tensor
    parts: dict[str, Tensor]
    logits: Tensor
    features: Tensor


StepLoss = Callable[[nn.Module, Batch], Step]


@dataclass
class Progress:
    """How far a training is: whole epochs, steps within the next one, and what those steps gave [steps, 1 + parts]."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    names: tuple[str, ...] = ()
    history: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class StepDone:
    """One step is finished; `progress` may be captured now."""

    progress: Progress
    steps: int
    examples: int


@dataclass(frozen=True)
class EpochDone:
    """One epoch is finished. Losses are means over examples; `val` holds logits of the validation split.

    `val_features` and `train_features` [n, D] are those of at most 2,000 evenly spaced examples of each split.
    """

    progress: Progress
    epoch: int
    steps: int
    train: dict[str, float]
    learning_rate: float
    seconds: float
    images_per_second: float
    val: Outputs | None
    val_loss: float | None
    val_features: np.ndarray | None
    train_features: np.ndarray


def fit(
    model: nn.Module,
    train: Examples,
    val: Examples | None,
    step_loss: StepLoss,
    optimizer: torch.optim.Optimizer,
    *,
    epochs: int,
    batch_size: int,
    learning_rate: Callable[[int], float],
    seed: int,
    bf16: bool = False,
    progress: Progress | None = None,
) -> Iterator[StepDone | EpochDone]:
    """Train until `epochs`, from `progress` on; yields a StepDone after each step, an EpochDone after each epoch.

    `step_loss(model, batch)` computes the loss, in train mode here and in eval mode on validation data, so that a
    teacher, a second model or a penalty lives in it. Stop by no longer iterating. Raises TrainingError where the loss
    is NaN or infinite, naming the step and the learning rate.
    """
    progress = progress or Progress()
    ends = batch_ends(len(train), batch_size)
    while progress.epoch < epochs:
        model.train()
        started = time.perf_counter() - progress.seconds
        rate = learning_rate(progress.epoch * len(ends) + max(progress.step - 1, 0))  # where no step is left
        for batch in train.epoch(seed, progress.epoch, batch_size, progress.step):
            rate = learning_rate(progress.epoch * len(ends) + progress.step)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(train.device.type, torch.bfloat16, enabled=bf16):
                step = step_loss(model, batch)
            optimizer.zero_grad(set_to_none=True)
            step.loss.backward()
            optimizer.step()
            progress.names = ("loss", *step.parts)
            progress.history.append(
                torch.stack([step.loss.detach().float(), *(p.detach().float() for p in step.parts.values())])
            )
            progress.step += 1
            if train.device.type == "cpu":  # elsewhere reading a value would wait for the device
                _check(progress, [float(progress.history[-1][0])], len(ends), learning_rate, first=progress.step)
            progress.seconds = time.perf_counter() - started
            yield StepDone(progress, len(ends), len(batch.labels))
        history = torch.stack(progress.history).cpu().numpy().astype(np.float64)
        _check(progress, history[:, 0].tolist(), len(ends), learning_rate, first=1)
        seconds = time.perf_counter() - started
        weights = np.diff([0, *ends]) / len(train)
        progress.epoch, progress.step, progress.seconds, progress.history = progress.epoch + 1, 0, 0.0, []
        means = {name: float(value) for name, value in zip(progress.names, weights @ history, strict=True)}
        val_outputs, val_loss, val_features = _validate(model, val, step_loss, batch_size)
        train_features = _sample(model, train, batch_size)
        yield EpochDone(
            progress, progress.epoch, len(ends), means, rate, seconds, len(train) / seconds,
            val_outputs, val_loss, val_features, train_features,
        )  # fmt: skip


def _check(
    progress: Progress, losses: list[float], steps: int, learning_rate: Callable[[int], float], *, first: int
) -> None:
    for offset, loss in enumerate(losses):
        if not math.isfinite(loss):
            step = progress.epoch * steps + first + offset
            raise TrainingError(
                f"the loss became {loss} at step {step} (epoch {progress.epoch + 1}, "
                f"learning rate {learning_rate(step - 1):g})",
                "try a smaller --lr, a smaller weight of the loss's extra term, or --precision fp32",
            )


def evenly_spaced(count: int) -> np.ndarray:
    """At most 2,000 rows i64 of `count`, evenly spaced, so that sorted files are sampled fairly too."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(np.int64))


@torch.no_grad()
def _validate(
    model: nn.Module, val: Examples | None, step_loss: StepLoss, batch_size: int
) -> tuple[Outputs | None, float | None, np.ndarray | None]:
    if val is None or len(val) == 0:
        return None, None, None
    model.eval()
    logits, total = [], torch.zeros((), device=val.device)
    for batch in val.in_order(batch_size):
        step = step_loss(model, batch)
        logits.append(step.logits.float())
        total += step.loss.float() * len(batch.labels)
    outputs = Outputs(torch.cat(logits).cpu().numpy(), val.labels.cpu().numpy())
    return outputs, float(total) / len(val), _sample(model, val, batch_size)


@torch.no_grad()
def _sample(model: nn.Module, examples: Examples, batch_size: int) -> np.ndarray:
    """Features [n, D] f32 of evenly spaced examples, in eval mode."""
    model.eval()
    features: Callable[[Tensor], Tensor] = model.features  # type: ignore[assignment]
    rows = evenly_spaced(len(examples))
    return torch.cat([features(b.inputs).float() for b in examples.in_order(batch_size, rows)]).cpu().numpy()

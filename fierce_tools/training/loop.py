"""The one loop: it trains, and after each step and each epoch hands an event to whoever iterates over it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fierce_tools.errors import TrainingError
from fierce_tools.outputs import Outputs
from fierce_tools.training.batches import Batch, Examples, batch_ends
from fierce_tools.training.lookahead import Lookahead
from fierce_tools.training.optimizers import set_rate

SAMPLE = 2000


class Step(NamedTuple):
    """What a step gives: loss (scalar), its parts (scalars by name), logits [B, C] and features [B, D].

    A model that has several `members` gives logits and features of each, as tuples.
    """

    loss: Tensor
    parts: dict[str, Tensor]
    logits: Tensor | tuple[Tensor, ...]
    features: Tensor | tuple[Tensor, ...]


StepLoss = Callable[[nn.Module, Batch], Step]


@dataclass
class Progress:
    """How far a training is: whole epochs, batches within the next one, and what those gave [batches, 1 + parts].

    `best` is the lowest validation loss so far and `waited` the epochs since; `over` where that was long enough.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    names: tuple[str, ...] = ()
    history: list[Tensor] = field(default_factory=list)
    best: float = math.inf
    waited: int = 0
    over: bool = False


@dataclass(frozen=True)
class StepDone:
    """One step of the optimiser is finished; `progress` may be captured now. `steps` are the batches of an epoch."""

    progress: Progress
    steps: int
    examples: int


@dataclass(frozen=True)
class Seen:
    """One model after an epoch: `val` holds logits of the validation split, its targets true labels that are known.

    Features [n, D] are those of at most 2,000 evenly spaced examples of each split; `train` holds logits, labels and
    true labels of those of training, where true labels are known.
    """

    val: Outputs | None
    val_features: np.ndarray | None
    train_features: np.ndarray
    train: Outputs | None = None


@dataclass(frozen=True)
class EpochDone:
    """One epoch is finished: losses are means over examples, `steps` those of the optimiser, `seen` each member's.

    `val_target_loss` is the loss with the true labels in the labels' place, where validation goes by it.
    """

    progress: Progress
    epoch: int
    steps: int
    train: dict[str, float]
    learning_rate: float
    seconds: float
    images_per_second: float
    val_loss: float | None
    seen: tuple[Seen, ...]
    val_target_loss: float | None = None

    @property
    def val(self) -> Outputs | None:
        """The first member's outputs on validation."""
        return self.seen[0].val

    @property
    def val_features(self) -> np.ndarray | None:
        """The first member's."""
        return self.seen[0].val_features

    @property
    def train_features(self) -> np.ndarray:
        """The first member's."""
        return self.seen[0].train_features


def members(model: nn.Module) -> tuple[nn.Module, ...]:
    """The classifiers that a model is made of: its `members`, or itself."""
    found = getattr(model, "members", None)
    return (model,) if found is None else tuple(found)


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
    accumulate: int = 1,
    clip_norm: float | None = None,
    average: AveragedModel | None = None,
    lookahead: Lookahead | None = None,
    patience: int | None = None,
    validate_on: str = "labels",
    progress: Progress | None = None,
) -> Iterator[StepDone | EpochDone]:
    """Train until `epochs`, from `progress` on; yields a StepDone after each step, an EpochDone after each epoch.

    `step_loss(model, batch)` computes the loss, in train mode here and in eval mode on validation data, so that a
    teacher, a second model or a penalty lives in it. A step of the optimiser takes the gradient of `accumulate`
    batches; where there is an `average` of the weights, it is what validation sees, and a `lookahead` pulls the
    weights back towards slow ones. `patience` waits for the loss on validation against its labels or, with
    `validate_on` targets, its true labels. Stop by no longer iterating.
    Raises TrainingError where the loss is NaN or infinite, naming the step and the learning rate, and where memory
    is not enough.
    """
    progress = progress or Progress()
    ends = batch_ends(len(train), batch_size)
    sizes = np.diff([0, *ends])
    updates = -(-len(ends) // accumulate)
    on_cpu = train.device.type == "cpu"
    while progress.epoch < epochs and not progress.over:
        model.train()
        started = time.perf_counter() - progress.seconds
        done = progress.epoch * updates
        rate = learning_rate(done + max(-(-progress.step // accumulate) - 1, 0))  # where no step is left
        batches = train.epoch(seed, progress.epoch, batch_size, progress.step, epochs)
        while progress.step < len(ends):
            with enough_memory(batch_size):
                rate = learning_rate(done + progress.step // accumulate)
                set_rate(optimizer, rate, progress.epoch)
                last = min(progress.step + accumulate, len(ends))
                together = sizes[progress.step : last]
                optimizer.zero_grad(set_to_none=True)
                for share in together / together.sum():
                    batch = next(batches)
                    with _precision(train.device.type, bf16):
                        step = step_loss(model, batch)
                    (step.loss if share == 1 else step.loss * float(share)).backward()
                    progress.names = ("loss", *step.parts)
                    row = [step.loss.detach(), *step.parts.values()]
                    # Elsewhere reading a value would wait for the device.
                    progress.history.append(torch.tensor([float(v) for v in row]) if on_cpu else torch.stack(row))
                    progress.step += 1
                    if on_cpu and not math.isfinite(progress.history[-1][0]):
                        raise _broken(progress, updates, accumulate, learning_rate, progress.step)
                if clip_norm is not None:
                    for member in members(model):
                        nn.utils.clip_grad_norm_(member.parameters(), clip_norm)
                optimizer.step()
                if lookahead is not None:
                    lookahead.after(model, done + -(-progress.step // accumulate))
                if average is not None:
                    average.update_parameters(model)
            progress.seconds = time.perf_counter() - started
            yield StepDone(progress, len(ends), int(together.sum()))
        history = torch.stack(progress.history).float().cpu().numpy().astype(np.float64)
        if not np.isfinite(history[:, 0]).all():
            first = int(np.flatnonzero(~np.isfinite(history[:, 0]))[0])
            raise _broken(progress, updates, accumulate, learning_rate, first + 1)
        seconds = time.perf_counter() - started
        progress.epoch, progress.step, progress.seconds, progress.history = progress.epoch + 1, 0, 0.0, []
        means = {n: float(v) for n, v in zip(progress.names, sizes / len(train) @ history, strict=True)}
        judged = model if average is None else average.module
        with enough_memory(batch_size):
            on_true = validate_on == "targets"
            val_loss, true_loss, seen = _look(
                judged, train, val, step_loss, batch_size, progress.epoch, epochs, on_true=on_true
            )
        awaited = true_loss if on_true else val_loss
        if patience is not None and awaited is not None and math.isfinite(awaited):
            better = awaited < progress.best
            progress.best = awaited if better else progress.best
            progress.waited = 0 if better else progress.waited + 1
            progress.over = progress.waited >= patience
        per_second = len(train) / seconds
        yield EpochDone(progress, progress.epoch, updates, means, rate, seconds, per_second, val_loss, seen, true_loss)


def _precision(kind: str, bf16: bool) -> AbstractContextManager[Any]:
    return torch.autocast(kind, torch.bfloat16) if bf16 else nullcontext()


@contextmanager
def enough_memory(batch_size: int) -> Iterator[None]:
    """Raises TrainingError with the batch size to try where memory is not enough."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        said = str(error).lower()
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not known and "out of memory" not in said and "allocate memory" not in said:
            raise
        raise TrainingError(
            f"out of memory with batches of {batch_size}",
            f"try --batch-size {max(batch_size // 2, 1)}"
            + (", with --accumulate 2 for the same steps" if batch_size > 1 else ", or a smaller model"),
        ) from None


def _broken(
    progress: Progress, updates: int, accumulate: int, learning_rate: Callable[[int], float], batch: int
) -> TrainingError:
    loss = float(progress.history[batch - 1][0])
    step = progress.epoch * updates + -(-batch // accumulate)
    return TrainingError(
        f"the loss became {loss} at step {step} (epoch {progress.epoch + 1}, "
        f"learning rate {learning_rate(step - 1):g})",
        "try a smaller --lr, a smaller weight of the loss's extra term, or --precision fp32",
    )


def evenly_spaced(count: int) -> np.ndarray:
    """At most 2,000 rows i64 of `count`, evenly spaced, so that sorted files are sampled fairly too."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).round().astype(np.int64))


@torch.no_grad()
def _look(
    model: nn.Module,
    train: Examples,
    val: Examples | None,
    step_loss: StepLoss,
    batch_size: int,
    epoch: int,
    epochs: int,
    *,
    on_true: bool,
) -> tuple[float | None, float | None, tuple[Seen, ...]]:
    """The loss on validation, the same against the true labels where it is wanted, and what each member makes of both
    splits, in eval mode; read from the device once."""
    model.eval()
    every = members(model)
    logits: list[list[Tensor]] = [[] for _ in every]
    found: list[Tensor] = []
    if val is not None and len(val):
        total, true_total = torch.zeros((), device=val.device), torch.zeros((), device=val.device)
        for batch in val.in_order(batch_size, epoch=float(epoch), share=epoch / epochs):
            step = step_loss(model, batch)
            for kept, made in zip(
                logits, step.logits if isinstance(step.logits, tuple) else (step.logits,), strict=True
            ):
                kept.append(made.float())
            total += step.loss.float() * len(batch.labels)
            if on_true and val.true is not None:
                judged = step_loss(model, batch._replace(labels=val.true.index_select(0, batch.rows)))
                true_total += judged.loss.float() * len(batch.labels)
        found += [total / len(val), true_total / len(val)]
        found += [torch.cat(kept) for kept in logits]
        found += [_sample(member, val, batch_size) for member in every]
    features = [_sample(member, train, batch_size) for member in every]
    found += features
    if train.host_true is not None:
        found += [member.head(part).float() for member, part in zip(every, features, strict=True)]  # type: ignore[operator]
    arrays, count = iter(_to_host(found)), len(every)
    losses: tuple[float | None, float | None] = (None, None)
    of_val: list[Outputs | None] = [None] * count
    val_features: list[np.ndarray | None] = [None] * count
    if val is not None and len(val):
        loss, true_loss = float(next(arrays)), float(next(arrays))
        losses = loss, true_loss if on_true else None
        of_val = [Outputs(next(arrays), val.host_labels, targets=val.host_true) for _ in every]
        val_features = [next(arrays) for _ in every]
    train_features = [next(arrays) for _ in every]
    of_train: list[Outputs | None] = [None] * count
    if train.host_true is not None:
        rows = evenly_spaced(len(train))
        of_train = [Outputs(next(arrays), train.host_labels[rows], targets=train.host_true[rows]) for _ in every]
    return *losses, tuple(map(Seen, of_val, val_features, train_features, of_train))


def _to_host(tensors: list[Tensor]) -> list[np.ndarray]:
    """Tensors f32 as arrays; from another device in one copy, since each makes the host wait."""
    if tensors[0].device.type != "cpu":
        flat = torch.cat([t.reshape(-1) for t in tensors]).cpu()
        parts = flat.split([t.numel() for t in tensors])
        tensors = [p.view(t.shape) for p, t in zip(parts, tensors, strict=True)]
    return [t.numpy() for t in tensors]


def _sample(model: nn.Module, examples: Examples, batch_size: int) -> Tensor:
    """Features [n, D] f32 of evenly spaced examples."""
    features: Callable[[Tensor], Tensor] = model.features  # type: ignore[assignment]
    rows = evenly_spaced(len(examples))
    return torch.cat([features(b.inputs).float() for b in examples.in_order(batch_size, rows)])

"""A loss as the step that the loop takes, of a model and a batch."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from fierce_tools.errors import UsageError
from fierce_tools.losses._nats import nll
from fierce_tools.menu import LOSSES
from fierce_tools.recipe import Recipe
from fierce_tools.training.batches import Batch
from fierce_tools.training.loop import Step, StepLoss

# What a teacher says of a batch, by the names under which a loss takes it.
Teaching = Callable[[Batch], dict[str, Tensor]]
TEACHER = "teacher_"


def loss_step(recipe: Recipe, anchors: Tensor | None, teaching: Teaching | None = None) -> StepLoss:
    """The recipe's loss as a step: its mean over the batch, and as parts the cross-entropy and what comes on top.

    A loss takes by name what it wants of logits, labels, features, anchors, epoch, and what `teaching` gives for a
    batch, such as teacher_logits [B, C]. Of examples mixed in pairs it is λ·loss(labels) + (1 - λ)·loss(partner).
    Raises UsageError for a loss that wants a teacher where there is none.
    """
    function: Callable[..., Tensor] = LOSSES.get(recipe.loss["name"])
    parameters = inspect.signature(function).parameters
    options = {k: v for k, v in recipe.options("loss").items() if k in parameters}
    positional = {n: p.default is p.empty for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    # An array with a default is taken where there is one.
    wanted = [n for n, needed in positional.items() if needed or (teaching is not None and n.startswith(TEACHER))]
    if teaching is None and any(n.startswith(TEACHER) for n in wanted):
        raise UsageError(
            f"loss {recipe.loss['name']} learns from a teacher", "say which: fierce distill --teacher CHECKPOINT"
        )
    plain = recipe.loss["name"] == "ce"

    def step(model: nn.Module, batch: Batch) -> Step:
        features = model.features(batch.inputs)  # type: ignore[operator]
        logits = model.head(features)  # type: ignore[operator]
        # On validation a loss is what it comes to be, so that one epoch compares with another.
        epoch = batch.epoch if batch.split == "train" else math.inf
        there: dict[str, Any] = {"logits": logits.float(), "anchors": anchors, "epoch": epoch}
        if "features" in wanted:
            there["features"] = features.float()
        if teaching is not None:
            there |= teaching(batch)
        arrays = {name: there[name] for name in wanted if name != "labels"}

        def mean(function: Callable[..., Tensor], **arrays: Any) -> Tensor:
            found = function(labels=batch.labels, **arrays).mean()
            if batch.partner is not None and batch.lam < 1:
                found = batch.lam * found + (1 - batch.lam) * function(labels=batch.partner, **arrays).mean()
            return found

        loss = mean(function, **arrays, **options)
        if plain:
            return Step(loss, {}, logits, features)
        ce = mean(nll, logits=logits.detach().float())
        return Step(loss, {"ce": ce, "penalty": loss.detach() - ce}, logits, features)

    return step

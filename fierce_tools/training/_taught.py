"""What teachers say of a batch: looked up where it is known, else asked on the batch's own inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from fierce_tools.training.batches import Batch, Examples, Normalization


@dataclass(frozen=True)
class Asked:
    """A teacher's model on the student's normalised inputs, changed into its own; and the student's columns of it."""

    model: nn.Module
    change: tuple[Tensor, Tensor] | None
    columns: Tensor | None

    def __call__(self, inputs: Tensor) -> Tensor:
        said: Tensor = self.model(_as_its_own(inputs, self.change)).float()
        return said if self.columns is None else said.index_select(-1, self.columns)


@dataclass
class Taught:
    """`teacher_logits` [B, C] of a batch: looked up by its rows where they are known, else computed on its inputs.

    Of examples mixed in pairs, known soft labels are mixed, or the logits themselves where those are `matched`.
    """

    models: list[Asked]
    known: dict[str, Tensor]
    combine: str
    temperature: float
    matched: bool = False

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        known = self.known.get(batch.split)
        if known is None:
            with torch.no_grad():
                said = [one(batch.inputs) for one in self.models]
                return {"teacher_logits": combined(said, self.combine, self.temperature)}
        found = known.index_select(0, batch.rows)
        if batch.partner is not None and batch.lam < 1:  # a pair's soft label is mixed as its labels are
            pair, weights = (found, found.roll(1, 0)), (batch.lam, 1 - batch.lam)
            found = (
                weights[0] * pair[0] + weights[1] * pair[1]
                if self.matched
                else mixture(pair, weights, self.temperature)
            )
        return {"teacher_logits": found}


def combined(said: Sequence[Tensor], how: str, temperature: float) -> Tensor:
    """Several teachers' logits [N, C] as one: their mean, or logits whose softmax at T is the mean of theirs."""
    if len(said) == 1:
        return said[0]
    if how == "logits":
        return torch.stack(list(said)).mean(dim=0)
    return mixture(said, [1 / len(said)] * len(said), temperature)


def mixture(said: Sequence[Tensor], weights: Sequence[float], temperature: float) -> Tensor:
    """Logits [N, C] whose softmax at T is Σ w_i softmax(z_i/T)."""
    parts = [(z / temperature).log_softmax(-1) + math.log(w) for z, w in zip(said, weights, strict=True) if w > 0]
    return temperature * torch.stack(parts).logsumexp(dim=0)


def renormalize(ours: Normalization, theirs: Normalization, like: Examples) -> tuple[Tensor, Tensor] | None:
    """Factor and shift that turn our normalised inputs into the teacher's; None where they are the same."""
    if np.array_equal(ours.mean, theirs.mean) and np.array_equal(ours.std, theirs.std):
        return None
    shape = (1, -1, 1, 1) if like.data.dim() == 4 else (1, -1)
    scale, shift = ours.std / theirs.std, (ours.mean - theirs.mean) / theirs.std
    made = (torch.from_numpy(v.astype(np.float32)).to(like.device).view(shape) for v in (scale, shift))
    return next(made), next(made)


def _as_its_own(inputs: Tensor, change: tuple[Tensor, Tensor] | None) -> Tensor:
    return inputs if change is None else inputs * change[0] + change[1]

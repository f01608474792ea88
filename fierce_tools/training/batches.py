"""Examples on the device, images as bytes, normalised there; the order of an epoch is a function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fierce_tools.data._splits import Split


class Batch(NamedTuple):
    """inputs f32 [B, c, H, W] or [B, D], labels i64 [B], rows i64 [B]: their position in the split."""

    inputs: Tensor
    labels: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Normalization:
    """x ↦ (x - mean) / std, per channel of images (in bytes, 0..255) or per column of vectors; f32 [c] or [D]."""

    mean: np.ndarray
    std: np.ndarray


def measure(images: np.ndarray, kind: str) -> Normalization:
    """A training split's normalisation: `standard` (mean 0, deviation 1) or `unit` (bytes / 255)."""
    channels = images.shape[-1]
    if kind == "unit":
        top = 255.0 if images.dtype == np.uint8 else 1.0
        return Normalization(np.zeros(channels, np.float32), np.full(channels, top, np.float32))
    flat = images.reshape(-1, channels)
    mean, std = flat.mean(axis=0, dtype=np.float64), flat.std(axis=0, dtype=np.float64)
    return Normalization(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


class Examples:
    """A split on a device: images u8 (channels last in memory) or vectors f32, and labels."""

    def __init__(self, split: Split, normalization: Normalization, device: torch.device) -> None:
        data = torch.from_numpy(np.ascontiguousarray(split.images)).to(device)
        self.data = data.permute(0, 3, 1, 2) if data.dim() == 4 else data
        self.labels = torch.from_numpy(np.ascontiguousarray(split.labels)).to(device)
        self.device = device
        shape = (1, -1, 1, 1) if data.dim() == 4 else (1, -1)
        self._mean = torch.from_numpy(normalization.mean).to(device).view(shape)
        self._scale = torch.from_numpy(1 / normalization.std).to(device).view(shape)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Batch:
        """The normalised examples of these rows."""
        inputs = self.data[rows].float().sub_(self._mean).mul_(self._scale)
        return Batch(inputs, self.labels[rows], rows)

    def epoch(self, seed: int, epoch: int, batch_size: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from batch number `start` on, shuffled by (seed, epoch) alone."""
        order = np.random.default_rng((seed, epoch)).permutation(len(self))
        return self._slices(torch.from_numpy(order).to(self.device), batch_size, start)

    def in_order(self, batch_size: int, rows: np.ndarray | None = None) -> Iterator[Batch]:
        """The batches of the split, or of some of its rows, in order."""
        order = torch.arange(len(self)) if rows is None else torch.from_numpy(rows)
        return self._slices(order.to(self.device), batch_size, 0)

    def _slices(self, order: Tensor, batch_size: int, start: int) -> Iterator[Batch]:
        ends = batch_ends(len(order), batch_size)
        for first, last in list(zip([0, *ends], ends, strict=False))[start:]:
            yield self.take(order[first:last])


def batch_ends(examples: int, batch_size: int) -> list[int]:
    """Where each batch of an epoch ends; a single example left over joins the batch before it.

    Batch statistics of one example are no statistics: normalisation layers fail on them and a batch entropy is 0.
    """
    ends = [*range(batch_size, examples, batch_size), examples]
    if len(ends) > 1 and ends[-1] - ends[-2] == 1:
        del ends[-2]
    return ends

"""Examples on the device, images as bytes, normalised there; the order of an epoch is a function of seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fierce_tools.data._splits import Split
from fierce_tools.training.augment import Augment

# Examples that are gathered at once, so that small batches do not pay for each call.
CHUNK = 1024
# Examples of which layers with fixed weights are made, and how many of them at a time.
MEASURED, AT_ONCE = 5000, 500


class Batch(NamedTuple):
    """inputs f32 [B, c, H, W] or [B, D], labels i64 [B], rows i64 [B]: their position in the split.

    `epoch` counts the epochs done so far, `share` is the part of the training that is done, both fractional. Where
    examples were mixed, `partner` i64 [B] are the labels of what was mixed in and `lam` the weight of `labels`.
    """

    inputs: Tensor
    labels: Tensor
    rows: Tensor
    split: str = "train"
    epoch: float = 0.0
    share: float = 0.0
    partner: Tensor | None = None
    lam: float = 1.0


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
    if images.dtype == np.uint8:  # a count of each level is exact and needs no copy
        levels = np.arange(256)
        counts = np.stack([np.bincount(flat[:, c], minlength=256) for c in range(channels)]) / len(flat)
        mean = counts @ levels
        std = np.sqrt((counts * (levels - mean[:, None]) ** 2).sum(axis=1))
    else:
        mean, std = flat.mean(axis=0, dtype=np.float64), flat.std(axis=0, dtype=np.float64)
    return Normalization(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


class Examples:
    """A split on a device: images u8 or vectors f32, labels, and with `with_true` the true labels that are known of it.

    `split` is its name in the batches; `augment` is done to the batches of an epoch, never to those `in_order`.
    """

    def __init__(
        self,
        examples: Split,
        normalization: Normalization,
        device: torch.device,
        *,
        split: str = "train",
        augment: Augment | None = None,
        channels_last: bool = True,
        with_true: bool = False,
    ) -> None:
        self.data = torch.from_numpy(np.ascontiguousarray(examples.images)).to(device)
        self.host_labels = np.ascontiguousarray(examples.labels)
        self.labels = torch.from_numpy(self.host_labels).to(device)
        self.host_true = examples.true_labels if with_true else None
        self.true = None if self.host_true is None else torch.from_numpy(self.host_true).to(device)
        self.device = device
        self.split = split
        self.augment = augment or Augment()
        self._mix = self.augment.mixer()
        self._channels_last = channels_last
        self._drawn: tuple[int, Tensor] | None = None
        shape = (1, -1, 1, 1) if self.data.dim() == 4 else (1, -1)
        self._mean = torch.from_numpy(normalization.mean).to(device).view(shape)
        self._scale = torch.from_numpy(1 / normalization.std).to(device).view(shape)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def augmented(self) -> bool:
        """Whether an example looks different in every epoch."""
        return bool(self.augment)

    def take(self, rows: Tensor, generator: torch.Generator | None = None, mirrored: Tensor | None = None) -> Tensor:
        """The normalised inputs of these rows f32, augmented by the generator's draws where one is given.

        Where the flip alternates `mirrored` bool [B] says which are.
        """
        found = self.data.index_select(0, rows)
        if found.dim() == 2:
            return found.sub_(self._mean).mul_(self._scale)
        if generator is not None:
            found = self.augment.move(found, generator, mirrored)
        images = found.permute(0, 3, 1, 2).float()
        if generator is not None:
            images = self.augment.colour(images, generator)
        images = images.sub_(self._mean).mul_(self._scale)
        return images if self._channels_last else images.contiguous()

    def epoch(
        self, seed: int, epoch: int, batch_size: int, start: int = 0, epochs: int | None = None
    ) -> Iterator[Batch]:
        """The batches of one epoch from batch number `start` on, shuffled and augmented by (seed, epoch) alone.

        Mixing in pairs draws from torch's own generator. `epochs`, all of them, is for the batches' `share`.
        """
        order = self._there(np.random.default_rng((seed, epoch)).permutation(len(self)))
        ends = batch_ends(len(self), batch_size)
        for batch, (rows, inputs) in enumerate(self._slices(order, ends, batch_size, start, (seed, epoch)), start):
            done = epoch + batch / len(ends)
            labels = self.labels.index_select(0, rows)
            partner, lam = None, 1.0
            if self._mix is not None:
                inputs, lam = self._mix(inputs)
                partner = labels.roll(1, 0)
            yield Batch(inputs, labels, rows, self.split, done, done / (epochs or epoch + 1), partner, lam)

    def in_order(
        self, batch_size: int, rows: np.ndarray | None = None, *, epoch: float = 0.0, share: float = 0.0
    ) -> Iterator[Batch]:
        """The batches of the split, or of some of its rows, in order, as they are."""
        order = torch.arange(len(self), device=self.device) if rows is None else self._there(rows)
        for found, inputs in self._slices(order, batch_ends(len(order), batch_size), batch_size, 0, None):
            yield Batch(inputs, self.labels.index_select(0, found), found, self.split, epoch, share)

    def _there(self, rows: np.ndarray) -> Tensor:
        """Rows on the device; from pinned memory, whose copy does not stop the host."""
        found = torch.from_numpy(rows)
        return (found.pin_memory() if self.device.type == "cuda" else found).to(self.device, non_blocking=True)

    def _slices(
        self, order: Tensor, ends: list[int], batch_size: int, start: int, draw: tuple[int, int] | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows and inputs of each batch from number `start` on, gathered several batches at a time."""
        together = max(1, CHUNK // batch_size)
        starts = [0, *ends]
        for chunk in range(start // together, -(-len(ends) // together)):
            first, last = chunk * together, min((chunk + 1) * together, len(ends))
            generator = mirrored = None
            rows = order[starts[first] : starts[last]]
            if draw is not None and self.augment:
                generator = torch.Generator(self.device).manual_seed(_seed(*draw, chunk))
                if self.augment.alternates:
                    mirrored = self._sides(draw[0])[rows] ^ bool(draw[1] % 2)
            inputs = self.take(rows, generator, mirrored)
            for batch in range(max(first, start), last):
                here = slice(starts[batch] - starts[first], starts[batch + 1] - starts[first])
                yield rows[here], inputs[here]

    def _sides(self, seed: int) -> Tensor:
        """Which examples are mirrored in even epochs, bool [N], half of them: drawn once, by the seed alone."""
        if self._drawn is None or self._drawn[0] != seed:
            coins = np.random.default_rng((seed, 0, 0, 1)).random(len(self)) < 0.5
            self._drawn = seed, self._there(coins)
        return self._drawn[1]


def measured(examples: Examples, rows: np.ndarray | None = None) -> Iterator[Tensor]:
    """Inputs of at most 5,000 evenly spaced examples, of all or of these rows, as they are: for Classifier.measure."""
    every = np.arange(len(examples)) if rows is None else rows
    chosen = every[np.linspace(0, len(every) - 1, min(len(every), MEASURED)).round().astype(np.int64)]
    return (batch.inputs for batch in examples.in_order(AT_ONCE, chosen))


def _seed(*numbers: int) -> int:
    """One seed of several numbers, so that a chunk's draws do not depend on those before it."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def batch_ends(examples: int, batch_size: int) -> list[int]:
    """Where each batch of an epoch ends; a single example left over joins the batch before it.

    Batch statistics of one example are no statistics: normalisation layers fail on them and a batch entropy is 0.
    """
    ends = [*range(batch_size, examples, batch_size), examples]
    if len(ends) > 1 and ends[-1] - ends[-2] == 1:
        del ends[-2]
    return ends

"""Soft labels of many students on a device, and their loss: one formula for one student or a stack of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.losses._labels import targets
from fierce_tools.training._students import Student


class Coefficients(NamedTuple):
    """Of students [...]: which table i64, temperature, factor of the soft term, factor of the cross-entropy.

    `only` is the table where all have the same one.
    """

    table: Tensor
    temperature: Tensor
    soft: Tensor
    hard: Tensor
    any_soft: bool
    any_hard: bool
    only: int | None


class Targets:
    """Soft labels [U, N, C] of every teacher at every temperature, and of every smoothing, computed once.

    They take 4·U·N·C bytes in float32.
    """

    def __init__(
        self,
        students: Sequence[Student],
        teachers: Sequence[np.ndarray],
        labels: Tensor,
        classes: int,
        dtype: torch.dtype,
    ) -> None:
        self.labels, self.classes, self.dtype = labels, classes, dtype
        self._students = students
        keys = dict.fromkeys(s.table for s in students if s.table is not None)
        self._number = {key: number for number, key in enumerate(keys)}
        logits = [torch.from_numpy(np.ascontiguousarray(z)).to(labels.device, dtype) for z in teachers]
        self.tables = torch.empty(len(keys), len(labels), classes, dtype=dtype, device=labels.device)
        for (teacher, value, convention), number in self._number.items():
            if teacher is not None:
                self.tables[number] = (logits[teacher] / value).softmax(-1)
            else:
                self.tables[number] = targets(labels, classes, alpha=value, convention=convention, dtype=dtype)

    def of(self, numbers: np.ndarray) -> Coefficients:
        """The coefficients of these students, in the shape of `numbers`."""
        chosen = [self._students[n] for n in numbers.reshape(-1)]
        device, shape = self.labels.device, numbers.shape
        table = [0 if s.table is None else self._number[s.table] for s in chosen]
        own, soft, hard = zip(*(s.weights for s in chosen), strict=True)

        def there(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=self.dtype, device=device).view(shape)

        return Coefficients(
            torch.tensor(table, device=device).view(shape), there(own), there(soft), there(hard),
            any(soft), any(hard), table[0] if len(set(table)) == 1 else None,
        )  # fmt: skip

    def loss(self, logits: Tensor, rows: Tensor, of: Coefficients, share: Tensor | None = None) -> Tensor:
        """Each student's mean loss [...] over its batch, of logits [..., B, C] and rows i64 [..., B].

        Instead of the mean a sum with the weights `share` [..., B], 0 where a batch is shorter than others. The soft
        term is -Σ q log p: KL less the soft label's own entropy, which no gradient sees.
        """
        logits = logits.to(self.dtype)
        parts = []
        if of.any_soft:
            q = self.tables[of.table[..., None], rows] if of.only is None else self.tables[of.only][rows]
            log_p = F.log_softmax(logits / of.temperature[..., None, None], dim=-1)
            parts.append((q * log_p).sum(dim=-1) * -of.soft[..., None])
        if of.any_hard:
            labels = self.labels[rows].expand(logits.shape[:-1])
            ce = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none").view(labels.shape)
            parts.append(of.hard[..., None] * ce)
        if not parts:  # all weights are 0: nothing is learned
            parts.append(logits.sum(dim=-1) * 0)
        loss = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        return loss.mean(dim=-1) if share is None else (loss * share).sum(dim=-1)

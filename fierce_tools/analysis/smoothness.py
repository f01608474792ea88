"""How far a model's soft labels are from one-hot, in units of label smoothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._classes import check_temperature
from fierce_tools.analysis._features import same_note, same_soft_labels
from fierce_tools.analysis._soft import blocks, check_logits
from fierce_tools.report import Report, Scalars

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2


@dataclass(frozen=True)
class Smoothness:
    """`gamma` is the share of smoothing (0 one-hot, 1 uniform), `confidence` the mean p of the true class.

    `constant`: every example has the same soft label, whatever its class.
    """

    gamma: float
    confidence: float
    temperature: float
    examples: int
    constant: bool = False

    def report(self) -> Report:
        """γ and the mean confidence label."""
        values: dict[str, float | int | str | None] = {
            "γ": self.gamma,
            "confidence label": self.confidence,
            "temperature": self.temperature,
            "training examples": self.examples,
        }
        note = "γ is the α of uniform label smoothing whose labels give the true class as much: 0 one-hot, 1 uniform."
        same = same_note(self.examples, "γ is that of one soft label, whatever the class", "soft labels")
        notes = (note, same) if self.constant else (note,)
        return Report("Smoothness of the training soft labels", (Scalars("Smoothness", values),), notes)


def smoothness(
    train_logits: np.ndarray,
    train_labels: np.ndarray,
    *,
    temperature: Annotated[float, "softmax temperature, above 0"] = 1.0,
) -> Smoothness:
    """Smoothness γ of a model's soft labels on its training data: the label smoothing they amount to.

    γ = mean over the training split of Σ_k (1 - y_k) p_k(T) · C/(C-1), a fraction, from train_logits [N, C] and
    train_labels [N]: 0 for one-hot, 1 for uniform soft labels, α for the targets of uniform label smoothing; up to
    C/(C-1) where every label is missed. Raises UsageError for a temperature not above 0, DataError for logits not
    finite or labels out of range. Source: Müller, Kornblith, Hinton 2019.
    """
    check_temperature(temperature)
    check_logits(train_logits, train_labels)
    classes = train_logits.shape[1]
    missing = own = 0.0
    for rows, z in blocks(train_logits):
        e = np.exp(z / temperature)
        places, columns = train_labels[rows], np.arange(e.shape[1])
        total, mine = e.sum(axis=0), e[places, columns]
        # The others' sum, not 1 - p: near one-hot the difference would be rounding.
        e[places, columns] = 0
        missing += float((e.sum(axis=0) / total).sum(dtype=np.float64))
        own += float((mine / total).sum(dtype=np.float64))
    examples = len(train_logits)
    gamma = missing / examples * classes / (classes - 1)
    return Smoothness(gamma, own / examples, temperature, examples, same_soft_labels(train_logits, temperature))

"""Figures of models on the same resamples of the same examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fierce_tools import same
from fierce_tools.analysis._metrics import ece, equal_width, finite_mean, infinite, per_example
from fierce_tools.errors import DataError
from fierce_tools.experiments._gather import both_named, names_of
from fierce_tools.outputs import Outputs

# Figures that are means over examples, or made of such: those that can be resampled.
PAIRED = ("accuracy", "nll", "ece", "entropy")
BINS = 15
# Resamples multiplied at a time: enough for a matrix product, few enough to hold.
AT_ONCE = 32


@dataclass(frozen=True)
class Judged:
    """One model on one split: its outputs, and of each example [N] the confidence, and accuracy, NLL and entropy in
    `each` (the last at the temperature asked for); `figures` are their means, and the ECE.
    """

    label: str
    outputs: Outputs
    confidence: np.ndarray
    each: Mapping[str, np.ndarray]
    figures: Mapping[str, float]

    @property
    def infinite(self) -> int:
        """Examples whose label has a probability of 0."""
        return infinite(self.each["nll"])


def judge(made: Outputs, label: str, temperature: float) -> Judged:
    """What the figures of PAIRED need of a model's outputs. Raises DataError without labels."""
    found = per_example(made.logits, made.get("labels", source=label), (1.0, temperature))
    confidence, correct = found.confidence[0].astype(np.float64), found.correct.astype(np.float64)
    each = {
        "accuracy": correct,
        "nll": found.loss[0].astype(np.float64),
        "entropy": found.entropy[1].astype(np.float64),
    }
    figures = {
        "accuracy": float(correct.mean()),
        "nll": finite_mean(found.loss[0]),
        "entropy": float(each["entropy"].mean()),
        "ece": ece(confidence, found.correct, bins=BINS),
    }
    return Judged(label, made, confidence, each, figures)


def resample(models: Sequence[Judged], resamples: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The figures of PAIRED [resamples, models], every model on the same draws of the examples.

    Each of them is made of weighted sums over examples, so a resample is a row of weights. An NLL that is infinite for
    any example is NaN.
    """
    tables = [_table(m) for m in models]
    size = len(tables[0])
    table = np.hstack(tables)
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, table.shape[1]))
    for start in range(0, resamples, AT_ONCE):
        count = min(AT_ONCE, resamples - start)
        weights = [np.bincount(rng.integers(size, size=size), minlength=size) for _ in range(count)]
        drawn[start : start + count] = np.array(weights, dtype=np.float64) @ table / size
    sums = drawn.reshape(resamples, len(models), 3 + BINS)
    found = {name: sums[:, :, number] for number, name in enumerate(("accuracy", "nll", "entropy"))}
    return {**found, "ece": np.abs(sums[:, :, 3:]).sum(axis=2)}


def _table(model: Judged) -> np.ndarray:
    """The columns [N, 3 + BINS] whose means the figures are made of."""
    gap = np.zeros((len(model.confidence), BINS))
    gap[np.arange(len(gap)), equal_width(model.confidence, BINS)] = model.confidence - model.each["accuracy"]
    loss = np.full(len(gap), np.nan) if model.infinite else model.each["nll"]
    return np.column_stack([model.each["accuracy"], loss, model.each["entropy"], gap])


def same_examples(one: Judged, two: Judged) -> same.Pairing:
    """Whether two models were judged on the same examples; labels are compared by the names of their classes."""
    if one.outputs.logits.shape[1] > two.outputs.logits.shape[1]:  # the fewer classes are looked for in the others
        one, two = two, one
    made, other = one.outputs, two.outputs
    try:
        columns = same.match_classes(
            names_of(made), names_of(other), what=one.label, other=two.label, trusted=both_named(made, other)
        )
    except DataError as error:
        return same.Pairing(False, error.message)
    lifted = replace(made, labels=columns.lifted(made.labels))  # type: ignore[arg-type]
    pairing = same.match_examples(lifted, other, what=one.label, other=two.label)
    note = " ".join(n for n in (columns.note, pairing.note) if n) if pairing.paired else ""
    return replace(pairing, note=note or None)

"""How alike a model's soft labels are within a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from fierce_tools.analysis._classes import ROOM, check_temperature, class_moments, names_of, some
from fierce_tools.analysis._features import same_note, same_soft_labels
from fierce_tools.analysis._soft import check_logits
from fierce_tools.menu import unknown
from fierce_tools.report import Report, Scalars, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2

FORMULAS = {
    "vector": "mean squared distance of a soft label from its class's mean",
    "variance": "variance of the true class's probability",
    "deviation": "standard deviation of the true class's probability",
}


@dataclass(frozen=True)
class Stability:
    """`stability` is 1 - the mean over classes of `spread` [C], which `variant` names; None for an empty class.

    `constant`: every example has the same soft label, so that S is 1 and says nothing of classes.
    """

    stability: float
    variant: str
    temperature: float
    classes: int
    class_names: tuple[str, ...]
    counts: tuple[int, ...]
    spread: tuple[float | None, ...]
    constant: bool = False

    def report(self) -> Report:
        """S and 1 - S, and the classes whose soft labels differ most from one another."""
        values: dict[str, float | int | str | None] = {
            "stability S": self.stability,
            "1 - S": 1 - self.stability,
            "variant": self.variant,
            "temperature": self.temperature,
            "classes": self.classes,
        }
        widest = sorted(range(len(self.spread)), key=lambda c: -(self.spread[c] or 0))
        shown = sorted(widest[:ROOM]) if len(self.spread) > ROOM else range(len(self.spread))
        rows = tuple(
            (self.class_names[c], self.counts[c], None if (s := self.spread[c]) is None else some(s)) for c in shown
        )
        title = "Spread within each class" if len(self.spread) <= ROOM else f"The {ROOM} classes of most spread"
        same = same_note(sum(self.counts), "S is 1 and says nothing of classes", "soft labels")
        notes = (
            f"{self.variant}: 1 - S is the {FORMULAS[self.variant]}, averaged over classes.",
            "Shen et al. print 1 - S of .29 to .34. A scalar variance is at most .25, so theirs cannot be one.",
            *((same,) if self.constant else ()),
        )
        return Report(
            "Stability of soft labels",
            (Scalars("Stability", values), Table(title, ("class", "examples", "spread"), rows)),
            notes,
        )


def stability(
    logits: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...] | None = None,
    *,
    variant: Annotated[
        Literal["vector", "variance", "deviation"],
        "of the whole soft label, or of the true class's probability: its variance, its standard deviation",
    ] = "vector",
    temperature: Annotated[float, "softmax temperature, above 0"] = 1.0,
) -> Stability:
    """Stability of soft labels: one minus how much they differ from one another within a class.

    S = 1 - (1/C) Σ_c mean_{i∈c} ‖p_i - mean_c‖² with p = softmax(z/T), from logits [N, C] and labels [N] (`vector`,
    a fraction from 0 to 1); with the true class's probability alone, its variance (S ≥ .75) or its standard deviation
    (S ≥ .5). The mean runs over classes that have examples. Raises UsageError for a temperature not above 0,
    DataError for logits not finite or labels out of range. Source: Shen et al., ICLR 2021.
    """
    if variant not in FORMULAS:
        raise unknown("variant", variant, tuple(FORMULAS))
    check_temperature(temperature)
    check_logits(logits, labels)
    classes = logits.shape[1]
    found = class_moments(logits, labels, temperature)
    own = np.diagonal(found.variance)
    spread = {"vector": found.variance.sum(axis=1), "variance": own, "deviation": np.sqrt(own)}[variant]
    there = found.counts > 0
    return Stability(
        stability=1 - float(spread[there].mean()),
        variant=variant,
        temperature=temperature,
        classes=int(there.sum()),
        class_names=names_of(class_names, classes),
        counts=tuple(found.counts.tolist()),
        spread=tuple(s if n else None for s, n in zip(spread.tolist(), found.counts.tolist(), strict=True)),
        constant=same_soft_labels(logits, temperature),
    )

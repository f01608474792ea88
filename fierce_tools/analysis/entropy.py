"""How much similarity information a model's soft labels hold, and at which temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._soft import check_logits, check_temperatures, entropies
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Lines, Report, Series, Table

ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Entropy:
    """Mean entropies in nats: `mean` [T] over temperatures, `per_class` [T, C] by true class where asked for.

    A class without examples has None. `smoothing_entropy` at `smoothing_alpha` is the label-smoothing line,
    `equivalent_alpha` [T] the amount of label smoothing whose labels have the same entropy.
    """

    temperatures: tuple[float, ...]
    mean: tuple[float, ...]
    standard_deviation: tuple[float, ...]
    uniform: float
    equivalent_alpha: tuple[float, ...]
    smoothing_alpha: tuple[float, ...]
    smoothing_entropy: tuple[float, ...]
    examples: int
    class_names: tuple[str, ...] = ()
    per_class: tuple[tuple[float | None, ...], ...] = ()

    def report(self) -> Report:
        """Entropy against temperature, the label-smoothing line beside it, and the numbers."""
        by_class = [
            Series(f"class {name}", self.temperatures, tuple(row[c] for row in self.per_class))
            for c, name in enumerate(self.class_names)
        ]
        everything = Series("all classes", self.temperatures, self.mean)
        curve = Lines("Soft-label entropy", "temperature", "nats", (everything, *by_class))
        line = Series("label smoothing", self.smoothing_alpha, self.smoothing_entropy)
        beside = Lines("Entropy of label-smoothing labels", "alpha (uniform)", "nats", (line,))
        columns = ("T", "entropy (nats)", "sd over examples", "share of log C", "same as label smoothing at")
        rows = tuple(
            (t, h, sd, h / self.uniform, a)
            for t, h, sd, a in zip(
                self.temperatures, self.mean, self.standard_deviation, self.equivalent_alpha, strict=True
            )
        )
        tables = [Table("Soft-label entropy by temperature", columns, rows)]
        if self.per_class:
            heads = ("T", *self.class_names)
            tables.append(
                Table(
                    "Mean entropy of each class (nats)",
                    heads,
                    tuple((t, *row) for t, row in zip(self.temperatures, self.per_class, strict=True)),
                )
            )
        note = f"A uniform label over these classes has log C = {self.uniform:.4f} nats."
        return Report("Soft-label entropy against temperature", (curve, beside, *tables), (note,))


def entropy(
    logits: np.ndarray,
    labels: np.ndarray | None = None,
    class_names: tuple[str, ...] | None = None,
    *,
    temperatures: Annotated[tuple[float, ...], "softmax temperatures, above 0"] = (
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ),
    per_class: Annotated[bool, "also for each true class"] = False,
) -> Entropy:  # fmt: skip
    """Mean entropy of softmax(z/T) over a split, against the temperature, with the label-smoothing line beside it.

    H = -Σ p log p in nats, 0 to log C, from logits [N, C]; by class with labels [N]. The line is the entropy of
    uniform label smoothing's labels against α. Raises UsageError for a temperature not above 0, DataError for logits
    that are not finite or labels that are missing where classes are asked for. Source: Vats 2021, ch. 4-6.
    """
    check_logits(logits, labels)
    check_temperatures(temperatures)
    if per_class and labels is None:
        raise DataError("the entropy of each class needs labels, and there are none", "add an array `labels` [N]")
    classes = logits.shape[1]
    if per_class and classes > 1000:
        raise UsageError(f"--per-class with {classes} classes", "leave --per-class out")
    values = entropies(logits, temperatures)
    mean = values.mean(axis=1, dtype=np.float64)
    names: tuple[str, ...] = ()
    table: tuple[tuple[float | None, ...], ...] = ()
    if per_class and labels is not None:
        names = class_names or tuple(str(c) for c in range(classes))
        counts = np.bincount(labels, minlength=classes)
        sums = [np.bincount(labels, weights=row, minlength=classes) for row in values]
        table = tuple(tuple(float(s / n) if n else None for s, n in zip(row, counts, strict=True)) for row in sums)
    return Entropy(
        temperatures=tuple(temperatures),
        mean=tuple(mean.tolist()),
        standard_deviation=tuple(values.std(axis=1, dtype=np.float64).tolist()),
        uniform=float(np.log(classes)),
        equivalent_alpha=tuple(alpha_of(h, classes) for h in mean.tolist()),
        smoothing_alpha=ALPHAS,
        smoothing_entropy=tuple(smoothing_entropy(a, classes) for a in ALPHAS),
        examples=len(logits),
        class_names=names,
        per_class=table,
    )


def smoothing_entropy(alpha: float, classes: int) -> float:
    """Entropy in nats of a uniformly smoothed label: 1-α+α/C on the true class, α/C on each other."""
    p = np.array([1 - alpha + alpha / classes] + [alpha / classes] * (classes - 1))
    kept = p[p > 0]
    return float(abs(-(kept * np.log(kept)).sum()))


def alpha_of(entropy: float, classes: int) -> float:
    """The α of uniform label smoothing whose labels have that entropy in nats; found by bisection, as H(α) rises."""
    from scipy.optimize import brentq

    if entropy <= 0:
        return 0.0
    if entropy >= np.log(classes) - 1e-9:
        return 1.0
    return float(brentq(lambda a: smoothing_entropy(a, classes) - entropy, 0.0, 1.0, xtol=1e-9))

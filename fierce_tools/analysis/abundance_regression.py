"""How well a classifier of mixed pixels knows the mixture: by its probabilities, and by what its features hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._adam import fit
from fierce_tools.analysis._features import (
    all_the_same,
    check_features,
    check_seed,
    floating,
    moments,
    standardize,
)
from fierce_tools.analysis._soft import check_logits, probabilities
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Report, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2

RAW, PAPER, CONDITIONED, MEAN = "own probabilities", "paper's regressor", "well-conditioned", "mean of training"
PAPERS_RATE, CONDITIONED_RATE = 0.1, 0.01
SAME = (
    "All feature vectors of this split, or of training, are the same up to rounding: a regressor gives every example "
    "the same mixture."
)
# Abundances may be rounded, and no more.
MOST_OFF = 0.01


@dataclass(frozen=True)
class Fit:
    """Mean over examples of Σ_k (z_k - p_k)² of one estimate, on the split and on training; `by_class` its parts.

    Of a regressor the mean over its starts, with their standard deviation.
    """

    kind: str
    name: str
    squared_error: float
    deviation: float | None
    on_training: float | None
    by_class: tuple[float, ...]


@dataclass(frozen=True)
class AbundanceRegression:
    """A Fit of the model's own probabilities (raw), of each regressor on its features (transfer), and of the mean.

    `constant`: every feature vector of the split, or of training, is the same, and a regressor knows one mixture.
    """

    raw: Fit
    transfer_paper: Fit
    transfer: Fit
    mean: Fit
    class_names: tuple[str, ...]
    steps: int
    starts: int
    examples: int
    constant: bool = False

    def report(self) -> Report:
        """A row for each estimate, and the same by endmember."""
        fits = (self.raw, self.transfer_paper, self.transfer, self.mean)
        rows = tuple((f.kind, f.name, f.squared_error, f.deviation, f.on_training) for f in fits)
        by_class = tuple(zip(self.class_names, *(f.by_class for f in fits), strict=True))
        heads = ("", "estimate", "squared error", "± (sd of starts)", "on training")
        notes = (
            "Squared error: Σ (abundance - estimate)² of an example, mean over examples.",
            f"Transfer: softmax(Wf + b) fitted by it to training's abundances, {self.steps} full steps of Adam from "
            f"{self.starts} starts.",
            f"Paper's regressor: features as they are, rate {PAPERS_RATE:g}; well-conditioned: standardised, "
            f"rate {CONDITIONED_RATE:g}.",
            "Where the two differ, the regressor is at fault and not the features: compare runs by both.",
            *((SAME,) if self.constant else ()),
        )
        blocks = (
            Table("Squared error of the abundances", heads, rows),
            Table("Squared error by endmember", ("endmember", *(f.name for f in fits)), by_class),
        )
        return Report("Abundances from a classifier", blocks, notes)


def abundance_regression(
    logits: np.ndarray,
    targets: np.ndarray,
    features: np.ndarray,
    train_features: np.ndarray,
    train_targets: np.ndarray,
    class_names: tuple[str, ...] | None = None,
    *,
    steps: Annotated[int, "steps of each regressor over all training examples, 1 or more"] = 400,
    starts: Annotated[int, "initial weights that each regressor is fitted from, 1 or more"] = 5,
    seed: Annotated[int, "seed of the initial weights"] = 0,
) -> AbundanceRegression:
    """Squared error of abundances: of the model's own probabilities, and of a regressor on its frozen features.

    Raw: mean over examples of Σ_k (z_k - softmax_k)² with the abundances z as targets [N, C], fractions, and logits
    [N, C]; 0 to 2. Transfer: the same of softmax(Wf + b), fitted to train_targets [M, C] on train_features [M, D] by
    that error with Adam, all examples in each step, twice: as the paper does (raw features, rate .1) and
    well-conditioned (features standardised on training, rate .01). Raises UsageError for no steps or starts, DataError
    for targets that are not proportions of the model's classes, or arrays not finite or that do not fit.
    Source: Baena, Drumetz, Gripon 2023.
    """
    for name, value in (("steps", steps), ("starts", starts)):
        if value < 1:
            raise UsageError(f"--{name} is {value}, expected 1 or more", f"leave --{name} out")
    check_seed(seed)
    check_logits(logits)
    check_features("train_features", train_features)
    check_features("features", features, like=("train_features", train_features), rows=len(logits))
    truth = _proportions("targets", targets, len(logits), logits.shape[1])
    train_truth = _proportions("train_targets", train_targets, len(train_features), logits.shape[1])

    def fitted(name: str, rate: float, train_x: np.ndarray, x: np.ndarray) -> Fit:
        model = fit(train_x, train_truth, learning_rate=rate, steps=steps, starts=starts, seed=seed)
        return _fit("transfer", name, model.predict(x), truth, model.predict(train_x), train_truth)

    mean, deviation = moments(train_features)
    overall = train_truth.mean(axis=0)
    return AbundanceRegression(
        raw=_fit("raw", RAW, probabilities(logits)[:, None], truth),
        transfer_paper=fitted(PAPER, PAPERS_RATE, floating(train_features), floating(features)),
        transfer=fitted(
            CONDITIONED,
            CONDITIONED_RATE,
            standardize(train_features, mean, deviation),
            standardize(features, mean, deviation),
        ),
        mean=_fit("baseline", MEAN, overall[None, None], truth, overall[None, None], train_truth),
        class_names=class_names or tuple(map(str, range(logits.shape[1]))),
        steps=steps,
        starts=starts,
        examples=len(logits),
        constant=all_the_same(features) or all_the_same(train_features),
    )


def _fit(
    kind: str,
    name: str,
    guess: np.ndarray,
    truth: np.ndarray,
    train_guess: np.ndarray | None = None,
    train_truth: np.ndarray | None = None,
) -> Fit:
    """A Fit of estimates [N, S, C] from S starts against the truth [N, C]."""
    by_start = np.square(guess - truth[:, None]).mean(axis=0, dtype=np.float64)
    totals, on_training = by_start.sum(axis=1), None
    if train_guess is not None and train_truth is not None:
        on_training = float(np.square(train_guess - train_truth[:, None]).sum(axis=2).mean(dtype=np.float64))
    return Fit(
        kind=kind,
        name=name,
        squared_error=float(totals.mean()),
        deviation=float(totals.std(ddof=1)) if len(totals) > 1 else None,
        on_training=on_training,
        by_class=tuple(by_start.mean(axis=0).tolist()),
    )


def _proportions(name: str, targets: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """Targets as float64 [rows, classes], once they are found to be proportions. Raises DataError, saying where."""
    if targets.shape != (rows, classes) or targets.dtype.kind not in "fiu":
        raise DataError(
            f"{name} is {targets.dtype} {list(targets.shape)}, expected abundances [{rows}, {classes}], "
            "one for each class of the model",
            "for one number an example, ask coarse-regression",
        )
    z = targets.astype(np.float64)
    total = z.sum(axis=1)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(total) & (z.min(axis=1) >= -MOST_OFF) & (np.abs(total - 1) <= MOST_OFF)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise DataError(
            f"{name}[{row}] is {np.round(z[row][:6], 4).tolist()}, expected proportions of 0 or more that sum to 1"
        )
    return z

"""How finely a model trained on coarse labels orders the examples, by one-dimensional optimal transport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from fierce_tools.analysis._choice import check_choice, cut, insisted, left_out, listed
from fierce_tools.analysis._features import all_the_same, check_features, check_labels, check_seed, check_values
from fierce_tools.analysis._intervals import bootstrap_mean
from fierce_tools.analysis._metrics import accuracy
from fierce_tools.analysis._soft import check_logits
from fierce_tools.analysis._transport import along, first_direction, transport_map, transported
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Report, Scalars, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 3

RANKS, MEANS, MIXED, MEAN = "rank matching", "class means", "interpolation", "one mean for all"
ONE = "the only one"
FITTED = "Class means are training's, by the predicted class; the weight is {}."


@dataclass(frozen=True)
class Estimate:
    """Mean squared error of one estimate in squared units of the target, with both ends of its 95 % interval."""

    name: str
    mse: float
    low: float | None
    high: float | None

    @property
    def rmse(self) -> float:
        """Its root, in units of the target."""
        return float(np.sqrt(self.mse))


@dataclass(frozen=True)
class CoarseRegression:
    """Estimates of the fine target: by rank matching, and, where there are labels and validation, with class means.

    `direction` is 1 where the feature rises with the target and -1 where it falls, `weight` the share of rank matching
    in the interpolation (of several folds their mean), `tied` the share of examples whose feature is another's too.
    `matched` says whose targets were dealt out, `coarse_accuracy` is the model's own on its labels. `constant`: all
    feature vectors of the split, or of training, are the same, so that rank matching is arbitrary.
    """

    estimates: tuple[Estimate, ...]
    direction: int
    feature: str
    matched: str
    weight: float | None
    tied: float
    coarse_accuracy: float | None
    bootstrap: int
    examples: int
    notes: tuple[str, ...] = ()
    constant: bool = False

    def report(self) -> Report:
        """A row for each estimate, and what was chosen where."""
        rows = tuple((e.name, e.mse, e.low, e.high, e.rmse) for e in self.estimates)
        values = {
            "direction": "rising" if self.direction > 0 else "falling",
            "feature": self.feature,
            "targets of": self.matched,
            "weight of ranks": self.weight,
            "tied features": self.tied,
            "coarse accuracy": self.coarse_accuracy,
        }
        notes = [
            "Rank matching deals the targets out in the features' order, whose direction is training's better one."
        ]
        if self.feature != ONE:
            notes.append("PC 1: the features along their first principal component on training.")
        notes += self.notes
        if self.constant:
            notes.append(
                "All feature vectors of this split, or of training, are the same up to rounding: rank matching is "
                "arbitrary."
            )
        if self.bootstrap:
            notes.append(f"95 % intervals: bootstrap-t, {self.bootstrap} draws of examples, their estimates kept.")
        blocks = (
            Table("Error of the fine target", ("estimate", "MSE", "95 % from", "95 % to", "RMSE"), rows),
            Scalars("How the estimates were made", {k: v for k, v in values.items() if v is not None}),
        )
        return Report("Coarse labels, fine target", blocks, tuple(notes))


def coarse_regression(
    features: np.ndarray,
    targets: np.ndarray,
    train_features: np.ndarray,
    train_targets: np.ndarray,
    val_features: np.ndarray | None = None,
    val_targets: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    train_labels: np.ndarray | None = None,
    logits: np.ndarray | None = None,
    val_logits: np.ndarray | None = None,
    *,
    matching: Annotated[
        Literal["split", "train"], "deal out the split's own targets, as the paper does, or use training's map"
    ] = "split",
    bootstrap: Annotated[int, "bootstrap draws for the intervals; 0: none"] = 1000,
    seed: Annotated[int, "seed of the bootstrap, of the order of equal features and of the folds"] = 0,
    cross_fit: Annotated[
        int | None, "fit the interpolation's weight in so many folds of the split itself, instead of on validation"
    ] = None,
    fit_on: Annotated[
        Literal["val"] | None, "fit that weight on validation although the weights may have seen its examples"
    ] = None,
    seen: bool = False,
) -> CoarseRegression:
    """Error of the fine target where the k-th smallest feature gets the k-th smallest target.

    That is the optimal transport in one dimension from the features [N, 1] to the targets [N]; of wider features the
    first principal component of training's. Its direction is the one with the smaller error on training. Matching
    `split` deals out the split's own targets, which it must know as a set (the paper's estimate); `train` applies the
    map that deals out training's, which knows none. Equal features are ordered by the seed, not by the file. With
    logits, train_labels and a validation split: the training mean of the predicted class, and w·rank + (1 - w)·class
    mean with the w in [0, 1] of least validation error; with `cross_fit` K each of K random folds of the split gets the
    w of the other folds. Where the weights may have `seen` validation and `fit_on` does not insist, that estimate is
    left out and a note says so. RMSE in the same unit as the target; the interval of the MSE is a bootstrap-t. Raises
    UsageError for options out of range, DataError for arrays not finite, that do not fit, or that `fit_on` needs.
    Source: Baena, Drumetz, Gripon 2023.
    """
    if bootstrap < 0:
        raise UsageError(f"--bootstrap is {bootstrap}, expected 0 or more", "for example --bootstrap 1000")
    check_choice(cross_fit, fit_on, len(features))
    check_seed(seed)
    check_features("train_features", train_features)
    check_features("features", features, like=("train_features", train_features))
    truth = check_values("targets", targets, len(features))
    train_truth = check_values("train_targets", train_targets, len(train_features))
    wide = features.shape[1] > 1
    component = first_direction(train_features) if wide else np.ones(1)
    train_line, line = along(train_features, component), along(features, component)
    rng = np.random.default_rng(seed)
    rising, falling = (transported(sign * train_line, train_truth, rng) for sign in (1, -1))
    better = np.square(rising - train_truth).mean() <= np.square(falling - train_truth).mean()
    direction = 1 if better else -1

    def ranked(values: np.ndarray, own: np.ndarray) -> np.ndarray:
        if matching == "split":
            return transported(direction * values, own, rng)
        return transport_map(direction * train_line, train_truth, direction * values)

    estimates = {RANKS: ranked(line, truth)}
    weight: float | None = None
    notes: list[str] = []
    if logits is not None:
        _check_rows("logits", logits, labels, len(features))
    unknown = [name for name, array in (("logits", logits), ("train_labels", train_labels)) if array is None]
    if unknown and (cross_fit is not None or fit_on is not None):
        raise DataError(
            f"the interpolation with class means needs {listed(unknown)}, and there are none",
            "leave --cross-fit and --fit-on out",
        )
    if logits is not None and train_labels is not None:
        means = _class_means(train_labels, train_truth, logits.shape[1])
        estimates[MEANS] = by_class = means[logits.argmax(axis=1)]
        val = {"val_features": val_features, "val_targets": val_targets, "val_logits": val_logits}
        missing = [name for name, array in val.items() if array is None]
        share: np.ndarray | float | None = None
        if cross_fit is not None:
            share = _by_folds(estimates[RANKS], by_class, truth, cut(len(truth), cross_fit, seed))
            notes.append(FITTED.format(f"fitted in {cross_fit} folds of this split, each by the others"))
        elif fit_on is None and (seen or missing):
            notes.append(left_out("the interpolation with class means", missing, seen=seen))
        elif val_features is None or val_targets is None or val_logits is None:
            raise DataError(
                f"the interpolation is fitted on validation examples, and there are no {listed(missing)}",
                "fit it on the evaluated split with --cross-fit 5, or bring validation examples",
            )
        else:
            check_features("val_features", val_features, like=("train_features", train_features))
            _check_rows("val_logits", val_logits, None, len(val_features))
            val_truth = check_values("val_targets", val_targets, len(val_features))
            val_ranked = ranked(along(val_features, component), val_truth)
            share = best_weight(val_ranked, means[val_logits.argmax(axis=1)], val_truth)
            notes += [FITTED.format("validation's best"), *([insisted("It was")] if seen else [])]
        if share is not None:
            weight = float(np.mean(share))
            estimates[MIXED] = share * estimates[RANKS] + (1 - share) * by_class
    estimates[MEAN] = np.full(len(truth), train_truth.mean())
    squares = np.stack([np.square(estimate - truth) for estimate in estimates.values()], axis=1)
    ends = bootstrap_mean(squares, bootstrap, seed)
    low, high = ([None] * len(estimates),) * 2 if ends is None else (np.maximum(ends[0], 0).tolist(), ends[1].tolist())
    _, which, often = np.unique(line, return_inverse=True, return_counts=True)
    return CoarseRegression(
        estimates=tuple(
            Estimate(*row) for row in zip(estimates, squares.mean(axis=0).tolist(), low, high, strict=True)
        ),
        direction=direction,
        feature=f"PC 1 of {features.shape[1]}" if wide else ONE,
        matched="this split" if matching == "split" else "training",
        weight=weight,
        tied=float((often[which] > 1).mean()),
        coarse_accuracy=accuracy(logits, labels) if logits is not None and labels is not None else None,
        bootstrap=bootstrap,
        examples=len(truth),
        notes=tuple(notes),
        constant=all_the_same(features) or all_the_same(train_features),
    )


def best_weight(first: np.ndarray, second: np.ndarray, truth: np.ndarray) -> float:
    """The w in [0, 1] with the least mean squared error of w·first + (1 - w)·second, all [N]; 0 where they agree."""
    apart = first - second
    size = float(apart @ apart)
    return float(np.clip(apart @ (truth - second) / size, 0, 1)) if size > 0 else 0.0


def _by_folds(first: np.ndarray, second: np.ndarray, truth: np.ndarray, folds: Sequence[np.ndarray]) -> np.ndarray:
    """For each example [N] the best weight of the other folds' examples."""
    found = np.empty(len(truth))
    for fold in folds:
        found[fold] = best_weight(*(np.delete(array, fold) for array in (first, second, truth)))
    return found


def _class_means(labels: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Mean target [C] of each class; of all where a class has no examples."""
    check_labels("train_labels", labels, len(targets), classes)
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=targets, minlength=classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), targets.mean())


def _check_rows(name: str, logits: np.ndarray, labels: np.ndarray | None, rows: int) -> None:
    check_logits(logits, labels)
    if len(logits) != rows:
        raise DataError(f"{name} has {len(logits)} rows, expected {rows}, one for each example")

"""What a linear classifier reads from frozen features, k nearest neighbours beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from fierce_tools.analysis._choice import SEEN, by_folds, check_choice, commonest, cut, listed
from fierce_tools.analysis._features import (
    all_the_same,
    check_features,
    check_labels,
    check_seed,
    moments,
    same_note,
    standardize,
)
from fierce_tools.analysis._intervals import wilson
from fierce_tools.analysis._logistic import Logistic, drawn, logistic_path
from fierce_tools.analysis._neighbors import nearest_classes
from fierce_tools.errors import DataError, SeenValidation, UsageError
from fierce_tools.report import Block, Cell, Report, Scalars, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2

# Standardised features [N, D] with their labels or targets [N].
Examples = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class LinearProbe:
    """Accuracies as fractions: of the probe and of k-NN on the split asked for.

    `interval` is the probe's 95 % interval (Wilson's), `commonest` the accuracy of always saying training's commonest
    class. `by_strength` holds C, training and validation accuracy, `by_neighbors` k and validation accuracy (None where
    validation was not used), `by_class` the class, its examples, and the probe's and k-NN's accuracy on them. `choice`
    says how `strength` and `neighbors` came about; of several folds they are the commonest. `constant`,
    `train_constant`: every feature vector of that split is the same, and nothing can be read from it.
    """

    on: str
    accuracy: float
    interval: tuple[float, float]
    strength: float
    converged: bool
    neighbors_accuracy: float | None
    neighbors: int | None
    commonest: float
    classes: int
    examples: int
    train_examples: int
    train_examples_given: int
    by_strength: tuple[tuple[float, float, float | None], ...]
    by_neighbors: tuple[tuple[int, float | None], ...] = ()
    by_class: tuple[tuple[str, int, float, float | None], ...] = ()
    choice: str = "chosen on validation"
    constant: bool = False
    train_constant: bool = False

    def report(self) -> Report:
        """The accuracies, and how the strength and k were chosen."""
        values: dict[str, Cell] = {"probe": self.accuracy, "95 % from": self.interval[0], "95 % to": self.interval[1]}
        values |= {"k-NN": self.neighbors_accuracy} if self.by_neighbors else {}
        values |= {"commonest class": self.commonest, "C": self.strength}
        values |= {"k": self.neighbors} if self.by_neighbors else {}
        values |= {"classes": self.classes, "fitted on": self.train_examples}
        heads = ("C (small is strong)", "training accuracy", "validation accuracy")
        blocks: list[Block] = [
            Scalars(f"Linear probe, accuracy on {self.on}", values, {"fitted on": "examples"}),
            Table("Probe on training and validation", heads, self.by_strength),
        ]
        if any(score is not None for _, score in self.by_neighbors):
            blocks.append(Table("k-NN on validation", ("k", "validation accuracy"), self.by_neighbors))
        if self.by_class:
            blocks.append(Table("Accuracy of each class", ("class", "examples", "probe", "k-NN"), self.by_class))
        return Report("Linear probe of frozen features", tuple(blocks), tuple(self._notes()))

    def _notes(self) -> list[str]:
        notes = [f"Accuracies are fractions. Features are standardised on training; C and k are {self.choice}."]
        if self.train_constant:
            so = "the probe names the commonest class, and which neighbours are nearest is their order in the data"
            notes.append(same_note(self.train_examples, so, "feature vectors of training"))
        elif self.constant:
            notes.append(same_note(self.examples, "every example gets the same class"))
        if self.train_examples < self.train_examples_given:
            notes.append(
                f"Fitted on {self.train_examples} of {self.train_examples_given} training examples, drawn by the seed: "
                "--examples says how many."
            )
        tried = list(dict.fromkeys(row[0] for row in self.by_strength))
        if len(tried) > 1 and self.strength in (tried[0], tried[-1]):
            notes.append("The best C lies at an end of the grid: a wider --strengths may do better.")
        if not self.converged:
            notes.append("The probe stopped before it converged: stronger regularisation or fewer examples help.")
        return notes


def linear_probe(
    features: np.ndarray,
    labels: np.ndarray,
    train_features: np.ndarray,
    train_labels: np.ndarray,
    val_features: np.ndarray | None = None,
    val_labels: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    train_targets: np.ndarray | None = None,
    val_targets: np.ndarray | None = None,
    class_names: tuple[str, ...] | None = None,
    *,
    on: Annotated[Literal["labels", "targets"], "what is read: the labels, or fine labels kept as targets"] = "labels",
    strengths: Annotated[tuple[float, ...], "C of the logistic regression, above 0; small is strong"] = (
        0.0001, 0.001, 0.01, 0.1, 1, 10,
    ),
    neighbors: Annotated[tuple[int, ...], "k of the nearest neighbours; 0: none"] = (1, 5, 10, 20, 50),
    examples: Annotated[
        int | None, "training examples to fit on; none: all, or 4096 where features are wider than 4096"
    ] = None,
    per_class: Annotated[bool, "also for each class"] = False,
    seed: Annotated[int, "seed of the draw of training examples, and of the folds"] = 0,
    cross_fit: Annotated[
        int | None, "choose C and k in so many folds of the split itself, instead of on validation"
    ] = None,
    fit_on: Annotated[
        Literal["val"] | None, "choose C and k on validation although the weights may have seen its examples"
    ] = None,
    seen: bool = False,
) -> LinearProbe:  # fmt: skip
    """Accuracy, a fraction, of logistic regression on frozen features, with k nearest neighbours beside it.

    Minimises ½‖W‖² + C·Σ CE(softmax(Wx + b), y) over features x [N, D] standardised by training. C is the one with
    the highest validation accuracy, the smaller of equals; so is k (Euclidean distance, ties to the lower class).
    With `cross_fit` K each of K random folds of the split gets the C and k of the other folds. One C and one k need no
    choice, and no validation. Targets are whole numbers [N], such as the fine labels of a model trained on coarse ones;
    a class that training lacks is always missed. Memory: a standardised copy of the features and, up to 4,096 wide, a
    D×D matrix. Raises UsageError for a C not above 0, a k, seed or number of examples out of range, or a choice on
    validation that the weights may have `seen` where `fit_on` does not insist; DataError for arrays that are absent,
    not finite or do not fit. Source: Alain, Bengio 2016.
    """
    _check_options(strengths, neighbors, examples, seed)
    check_choice(cross_fit, fit_on, len(features))
    if on == "targets" and (targets is None or train_targets is None):
        raise DataError("--on targets needs targets of every split", "bring them with the data, or say --on labels")
    known = len(class_names) if class_names is not None and on == "labels" else None
    truth, train_truth = (
        _checked(prefix, on, x, y, train_features, known)
        for prefix, x, y in (
            ("", features, targets if on == "targets" else labels),
            ("train_", train_features, train_targets if on == "targets" else train_labels),
        )
    )
    val_truth = val_targets if on == "targets" else val_labels
    missing = [n for n, a in (("val_features", val_features), (f"val_{on}", val_truth)) if a is None]
    settings = max(len(set(strengths)), len({k for k in neighbors if k > 0}))
    choice = _choice(settings, missing, cross_fit, fit_on, seen=seen)
    kept = drawn(len(train_features), train_features.shape[1], examples, seed)
    kinds, y = np.unique(train_truth[kept], return_inverse=True)
    if len(kinds) < 2:
        raise DataError(f"train_{on}: the {len(y)} examples to fit on are of one class", "a probe needs two")
    mean, deviation = moments(train_features[kept])
    x, test_x = (standardize(f, mean, deviation) for f in (train_features[kept], features))
    nothing = all_the_same(train_features[kept])
    if nothing:
        x[:] = 0  # what differs is rounding
    val: Examples | None = None
    if val_features is not None and not missing and cross_fit is None and (fit_on is not None or not seen):
        judge = _checked("val_", on, val_features, val_truth, train_features, known)
        val = standardize(val_features, mean, deviation), judge
    folds = [] if cross_fit is None else cut(len(features), cross_fit, seed)
    path = logistic_path(x, y, len(kinds), strengths)
    right, strength, converged, by_strength = _probe(path, x, y, kinds, (test_x, truth), val, folds)
    tried = sorted({k for k in neighbors if k > 0 and k <= len(x)})
    near, nearest, by_neighbors = _near(x, y, kinds, (test_x, truth), val, folds, tried)
    low, high = wilson(right.sum(), len(right))
    return LinearProbe(
        on=on,
        accuracy=float(right.mean()),
        interval=(float(low), float(high)),
        strength=strength,
        converged=converged,
        neighbors_accuracy=None if near is None else float(near.mean()),
        neighbors=nearest,
        commonest=float((truth == kinds[np.bincount(y).argmax()]).mean()),
        classes=len(kinds),
        examples=len(truth),
        train_examples=len(x),
        train_examples_given=len(train_features),
        by_strength=by_strength,
        by_neighbors=by_neighbors,
        by_class=_by_class(truth, right, near, class_names if on == "labels" else None) if per_class else (),
        choice=choice,
        constant=all_the_same(features),
        train_constant=nothing,
    )


def _choice(settings: int, missing: Sequence[str], cross_fit: int | None, fit_on: str | None, *, seen: bool) -> str:
    """How C and k come about. Raises SeenValidation where the weights may have seen what they would be chosen on."""
    if cross_fit is not None:
        return f"chosen in {cross_fit} folds of this split, each by the others; those shown are the commonest"
    if settings > 1 and seen and fit_on is None:
        raise SeenValidation(
            f"C and k are chosen on validation, and {SEEN}",
            "--cross-fit 5 chooses on this split, --fit-on val on validation anyway; "
            "--strengths 1 --neighbors 5 leaves nothing to choose",
        )
    if missing and (settings > 1 or fit_on is not None):
        raise DataError(
            f"C and k are chosen on validation examples, and there are no {listed(missing)}",
            "--cross-fit 5 chooses on this split; --strengths 1 --neighbors 5 leaves nothing to choose",
        )
    if settings <= 1:
        return "given, not chosen"
    return "chosen on validation" + (" examples that the weights may have seen (--fit-on val)" if seen else "")


def _probe(
    path: Iterable[Logistic], x: np.ndarray, y: np.ndarray, kinds: np.ndarray, test: Examples, val: Examples | None,
    folds: Sequence[np.ndarray],
) -> tuple[np.ndarray, float, bool, tuple[tuple[float, float, float | None], ...]]:  # fmt: skip
    """Which examples [N] of test the probe gets right, with which C, whether it converged, and each C's accuracies."""
    rows: list[tuple[float, float, float | None]] = []
    hits, converged = [], []
    best: tuple[float | None, Logistic] | None = None
    for fitted in path:
        score = None if val is None else float((kinds[fitted.predict(val[0])] == val[1]).mean())
        rows.append((float(fitted.strength), float((fitted.predict(x) == y).mean()), score))
        if folds:
            hits.append(kinds[fitted.predict(test[0])] == test[1])
            converged.append(fitted.converged)
        elif best is None or (score is not None and best[0] is not None and score > best[0]):
            best = score, fitted
    if best is not None:
        return kinds[best[1].predict(test[0])] == test[1], float(best[1].strength), best[1].converged, tuple(rows)
    right, chosen = by_folds(np.stack(hits), folds)
    return right, rows[commonest(chosen)][0], all(converged[c] for c in chosen), tuple(rows)


def _near(
    x: np.ndarray, y: np.ndarray, kinds: np.ndarray, test: Examples, val: Examples | None,
    folds: Sequence[np.ndarray], tried: Sequence[int],
) -> tuple[np.ndarray | None, int | None, tuple[tuple[int, float | None], ...]]:  # fmt: skip
    """Which examples [N] of test the nearest neighbours get right, with which k, and each k's validation accuracy."""

    def right(of: Examples, ks: Sequence[int]) -> np.ndarray:
        guesses = nearest_classes(x, y, of[0], ks)
        return np.stack([kinds[guesses[k]] == of[1] for k in ks])

    if not tried:
        return None, None, ()
    if folds:
        near, chosen = by_folds(right(test, tried), folds)
        return near, tried[commonest(chosen)], tuple((k, None) for k in tried)
    if val is None:
        return right(test, tried)[0], tried[0], ((tried[0], None),)
    scores = right(val, tried).mean(axis=1)
    nearest = tried[int(scores.argmax())]
    return right(test, (nearest,))[0], nearest, tuple(zip(tried, scores.tolist(), strict=True))


def _check_options(strengths: Sequence[float], neighbors: Sequence[int], examples: int | None, seed: int) -> None:
    bad = [c for c in strengths if not (c > 0 and np.isfinite(c))]
    if bad or not len(strengths):
        raise UsageError(
            f"--strengths holds {bad[0] if bad else 'nothing'}, expected numbers above 0", "such as 0.01,1"
        )
    if any(k < 0 for k in neighbors):
        raise UsageError(f"--neighbors holds {min(neighbors)}, expected 0 or more", "for example --neighbors 1,5,20")
    if examples is not None and examples < 2:
        raise UsageError(f"--examples is {examples}, expected 2 or more", "for example --examples 10000")
    check_seed(seed)


def _checked(
    prefix: str, on: str, features: np.ndarray, truth: np.ndarray | None, train: np.ndarray, classes: int | None
) -> np.ndarray:
    """The labels or targets of one split, once they and its features are found to fit."""
    check_features(f"{prefix}features", features, like=("train_features", train) if prefix != "train_" else None)
    assert truth is not None
    check_labels(f"{prefix}{on}", truth, len(features), classes)
    return truth


def _by_class(
    truth: np.ndarray, right: np.ndarray, near: np.ndarray | None, names: tuple[str, ...] | None
) -> tuple[tuple[str, int, float, float | None], ...]:
    kinds, which, counts = np.unique(truth, return_inverse=True, return_counts=True)
    probe = np.bincount(which, weights=right) / counts
    nearest = np.bincount(which, weights=near) / counts if near is not None else [None] * len(kinds)
    return tuple(
        (names[k] if names is not None else str(k), int(n), float(p), None if q is None else float(q))
        for k, n, p, q in zip(kinds.tolist(), counts, probe, nearest, strict=True)
    )

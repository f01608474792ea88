"""Temperature scaling, the figures before and after it, and how far they would vary with other examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from fierce_tools.analysis._metrics import (
    bin_means,
    brier,
    classwise_gaps,
    debiased_square,
    ece,
    equal_mass,
    equal_width,
    finite_mean,
    mce,
    nll,
    per_example,
    risks,
    wilson,
)

# Where a temperature is looked for: wide enough that an optimum at an end means there is none.
COLDEST, HOTTEST = 0.05, 50.0
# Validation that is so many times easier than the evaluated examples may be what the weights were trained on.
EASIER = 1.5
# Resamples multiplied at a time: enough for a matrix product, few enough to hold.
AT_ONCE = 32


@dataclass(frozen=True)
class Figures:
    """Accuracy and calibration errors as fractions; NLL in nats; Brier score 0 to 2 (summed over classes).

    The NLL is of the examples whose label has a probability above 0, as it is infinite for the others.
    `rms` is the root mean squared calibration error over equal-mass bins, `rms_debiased` the same less the bias of few
    examples (0 where nothing is left).
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    ece_equal_mass: float
    ece_classwise: float
    mce: float
    rms: float
    rms_debiased: float
    aurc: float


@dataclass(frozen=True)
class Bins:
    """A reliability diagram: the bins of confidence that hold examples, by number, with how many, their mean confidence
    and the share correct (with its 95 % Wilson interval).
    """

    bin: tuple[int, ...]
    examples: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Judged:
    """What one temperature says of each example [N], and the classwise gaps [C, M] of all of them."""

    confidence: np.ndarray
    correct: np.ndarray
    loss: np.ndarray
    squared: np.ndarray
    gaps: np.ndarray

    def figures(self, bins: int) -> Figures:
        """The figures, with that many bins."""
        square, unbiased = debiased_square(self.confidence, self.correct, bins=bins)
        return Figures(
            accuracy=float(self.correct.mean()),
            nll=finite_mean(self.loss),
            brier=float(self.squared.mean()),
            ece=ece(self.confidence, self.correct, bins=bins),
            ece_equal_mass=ece(self.confidence, self.correct, bins=bins, which=equal_mass(self.confidence, bins)),
            ece_classwise=float(np.abs(self.gaps).sum() / len(self.gaps) / len(self.correct)),
            mce=mce(self.confidence, self.correct, bins=bins),
            rms=float(np.sqrt(square)),
            rms_debiased=float(np.sqrt(max(unbiased, 0))),
            aurc=float(risks(self.confidence, self.correct).mean()),
        )

    def reliability(self, bins: int) -> Bins:
        """Confidence against accuracy in equal-width bins."""
        counts, said, right = bin_means(equal_width(self.confidence, bins), self.confidence, self.correct, bins)
        there = np.flatnonzero(counts)
        columns = (counts, said, right, *wilson(right, counts))
        return Bins(tuple(there.tolist()), *(tuple(column[there].tolist()) for column in columns))


def judge(logits: np.ndarray, labels: np.ndarray, temperature: float, bins: int) -> Judged:
    """Everything of softmax(z/T) that the figures need."""
    found = per_example(logits, labels, (temperature,))
    return Judged(
        found.confidence[0],
        found.correct,
        found.loss[0],
        brier(logits, labels, temperature),
        classwise_gaps(logits, labels, temperature, bins=bins),
    )


def judge_folds(
    logits: np.ndarray, labels: np.ndarray, folds: Sequence[np.ndarray], temperatures: Sequence[float], bins: int
) -> Judged:
    """`judge` with its own temperature for each fold of rows."""
    if len(folds) == 1:
        return judge(logits, labels, temperatures[0], bins)
    parts = [judge(logits[rows], labels[rows], t, bins) for rows, t in zip(folds, temperatures, strict=True)]
    back = np.argsort(np.concatenate(folds))
    rows = {f.name: np.concatenate([getattr(p, f.name) for p in parts])[back] for f in fields(Judged)[:4]}
    return Judged(**rows, gaps=np.sum([p.gaps for p in parts], axis=0))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """The temperature with the least NLL on these examples, and the NLL at 1 and there, in nats.

    Looked for over log T, in which the NLL has one valley; never worse than T = 1. Where the NLL falls all the way to
    an end of the range, it is that end. Labels of probability 0 keep it at every temperature and count nothing; without
    any other the NLL is NaN and the temperature 1. Source: Guo et al. 2017.
    """
    from scipy.optimize import minimize_scalar

    kept = np.isfinite(per_example(logits, labels).loss[0])
    if not kept.any():
        return 1.0, float("nan"), float("nan")
    if not kept.all():
        logits, labels = logits[kept], labels[kept]
    found = minimize_scalar(
        lambda log_t: nll(logits, labels, float(np.exp(log_t))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    plain = nll(logits, labels)
    ends = [(nll(logits, labels, t), t) for t in (COLDEST, HOTTEST)]
    # The first of equals wins, so that a flat valley has one answer.
    least, temperature = min(
        [(plain, 1.0), *ends, (float(found.fun), float(np.exp(found.x)))], key=lambda pair: pair[0]
    )
    return temperature, plain, least


def doubts(before: Judged, after: Judged, validation: float) -> list[str]:
    """A line where the temperature fitted on validation, of that NLL at 1, does not serve the evaluated examples."""
    plain, scaled = (finite_mean(side.loss) for side in (before, after))
    worse = scaled > plain and f"{scaled:.4g}" != f"{plain:.4g}"
    ask = "are validation examples ones it was trained on, or too"
    if worse:
        why = f"T* fitted on validation makes the NLL of this split worse ({plain:.4g} → {scaled:.4g}): "
        why += f"{ask} few? " if plain > validation else ""
    elif plain > EASIER * validation:
        found = f"({plain:.4g}, {validation:.4g})"
        why = f"The NLL of this split is above {EASIER:g} times that of validation {found}: {ask} easy? "
    else:
        return []
    return [f"{why}--cross-fit 5 fits T* on this split."]


def intervals(
    judged: Sequence[Judged], *, bins: int, resamples: int, seed: int
) -> list[dict[str, tuple[float, float]]]:
    """95 % percentile intervals of accuracy, NLL, Brier score and ECE of each, over the same resamples of the examples.

    Every one of them is made of weighted sums over examples, so a resample is a row of weights.
    """
    examples = len(judged[0].correct)
    columns = []
    for one in judged:
        gap = np.zeros((examples, bins))
        gap[np.arange(examples), equal_width(one.confidence, bins)] = one.confidence - one.correct
        finite = np.isfinite(one.loss)
        columns.append(np.column_stack([one.correct, np.where(finite, one.loss, 0), one.squared, finite, gap]))
    table = np.hstack(columns).astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, table.shape[1]))
    for start in range(0, resamples, AT_ONCE):
        count = min(AT_ONCE, resamples - start)
        weights = [np.bincount(rng.integers(examples, size=examples), minlength=examples) for _ in range(count)]
        drawn[start : start + count] = np.array(weights, dtype=np.float64) @ table / examples
    found = []
    for start in range(0, table.shape[1], 4 + bins):
        correct, loss, squared, finite, *gaps = drawn[:, start : start + 4 + bins].T
        loss = np.divide(loss, finite, out=np.full_like(loss, np.nan), where=finite > 0)
        each = np.column_stack([correct, loss, squared, np.abs(gaps).sum(axis=0)])
        low, high = np.nanquantile(each, (0.025, 0.975), axis=0) if finite.any() else (each[0], each[0])
        names = ("accuracy", "nll", "brier", "ece")
        found.append({n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)})
    return found

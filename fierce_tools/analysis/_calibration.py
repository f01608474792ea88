"""Temperature scaling, the figures before and after it, and how far they would vary with other examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from fierce_tools.analysis._calibration_intervals import (
    Interval,
    Towards,
    aurc_interval,
    binned_intervals,
    ece_debiased,
    mce_interval,
)
from fierce_tools.analysis._choice import listed
from fierce_tools.analysis._intervals import mean_interval, wilson
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
)

# Where a temperature is looked for: wide enough that an optimum at an end means there is none.
COLDEST, HOTTEST = 0.05, 50.0
# Validation that is so many times easier than the evaluated examples may be what the weights were trained on.
EASIER = 1.5
NAMES = {
    "accuracy": "accuracy",
    "nll": "NLL (nats)",
    "brier": "Brier score (0 to 2)",
    "ece": "ECE",
    "ece_debiased": "ECE, debiased",
    "ece_equal_mass": "ECE, equal-mass bins",
    "ece_classwise": "ECE, classwise",
    "mce": "MCE",
    "rms": "RMS calibration error",
    "rms_debiased": "RMS, debiased (Kumar et al. 2019)",
    "aurc": "AURC",
}

BIASED = (
    "ECE, MCE and RMS are biased upward: with few examples noise alone makes gaps. The debiased rows and the intervals "
    "allow for it; an interval is extended to a biased figure that it would not hold. After scaling, T* is held fixed."
)
# With fewer examples, nearly all wrong, the intervals of the errors over bins cover less.
FEWEST = 20
FEW = f"Fewer than {FEWEST} examples: the intervals of calibration errors may cover less than 95 %."
HALL, SIMULATED = "t, skewness removed (Hall)", "test inversion, simulated"
# How the 95 % interval of each figure is found.
METHODS = {
    "accuracy": "Wilson",
    "nll": HALL,
    "brier": HALL,
    "ece": SIMULATED,
    "ece_debiased": SIMULATED,
    "ece_equal_mass": SIMULATED,
    "mce": "joint Clopper-Pearson, ≥ 95 %",
    "rms_debiased": SIMULATED,
    "aurc": "jackknife, conservative",
}


@dataclass(frozen=True)
class Figures:
    """Accuracy and calibration errors as fractions; NLL in nats; Brier score 0 to 2 (summed over classes).

    The NLL is of the examples whose label has a probability above 0, as it is infinite for the others.
    `rms` is the root mean squared calibration error over equal-mass bins, `rms_debiased` and `ece_debiased` are without
    the bias of few examples (0 where nothing is left).
    """

    accuracy: float
    nll: float
    brier: float
    ece: float
    ece_debiased: float
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
        equal = equal_width(self.confidence, bins)
        return Figures(
            accuracy=float(self.correct.mean()),
            nll=finite_mean(self.loss),
            brier=float(self.squared.mean()),
            ece=ece(self.confidence, self.correct, bins=bins),
            ece_debiased=ece_debiased(equal, self.confidence, self.correct, bins),
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
        columns = (counts, said, right, *wilson(right * counts, counts))
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


def intervals(judged: Judged, figures: Figures, *, bins: int, resamples: int, seed: int) -> dict[str, Interval]:
    """95 % intervals by the name of the figure, each holding it; a mean of fewer than two values, or equal ones, has
    none.

    Errors over bins: `binned_intervals` with so many `resamples`; largest gap: `mce_interval`; AURC: `aurc_interval`.
    """
    confidence, correct = judged.confidence, judged.correct
    rng = np.random.default_rng(seed)
    width, mass = equal_width(confidence, bins), equal_mass(confidence, bins)
    low, high = wilson(correct.sum(), len(correct))
    by_width, _ = binned_intervals(width, confidence, correct, bins, resamples=resamples, rng=rng)
    # A squared error also depends on how far few bins hold most of it.
    ways: tuple[Towards, ...] = ("spread", "even", "none", "sparse")
    by_mass, rms = binned_intervals(mass, confidence, correct, bins, resamples=resamples, rng=rng, ways=ways)
    found: dict[str, Interval | None] = {
        "accuracy": (float(low), float(high)),
        "nll": _mean(judged.loss[np.isfinite(judged.loss)]),
        "brier": _mean(judged.squared),
        "ece": by_width,
        "ece_debiased": by_width,
        "ece_equal_mass": by_mass,
        "mce": mce_interval(width, confidence, correct, bins),
        "rms_debiased": rms,
        "aurc": aurc_interval(confidence, correct),
    }
    held = {}
    for name, interval in found.items():
        if interval is not None:
            # The error as it is counted is biased upward, and may lie above every error that agrees with it.
            value = getattr(figures, name)
            held[name] = (min(interval[0], value), max(interval[1], value))
    return held


def of_intervals(examples: int) -> tuple[str, ...]:
    """What a reader of the intervals should know, of so many examples."""
    return (BIASED, FEW) if examples < FEWEST else (BIASED,)


def missing_intervals(spans: Sequence[Mapping[str, Interval]]) -> list[str]:
    """A line that names the figures one of these lacks an interval of, if any."""
    names = [NAMES[name] for name in METHODS if not all(name in span for span in spans)]
    return [f"No 95 % interval of {listed(names)}: it takes two examples that differ."] if names else []


def _mean(values: np.ndarray) -> Interval | None:
    """The interval of a mean that is 0 or more."""
    ends = mean_interval(values)
    return None if ends is None or not ends[0] < ends[1] else (max(float(ends[0]), 0.0), float(ends[1]))

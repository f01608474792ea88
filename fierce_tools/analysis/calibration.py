"""Whether a model is right as often as it says, before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np

from fierce_tools.analysis._calibration import (
    COLDEST,
    HOTTEST,
    METHODS,
    NAMES,
    Bins,
    Figures,
    doubts,
    fit_temperature,
    intervals,
    judge,
    judge_folds,
    missing_intervals,
    of_intervals,
)
from fierce_tools.analysis._calibration_intervals import Interval
from fierce_tools.analysis._choice import check_choice, cut, insisted, left_out
from fierce_tools.analysis._metrics import ece, finite_mean, infinite, per_example, risks
from fierce_tools.analysis._soft import check_logits, check_temperatures
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Block, Cell, Lines, Report, Scalars, Series, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 3


@dataclass(frozen=True)
class Calibration:
    """Figures before and after temperature scaling, with 95 % intervals (low, high) by the name of the figure.

    `interval_methods` says how each was found; those that cannot be had are absent, with a note. `temperature` was
    fitted on validation, or is the geometric mean of `fold_temperatures`; where there was nothing to fit it on, it and
    all that follows from it are None. `fit_nll_before` and `fit_nll_after` are the NLL, in nats, of the examples it was
    fitted on. `ece_at` and `nll_at` [T] run over `temperatures`, on the evaluated examples; `accuracy_at` over
    `coverage`, the share of the most confident. `nll_infinite` counts the examples whose label has a probability of 0,
    which no NLL here counts.
    """

    before: Figures
    after: Figures | None
    before_interval: Mapping[str, tuple[float, float]]
    after_interval: Mapping[str, tuple[float, float]]
    temperature: float | None
    fold_temperatures: tuple[float, ...]
    fit_nll_before: float | None
    fit_nll_after: float | None
    ece_at_temperature: float | None
    nll_at_temperature: float | None
    reliability_before: Bins
    reliability_after: Bins | None
    temperatures: tuple[float, ...]
    ece_at: tuple[float, ...]
    nll_at: tuple[float, ...]
    coverage: tuple[float, ...]
    accuracy_at: tuple[float, ...]
    bins: int
    examples: int
    notes: tuple[str, ...] = ()
    nll_infinite: int = 0
    interval_methods: Mapping[str, str] = field(default_factory=dict)

    def report(self) -> Report:
        """The temperature, every figure before and after, both against the temperature, reliability and coverage."""
        values: dict[str, Cell] = {"ECE before": self.before.ece, "NLL before": self.before.nll}
        if self.after is not None:
            values = {
                "T*": self.temperature,
                "ECE before": self.before.ece,
                "ECE after": self.after.ece,
                "NLL before": self.before.nll,
                "NLL after": self.after.nll,
                "fit NLL before": self.fit_nll_before,
                "fit NLL after": self.fit_nll_after,
            }
        scaling = Scalars("Temperature scaling", values, {name: "nats" for name in values if "NLL" in name})
        against = [
            Lines(f"{name} against temperature", "temperature", unit, self._curve(name, curve, there), log_x=True)
            for name, unit, curve, there in (
                ("ECE", "ECE", self.ece_at, self.ece_at_temperature),
                ("NLL", "nats", self.nll_at, self.nll_at_temperature),
            )
        ]
        reliability = Lines(
            "Reliability",
            "confidence",
            "accuracy",
            (
                Series("perfect", (0.0, 1.0), (0.0, 1.0)),
                *(Series(name, b.confidence, b.accuracy, b.low, b.high) for name, b in self._sides()),
            ),
        )
        covered = Lines(
            "Accuracy of the most confident", "share of examples", "accuracy",
            (Series("accuracy", self.coverage, self.accuracy_at),),
        )  # fmt: skip
        blocks: tuple[Block, ...] = (scaling, self._figures(), *against, self._by_bin(), reliability, covered)
        about = of_intervals(self.examples) if self.before_interval else ()
        return Report("Calibration", blocks, (*self.notes, *about))

    def _curve(self, name: str, curve: tuple[float, ...], there: float | None) -> tuple[Series, ...]:
        line = Series(name, self.temperatures, curve)
        return (line,) if self.temperature is None else (line, Series(f"{name} at T*", (self.temperature,), (there,)))

    def _sides(self) -> list[tuple[str, Bins]]:
        after = [] if self.reliability_after is None else [("after", self.reliability_after)]
        return [("before", self.reliability_before), *after]

    def _figures(self) -> Table:
        sides = [("before", self.before, self.before_interval)]
        sides += [] if self.after is None else [("after", self.after, self.after_interval)]
        spans = bool(self.before_interval)
        heads = [head for side, _, _ in sides for head in (side, *(("95 % interval",) if spans else ()))]
        rows: list[tuple[Cell, ...]] = []
        for name, title in NAMES.items():
            cells = [c for _, f, i in sides for c in (getattr(f, name), *((_span(i.get(name)),) if spans else ()))]
            rows.append((title, *cells, *((self.interval_methods.get(name),) if spans else ())))
        return Table(self._titled("Calibration"), ("", *heads, *(("interval by",) if spans else ())), tuple(rows))

    def _by_bin(self) -> Table:
        sides = [
            dict(zip(b.bin, zip(b.examples, b.confidence, b.accuracy, strict=True), strict=True))
            for _, b in self._sides()
        ]
        missing = (0, None, None)
        rows: list[tuple[Cell, ...]] = [
            ((number + 1) / self.bins, *(cell for side in sides for cell in side.get(number, missing)))
            for number in sorted({n for side in sides for n in side})
        ]
        heads = ("examples", "confidence", "accuracy")
        after = () if self.after is None else tuple(f"{h} after" for h in heads)
        return Table(self._titled("Reliability by bin"), ("up to", *heads, *after), tuple(rows))

    def _titled(self, title: str) -> str:
        """Tables of fewer columns have titles of their own, so that no report stacks them with the others."""
        return title if self.after is not None else f"{title}, before scaling"


def _span(interval: tuple[float, float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.4f} – {interval[1]:.4f}"


def calibration(
    logits: np.ndarray,
    labels: np.ndarray,
    val_logits: np.ndarray | None = None,
    val_labels: np.ndarray | None = None,
    *,
    bins: Annotated[int, "bins of confidence, 1 or more"] = 15,
    temperatures: Annotated[tuple[float, ...], "temperatures at which ECE and NLL are drawn, above 0"] = (
        0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 10,
    ),
    bootstrap: Annotated[
        int, "sets simulated at each error for the 95 % intervals of calibration errors, 0 for no intervals"
    ] = 1000,
    seed: Annotated[int, "seed of the simulated sets and of the folds"] = 0,
    cross_fit: Annotated[
        int | None, "fit the temperature in so many folds of the split itself, instead of on validation"
    ] = None,
    fit_on: Annotated[
        Literal["val"] | None, "fit the temperature on validation although the weights may have seen its examples"
    ] = None,
    seen: bool = False,
) -> Calibration:  # fmt: skip
    """Calibration errors, NLL and Brier score before and after temperature scaling fitted on validation.

    From logits [N, C] and labels [N]: top-label ECE and MCE over equal-width bins ((m-1)/M, m/M], the first closed;
    ECE over equal-mass bins; classwise ECE; RMS calibration error over equal-mass bins, plain and debiased (Kumar et
    al. 2019); Brier score summed over classes; NLL in nats; AURC, the mean error rate over all coverages. The rest are
    fractions.

    T* minimises the NLL of val_logits and val_labels over log T, never raises it and never changes a prediction. With
    `cross_fit` K each of K random folds of the split gets the temperature of the other folds, and T* is their geometric
    mean; no validation is then needed. Without validation, or where the weights may have `seen` it and `fit_on` does
    not insist, T* and all that follows from it are None, and a note says so.

    95 % intervals, with T* held: accuracy by Wilson; NLL and Brier score by Student's t without skewness (Hall 1992);
    AURC likewise, from the infinitesimal jackknife. ECE, plain and debiased, and debiased RMS by simulation, inverted:
    bins' gaps are scaled, all or only clear ones, and the interval is of the errors of which the observed one is no
    surprise. MCE from joint Clopper-Pearson intervals of all bins, at least 95 %. Debiased ECE is the plug-in ECE less
    what noise adds, by bin. An interval that does not hold its figure, which is biased upward, is stretched to it.

    Raises DataError for logits that are not finite, labels that do not fit or validation that `fit_on` needs and is
    missing, UsageError for an option out of range. Source: Guo et al. 2017; Müller et al. 2019, Fig. 4.
    """
    check_logits(logits, labels)
    check_temperatures(temperatures)
    if bins < 1:
        raise UsageError(f"--bins is {bins}, expected 1 or more", "for example --bins 15")
    if bootstrap < 0:
        raise UsageError(f"--bootstrap is {bootstrap}, expected 0 or more", "for example --bootstrap 1000")
    check_choice(cross_fit, fit_on, len(logits))
    notes: list[str] = []
    missing = [n for n, a in (("val_logits", val_logits), ("val_labels", val_labels)) if a is None]
    folds: list[np.ndarray] = []
    fits: list[tuple[float, float, float]] = []
    if cross_fit is not None:
        folds = cut(len(logits), cross_fit, seed)
        others = [np.setdiff1d(np.arange(len(logits)), fold) for fold in folds]
        fits = [fit_temperature(logits[rows], labels[rows]) for rows in others]
        notes.append("The temperature was fitted by cross-fitting on the evaluated split, without validation examples.")
    elif fit_on is None and (seen or missing):
        notes.append(left_out("T* and every figure after scaling", missing, seen=seen))
    else:
        folds, fits = [np.arange(len(labels))], [_on_validation(logits, val_logits, val_labels)]
        notes += [insisted("T* was")] if seen else []
        if val_logits is not None and np.array_equal(logits, val_logits):
            notes.append("The temperature was fitted on the very examples it is judged on; --cross-fit 5 is fairer.")
    if any(np.isnan(plain) for _, plain, _ in fits):
        notes.append("Left out: T* and every figure after scaling: no label it could be fitted on has a probability.")
        folds, fits = [], []
    elif fits and cross_fit is None and val_logits is not None and val_labels is not None:
        silent = infinite(per_example(val_logits, val_labels).loss)
        if silent:
            notes.append(f"T* was fitted on {len(val_labels) - silent} of {len(val_labels)} validation examples: the "
                         "labels of the others have a probability of 0.")  # fmt: skip
    fitted = [t for t, _, _ in fits]
    if {COLDEST, HOTTEST} & set(fitted):
        notes.append(
            f"A fitted temperature lies at the end of its range, {COLDEST:g} to {HOTTEST:g}: the examples it was "
            "fitted on have no optimum, because the model gets all of them right or none better than by chance."
        )
    before = judge(logits, labels, 1.0, bins)
    after = judge_folds(logits, labels, folds, fitted, bins) if fits else None
    if after is not None and cross_fit is None:
        notes += doubts(before, after, fits[0][1])
    judged = [before] if after is None else [before, after]
    figures = [one.figures(bins) for one in judged]
    spans: list[dict[str, Interval]] = [{}, {}]
    if bootstrap:
        for number, (one, own) in enumerate(zip(judged, figures, strict=True)):
            spans[number] = intervals(one, own, bins=bins, resamples=bootstrap, seed=seed)
        notes += missing_intervals(spans[: len(judged)])
    temperature = float(np.exp(np.mean(np.log(fitted)))) if len(fitted) > 1 else next(iter(fitted), None)
    curve = per_example(logits, labels, (*temperatures, *(() if temperature is None else (temperature,))))
    errors = [ece(c, curve.correct, bins=bins) for c in curve.confidence]
    losses = [finite_mean(row) for row in curve.loss]
    gone = infinite(before.loss)
    if gone:
        notes.append(
            f"The NLL is infinite for {gone} of {len(labels)} examples, whose label has a probability of 0; NLLs are "
            "of the others."
        )
    coverage, right = _covered(1 - risks(before.confidence, before.correct))
    return Calibration(
        before=figures[0],
        after=None if after is None else figures[1],
        before_interval=spans[0],
        after_interval=spans[1],
        temperature=temperature,
        fold_temperatures=tuple(fitted) if cross_fit else (),
        fit_nll_before=float(np.mean([b for _, b, _ in fits])) if fits else None,
        fit_nll_after=float(np.mean([a for _, _, a in fits])) if fits else None,
        ece_at_temperature=errors[-1] if fits else None,
        nll_at_temperature=losses[-1] if fits else None,
        reliability_before=before.reliability(bins),
        reliability_after=None if after is None else after.reliability(bins),
        temperatures=tuple(temperatures),
        ece_at=tuple(errors[: len(temperatures)]),
        nll_at=tuple(losses[: len(temperatures)]),
        coverage=coverage,
        accuracy_at=right,
        bins=bins,
        examples=len(logits),
        nll_infinite=gone,
        interval_methods={n: METHODS[n] for n in METHODS if n in {*spans[0], *spans[1]}},
        notes=tuple(notes),
    )


def _on_validation(
    logits: np.ndarray, val_logits: np.ndarray | None, val_labels: np.ndarray | None
) -> tuple[float, float, float]:
    if val_logits is None or val_labels is None:
        missing = " and ".join(n for n, a in (("val_logits", val_logits), ("val_labels", val_labels)) if a is None)
        raise DataError(
            f"the temperature is fitted on validation examples, and there are no {missing}",
            "fit it on the evaluated split with --cross-fit 5, or bring validation examples",
        )
    check_logits(val_logits, val_labels, "val_")
    if val_logits.shape[1] != logits.shape[1]:
        raise DataError(f"val_logits have {val_logits.shape[1]} classes, logits {logits.shape[1]}")
    return fit_temperature(val_logits, val_labels)


def _covered(accuracies: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A hundred points at most of the accuracy among the k most confident, against k/N."""
    wanted: Sequence[int] = np.unique(np.ceil(np.linspace(0, 1, 101)[1:] * len(accuracies)).astype(int)).tolist()
    return tuple(k / len(accuracies) for k in wanted), tuple(float(accuracies[k - 1]) for k in wanted)

"""Whether a model is right as often as it says, before and after temperature scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._calibration import (
    COLDEST,
    HOTTEST,
    Bins,
    Figures,
    cut,
    fit_temperature,
    intervals,
    judge,
    judge_folds,
)
from fierce_tools.analysis._metrics import ece, per_example, risks
from fierce_tools.analysis._soft import check_logits, check_temperatures
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Block, Cell, Lines, Report, Scalars, Series, Table

NAMES = {
    "accuracy": "accuracy",
    "nll": "NLL (nats)",
    "brier": "Brier score (0 to 2)",
    "ece": "ECE",
    "ece_equal_mass": "ECE, equal-mass bins",
    "ece_classwise": "ECE, classwise",
    "mce": "MCE",
    "rms": "RMS calibration error",
    "rms_debiased": "RMS, debiased (Kumar et al. 2019)",
    "aurc": "AURC",
}


@dataclass(frozen=True)
class Calibration:
    """Figures before and after temperature scaling, with 95 % intervals (low, high) where they were resampled.

    `temperature` was fitted on validation, or is the geometric mean of `fold_temperatures`. `fit_nll_before` and
    `fit_nll_after` are the NLL, in nats, of the examples it was fitted on. `ece_at` and `nll_at` [T] run over
    `temperatures`, on the evaluated examples; `accuracy_at` over `coverage`, the share of the most confident.
    """

    before: Figures
    after: Figures
    before_interval: Mapping[str, tuple[float, float]]
    after_interval: Mapping[str, tuple[float, float]]
    temperature: float
    fold_temperatures: tuple[float, ...]
    fit_nll_before: float
    fit_nll_after: float
    ece_at_temperature: float
    nll_at_temperature: float
    reliability_before: Bins
    reliability_after: Bins
    temperatures: tuple[float, ...]
    ece_at: tuple[float, ...]
    nll_at: tuple[float, ...]
    coverage: tuple[float, ...]
    accuracy_at: tuple[float, ...]
    bins: int
    examples: int
    notes: tuple[str, ...] = ()

    def report(self) -> Report:
        """The temperature, every figure before and after, both against the temperature, reliability and coverage."""
        scaling = Scalars(
            "Temperature scaling",
            {
                "T*": self.temperature,
                "ECE before": self.before.ece,
                "ECE after": self.after.ece,
                "NLL before": self.before.nll,
                "NLL after": self.after.nll,
                "fit NLL before": self.fit_nll_before,
                "fit NLL after": self.fit_nll_after,
            },
            dict.fromkeys(("NLL before", "NLL after", "fit NLL before", "fit NLL after"), "nats"),
        )
        against = [
            Lines(
                f"{name} against temperature",
                "temperature",
                unit,
                (Series(name, self.temperatures, values), Series(f"{name} at T*", (self.temperature,), (there,))),
                log_x=True,
            )
            for name, unit, values, there in (
                ("ECE", "ECE", self.ece_at, self.ece_at_temperature),
                ("NLL", "nats", self.nll_at, self.nll_at_temperature),
            )
        ]
        pairs = (("before", self.reliability_before), ("after", self.reliability_after))
        reliability = Lines(
            "Reliability",
            "confidence",
            "accuracy",
            (
                Series("perfect", (0.0, 1.0), (0.0, 1.0)),
                *(Series(name, b.confidence, b.accuracy, b.low, b.high) for name, b in pairs),
            ),
        )
        covered = Lines(
            "Accuracy of the most confident", "share of examples", "accuracy",
            (Series("accuracy", self.coverage, self.accuracy_at),),
        )  # fmt: skip
        blocks: tuple[Block, ...] = (scaling, self._figures(), *against, self._by_bin(), reliability, covered)
        return Report("Calibration", blocks, self.notes)

    def _figures(self) -> Table:
        before, after = asdict(self.before), asdict(self.after)
        rows: list[tuple[Cell, ...]] = [
            (title, before[name], _span(self.before_interval.get(name)), after[name],
             _span(self.after_interval.get(name)))
            for name, title in NAMES.items()
        ]  # fmt: skip
        if not self.before_interval:
            return Table("Calibration", ("", "before", "after"), tuple((r[0], r[1], r[3]) for r in rows))
        return Table("Calibration", ("", "before", "95 % interval", "after", "95 % interval"), tuple(rows))

    def _by_bin(self) -> Table:
        sides = [
            dict(zip(b.bin, zip(b.examples, b.confidence, b.accuracy, strict=True), strict=True))
            for b in (self.reliability_before, self.reliability_after)
        ]
        missing = (0, None, None)
        rows: list[tuple[Cell, ...]] = [
            ((number + 1) / self.bins, *sides[0].get(number, missing), *sides[1].get(number, missing))
            for number in sorted({*sides[0], *sides[1]})
        ]
        heads = ("examples", "confidence", "accuracy")
        return Table("Reliability by bin", ("up to", *heads, *(f"{h} after" for h in heads)), tuple(rows))


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
    bootstrap: Annotated[int, "resamples for the 95 % intervals, 0 for none"] = 1000,
    seed: Annotated[int, "seed of the resamples and of the folds"] = 0,
    cross_fit: Annotated[
        int | None, "fit the temperature in so many folds of the split itself, instead of on validation"
    ] = None,
) -> Calibration:  # fmt: skip
    """Calibration errors, NLL and Brier score before and after temperature scaling fitted on validation.

    From logits [N, C] and labels [N]: top-label ECE and MCE over equal-width bins ((m-1)/M, m/M], the first closed;
    ECE over equal-mass bins; classwise ECE; RMS calibration error over equal-mass bins, plain and debiased (Kumar et
    al. 2019); Brier score summed over classes; NLL in nats; AURC, the mean error rate over all coverages. The rest are
    fractions.

    T* minimises the NLL of val_logits and val_labels over log T, never raises it and never changes a prediction. With
    `cross_fit` K each of K random folds of the split gets the temperature of the other folds, and T* is their geometric
    mean; no validation is then needed. Intervals are percentiles of a bootstrap over the examples with T* held; that
    of ECE lies high, because a resample adds noise to every bin.

    Raises DataError for logits that are not finite, labels that do not fit or validation that is missing, UsageError
    for an option out of range. Source: Guo et al. 2017; Müller et al. 2019, Fig. 4.
    """
    check_logits(logits, labels)
    check_temperatures(temperatures)
    if bins < 1:
        raise UsageError(f"--bins is {bins}, expected 1 or more", "for example --bins 15")
    if bootstrap < 0:
        raise UsageError(f"--bootstrap is {bootstrap}, expected 0 or more", "for example --bootstrap 1000")
    notes: list[str] = []
    if cross_fit is None:
        folds, fits = [np.arange(len(labels))], [_on_validation(logits, val_logits, val_labels)]
        if val_logits is not None and np.array_equal(logits, val_logits):
            notes.append("The temperature was fitted on the very examples it is judged on; --cross-fit 5 is fairer.")
    else:
        if not 2 <= cross_fit <= len(logits):
            raise UsageError(f"--cross-fit is {cross_fit}, expected 2 to {len(logits)}", "for example --cross-fit 5")
        folds = cut(len(logits), cross_fit, seed)
        others = [np.setdiff1d(np.arange(len(logits)), fold) for fold in folds]
        fits = [fit_temperature(logits[rows], labels[rows]) for rows in others]
        notes.append("The temperature was fitted by cross-fitting on the evaluated split, without validation examples.")
    fitted = [t for t, _, _ in fits]
    if {COLDEST, HOTTEST} & set(fitted):
        notes.append(
            f"A fitted temperature lies at the end of its range, {COLDEST:g} to {HOTTEST:g}: the examples it was "
            "fitted on have no optimum, because the model gets all of them right or none better than by chance."
        )
    before = judge(logits, labels, 1.0, bins)
    after = judge_folds(logits, labels, folds, fitted, bins)
    spans = intervals((before, after), bins=bins, resamples=bootstrap, seed=seed) if bootstrap else [{}, {}]
    temperature = float(np.exp(np.mean(np.log(fitted)))) if len(fitted) > 1 else fitted[0]
    curve = per_example(logits, labels, (*temperatures, temperature))
    errors = [ece(c, curve.correct, bins=bins) for c in curve.confidence]
    losses = curve.loss.mean(axis=1, dtype=np.float64).tolist()
    coverage, right = _covered(1 - risks(before.confidence, before.correct))
    return Calibration(
        before=before.figures(bins),
        after=after.figures(bins),
        before_interval=spans[0],
        after_interval=spans[1],
        temperature=temperature,
        fold_temperatures=tuple(fitted) if cross_fit else (),
        fit_nll_before=float(np.mean([b for _, b, _ in fits])),
        fit_nll_after=float(np.mean([a for _, _, a in fits])),
        ece_at_temperature=errors[-1],
        nll_at_temperature=losses[-1],
        reliability_before=before.reliability(bins),
        reliability_after=after.reliability(bins),
        temperatures=tuple(temperatures),
        ece_at=tuple(errors[:-1]),
        nll_at=tuple(losses[:-1]),
        coverage=coverage,
        accuracy_at=right,
        bins=bins,
        examples=len(logits),
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

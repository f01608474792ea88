"""How far rows differ from the first: over seeds where there are several, else of these very models over examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fierce_tools.analysis import _over_seeds as over
from fierce_tools.analysis._calibration_intervals import binned_intervals, ece_debiased
from fierce_tools.analysis._metrics import equal_width
from fierce_tools.analysis._over_seeds import Estimate
from fierce_tools.experiments._paired import BINS, PAIRED, Judged, resample, same_examples

# By what an interval that speaks of single models is found.
BOOTSTRAP, ENDS = "bootstrap over examples", "ends of both intervals"
OF_MODELS = (BOOTSTRAP, ENDS)
# The difference of ECEs without their bias; figures that have none otherwise.
DEBIASED, WIDENED = "ece_debiased", "widened by bias"
BIASED = ("ece", "ece-tstar")
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Side:
    """A row to be compared: its models, their seeds, whether they are seeds of one recipe, and figures by seed."""

    label: str
    models: tuple[Judged, ...]
    seeds: tuple[int | None, ...]
    one: bool
    figures: Mapping[str, tuple[float | None, ...]]

    @property
    def several(self) -> bool:
        """Whether an interval over seeds can be had."""
        return self.one and len(self.models) > 1


def differences(
    sides: Sequence[Side], resamples: int, two_level: bool, notes: dict[str, None]
) -> dict[str, dict[str, Estimate]]:
    """Of each row but the first the difference of its figures to the first's.

    With several seeds on both sides over seeds: paired where the seeds are the same, else Welch's; with `two_level` for
    other examples too, where a figure can be resampled. With one seed on a side the interval speaks of these models
    alone: a paired bootstrap over examples. The ECE's bias differs between models, so that the difference is of ECEs
    without it: over seeds widened by what may be left of it, of models from the ends of both sides' own intervals; that
    at T* has none. Rows that are not of the same examples have none, and an NLL that is infinite for any example is of
    no difference; why is said in `notes`, as is how others were paired.
    """
    base, *others = sides
    comparable = [side for side in others if _comparable(base, side, notes)]
    drawn = _drawn([base, *comparable], resamples, two_level)
    found: dict[str, dict[str, Estimate]] = {}
    for side in comparable:
        if side.several and base.several:
            found[side.label] = _over_seeds(base, side, drawn if two_level else {}, notes)
        elif resamples:
            found[side.label] = _over_examples(base, side, drawn, notes)
    return {label: row for label, row in found.items() if row}


def _comparable(base: Side, side: Side, notes: dict[str, None]) -> bool:
    pairings = [same_examples(m, base.models[0]) for m in (*base.models[1:], *side.models)]
    notes |= dict.fromkeys(p.note for p in pairings if p.note)
    reason = next((p.reason for p in pairings if not p.paired), None)
    if reason is not None:
        notes[f"{side.label}: not the same examples as {base.label}, so no difference: {reason}."] = None
    return reason is None


def _drawn(sides: Sequence[Side], resamples: int, two_level: bool) -> dict[str, dict[str, np.ndarray]]:
    """Of each row that needs it the figures [resamples, models] on the same resamples."""
    seeds_alone = all(s.several for s in sides) and not two_level
    if len(sides) < 2 or not resamples or seeds_alone:
        return {}
    whole = resample([m for s in sides for m in s.models], resamples)
    ends = np.cumsum([0, *(len(s.models) for s in sides)])
    return {s.label: {k: v[:, a:b] for k, v in whole.items()} for s, a, b in zip(sides, ends, ends[1:], strict=False)}


def _over_seeds(
    base: Side, side: Side, drawn: Mapping[str, Mapping[str, np.ndarray]], notes: dict[str, None]
) -> dict[str, Estimate]:
    found = {}
    for key in side.figures:
        if key in BIASED:
            continue
        a, b = (np.array([np.nan if v is None else v for v in s.figures.get(key, ())]) for s in (side, base))
        paired = side.seeds == base.seeds
        keep = [np.isfinite(x) for x in (a, b)]
        if paired and len(a) == len(b):
            keep = [keep[0] & keep[1]] * 2
        if key == "nll" and any(m.infinite for m in (*base.models, *side.models)):
            _infinite(base, side, notes)
            continue
        if not all(k.any() for k in keep):
            continue
        a, b = a[keep[0]], b[keep[1]]
        if key in PAIRED and drawn:
            levels = (drawn[s.label][key][:, k] for s, k in ((side, keep[0]), (base, keep[1])))
            found[key] = over.two_level(a, b, *levels, paired=paired)
        else:
            found[key] = over.difference(a, b, paired=paired)
    if "ece" in side.figures:
        found[DEBIASED] = _ece_over_seeds(base, side, drawn)
    return found


def _ece_over_seeds(base: Side, side: Side, drawn: Mapping[str, Mapping[str, np.ndarray]]) -> Estimate:
    """The difference of the ECEs without bias, its interval widened by how far the biases that were taken off differ.

    What is left of them cannot differ by more, roughly: an ECE of 0 is estimated above 0, and the less sure the models
    are the more so.
    """
    a, b = (np.array([_debiased(m) for m in s.models]) for s in (side, base))
    taken = [np.array([m.figures["ece"] for m in s.models]) - x for s, x in ((side, a), (base, b))]
    paired = side.seeds == base.seeds
    if drawn:
        found = over.two_level(a, b, drawn[side.label]["ece"], drawn[base.label]["ece"], paired=paired)
    else:
        found = over.difference(a, b, paired=paired)
    if found.low is None or found.high is None:
        return found
    left = abs(float(taken[0].mean() - taken[1].mean()))
    return replace(found, low=found.low - left, high=found.high + left, p=None, method=f"{found.method}, {WIDENED}")


def _over_examples(
    base: Side, side: Side, drawn: Mapping[str, Mapping[str, np.ndarray]], notes: dict[str, None]
) -> dict[str, Estimate]:
    found = {}
    for key in (k for k in PAIRED if k in side.figures):
        if key == "ece":
            found[DEBIASED] = _of_ece(base, side, len(drawn[side.label][key]))
            continue
        gap = drawn[side.label][key].mean(axis=1) - drawn[base.label][key].mean(axis=1)
        if not np.isfinite(gap).all():
            _infinite(base, side, notes)
            continue
        at, other = (float(np.mean([m.figures[key] for m in s.models])) for s in (side, base))
        low, high = np.percentile(gap, PERCENTILES, method="weibull")  # which few draws do not make too narrow
        models = (len(side.models), len(base.models))
        sure = over.constant(gap)  # right and wrong on the same examples: nothing to resample
        found[key] = Estimate(
            at - other, None if sure else float(low), None if sure else float(high), None, None, models, BOOTSTRAP
        )
    return found


def _of_ece(base: Side, side: Side, resamples: int) -> Estimate:
    """The difference of the ECEs without bias, from the lower end of one less the upper end of the other and so on.

    It covers more than 95 %. Resampled differences may cover a fifth: noise adds more to the smaller error.
    """
    mine, its = (np.mean([_ece(m, resamples) for m in s.models], axis=0) for s in (side, base))
    count = (len(side.models), len(base.models))
    return Estimate(float(mine[0] - its[0]), float(mine[1] - its[2]), float(mine[2] - its[1]), None, None, count, ENDS)


def _ece(model: Judged, resamples: int) -> tuple[float, float, float]:
    """A model's ECE without bias, and both ends of its interval."""
    which, correct = equal_width(model.confidence, BINS), model.each["accuracy"] > 0
    rng = np.random.default_rng(0)
    (low, high), _ = binned_intervals(which, model.confidence, correct, BINS, resamples=resamples, rng=rng)
    return _debiased(model), low, high


def _debiased(model: Judged) -> float:
    which = equal_width(model.confidence, BINS)
    return ece_debiased(which, model.confidence, model.each["accuracy"] > 0, BINS)


def _infinite(base: Side, side: Side, notes: dict[str, None]) -> None:
    notes[f"{side.label}: no difference of NLL to {base.label}: it is infinite for some examples."] = None

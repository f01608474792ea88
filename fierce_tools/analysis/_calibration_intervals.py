"""How far calibration errors may lie from those of the population: 95 % intervals that allow for their bias.

An error over bins is a sum of absolute gaps, so noise alone makes it larger and no resampling of the examples takes
that back. The bins' gaps are therefore scaled: at scale s bin b is right with probability p_b(s), at s = 0 as often as
it says. The interval holds the errors θ(s) at which the observed statistic is no surprise. Source: Bröcker, Smith 2007
and Vaicenavicius et al. 2019 for s = 0; the inversion of tests, Neyman 1937.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fierce_tools.analysis._intervals import mean_interval, wilson
from fierce_tools.analysis._metrics import bin_means, risks

Interval = tuple[float, float]
Towards = Literal["spread", "even", "none"]
# Errors at which the statistic is simulated, from 0 to one that is too large; its quantiles are interpolated.
STEPS = 6
QUANTILES = (0.025, 0.975)
SMALLEST = 0.05
# Of the variance of one example, so that a bin that is all right or all wrong is not taken as certain.
LEAST_VARIANCE = 0.0025


@dataclass(frozen=True)
class Scaled:
    """Bins that hold examples, and populations whose gaps are those of the bins times a scale.

    `counts`, `confidence` and `gap` (mean confidence less share correct) are of each bin [B]; `direction` [B] is how
    far the gap moves with the scale.
    """

    counts: np.ndarray
    confidence: np.ndarray
    gap: np.ndarray
    direction: np.ndarray

    @classmethod
    def of(
        cls, which: np.ndarray, confidence: np.ndarray, correct: np.ndarray, bins: int, towards: Towards = "spread"
    ) -> Scaled:
        """From the bin number, confidence and correctness of each example [N].

        Small gaps are mostly noise, so each is drawn towards the common size: `even`, in proportion to the standard
        deviation of its examples (`spread`), or not at all (`none`).
        """
        columns = bin_means(which, confidence, correct, bins)
        counts, said, right = (column[columns[0] > 0] for column in columns)
        gap = said - right
        variance = said * (1 - said) + LEAST_VARIANCE
        mean = counts @ variance / counts.sum()
        common = counts @ gap**2 / counts.sum()
        spread = {"spread": variance / mean, "even": 1.0, "none": 1e-6}[towards]
        size = np.sqrt(gap**2 + (common or mean) * spread)
        return cls(counts, said, gap, np.where(gap < 0, -size, size))

    @property
    def share(self) -> np.ndarray:
        """Of all examples, by bin."""
        return self.counts / self.counts.sum()

    @property
    def reach(self) -> np.ndarray:
        """The largest gap that a bin of that confidence can have [B]."""
        return np.maximum(self.confidence, 1 - self.confidence)

    def accuracy(self, scale: float) -> np.ndarray:
        """p_b at that scale [B]; a gap for which there is no room on its side is on the other."""
        gap = np.minimum(scale * np.abs(self.direction), self.reach)
        below, above = self.confidence - gap, self.confidence + gap
        p = np.where(((self.direction > 0) & (below >= 0)) | (above > 1), below, above)
        return np.clip(p, 0, 1)

    def errors(self, scale: float) -> tuple[float, float]:
        """The squares of the population's ECE and of its RMS calibration error at that scale."""
        gap = np.minimum(scale * np.abs(self.direction), self.reach)
        return float(self.share @ gap) ** 2, float(self.share @ gap**2)

    def scale_of(self, error: float) -> float:
        """The scale at which the ECE is that, or the one at which it is largest."""
        size = np.abs(self.direction)
        # The error rises in straight lines between the scales at which a bin's gap is as large as it can be.
        knots = np.sort(np.append(self.reach / size, 0))
        return float(np.interp(error, np.minimum(np.outer(knots, size), self.reach) @ self.share, knots))

    def expected(self, scale: float) -> float:
        """The mean of the plug-in ECE at that scale, over binomial counts of right answers."""
        from scipy.special import betainc

        n, p = self.counts, self.accuracy(scale)
        at = n * self.confidence
        # The mean of the part above: of k > m, n·p·P(k' ≥ m) - at·P(k > m), with k' of n - 1 examples.
        m = np.minimum(np.floor(at), n - 1)
        above = betainc(m + 1, n - m, p)
        above_less = np.where(m > 0, betainc(np.maximum(m, 1), np.maximum(n - m, 1), p), 1.0)
        return float((at - n * p + 2 * (n * p * above_less - at * above)).sum() / n.sum())


def ece_debiased(which: np.ndarray, confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """The ECE of the population for which the plug-in ECE expected of so many examples is the observed one.

    A fraction; 0 where a calibrated model is expected to show as much. which, confidence, correct [N]. Bins' gaps are
    scaled together, their counts held. Source: the bias is that of Kumar, Liang, Ma 2019, here solved for.
    """
    from scipy.optimize import brentq

    scaled = Scaled.of(which, confidence, correct, bins)
    observed = float(scaled.share @ np.abs(scaled.gap))
    most = scaled.scale_of(observed)
    if scaled.expected(0.0) >= observed:
        return 0.0
    if scaled.expected(most) <= observed:
        return float(np.sqrt(scaled.errors(most)[0]))
    scale = brentq(lambda s: scaled.expected(s) - observed, 0, most, rtol=1e-6)
    return float(np.sqrt(scaled.errors(scale)[0]))


def binned_intervals(
    which: np.ndarray,
    confidence: np.ndarray,
    correct: np.ndarray,
    bins: int,
    *,
    resamples: int,
    rng: np.random.Generator,
    ways: Sequence[Towards] = ("spread", "even"),
) -> tuple[Interval, Interval]:
    """95 % intervals of the ECE and of the root mean squared calibration error over the bins `which` [N], fractions.

    At each of a few scales of the gaps, `resamples` counts of examples and of right answers are drawn for every bin.
    The gaps are drawn towards their common size in several `ways`, and an interval holds what agrees with any of them.
    """
    ends = [_simulated(Scaled.of(which, confidence, correct, bins, way), resamples, rng) for way in ways]
    low, high = np.sqrt(np.min(ends, axis=0)[:, 0]), np.sqrt(np.max(ends, axis=0)[:, 1])
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


def _simulated(scaled: Scaled, resamples: int, rng: np.random.Generator) -> list[Interval]:
    """The squares of both intervals: squared, quantiles are nearly straight lines in the error."""
    share, examples = scaled.share, int(scaled.counts.sum())
    observed = statistics(scaled.confidence, scaled.counts, scaled.counts * (scaled.confidence - scaled.gap))
    spread = np.sqrt(share @ (scaled.confidence * (1 - scaled.confidence) + LEAST_VARIANCE) / examples)
    top, largest = np.sqrt(observed[0]) + 4 * spread, float(share @ scaled.reach)
    counts = rng.multinomial(examples, share, size=resamples)
    while True:
        scales = np.linspace(0, scaled.scale_of(top), STEPS)
        right = rng.binomial(counts, np.array([scaled.accuracy(s) for s in scales])[:, None])
        drawn = np.stack(statistics(scaled.confidence, counts, right))
        low, high = np.quantile(drawn, QUANTILES, axis=2, method="weibull")
        if top >= largest or (low[:, -1] > observed).all():
            break
        top *= 2
    errors = np.array([scaled.errors(s) for s in scales]).T
    return [_ends(errors[k], low[k], high[k], float(observed[k]), drawn[k, 0]) for k in range(len(observed))]


def statistics(confidence: np.ndarray, counts: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The squares of the plug-in ECE and of the debiased RMS error: counts and right [..., B], confidence [B].

    The second may be negative.
    """
    total = counts.sum(axis=-1)
    apart = counts * confidence - right
    n = np.maximum(counts, 1)
    noise = right * (n - right) / (n * np.maximum(n - 1, 1))
    square = np.where(counts > 1, apart**2 / n - noise, 0).sum(axis=-1) / total
    return (np.abs(apart).sum(axis=-1) / total) ** 2, square


def _ends(errors: np.ndarray, low: np.ndarray, high: np.ndarray, observed: float, null: np.ndarray) -> Interval:
    """Where the quantiles [S] of the statistic, rising with the errors [S], cross the observed one.

    An observed one among the smallest 5 % of a calibrated model's (`null`) is taken as their largest, so that luck
    alone makes no interval of nothing.
    """
    low, high = np.maximum.accumulate(low), np.maximum.accumulate(high)
    at = max(observed, float(np.quantile(null, SMALLEST)))
    first = 0.0 if high[0] >= observed else float(np.interp(observed, high, errors))
    return first, float(np.interp(at, low, errors))


def mce_interval(which: np.ndarray, confidence: np.ndarray, correct: np.ndarray, bins: int) -> Interval:
    """An interval of the largest gap of a bin that has examples, which covers it in at least 95 %; a fraction.

    From intervals of every bin's share correct that hold together. Source: Clopper, Pearson 1934; Šidák 1967.
    """
    from scipy.special import betaincinv

    counts, said, share = bin_means(which, confidence, correct, bins)
    held = counts > 0
    n, said = counts[held], said[held]
    right = np.round(share[held] * n)
    tail = (1 - 0.95 ** (1 / len(n))) / 2
    low = np.where(right > 0, betaincinv(np.maximum(right, 1), n - right + 1, tail), 0)
    high = np.where(right < n, betaincinv(right + 1, np.maximum(n - right, 1), 1 - tail), 1)
    nearest = np.maximum(np.maximum(low - said, said - high), 0)
    return float(nearest.max()), float(np.maximum(said - low, high - said).max())


def aurc_interval(confidence: np.ndarray, correct: np.ndarray) -> Interval:
    """An interval of the mean error rate over all coverages, a fraction, by the infinitesimal jackknife.

    The AURC is taken as the mean of what each example adds to it, which is skewed; the upper end is that with one more
    error, of average rank, as the errors of the most confident weigh most and are seldom seen. Where all are right, or
    all wrong, it is Wilson's of the error rate. confidence, correct [N]. Source: Jaeckel 1972; Hall 1992.
    """
    n, right = len(correct), int(correct.sum())
    if right in (0, n):
        low, high = wilson(n - right, n)
        return float(low), float(high)
    area, influence = aurc_influence(confidence, correct)
    ends, more = mean_interval(area + influence), mean_interval(np.append(area + influence, 1.0))
    assert ends is not None
    assert more is not None
    return max(float(ends[0]), 0.0), min(float(more[1]), 1.0)


def aurc_influence(confidence: np.ndarray, correct: np.ndarray) -> tuple[float, np.ndarray]:
    """The AURC and N times its derivative with respect to each example's weight [N]; these sum to 0.

    Of the i-th most confident, with e_i its error and R_k the risk of the first k: R_i - AURC + Σ_{k≥i} (e_i - R_k)/k.
    """
    risk = risks(confidence, correct)
    k = np.arange(1, len(risk) + 1)
    area = float(risk.mean())
    _, group, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    place = np.repeat(np.arange(len(sizes)), sizes)

    def shared(values: np.ndarray) -> np.ndarray:
        return (np.bincount(place, weights=values) / sizes)[group]

    later = np.cumsum((1 / k)[::-1])[::-1]
    risks_later = np.cumsum((risk / k)[::-1])[::-1]
    return area, shared(risk) - area + ~correct * shared(later) - shared(risks_later)

"""How far calibration errors may lie from those of the population: 95 % intervals that allow for their bias.

An error over bins is a sum of absolute gaps, so noise alone makes it larger and no resampling of the examples takes
that back. The bins' gaps are therefore scaled: at scale s bin b is right with probability p_b(s), at s = 0 as often as
it says. The interval holds the errors θ(s) under which the observed statistic is not rejected. Source: Bröcker, Smith
2007 and Vaicenavicius et al. 2019 for s = 0; the inversion of tests, Neyman 1937.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fierce_tools.analysis._intervals import mean_interval, wilson
from fierce_tools.analysis._metrics import bin_means, risks

Interval = tuple[float, float]
Towards = Literal["spread", "even", "none", "sparse"]
# Errors at which the statistic is simulated, from 0 to one that is too large; its quantiles are interpolated.
STEPS = 6
# With few examples quantiles go in leaps, so errors are closer and nothing is interpolated.
FEW, CLOSER = 100, 4
# How often errors are drawn closer where the observed statistic is the largest or smallest that there can be.
ZOOMS = 3
QUANTILES = (0.025, 0.975)
# The low one of several bins: their upper ends by several ways miss less together than each does.
NEARER = 0.035
SMALLEST = 0.05
# Statistics no further apart are the same one.
SAME = 1e-12
# Of the variance of one example, so that a bin that is all right or all wrong is not taken as certain.
LEAST_VARIANCE = 0.0025
# Standard errors of a gap above which a bin is not taken as calibrated, and the size that the others' are scaled from.
CLEAR, UNCLEAR = 2.0, 1e-6
# Of a gap's variance by noise, what is taken off its square for the debiased ECE; chosen by simulation.
SHRINK = 0.5


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
        deviation of its examples (`spread`), or not at all (`none`). `sparse` takes bins as calibrated whose gap is
        not clear, so that few hold all of the error; where none is clear, it is `none`.
        """
        columns = bin_means(which, confidence, correct, bins)
        counts, said, right = (column[columns[0] > 0] for column in columns)
        gap = said - right
        variance = said * (1 - said) + LEAST_VARIANCE
        mean = counts @ variance / counts.sum()
        common = counts @ gap**2 / counts.sum()
        spread = {"spread": variance / mean, "even": 1.0, "none": UNCLEAR, "sparse": UNCLEAR}[towards]
        size = np.sqrt(gap**2 + (common or mean) * spread)
        if towards == "sparse":
            clear = np.abs(gap) > CLEAR * np.sqrt(variance / counts)
            size = np.where(clear | ~clear.any(), size, UNCLEAR * size)
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
        """p_b at that scale [B]; a gap that would leave [0, 1] on its own side goes to the other."""
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


def ece_debiased(which: np.ndarray, confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """The plug-in ECE less what noise adds to it: Σ_b w_b (|g_b| - (E|g'_b + noise| - |g'_b|)), 0 where that is less.

    g'_b = g_b max(0, 1 - SHRINK s_b²/g_b²) is the gap of bin b less what is likely noise, of standard error s_b; the
    mean is over binomial counts of right answers. which, confidence, correct [N]; a fraction. Too high by up to half of
    the plug-in's bias where few bins hold the error, too low where all gaps are near their standard errors.
    Source: the bias is that of Kumar, Liang, Ma 2019; the gaps are shrunk as in James, Stein 1961.
    """
    bin_gaps = Scaled.of(which, confidence, correct, bins)
    n, said, gap = bin_gaps.counts, bin_gaps.confidence, bin_gaps.gap
    noise = (said * (1 - said) + LEAST_VARIANCE) / n
    shrunk = gap * np.maximum(1 - SHRINK * noise / np.maximum(gap**2, 1e-12), 0)
    bias = expected_gap(n, said, said - shrunk) - np.abs(shrunk)
    return max(float(bin_gaps.share @ (np.abs(gap) - bias)), 0.0)


def expected_gap(n: np.ndarray, confidence: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """The mean of |confidence - k/n| over k binomial of n examples and that accuracy; each argument is by bin [B]."""
    from scipy.special import betainc

    at = n * confidence
    # The mean of the part above: of k > m, n·p·P(k' ≥ m) - at·P(k > m), with k' of n - 1 examples.
    m = np.minimum(np.floor(at), n - 1)
    above = betainc(m + 1, n - m, accuracy)
    above_less = np.where(m > 0, betainc(np.maximum(m, 1), np.maximum(n - m, 1), accuracy), 1.0)
    return (at - n * accuracy + 2 * (n * accuracy * above_less - at * above)) / n


def binned_intervals(
    which: np.ndarray,
    confidence: np.ndarray,
    correct: np.ndarray,
    bins: int,
    *,
    resamples: int,
    rng: np.random.Generator,
    ways: Sequence[Towards] = ("even", "sparse"),
) -> tuple[Interval, Interval]:
    """95 % intervals of the ECE and of the root mean squared calibration error over the bins `which` [N], fractions.

    At each of a few scales of the gaps, `resamples` counts of examples and of right answers are drawn for every bin.
    The gaps are scaled in several `ways`, and an interval holds what agrees with any of them. In simulations of 500 and
    2,000 examples the ECE's covers 93 % and more, up to 99: gaps in every bin, in one, or among low confidences only.
    Confidences are held: with fewer than about 20 examples of very different ones, nearly all wrong, the upper end,
    at most their mean, may lie below the population's error.
    """
    # In one bin all ways are the same.
    ways = ways if np.ptp(which) else ways[:1]
    ends = [_simulated(Scaled.of(which, confidence, correct, bins, way), resamples, rng) for way in ways]
    low, high = np.sqrt(np.min(ends, axis=0)[:, 0]), np.sqrt(np.max(ends, axis=0)[:, 1])
    return (float(low[0]), float(high[0])), (float(low[1]), float(high[1]))


@dataclass(frozen=True)
class Quantiles:
    """Of both statistics [2] at some scales [S]: squared `errors`, `low` and `high` quantiles [2, S], rising with them.

    `small` [2] is exceeded in 95 % at the first scale.
    """

    scales: np.ndarray
    errors: np.ndarray
    low: np.ndarray
    high: np.ndarray
    small: np.ndarray

    @classmethod
    def at(cls, scaled: Scaled, scales: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> Quantiles:
        """From right answers drawn for counts [resamples, B]."""
        right = rng.binomial(counts, np.array([scaled.accuracy(s) for s in scales])[:, None])
        drawn = np.stack(statistics(scaled.confidence, counts, right))
        tails = QUANTILES if len(scaled.gap) == 1 else (NEARER, QUANTILES[1])
        low, high = np.maximum.accumulate(np.quantile(drawn, tails, axis=2, method="weibull"), axis=2)
        small = np.quantile(drawn[:, 0], SMALLEST, axis=1)
        return cls(scales, np.array([scaled.errors(s) for s in scales]).T, low, high, small)


def _simulated(scaled: Scaled, resamples: int, rng: np.random.Generator) -> list[Interval]:
    """The squares of both intervals: squared, quantiles are nearly straight lines in the error.

    An observed statistic among the smallest 5 % of a calibrated model's is taken as their largest, so that luck alone
    makes no interval of nothing.
    """
    share, examples = scaled.share, int(scaled.counts.sum())
    observed = statistics(scaled.confidence, scaled.counts, scaled.counts * (scaled.confidence - scaled.gap))
    spread = np.sqrt(share @ (scaled.confidence * (1 - scaled.confidence) + LEAST_VARIANCE) / examples)
    top, largest = np.sqrt(observed[0]) + 4 * spread, float(share @ scaled.reach)
    counts = rng.multinomial(examples, share, size=resamples)

    def quantiles(scales: np.ndarray) -> Quantiles:
        return Quantiles.at(scaled, scales, counts, rng)

    steps = STEPS if examples > FEW else CLOSER * STEPS
    while True:
        found = quantiles(np.array([scaled.scale_of(error) for error in np.linspace(0, top, steps)]))
        if top >= largest or (found.low[:, -1] > observed).all():
            break
        top *= 2
    ends = []
    for k, value in enumerate(observed):
        wanted = {True: float(value), False: float(max(value, found.small[k]))}
        low, high = (_crossing(quantiles, found, k, v, lower=end, smooth=examples > FEW) for end, v in wanted.items())
        ends.append((low, high))
    return ends


def _crossing(
    quantiles: Callable[[np.ndarray], Quantiles], at: Quantiles, k: int, observed: float, *, lower: bool, smooth: bool
) -> float:
    """The first squared error at which the high quantile of statistic k is the observed one, or the last for the low.

    A quantile that stays at the observed one, the largest or smallest there can be, says only between which errors it
    came there: those are simulated more closely, and of what is left the outer one is taken.
    """
    for _ in range(ZOOMS + 1):
        errors, rising = at.errors[k], (at.high if lower else at.low)[k]
        # The error looked for lies between the i-th and the one after it.
        reached = rising >= observed - SAME if lower else rising > observed + SAME
        i = int(reached.argmax()) - 1 if reached.any() else len(errors) - 1
        if i < 0:
            return float(errors[0])
        if i == len(errors) - 1:
            return float(errors[-1])
        outer = float(errors[i] if lower else errors[i + 1])
        stays = rising[i + 1 if lower else i]
        if abs(stays - observed) > SAME:
            return float(np.interp(observed, rising[i : i + 2], errors[i : i + 2])) if smooth else outer
        at = quantiles(np.linspace(at.scales[i], at.scales[i + 1], STEPS))
    return outer


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

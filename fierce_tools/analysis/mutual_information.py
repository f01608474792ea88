"""How much of each single training example a model's logits still hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._classes import names_of, number_of
from fierce_tools.analysis._soft import BLOCK, check_logits
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Cell, Report, Scalars

# Asked of the training examples unless another split is named.
DEFAULT_SPLIT = "train"


@dataclass(frozen=True)
class MutualInformation:
    """`nats` is the estimate, at most log `examples`; `noise_variance` the shared σ² of the logit difference.

    `draws` is the number behind each mean, the one held out not counted.
    """

    nats: float
    examples: int
    draws: int
    noise_variance: float
    classes: tuple[str, str]

    def report(self) -> Report:
        """The estimate between its marks: nothing, the class, each example."""
        values: dict[str, Cell] = {
            "mutual information": self.nats,
            "the class alone": float(np.log(2)),
            "at most": float(np.log(self.examples)),
            "examples": self.examples,
            "draws": self.draws,
            "noise variance": self.noise_variance,
            "classes": " and ".join(self.classes),
        }
        units = dict.fromkeys(("mutual information", "the class alone", "at most"), "nats")
        notes = (
            "0: the logit difference tells nothing of the example; log 2 = .693: its class; log N: which one it is.",
            "It comes out low, by .13 with 1 draw behind each mean, .065 with 5 and .01 with 50: below 0 for nothing.",
            "Compare estimates from as many examples and draws only.",
        )
        return Report("Mutual information", (Scalars("Mutual information", values, units),), notes)


def mutual_information(
    draws: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...] | None = None,
    *,
    classes: Annotated[tuple[str, ...], "two classes, by name or number (the first two there are)"] = (),
    examples: Annotated[int, "training examples of the two classes, 2 or more"] = 600,
    sample_seed: Annotated[int, "seed of their choice, where there are more"] = 0,
) -> MutualInformation:
    """Mutual information between a training example and the difference of two logits, under augmentation.

    X = index of N examples of two classes a and b, half of each where there are enough; Y = z_a - z_b of draws
    [L, N, C], logits under augmentation, with labels [N]. The last draw is y_x; μ_x is the mean of the L - 1 others;
    σ² = mean_x (y_x - μ_x)². Î = mean_x[-(y_x-μ_x)²/2σ² - log mean_x' exp(-(y_x-μ_x')²/2σ²)] in nats, at most log N.
    Raises UsageError for classes or numbers out of range, DataError for a single draw, draws that do not differ, are
    not finite or do not fit the labels, or a class without examples. Source: Müller, Kornblith, Hinton 2019.
    """
    if examples < 2:
        raise UsageError(f"{examples} examples, expected 2 or more")
    _check_draws(draws, labels)
    names = names_of(class_names, draws.shape[2])
    first, second = _pair(labels, names, classes)
    chosen = _sample(labels, first, second, examples, sample_seed)
    y = draws[:, chosen, first].astype(np.float64) - draws[:, chosen, second]
    held, means = y[-1], y[:-1].mean(axis=0)
    variance = float(np.mean((held - means) ** 2))
    # Rounding alone, where batches differ, is no noise either.
    if variance <= (1e-6 * float(np.abs(y).max())) ** 2:
        raise DataError(
            "the draws do not differ (σ² = 0), and without noise mutual information is not defined",
            "make them under augmentation",
        )
    return MutualInformation(estimate(held, means, variance), len(chosen), len(y) - 1, variance,
                             (names[first], names[second]))  # fmt: skip


def estimate(held: np.ndarray, means: np.ndarray, variance: float) -> float:
    """mean_x[-(y_x-μ_x)²/2σ² - log mean_x' exp(-(y_x-μ_x')²/2σ²)] in nats, of y [N] and μ [N]; by row blocks."""
    total = 0.0
    step = max(1, BLOCK // len(means))
    for start in range(0, len(held), step):
        y = held[start : start + step]
        exponents = (y[:, None] - means) ** 2 / (-2 * variance)
        top = exponents.max(axis=1)
        other = top + np.log(np.exp(exponents - top[:, None]).mean(axis=1))
        own = (y - means[start : start + step]) ** 2 / (-2 * variance)
        total += float((own - other).sum())
    return total / len(held)


def _check_draws(draws: np.ndarray, labels: np.ndarray) -> None:
    if draws.ndim != 3:
        raise DataError(f"draws have shape {list(draws.shape)}, expected [L, N, C]")
    if len(draws) < 2:
        raise DataError(
            f"{len(draws)} draw, expected 2 or more: one is held out from the mean of the others", "make more draws"
        )
    for number, draw in enumerate(draws):
        try:
            check_logits(draw, labels)
        except DataError as error:
            raise DataError(f"draws[{number}]: {error.message}", error.hint) from None


def _pair(labels: np.ndarray, names: tuple[str, ...], classes: tuple[str, ...]) -> tuple[int, int]:
    there = np.unique(labels).tolist()
    numbers = [number_of(text, names) for text in classes] if classes else there[:2]
    if len(set(numbers)) != 2 or len(numbers) != 2:
        if not classes:
            raise DataError(f"examples of class {names[there[0]]} only, and two classes are needed")
        raise UsageError(f"classes {', '.join(classes)}: expected two different ones", "for example --classes 0,1")
    for number in numbers:
        if number not in there:
            raise DataError(
                f"there is no example of class {names[number]}", f"there are {', '.join(names[c] for c in there[:20])}"
            )
    return numbers[0], numbers[1]


def _sample(labels: np.ndarray, first: int, second: int, examples: int, seed: int) -> np.ndarray:
    """Positions of at most `examples` of two classes: half of each, more of one where the other has fewer."""
    generator = np.random.default_rng(seed)
    one, two = (generator.permutation(np.flatnonzero(labels == c)) for c in (first, second))
    of_two = min(len(two), max(examples // 2, examples - len(one)))
    return np.sort(np.r_[one[: examples - of_two], two[:of_two]])

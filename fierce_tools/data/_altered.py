"""What is done to the training split alone, once validation is cut off: fewer examples, a long tail, wrong labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from fierce_tools.errors import UsageError

# Streams of the seed, so that one draw never moves another.
_EXAMPLES, _WRONG = 1, 2


@dataclass(frozen=True)
class Altered:
    """How a training split differs from the data it is taken from; validation and test stay as they are.

    At most `per_class` examples of each class are kept, then an exponential long tail of the ratio `imbalance`, then a
    share `label_noise` of each class's labels is made wrong. Raises UsageError for values out of range.
    """

    per_class: int | None = None
    imbalance: float = 1.0
    label_noise: float = 0.0
    noise_kind: str = "symmetric"
    draw_seed: int = 0

    def __post_init__(self) -> None:
        if self.per_class is not None and self.per_class < 1:
            raise UsageError(f"--per-class is {self.per_class}, expected 1 or more", "for example --per-class 100")
        if not (math.isfinite(self.imbalance) and self.imbalance >= 1):
            raise UsageError(f"--imbalance is {self.imbalance:g}, expected 1 or more", "for example --imbalance 100")
        if not 0 <= self.label_noise <= 1:
            raise UsageError(f"--label-noise is {self.label_noise:g}, expected 0 to 1", "for example --label-noise 0.4")
        if self.draw_seed < 0:
            raise UsageError(f"--draw-seed is {self.draw_seed}, expected 0 or more")

    def __bool__(self) -> bool:
        return self.per_class is not None or self.imbalance != 1 or self.label_noise != 0

    def identity(self) -> str:
        """What makes it differ from others: the values that are not the defaults and matter."""
        idle = set() if self.label_noise else {"noise_kind"}
        said = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in idle}
        return ", ".join(f"{f.name}={said[f.name]!r}" for f in fields(self) if said.get(f.name, f.default) != f.default)

    def kept(self, labels: np.ndarray, class_names: tuple[str, ...]) -> np.ndarray:
        """The rows i64 of `labels` [N] that stay, in their order.

        With the long tail, class k of C keeps ⌊n·R^(-k/(C-1))⌋, n the largest that every class can serve. What a
        smaller number keeps is part of what a larger one does. Raises UsageError where a class keeps none.
        Source: Cui et al. 2019, Cao et al. 2019 (the long tail).
        """
        classes = len(class_names)
        counts = np.bincount(labels, minlength=classes)
        if self.per_class is not None:
            counts = np.minimum(counts, min(self.per_class, len(labels)))
        if self.imbalance != 1:
            share = self.imbalance ** (-np.arange(classes) / (classes - 1))
            head = (counts / share).min()
            counts = np.floor(head * share + 1e-9).astype(np.int64)
            if not counts.all():
                none = int(np.flatnonzero(counts == 0)[0])
                raise UsageError(
                    f"--imbalance {self.imbalance:g} leaves class {class_names[none]!r} without a training example "
                    f"(the most frequent class could have {int(head)})",
                    "use a smaller ratio",
                )
        taken = [self._shuffled(labels, label, _EXAMPLES)[0][: counts[label]] for label in range(classes)]
        return np.sort(np.concatenate(taken))

    def noisy(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """`labels` i64 [N] with round(label_noise · n) of each class's n made wrong, a copy.

        `symmetric`: to one of the other classes, each as likely (never to itself); `pairwise`: to the next class, the
        last one's to the first. The labels that a smaller share makes wrong a larger one makes wrong alike.
        Source: Patrini et al. 2017 (symmetric), Han et al. 2018 (pairwise).
        """
        made = labels.copy()
        for label in range(classes):
            members, rng = self._shuffled(labels, label, _WRONG)
            step = np.ones(len(members), np.int64)
            if self.noise_kind == "symmetric":
                step = rng.integers(1, classes, len(members))
            chosen = slice(round(self.label_noise * len(members)))
            made[members[chosen]] = (label + step[chosen]) % classes
        return made

    def _shuffled(self, labels: np.ndarray, label: int, stream: int) -> tuple[np.ndarray, np.random.Generator]:
        rng = np.random.default_rng((self.draw_seed, stream, label))
        return rng.permutation(np.flatnonzero(labels == label)), rng

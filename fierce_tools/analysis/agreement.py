"""Whether a model's soft labels say what a teacher's, or people's, say: their quality, not only their amount."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._classes import ROOM, WIDE, check_temperature, class_moments, names_of, some
from fierce_tools.analysis._metrics import accuracy
from fierce_tools.analysis._soft import BLOCK, check_logits
from fierce_tools.errors import DataError
from fierce_tools.report import Cell, Heat, Report, Scalars, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2


@dataclass(frozen=True)
class Agreement:
    """Of a model with its `reference` (teacher, or label distributions); fractions, entropies and kl in nats.

    `rank_correlation` is the mean over the `ranked` examples whose similarity labels differ on both sides.
    `similarity` and `reference_similarity` [C, C] hold each class's mean soft label, the class itself left out (NaN).
    What cannot be had is None: accuracies without labels, correlations without anything that varies. `kl` is the mean
    over the examples where it is finite, None without any; `kl_infinite` counts the others, to whose classes the model
    gives a probability of 0 where the reference does not.
    """

    reference: str
    temperature: float
    examples: int
    top1: float
    accuracy: float | None
    reference_accuracy: float | None
    kl: float | None
    entropy: float
    reference_entropy: float
    rank_correlation: float | None
    ranked: int
    similarity_correlation: float | None
    similarity: np.ndarray
    reference_similarity: np.ndarray
    class_names: tuple[str, ...]
    kl_infinite: int = 0

    def report(self) -> Report:
        """The figures, and what each side takes each class for."""
        values: dict[str, Cell] = {
            "against": self.reference,
            "top-1 agreement": self.top1,
            "accuracy": self.accuracy,
            "accuracy of the reference": self.reference_accuracy,
            "KL(reference ‖ model)": self.kl,
            "entropy": self.entropy,
            "entropy of the reference": self.reference_entropy,
            "rank correlation of similarity labels": self.rank_correlation,
            "correlation of class similarities": self.similarity_correlation,
            "temperature": self.temperature,
            "examples": self.examples,
        }
        units = dict.fromkeys(("KL(reference ‖ model)", "entropy", "entropy of the reference"), "nats")
        heats: list[Heat | Table] = []
        if len(self.class_names) <= WIDE:
            names = self.class_names
            for title, matrix in (
                ("Class similarity of the model", self.similarity),
                ("Class similarity of the reference", self.reference_similarity),
            ):
                heats.append(Heat(title, names, names, tuple(tuple(some(v) for v in row) for row in matrix.tolist())))
        else:
            heats.append(self._pairs())
        notes = [
            "Entropies compare how much soft labels say; the correlations, which classes are alike; KL both at once.",
            "Class similarity: the mean soft label of the examples of each class, without the class itself.",
        ]
        if self.ranked < self.examples:
            notes.append(
                f"The rank correlation leaves out {self.examples - self.ranked} examples: "
                "similarity labels that are all equal have no order."
            )
        if self.kl_infinite:
            notes.append(
                f"KL is infinite for {self.kl_infinite} of {self.examples} examples, where the model gives a "
                "probability of 0 to a class that the reference does not; the mean is over the others."
            )
        return Report("Agreement", (Scalars("Agreement", values, units), *heats), tuple(notes))

    def _pairs(self) -> Table:
        """What the reference takes classes for most, and what the model thinks of that."""
        classes = len(self.class_names)
        flat = np.nan_to_num(self.reference_similarity, nan=-1.0).ravel()
        rows = []
        for place in np.argsort(-flat, kind="stable")[:ROOM].tolist():
            c, k = divmod(place, classes)
            if flat[place] >= 0:
                both = (some(self.reference_similarity[c, k]), some(self.similarity[c, k]))
                rows.append((self.class_names[c], self.class_names[k], *both))
        return Table(f"The {ROOM} greatest similarities of the reference", ("class", "is like", "reference", "model"),
                     tuple(rows))  # fmt: skip


def agreement(
    logits: np.ndarray,
    labels: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    teacher_logits: np.ndarray | None = None,
    class_names: tuple[str, ...] | None = None,
    index: np.ndarray | None = None,
    teacher_index: np.ndarray | None = None,
    *,
    temperature: Annotated[float, "softmax temperature of both models, above 0"] = 1.0,
) -> Agreement:
    """Agreement of a model's soft labels with a teacher's, or with label distributions such as people's.

    Of logits [N, C] with teacher_logits [N, C], else targets [N, C] whose rows sum to 1, both sides at T:
    share of examples with the same largest class; accuracies where there are labels [N]; mean KL(reference ‖ model)
    where it is finite and entropies in nats; mean over examples of Spearman's rank correlation of the similarity
    labels (the true class, or else the reference's largest, left out); Pearson's correlation of the two
    class-similarity matrices, mean soft labels by class without the diagonal. Raises UsageError for a temperature not
    above 0, DataError where neither reference is there or arrays do not fit. Source: Hinton et al. 2015;
    Spearman 1904.
    """
    check_temperature(temperature)
    check_logits(logits, labels)
    classes = logits.shape[1]
    names = names_of(class_names, classes)
    if teacher_logits is not None:
        _check_teacher(logits, teacher_logits, index, teacher_index)
    taught = teacher_logits is not None
    scores = _log(_distributions(logits, targets)) if teacher_logits is None else teacher_logits
    reference_top = scores.argmax(axis=1)
    groups = reference_top if labels is None else labels
    kl, entropy, reference_entropy, ranks = (np.empty(len(logits)) for _ in range(4))
    step = max(1, BLOCK // classes)
    for start in range(0, len(logits), step):
        rows = slice(start, start + step)
        log_p = _log_softmax(logits[rows], temperature)
        log_q = _log_softmax(scores[rows], temperature)
        p, q = np.exp(log_p), np.exp(log_q)
        # 0·log 0 is 0; q·log(q/0) is infinite.
        gone = log_p == -np.inf
        log_p, log_q = (np.where(v == -np.inf, 0, v) for v in (log_p, log_q))
        kl[rows] = np.where((gone & (q > 0)).any(axis=1), np.inf, (q * (log_q - log_p)).sum(axis=1))
        entropy[rows] = -(p * log_p).sum(axis=1)
        reference_entropy[rows] = -(q * log_q).sum(axis=1)
        ranks[rows] = _spearman(logits[rows], scores[rows], groups[rows])
    mine = class_moments(logits, groups, temperature).mean
    theirs = class_moments(scores, groups, temperature).mean
    diagonal = np.eye(classes, dtype=bool)
    ranked = np.isfinite(ranks)
    return Agreement(
        reference="teacher" if taught else "label distributions",
        temperature=temperature,
        examples=len(logits),
        top1=float((logits.argmax(axis=1) == reference_top).mean()),
        accuracy=None if labels is None else accuracy(logits, labels),
        reference_accuracy=None if labels is None else accuracy(scores, labels),
        kl=float(kl[np.isfinite(kl)].mean()) if np.isfinite(kl).any() else None,
        kl_infinite=int((~np.isfinite(kl)).sum()),
        entropy=float(entropy.mean()),
        reference_entropy=float(reference_entropy.mean()),
        rank_correlation=float(ranks[ranked].mean()) if ranked.any() else None,
        ranked=int(ranked.sum()),
        similarity_correlation=_pearson(mine[~diagonal], theirs[~diagonal]),
        similarity=np.where(diagonal, np.nan, mine),
        reference_similarity=np.where(diagonal, np.nan, theirs),
        class_names=names,
    )


def _check_teacher(
    logits: np.ndarray, teacher_logits: np.ndarray, index: np.ndarray | None, teacher_index: np.ndarray | None
) -> None:
    try:
        check_logits(teacher_logits)
    except DataError as error:
        raise DataError(f"teacher: {error.message}", error.hint) from None
    same = index is None or teacher_index is None or np.array_equal(index, teacher_index)
    if teacher_logits.shape != logits.shape or not same:
        what = "are of other examples" if teacher_logits.shape == logits.shape else "do not fit"
        raise DataError(
            f"the teacher's logits {list(teacher_logits.shape)} {what}, the model's are {list(logits.shape)}",
            "ask both on the same split of the same data",
        )


def _distributions(logits: np.ndarray, targets: np.ndarray | None) -> np.ndarray:
    """Targets that are label distributions [N, C]. Raises DataError where they are none, saying what to give."""
    give = "give --teacher PATH, or targets [N, C] whose rows sum to 1"
    if targets is None:
        raise DataError("agreement needs something to agree with: there is no teacher, and there are no targets", give)
    if targets.shape != logits.shape:
        raise DataError(f"targets have shape {list(targets.shape)}, logits {list(logits.shape)}", give)
    sums, lowest = targets.sum(axis=1, dtype=np.float64), targets.min(axis=1)
    bad = np.flatnonzero(~((np.abs(sums - 1) <= 1e-3) & (lowest >= 0)))
    if len(bad):
        raise DataError(
            f"targets[{bad[0]}] sums to {sums[bad[0]]:g} with a smallest value of {lowest[bad[0]]:g}, "
            "and is no distribution over classes",
            give,
        )
    return targets


def _log_softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    z = logits.astype(np.float64)
    z = (z - z.max(axis=1, keepdims=True)) / temperature
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))


def _log(p: np.ndarray) -> np.ndarray:
    """log p f64, -inf where p is 0: the logits of label distributions."""
    with np.errstate(divide="ignore"):
        return np.log(p, dtype=np.float64)


def _spearman(a: np.ndarray, b: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each row of a and b [n, C] without the column left out [n]; NaN where one is flat."""
    from scipy.stats import rankdata

    kept = np.arange(a.shape[1]) != left_out[:, None]
    x, y = (rankdata(v[kept].reshape(len(v), -1), axis=1) for v in (a, b))
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return (x * y).sum(axis=1) / np.where(scale > 0, scale, np.nan)


def _pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's correlation over what is finite in both; None where one varies by no more than float32's rounding."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 2:
        return None
    x, y = a[both] - a[both].mean(), b[both] - b[both].mean()
    flat = any(np.abs(v).max() <= 1e-6 * np.abs(w[both]).max() for v, w in ((x, a), (y, b)))
    return None if flat else float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))

"""Whether noise on soft labels teaches what their own differences teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np

from fierce_tools.analysis._metrics import accuracy
from fierce_tools.analysis._soft import probabilities
from fierce_tools.analysis.entropy import alpha_of, entropy
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _pooled
from fierce_tools.experiments._lab import Lab
from fierce_tools.experiments._noise import variances
from fierce_tools.experiments._seeds import band, cells, formula, four
from fierce_tools.experiments._selection import select
from fierce_tools.experiments._teachers import UNTAUGHT, Teacher
from fierce_tools.outputs import Outputs
from fierce_tools.report import Cell, Lines, Report, Series, Table
from fierce_tools.seeds import Mean, by_seed, mean_sd
from fierce_tools.training.ensemble import Student


@dataclass(frozen=True)
class Noise:
    """Accuracies (fractions) of students of soft labels with noise on them.

    An entry of `found` has the `labels` it learned from (a teacher's name, or "smoothed α=…"), their `noise_scale`, how
    many examples of each class it was given (`per_class`, None: all), its `seed` and `accuracy`. One of `variances` has
    `labels`, `noise_scale` and `per_class`, and of the soft labels there: `entropy` (nats), `confidence`,
    `row_variance` within an example and `column_variance` within a class, both of the similarity labels, and
    `induced`, the part that differs between two draws of the noise; without noise all variance is natural. Both
    name the `teacher`, if the labels are one's, and with --teacher-seeds its `recipe`; `pooled` has an entry for each
    recipe, scale and size then (see _pooled.pool).
    """

    found: tuple[dict[str, Any], ...]
    variances: tuple[dict[str, Any], ...]
    kind: str
    notes: tuple[str, ...]
    pooled: tuple[dict[str, Any], ...] = ()

    def report(self) -> Report:
        """Accuracy against the scale of the noise, and a table with the variances."""
        fold = _pooled.folded(bool(self.pooled))
        groups: dict[tuple[str, int | None], dict[float, None]] = {}
        for v in self.variances:
            groups.setdefault((self._row(v), v["per_class"]), {})[v["noise_scale"]] = None
        several = len({n for _, n in groups}) > 1
        lines: list[Series] = []
        rows: list[tuple[Cell, ...]] = []
        more: list[tuple[tuple[Cell, ...], Mean]] = []
        for (labels, n), scales in groups.items():
            of = {s: [e for e in self.found if self._is(e, labels, n, s)] for s in scales}
            means = [(by_seed if of[s][0]["recipe"] is None else fold)(of[s], "accuracy") for s in scales]
            size = "all" if n is None else n
            lines.append(band(f"{labels}, {size} a class" if several else labels, [*scales], means))
            for s, mean in zip(scales, means, strict=True):
                about = (labels, size, s)
                rows.append((*about, *_figures([v for v in self.variances if self._is(v, labels, n, s)]), *cells(mean)))
                more += [(about, mean)] if of[s][0]["recipe"] is None else []
        chart = Lines(f"Student accuracy against {self.kind} noise", "scale of the noise", "accuracy", tuple(lines))
        heads = ("labels", "per class", "noise", "entropy", "conf.", "row var.", "col. var.", "induced")
        tables: tuple[Table, ...]
        if self.pooled:
            axes = {"per_class": "per class", "noise_scale": "noise"}
            sized = [
                {**row, "per_class": "all" if row["per_class"] is None else row["per_class"]} for row in self.pooled
            ]
            tables = (
                Table("Soft labels with noise, means over teachers", heads, tuple(row[: len(heads)] for row in rows)),
                _pooled.table("Student accuracy", sized, "accuracy", "accuracy", axes, more),
            )
        else:
            tables = (Table("Soft labels with noise, and their students", (*heads, "accuracy", "sd"), tuple(rows)),)
        notes = (
            "Entropy in nats; variances are of the similarity labels, within an example (row) and within a class "
            "(column); induced: of the same label over draws of the noise.",
            *_pooled.notes(self.pooled),
            *self.notes,
        )
        return Report("Noisy soft labels", (chart, *tables), notes)

    def _row(self, entry: dict[str, Any]) -> str:
        return str(entry["recipe"] if self.pooled and entry["recipe"] is not None else entry["labels"])

    def _is(self, entry: dict[str, Any], labels: str, per_class: int | None, scale: float) -> bool:
        return (self._row(entry), entry["per_class"], entry["noise_scale"]) == (labels, per_class, scale)


def _figures(variances: Sequence[dict[str, Any]]) -> tuple[Cell, ...]:
    """Entropy, confidence and variances of soft labels for a table; the means over several teachers."""
    means = {k: mean_sd(v[k] for v in variances).mean for k in
             ("entropy", "confidence", "row_variance", "column_variance", "induced")}  # fmt: skip
    parts = [v and float(f"{round(v, 12):.3g}") for v in [*means.values()][2:]]
    return four(means["entropy"]), four(means["confidence"]), *parts


def noise(
    checkpoints: Sequence[Teacher],
    lab: Lab,
    *,
    labels: Annotated[
        Literal["teacher", "smoothed"], "what the noise goes on: soft labels of checkpoints, or smoothed labels"
    ] = "teacher",
    noise: Annotated[Literal["uniform", "normal"], "U[-s, s] or N(0, s²) on every probability"] = "uniform",
    scales: Annotated[tuple[float, ...], "scales s of the noise, 0 for none"] = (0, 0.02, 0.05, 0.1, 0.2, 0.4),
    sizes: Annotated[tuple[int, ...], "examples of each class, those of highest entropy; none: all examples"] = (),
    temperature: Annotated[float, "temperature of the teachers' soft labels"] = 9.0,
    alpha: Annotated[
        float | None, "smoothing of the labels with --labels smoothed; none: of the teacher's entropy at T"
    ] = None,
    kd_weight: Annotated[float, "weight of the soft labels' term"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels"] = 0.01,
    t2: Annotated[bool, "multiply the soft labels' term by T²"] = True,
) -> Noise:
    """Distil students from soft labels with noise that is redrawn at every step: natural against induced variance.

    q̃ = max(0, q + U) divided by its sum, U uniform or normal, q the teacher's softmax(z/T) of logits [N, C] or the
    smoothed label (1 - α)·y + α/C, which has no variance of its own; kd_weight·T²·KL(q̃ ‖ student^T) + ce_weight·CE,
    at T = 1 for smoothed labels. With smoothed labels a checkpoint's own soft labels, without noise, go beside them.
    Entropies in nats, accuracies as fractions. Raises UsageError where there is no teacher and one is needed, for a
    scale below 0 or a size below 1. Source: Vats 2021, eq. 4.4.
    """
    _check(checkpoints, lab, labels, scales, sizes, alpha)
    truth = lab.splits.train.labels
    common: dict[str, Any] = {"kd_weight": kd_weight, "ce_weight": ce_weight, "t2": t2, "lr": lab.lr, "noise": noise}
    conditions: list[dict[str, Any]] = []
    students: list[Student] = []
    measured: list[dict[str, Any]] = []
    levels = tuple(dict.fromkeys(float(s) for s in scales))
    for source in _sources(checkpoints, lab, labels == "smoothed", levels, temperature, alpha):
        for n in sizes or (None,):
            rows = [None if n is None else _rows(source.by, truth, n, temperature, seed) for seed in lab.each_seed]
            for scale in source.scales:
                about = {"labels": source.name, **source.named, "noise_scale": scale, "per_class": n}
                part = slice(None) if rows[0] is None else rows[0]
                measured.append(about | asdict(variances(source.soft[part], truth[part], noise, scale)))
                conditions += [{**about, "seed": seed} for seed in lab.each_seed]
                students += [Student(seed=seed, rows=part, noise_scale=scale, **source.own, **common)
                             for seed, part in zip(lab.each_seed, rows, strict=True)]  # fmt: skip

    def judge(number: int, val: Outputs | None, test: Outputs) -> dict[str, Any]:
        return {"accuracy": accuracy(test.logits, test.get("labels"))}

    said = lab.train(students, judge, "noise")
    notes = []
    if checkpoints:
        soft = "teacher" if labels == "smoothed" else "noisy teacher"
        notes.append(f"{formula(kd_weight, ce_weight, t2=t2, soft=soft)}, T = {temperature:g}.")
    if labels == "smoothed":
        notes.append(f"{formula(kd_weight, ce_weight, t2=False, soft='noisy smoothed label')}, T = 1.")
    if sizes and not checkpoints:
        notes.append("Without a checkpoint the examples are a random draw of each class, by seed.")
    notes.append(lab.setting())
    notes += lab.notes("noise", temperature=temperature, kd_weight=kd_weight, ce_weight=ce_weight, t2=t2)
    found = tuple(c | a for c, a in zip(conditions, said, strict=True))
    pooled = _pooled.pool(found, ("per_class", "noise_scale"), ("accuracy",))
    return Noise(found, tuple(measured), noise, tuple(notes), pooled)


@dataclass(frozen=True)
class _Source:
    """Soft labels [N, C] of training examples: name, a student's own options, scales, and who chooses the examples.

    `named` is what entries say of the teacher whose labels they are.
    """

    name: str
    named: Mapping[str, Any]
    own: dict[str, Any]
    scales: tuple[float, ...]
    soft: np.ndarray
    by: Teacher | None


def _sources(
    checkpoints: Sequence[Teacher],
    lab: Lab,
    smoothed: bool,
    scales: tuple[float, ...],
    temperature: float,
    alpha: float | None,
) -> list[_Source]:
    found: dict[str, _Source] = {}
    truth, classes = lab.splits.train.labels, len(lab.class_names)
    for number, teacher in enumerate(checkpoints):
        own = {"teacher": number, "temperature": temperature}
        soft = probabilities(teacher.train, temperature)
        found[teacher.label] = _Source(teacher.label, teacher.named, own, (0.0,) if smoothed else scales, soft, teacher)
    choosers: Sequence[Teacher | None] = checkpoints or (None,)
    for by in choosers if smoothed else ():
        if alpha is not None:
            same = alpha
        else:
            assert by is not None
            same = alpha_of(entropy(by.train, temperatures=(temperature,)).mean[0], classes)
        name = f"smoothed α={same:.3g}"
        named, key = UNTAUGHT, name
        if alpha is None and by is not None and by.recipe is not None:  # each teacher of a recipe has its own α
            named, key = {**by.named, "recipe": f"smoothed as {by.recipe}"}, f"{name} {by.label}"
        label = np.eye(classes)[truth] * (1 - same) + same / classes
        found.setdefault(key, _Source(name, named, {"alpha": same}, scales, label, by))
    return [*found.values()]


def _rows(by: Teacher | None, truth: np.ndarray, n: int, temperature: float, seed: int) -> np.ndarray:
    if by is None:
        blank = np.zeros((len(truth), int(truth.max()) + 1), np.float32)
        return select("random", blank, truth, n, temperature=temperature, seed=seed)
    return select("entropy", by.train, truth, n, temperature=temperature, seed=seed)


def _check(
    checkpoints: Sequence[Teacher],
    lab: Lab,
    labels: str,
    scales: Sequence[float],
    sizes: Sequence[int],
    alpha: float | None,
) -> None:
    if labels == "teacher" and not checkpoints:
        raise UsageError("noise asks teachers", "name checkpoints, or say --labels smoothed --alpha 0.6")
    if labels == "smoothed" and not checkpoints and alpha is None:
        raise UsageError(
            "--labels smoothed needs an amount", "say --alpha, or name a checkpoint whose entropy it takes"
        )
    if labels == "teacher" and alpha is not None:
        raise UsageError("--alpha goes with --labels smoothed", "leave one of them out")
    if alpha is not None and not 0 <= alpha <= 1:
        raise UsageError(f"--alpha is {alpha:g}, expected 0 to 1", "for example --alpha 0.6")
    if not scales or min(scales) < 0:
        raise UsageError(
            f"--scales {','.join(map(str, scales)) or 'without a number'}", "expected numbers of 0 or more"
        )
    if sizes and min(sizes) < 1:
        raise UsageError(f"--sizes {','.join(map(str, sizes))}", "expected numbers of 1 or more")

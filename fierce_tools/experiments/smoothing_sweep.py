"""Does label smoothing, which helps a teacher, hurt its students? The four curves of Müller et al."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from fierce_tools import recipe
from fierce_tools.analysis._soft import check_temperatures
from fierce_tools.analysis.smoothness import smoothness
from fierce_tools.errors import TrainingError, UsageError
from fierce_tools.experiments import _teacher_seeds
from fierce_tools.experiments._cells import Cell
from fierce_tools.experiments._lab import Lab
from fierce_tools.experiments._loading import Places, outputs_of
from fierce_tools.experiments._seeds import SD, band, cells, formula
from fierce_tools.experiments._teachers import Teacher
from fierce_tools.experiments._workshop import Workshop, setting, source_of
from fierce_tools.outputs import Outputs
from fierce_tools.report import Block, Lines, Report, Series, Table
from fierce_tools.seeds import Mean, mean_sd
from fierce_tools.training.ensemble import Student

TEACHER = "teacher"
ALONE = "student alone"
OF_SMOOTHED = "student of smoothed teachers"
OF_HARD = "student of the hard teacher"
CURVES = (TEACHER, ALONE, OF_SMOOTHED, OF_HARD)


@dataclass(frozen=True)
class SmoothingSweep:
    """Test accuracies (fractions): one entry of `found` for each model that was trained.

    An entry has its `curve` (one of CURVES), the `alpha` its labels or its teacher's labels were smoothed with, the
    teacher's `temperature` or None, its `seed`, and the smoothness `gamma` of the soft labels: of the teacher's own on
    the training split, of those a student learns from, and α where it learns from smoothed labels.
    """

    found: tuple[dict[str, Any], ...]
    setting: tuple[str, ...]

    def report(self) -> Report:
        """Accuracy against α and against T, a table, and all four curves against γ."""
        by_alpha = tuple(self._line(c, "alpha") for c in (TEACHER, ALONE, OF_SMOOTHED))
        rows = []
        for curve in CURVES:
            for alpha, temperature in self._places(curve):
                own = self._of(curve, alpha, temperature)
                gamma, accuracy = (mean_sd(e[k] for e in own) for k in ("gamma", "accuracy"))
                rows.append((curve, alpha, temperature, *cells(gamma), *cells(accuracy)))
        heads = ("", "α", "T", "γ", "sd", "accuracy", "sd")
        blocks: list[Block] = [
            Lines("Accuracy against α", "alpha", "accuracy", by_alpha),
            Lines(OF_HARD.capitalize(), "temperature", "accuracy", (self._line(OF_HARD, "temperature"),)),
            Table("Accuracy on the test split, and the smoothness γ of the soft labels", heads, tuple(rows)),
            Lines("Accuracy against γ", "smoothness γ", "accuracy", tuple(self._line(c, "gamma") for c in CURVES)),
        ]
        return Report("Smoothing sweep", tuple(blocks), self.setting)

    def _line(self, curve: str, axis: str) -> Series:
        points: list[tuple[float, Mean]] = []
        for place in self._places(curve):
            own = self._of(curve, *place)
            points.append((float(np.mean([e[axis] for e in own])), mean_sd(e["accuracy"] for e in own)))
        points.sort(key=lambda p: p[0])
        return band(curve, [at for at, _ in points], [mean for _, mean in points])

    def _places(self, curve: str) -> list[tuple[float, float | None]]:
        return [*dict.fromkeys((e["alpha"], e["temperature"]) for e in self.found if e["curve"] == curve)]

    def _of(self, curve: str, alpha: float, temperature: float | None) -> list[dict[str, Any]]:
        wanted = (curve, alpha, temperature)
        return [e for e in self.found if (e["curve"], e["alpha"], e["temperature"]) == wanted]


def smoothing_sweep(
    workshop: Workshop,
    lab: Lab,
    *,
    teacher_model: Annotated[str | None, "model of the teachers; none: the dataset's"] = None,
    alphas: Annotated[tuple[float, ...], "smoothing of the labels, from 0, the hard teacher, to below 1"] = (
        0, 0.15, 0.3, 0.45, 0.6, 0.75,
    ),
    temperatures: Annotated[tuple[float, ...], "temperatures of the hard teacher's soft labels"] = (
        1, 2, 3, 4, 8, 12, 16,
    ),
    kd_weight: Annotated[float, "weight of the soft labels' term"] = 1.0,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels, for students of a teacher"] = 0.0,
) -> SmoothingSweep:  # fmt: skip
    """Teachers trained with smoothed labels and the students they make: accuracy against α, T and smoothness γ.

    Four curves of test accuracy, a fraction: teachers against the α of their labels; students without a teacher against
    the α of theirs; students of the hard teacher (α = 0) against its T; students of each smoothed teacher at T = 1. A
    student learns kd_weight·KL(teacher^T ‖ student^1) + ce_weight·CE, its own temperature 1 and no T², as in Müller's
    CIFAR-10 setting; the student of seed s has the teacher of seed s. Smoothness γ = mean of Σ_k (1 - y_k) p_k(T) ·
    C/(C-1), of logits [N, C] on the training split, puts all four on one axis. Teachers are ordinary runs, which are
    not trained again where they are done. Raises UsageError for options out of range, TrainingError where a teacher or
    a student cannot be trained. Source: Müller, Kornblith, Hinton 2019.
    """
    if not alphas or not all(0 <= a < 1 for a in alphas):
        raise UsageError(f"--alphas is {','.join(map(str, alphas))}, expected 0 to below 1", "for example 0:0.75:0.15")
    check_temperatures(temperatures)
    smoothings = tuple(sorted({0.0, *map(float, alphas)}))
    taught, cells = _teachers(workshop, teacher_model, smoothings, lab.each_seed)
    labels = lab.splits.train.labels
    found: list[dict[str, Any]] = []
    students: list[Student] = []
    conditions: list[dict[str, Any]] = []
    numbers = {key: number for number, key in enumerate(taught)}
    soft: dict[str, Any] = {"student_temperature": 1.0, "kd_weight": kd_weight, "ce_weight": ce_weight, "t2": False}
    for (alpha, seed), (teacher, accuracy) in taught.items():
        gamma = smoothness(teacher.train, labels).gamma
        about = {"alpha": alpha, "temperature": None, "seed": seed}
        found.append({"curve": TEACHER, **about, "gamma": gamma, "accuracy": accuracy})
        common = {"seed": seed, "lr": lab.lr, "teacher": numbers[alpha, seed], **soft}
        students.append(Student(seed=seed, lr=lab.lr, alpha=alpha, kd_weight=1.0, ce_weight=0.0))
        conditions.append({"curve": ALONE, **about, "gamma": alpha})
        students.append(Student(temperature=1.0, **common))
        conditions.append({"curve": OF_SMOOTHED, **about, "temperature": 1.0, "gamma": gamma})
        for temperature in dict.fromkeys(map(float, temperatures)) if alpha == 0 else ():
            students.append(Student(temperature=temperature, **common))
            gamma_t = smoothness(teacher.train, labels, temperature=temperature).gamma
            conditions.append({"curve": OF_HARD, **about, "temperature": temperature, "gamma": gamma_t})
    untaught, lab = lab, replace(lab, teachers=tuple(teacher for teacher, _ in taught.values()))
    said = lab.train(students, _judge, "smoothing-sweep")
    found += [condition | answer for condition, answer in zip(conditions, said, strict=True)]
    found.sort(key=lambda e: CURVES.index(e["curve"]))
    made = cells[0].made
    notes = (
        f"{formula(kd_weight, ce_weight, t2=False, soft='teacher^T')}, the student's own T 1; {lab.setting()}",
        f"Teachers: {made.model['name']}, {made.train['epochs']} epochs of batches of {made.train['batch_size']}, "
        f"{setting(made)}.",
        *([SD] if lab.seeds > 1 else []),
        f"A student has the teacher of its own seed, {_teacher_seeds.seeds(lab.each_seed)}"
        f"{': sd is over seeds of teacher and student together' if lab.seeds > 1 else ''}.",
        *untaught.notes("smoothing-sweep", kd_weight=kd_weight, ce_weight=ce_weight),
    )
    return SmoothingSweep(tuple(found), notes)


def _teachers(
    workshop: Workshop, model: str | None, alphas: Sequence[float], seeds: Sequence[int]
) -> tuple[dict[tuple[float, int], tuple[Teacher, float]], list[Cell]]:
    """By α and seed, teachers and their test accuracies, from ordinary runs."""
    name = model or recipe.default_model(str(workshop.of_data().data["name"]))
    keys = [(alpha, seed) for alpha in alphas for seed in seeds]
    cells = []
    for alpha, seed in keys:
        loss: Mapping[str, Any] = (
            {"loss.name": "label-smoothing", "loss.alpha": alpha} if alpha else {"loss.name": "ce"}
        )
        made = workshop.recipe({"model.name": name, **loss, "train.seed": seed})
        cells.append(Cell(made, {"model.name": name, ("loss.alpha" if alpha else "loss.name"): alpha or "ce"}))
    ended = workshop.train(cells)
    places = Places(data_root=workshop.places.data_root, device=workshop.places.device, factory=workshop.places.factory)
    found = {}
    for key, end in zip(keys, ended, strict=True):
        if end.error is not None or end.run is None:
            raise TrainingError(f"teacher {end.cell.label}: {end.error}", "its students cannot be trained")
        source = source_of(end.run)
        train = outputs_of(source, "train", {"logits"}, places).logits
        test = outputs_of(source, "test", {"logits"}, places)
        found[key] = (Teacher(source.label, source.sha256, train, None, test.logits, source), _accuracy(test))
    return found, cells


def _judge(number: int, val: Outputs | None, test: Outputs) -> dict[str, Any]:
    return {"accuracy": _accuracy(test)}


def _accuracy(outputs: Outputs) -> float:
    return float((outputs.logits.argmax(axis=1) == outputs.get("labels")).mean())

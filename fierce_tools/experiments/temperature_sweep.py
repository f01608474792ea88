"""At which temperature a teacher teaches best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fierce_tools.analysis._metrics import accuracy
from fierce_tools.analysis.agreement import agreement
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _pooled
from fierce_tools.experiments._lab import Lab
from fierce_tools.experiments._seeds import band, cells, formula
from fierce_tools.experiments._teachers import UNTAUGHT, Teacher
from fierce_tools.outputs import Outputs
from fierce_tools.report import Block, Lines, Report, Series, Table
from fierce_tools.seeds import by_seed, show
from fierce_tools.training.ensemble import Student

ALONE = "labels alone"


@dataclass(frozen=True)
class TemperatureSweep:
    """What students are on test, by the temperature T they were distilled at: one entry of `found` for each student.

    An entry has its `teacher`, `temperature`, `seed`, `accuracy` and `agreement` (the share of examples whose class is
    the teacher's; fractions), and `kl`, KL(teacher ‖ student) at T = 1 in nats. Students of labels alone have the
    teacher "labels alone" and nothing else but their accuracy. With --teacher-seeds an entry has the `recipe` of its
    teacher, and `pooled` an entry for each recipe, temperature and figure (see _pooled.pool).
    """

    found: tuple[dict[str, Any], ...]
    teachers: dict[str, float]
    setting: str
    notes: tuple[str, ...] = ()
    pooled: tuple[dict[str, Any], ...] = ()

    def report(self) -> Report:
        """Accuracy, agreement and divergence against T, and a table."""
        taught = [e for e in self.found if e["temperature"] is not None]
        values = tuple(dict.fromkeys(e["temperature"] for e in taught))
        alone = by_seed([e for e in self.found if e["temperature"] is None], "accuracy")
        who, fold = ("recipe" if self.pooled else "teacher"), _pooled.folded(bool(self.pooled))
        series: dict[str, list[Series]] = {"accuracy": [], "agreement": [], "kl": []}
        rows: list[tuple[Any, ...]] = []
        for teacher in dict.fromkeys(e[who] for e in taught):
            of = {v: [e for e in taught if (e[who], e["temperature"]) == (teacher, v)] for v in values}
            means = {key: [fold(of[v], key) for v in values] for key in series}
            for key, drawn in series.items():
                drawn.append(band(teacher, values, means[key]))
            rows += [(teacher, v, *(n for key in series for n in cells(means[key][i]))) for i, v in enumerate(values)]
        rows.append((ALONE, None, *cells(alone), *[None] * 4))
        if len(values) > 1:
            ends = (float(min(values)), float(max(values)))
            series["accuracy"].append(Series(ALONE, ends, (alone.mean, alone.mean)))
        x = "temperature of distillation"
        charts = (
            Lines("Student accuracy", x, "accuracy", tuple(series["accuracy"])),
            Lines("Student and teacher agree", x, "share of examples", tuple(series["agreement"])),
            Lines("KL(teacher ‖ student) at T = 1", x, "nats", tuple(series["kl"])),
        )
        columns = ("teacher", "T", "accuracy", "sd", "agreement", "sd", "KL (nats)", "sd")
        tables: tuple[Block, ...] = (Table("Students by temperature", columns, tuple(rows)),)
        if self.pooled:
            named = {"accuracy": "Student accuracy", "agreement": "Student and teacher agree", "kl": charts[2].title}
            tables = tuple(
                _pooled.table(
                    title, self.pooled, key, "KL (nats)" if key == "kl" else key, {"temperature": "T"},
                    [((ALONE, None), alone)] if key == "accuracy" else (),
                )
                for key, title in named.items()
            )  # fmt: skip
        notes = (*_pooled.notes(self.pooled), f"Teachers' own accuracy: {self._own()}.", *self.notes, self.setting)
        return Report("Temperature sweep", (*charts, *tables), notes)

    def _own(self) -> str:
        if not self.pooled:
            return ", ".join(f"{name} {value:.4f}" for name, value in self.teachers.items())
        members: dict[str, dict[str, None]] = {}
        for entry in self.found:
            if entry["recipe"] is not None:
                members.setdefault(entry["recipe"], {})[entry["teacher"]] = None
        values = {recipe: show(self.teachers[t] for t in own) for recipe, own in members.items()}
        return ", ".join(f"{name} {v if isinstance(v, str) else f'{v:.4f}'}" for name, v in values.items())


def temperature_sweep(
    checkpoints: Sequence[Teacher],
    lab: Lab,
    *,
    temperatures: Annotated[tuple[float, ...], "temperatures of distillation"] = (1, 2, 3, 4, 6, 9, 12, 15, 20),
    kd_weight: Annotated[float, "weight of the soft labels' term"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels"] = 0.01,
    t2: Annotated[bool, "multiply the soft labels' term by T²"] = True,
) -> TemperatureSweep:
    """Distil students at one temperature after another, and hold them against their teacher and the labels.

    A student learns kd_weight·T²·KL(teacher^T ‖ student^T) + ce_weight·CE from all training examples; students of
    labels alone go beside them. Measured on test, from logits [N, C]: accuracy and agreement with the teacher
    (fractions), KL(teacher ‖ student) at T = 1, for all temperatures alike, in nats. Raises UsageError without
    checkpoints. Source: Hinton et al. 2015; Müller et al. 2019, fig. 5.
    """
    if not checkpoints:
        raise UsageError("temperature-sweep asks teachers", "name one or more checkpoints")
    if not temperatures:
        raise UsageError("--temperatures without a number", "for example --temperatures 1,3,9")
    conditions: list[dict[str, Any]] = []
    students: list[Student] = []
    for seed in lab.each_seed:
        conditions.append({**UNTAUGHT, "teacher": ALONE, "temperature": None, "seed": seed})
        students.append(Student(seed=seed, lr=lab.lr))
        for number, teacher in enumerate(checkpoints):
            for temperature in dict.fromkeys(temperatures):
                conditions.append({**teacher.named, "temperature": temperature, "seed": seed})
                students.append(Student(seed=seed, lr=lab.lr, teacher=number, temperature=temperature,
                                        kd_weight=kd_weight, ce_weight=ce_weight, t2=t2))  # fmt: skip

    def judge(number: int, val: Outputs | None, test: Outputs) -> dict[str, Any]:
        labels, taught = test.get("labels"), students[number].teacher
        if taught is None:
            return {"accuracy": accuracy(test.logits, labels), "agreement": None, "kl": None}
        found = agreement(test.logits, labels, teacher_logits=checkpoints[taught].test, temperature=1.0)
        return {"accuracy": found.accuracy, "agreement": found.top1, "kl": found.kl}

    said = lab.train(students, judge, "temperature-sweep")
    labels = lab.splits.test.labels
    found = tuple(c | a for c, a in zip(conditions, said, strict=True))
    return TemperatureSweep(
        found,
        {t.label: accuracy(t.test, labels) for t in checkpoints},
        f"{formula(kd_weight, ce_weight, t2=t2)}; {lab.setting()}",
        lab.notes("temperature-sweep", kd_weight=kd_weight, ce_weight=ce_weight, t2=t2),
        _pooled.pool(found, ("temperature",), ("accuracy", "agreement", "kl")),
    )

"""Which number tells a good teacher before distilling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from fierce_tools.analysis._metrics import accuracy
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _pooled
from fierce_tools.experiments._compare import compare
from fierce_tools.experiments._lab import Lab
from fierce_tools.experiments._rank import Rank, rank
from fierce_tools.experiments._seeds import SD, formula, four
from fierce_tools.experiments._teachers import Teacher
from fierce_tools.menu import unknown
from fierce_tools.outputs import Outputs
from fierce_tools.report import Cell, Points, Report, Series, Table
from fierce_tools.seeds import by_seed, mean_sd, show
from fierce_tools.training.ensemble import Student

# By the name of its figure in `compare`, what a statistic is called here.
STATISTICS = {
    "accuracy": "accuracy",
    "nll": "NLL (nats)",
    "entropy": "entropy (nats)",
    "gamma": "γ",
    "mi": "MI (nats)",
    "stability": "1-S",
    "ece": "ECE",
    "tightness": "within / between",
}
FEWEST = 3
# Charts of so many statistics, those of the strongest correlation.
DRAWN = 3


@dataclass(frozen=True)
class Predictors:
    """Each teacher's statistics beside its students' accuracy (a fraction), and how their ranks go together.

    An entry of `teachers` has `teacher`, `statistics` (None for what cannot be had), the mean `accuracy` over its
    students' seeds and its `sd`. `ranks` has for each statistic Spearman's ρ over `n` teachers, its 95 % interval
    and `p`, how often chance orders as many teachers at least as well; None where there is none. With --teacher-seeds
    ranks are of recipes, whose statistics and accuracies are means over teachers: `pooled` has for each `recipe` those
    `statistics`, and its students' accuracy with both spreads (see _pooled.pool).
    """

    teachers: tuple[dict[str, Any], ...]
    ranks: dict[str, Rank | None]
    temperature: float
    notes: tuple[str, ...]
    pooled: tuple[dict[str, Any], ...] = ()

    def report(self) -> Report:
        """A table of correlations, one of teachers, and student accuracy against each statistic."""
        rows: list[tuple[Cell, ...]] = []
        for key, found in self.ranks.items():
            if found is None:
                rows.append((self._called(key), None, "–", None, 0))
            else:
                interval = "–" if found.low is None else f"{found.low:+.2f} … {found.high:+.2f}"
                rows.append((self._called(key), found.rho and round(found.rho, 3), interval, four(found.p), found.n))
        one = "recipe" if self.pooled else "teacher"
        correlations = Table(
            "Rank correlation with student accuracy", (f"statistic of the {one}", "Spearman's ρ", "95 %", "p", "n"),
            tuple(rows),
        )  # fmt: skip
        there = [key for key, found in self.ranks.items() if found is not None]
        tables = self._of_recipes(there) if self.pooled else (self._of_teachers(there),)
        points = [(r["recipe"], r["statistics"], r["mean"]) for r in self.pooled]
        points = points or [(t["teacher"], t["statistics"], t["accuracy"]) for t in self.teachers]
        drawn = sorted(there, key=lambda key: -abs(self._rho(key)))[:DRAWN]
        charts = tuple(
            Points(f"Students by {self._called(key)}", self._called(key), "student accuracy", tuple(
                Series(label, (statistics[key],), (reached,)) for label, statistics, reached in points
                if statistics[key] is not None
            ))
            for key in drawn
        )  # fmt: skip
        notes = (_pooled.NOTE.partition(" Bands")[0] if self.pooled else SD, *self.notes)
        return Report("Predictors of a good teacher", (correlations, *tables, *charts), notes)

    def _of_teachers(self, there: Sequence[str]) -> Table:
        heads = ("teacher", *map(self._called, there), "student", "sd")
        return Table("Teachers and their students", heads, tuple(
            (t["teacher"], *(four(t["statistics"][key]) for key in there), four(t["accuracy"]), four(t["sd"]))
            for t in self.teachers
        ))  # fmt: skip

    def _of_recipes(self, there: Sequence[str]) -> tuple[Table, ...]:
        rows = []
        for recipe in dict.fromkeys(t["recipe"] for t in self.teachers):
            own = [t["statistics"] for t in self.teachers if t["recipe"] == recipe]
            rows.append((recipe, *(show(s[key] for s in own) for key in there)))
        title = "Teachers of each recipe" + (
            ", mean ± sd over teachers" if any(r["teachers"] > 1 for r in self.pooled) else ""
        )
        return (
            Table(title, ("recipe", *map(self._called, there)), tuple(rows)),
            _pooled.table("Student accuracy", self.pooled, "accuracy", "accuracy", {}),
        )

    def _rho(self, key: str) -> float:
        found = self.ranks[key]
        return 0.0 if found is None or found.rho is None else found.rho

    def _called(self, key: str) -> str:
        return STATISTICS[key].replace("entropy", f"entropy at T={self.temperature:g}")


def predictors(
    checkpoints: Sequence[Teacher],
    lab: Lab,
    *,
    temperature: Annotated[float, "temperature of distillation, and of the teachers' entropy"] = 9.0,
    skip: Annotated[tuple[str, ...], "statistics left out, such as mi, which takes longest"] = (),
    bootstrap: Annotated[
        int, "random orders of the teachers for p, where they are too many to try every order (8 or more)"
    ] = 10000,
    kd_weight: Annotated[float, "weight of the soft labels' term"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels"] = 0.01,
    t2: Annotated[bool, "multiply the soft labels' term by T²"] = True,
) -> Predictors:
    """Distil students of three teachers or more, and rank each statistic of a teacher against its students' accuracy.

    Of each teacher, from its logits [N, C] and features on test: accuracy, ECE and stability 1-S (fractions), NLL,
    entropy at T and mutual information (nats), γ, within/between. Spearman's ρ with the mean accuracy of its students
    over seeds; its interval, for 5 teachers or more, is Bonett and Wright's (2000), and with few of them it is wide. A
    statistic without its arrays, such as mutual information of vectors, is left out. Raises UsageError for fewer than 3
    checkpoints. Source: the statistics are of Müller et al. 2019, Shen et al. 2021, Vats 2021; Spearman 1904.
    """
    points, what = len({t.recipe or t.label for t in checkpoints}), "teachers"
    if any(t.recipe is not None for t in checkpoints):
        what = "recipes"
    if points < FEWEST:
        raise UsageError(f"predictors rank {what}, and there are {points}", f"name {FEWEST} or more")
    for key in skip:
        if key not in STATISTICS:
            raise unknown("statistic", key, tuple(STATISTICS))
    if bootstrap < 100:
        raise UsageError(f"--bootstrap is {bootstrap}, expected 100 or more")
    statistics, missing = _statistics(checkpoints, lab, temperature, skip)
    own: dict[str, Any] = {
        "temperature": temperature, "kd_weight": kd_weight, "ce_weight": ce_weight, "t2": t2, "lr": lab.lr,
    }  # fmt: skip
    conditions = [{**t.named, "seed": s} for t in checkpoints for s in lab.each_seed]
    students = [Student(teacher=k, seed=s, **own) for k in range(len(checkpoints)) for s in lab.each_seed]

    def judge(number: int, val: Outputs | None, test: Outputs) -> dict[str, Any]:
        return {"accuracy": accuracy(test.logits, test.get("labels"))}

    said = lab.train(students, judge, "predictors")
    found = [c | a for c, a in zip(conditions, said, strict=True)]
    teachers: list[dict[str, Any]] = []
    for teacher in checkpoints:
        mean = by_seed([e for e in found if e["teacher"] == teacher.label], "accuracy")
        about = {**teacher.named, "statistics": statistics[teacher.label]}
        teachers.append(about | {"accuracy": mean.mean, "sd": mean.sd})
    pooled = [
        {**row, "statistics": _means([t["statistics"] for t in teachers if t["recipe"] == row["recipe"]])}
        for row in _pooled.pool(found, (), ("accuracy",))
    ]
    ranked = [(r["statistics"], r["mean"]) for r in pooled] or [(t["statistics"], t["accuracy"]) for t in teachers]
    ranks = {}
    for key in STATISTICS:
        if key not in skip:
            pairs = [(own[key], reached) for own, reached in ranked if own[key] is not None]
            ranks[key] = rank(pairs, bootstrap) if len(pairs) >= FEWEST else None
    notes = [*missing, f"{formula(kd_weight, ce_weight, t2=t2)}, T = {temperature:g}; {lab.setting()}"]
    notes += lab.notes("predictors", temperature=temperature, kd_weight=kd_weight, ce_weight=ce_weight, t2=t2)
    caution = _caution(points, what)
    return Predictors(tuple(teachers), ranks, temperature, (caution, *notes), tuple(pooled))


def _means(each: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The means over teachers of every statistic that all of them have."""
    return {
        key: mean_sd(s[key] for s in each).mean if all(s[key] is not None for s in each) else None for key in each[0]
    }


def _statistics(
    checkpoints: Sequence[Teacher], lab: Lab, temperature: float, skip: Sequence[str]
) -> tuple[dict[str, Mapping[str, float | None]], tuple[str, ...]]:
    """The figures that `compare` gives each teacher, by its label, and its notes."""
    found: dict[str, Mapping[str, float | None]] = {}
    notes: dict[str, None] = {}
    others = ("tstar", "ece-tstar", "probe")
    for teacher in checkpoints:
        made = compare([teacher.source], temperature=temperature, skip=(*others, *skip), bootstrap=0, places=lab.places)
        figures = made.rows[0].figures
        own = {key: figures[key][0] for key in STATISTICS if key in figures}
        if own.get("stability") is not None:
            own["stability"] = 1 - float(own["stability"])  # type: ignore[arg-type]
        found[teacher.label] = own
        notes |= dict.fromkeys(made.notes)
    return found, tuple(notes)


def _caution(n: int, what: str) -> str:
    """What a correlation over n teachers, or recipes, can and cannot say."""
    if n >= 20:
        return f"n = {n} {what}; a rank correlation does not show a cause."
    least = 2 / np.prod(np.arange(1, n + 1, dtype=float))
    by_chance = "1" if least >= 1 else f"{least:.2g}"
    return (
        f"n = {n} {what}: perfect order, up or down, comes by chance with probability {by_chance} (and has no "
        "interval), and several statistics are tried at once. Take this as a hint, "
        f"not as evidence, and add {what}."
    )

"""How many examples a student needs of its teacher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from fierce_tools.analysis._metrics import accuracy
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _pooled
from fierce_tools.experiments._lab import Lab
from fierce_tools.experiments._seeds import band, cells, formula, four
from fierce_tools.experiments._selection import select
from fierce_tools.experiments._teachers import Teacher
from fierce_tools.outputs import Outputs
from fierce_tools.report import Cell, Lines, Report, Series, Table
from fierce_tools.training.batches import batch_ends
from fierce_tools.training.ensemble import Student


@dataclass(frozen=True)
class TransferCurve:
    """Accuracies (fractions) of students against how many examples of each class they were given.

    An entry of `found` has its `teacher`, `select`, `per_class` (None: all examples), `examples`, `seed` and
    `accuracy`. One of `needed` has a `teacher` and `select`, the `target` accuracy, the examples of each class at which
    the mean over seeds reaches it (`per_class`, between two sizes on a logarithmic scale; None: not reached), whether
    that is the smallest size or `below` it, and the `ratio` to the first teacher's where both are known. With
    --teacher-seeds an entry of either has the `recipe` of its teacher, those of `needed` are of recipes, and `pooled`
    has an entry for each recipe, selection and size (see _pooled.pool).
    """

    found: tuple[dict[str, Any], ...]
    needed: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    pooled: tuple[dict[str, Any], ...] = ()

    def report(self) -> Report:
        """Accuracy against examples per class with all of them as a level line, a table, and what the target needs."""
        series, rows = [], []
        who, fold = ("recipe" if self.pooled else "teacher"), _pooled.folded(bool(self.pooled))
        groups = list(dict.fromkeys((e[who], e["select"]) for e in self.found if e["per_class"] is not None))
        sizes = tuple(dict.fromkeys(e["per_class"] for e in self.found if e["per_class"] is not None))
        several = len({s for _, s in groups}) > 1
        for teacher, how in groups:
            of = {
                n: [e for e in self.found if (e[who], e["select"], e["per_class"]) == (teacher, how, n)] for n in sizes
            }
            means = [fold(of[n], "accuracy") for n in sizes]
            series.append(band(f"{teacher}, {how}" if several else teacher, sizes, means))
            rows += [
                (teacher, how, n, of[n][0]["examples"], *cells(mean)) for n, mean in zip(sizes, means, strict=True)
            ]
        for teacher in dict.fromkeys(t for t, _ in groups):
            whole = [e for e in self.found if e[who] == teacher and e["per_class"] is None]
            mean = fold(whole, "accuracy")
            rows.append((teacher, "all", None, whole[0]["examples"], *cells(mean)))
            if len(sizes) > 1:
                ends = (float(sizes[0]), float(sizes[-1]))
                series.append(Series(f"{teacher}, all examples", ends, (mean.mean, mean.mean)))
        chart = Lines(
            "Student accuracy against transfer set", "examples per class", "accuracy", tuple(series), log_x=True
        )
        heads = ("teacher", "select", "per class", "examples", "accuracy", "sd")
        needs = tuple(
            (e["teacher"], e["select"], four(e["target"]), _shown(e), e["ratio"] and round(e["ratio"], 2))
            for e in self.needed
        )
        students = Table("Student accuracy", heads, tuple(rows))
        if self.pooled:
            axes = {"select": "select", "per_class": "per class"}
            students = _pooled.table("Student accuracy", self.pooled, "accuracy", "accuracy", axes)
        columns = (who, "select", "target accuracy", "examples per class", "ratio to the first")
        return Report(
            "Transfer curve",
            (chart, students, Table("Examples needed", columns, needs)),
            (*_pooled.notes(self.pooled), *self.notes),
        )


def transfer_curve(
    checkpoints: Sequence[Teacher],
    lab: Lab,
    *,
    sizes: Annotated[tuple[int, ...], "examples of each class; those of all examples or more are left out"] = (
        5, 10, 20, 50, 100, 200, 500, 1000, 2000,
    ),
    select: Annotated[
        tuple[str, ...], "which of them, one or several of entropy (highest), random, lowest (entropy), margin"
    ] = ("entropy",),
    temperature: Annotated[float, "temperature of the soft labels, and of the entropy"] = 9.0,
    target: Annotated[float, "accuracy that the examples needed are counted for"] = 0.95,
    relative: Annotated[bool, "the target is a share of the accuracy of the student of all examples"] = False,
    equal_steps: Annotated[bool, "as many steps for every size as for all examples, instead of as many epochs"] = False,
    kd_weight: Annotated[float, "weight of the soft labels' term"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels"] = 0.01,
    t2: Annotated[bool, "multiply the soft labels' term by T²"] = True,
) -> TransferCurve:  # fmt: skip
    """Distil students with more and more examples of each class: how much of a training set a teacher's labels need.

    A student learns kd_weight·T²·KL(teacher^T ‖ student^T) + ce_weight·CE from the n training examples of each true
    class whose soft labels, softmax(z/T) of the teacher's logits [N, C], have the highest entropy, or from others of
    each class; a smaller set is part of a larger one. One student of all examples goes beside them. Accuracies are
    fractions, on test. With as many epochs a small set means few steps: --equal-steps tells the two apart. Raises
    UsageError without checkpoints, for sizes below 1 or a selection that does not exist. Source: Vats 2021, ch. 5.
    """
    if not checkpoints:
        raise UsageError("transfer-curve asks teachers", "name one or more checkpoints")
    labels = lab.splits.train.labels
    largest = int(np.bincount(labels).max())
    if not sizes or min(sizes) < 1:
        raise UsageError(f"--sizes {','.join(map(str, sizes)) or 'without a number'}", "expected numbers of 1 or more")
    if not 0 < target <= 1:
        raise UsageError(f"--target is {target:g}, expected above 0 and at most 1", "for example 0.95")
    used = tuple(sorted({n for n in sizes if n < largest}))
    if not used:
        raise UsageError(
            f"no class has more than {largest} training examples", f"give --sizes below that, such as {largest // 4}"
        )
    common: dict[str, Any] = {
        "temperature": temperature, "kd_weight": kd_weight, "ce_weight": ce_weight, "t2": t2, "lr": lab.lr,
    }  # fmt: skip
    conditions, students = [], []
    for number, teacher in enumerate(checkpoints):
        for seed in lab.each_seed:
            own: dict[str, Any] = {"teacher": number, "seed": seed, **common}
            for how in dict.fromkeys(select):
                for n in used:
                    rows = _rows(how, teacher, labels, n, temperature, seed)
                    about = {**teacher.named, "select": how, "per_class": n, "examples": len(rows)}
                    conditions.append(about | {"seed": seed})
                    students.append(Student(rows=rows, **own))
            about = {**teacher.named, "select": "all", "per_class": None, "examples": len(labels)}
            conditions.append(about | {"seed": seed})
            students.append(Student(**own))
    said = _train(lab, students, equal_steps)
    found = tuple(c | a for c, a in zip(conditions, said, strict=True))
    notes = [f"{formula(kd_weight, ce_weight, t2=t2)}, T = {temperature:g}; {lab.setting()}"]
    notes += lab.notes("transfer-curve", temperature=temperature, kd_weight=kd_weight, ce_weight=ce_weight, t2=t2)
    if equal_steps:
        notes.append("As many steps for every size: epochs are those of the student of all examples.")
    if len(used) < len(set(sizes)):
        notes.append(f"The largest class has {largest} training examples: sizes from there on are all of them.")
    pooled = _pooled.pool(found, ("select", "per_class"), ("accuracy",))
    return TransferCurve(found, _needed(found, target, relative, bool(pooled)), tuple(notes), pooled)


def _rows(how: str, teacher: Teacher, labels: np.ndarray, n: int, temperature: float, seed: int) -> np.ndarray:
    return select(how, teacher.train, labels, n, temperature=temperature, seed=seed)


def _train(lab: Lab, students: Sequence[Student], equal_steps: bool) -> list[dict[str, Any]]:
    """What each student's accuracy is; with equal steps those of one number of examples have their own epochs."""

    def judge(number: int, val: Outputs | None, test: Outputs) -> dict[str, Any]:
        return {"accuracy": accuracy(test.logits, test.get("labels"))}

    if not equal_steps:
        return lab.train(students, judge, "transfer-curve")
    whole = len(lab.splits.train)
    counts = [whole if s.rows is None else len(s.rows) for s in students]
    found: dict[int, dict[str, Any]] = {}
    for count in dict.fromkeys(counts):
        numbers = [i for i, c in enumerate(counts) if c == count]
        batches = [len(batch_ends(n, lab.options["batch_size"])) for n in (whole, count)]
        said = lab.longer(batches[0] / batches[1]).train([students[i] for i in numbers], judge, "transfer-curve")
        found |= dict(zip(numbers, said, strict=True))
    return [found[i] for i in range(len(students))]


def _needed(
    found: Sequence[dict[str, Any]], target: float, relative: bool, pooled: bool = False
) -> tuple[dict[str, Any], ...]:
    """For each selection and teacher the examples of each class that reach the target, and the ratio to the first's.

    Where they are `pooled`, for each recipe.
    """
    needed: list[dict[str, Any]] = []
    who, fold = ("recipe" if pooled else "teacher"), _pooled.folded(pooled)
    for how in dict.fromkeys(e["select"] for e in found if e["per_class"] is not None):
        first: float | None = None  # of the first teacher, where it is known exactly
        for number, teacher in enumerate(dict.fromkeys(e[who] for e in found)):
            whole = fold([e for e in found if e[who] == teacher and e["per_class"] is None], "accuracy").mean
            assert whole is not None
            goal = target * whole if relative else target
            of = [e for e in found if (e[who], e["select"]) == (teacher, how)]
            sizes = sorted({e["per_class"] for e in of})
            means = [fold([e for e in of if e["per_class"] == n], "accuracy").mean for n in sizes]
            at, below = crossing(sizes, [m or 0.0 for m in means], goal)
            first = at if number == 0 and not below else first
            ratio = at / first if at is not None and first is not None and not below else None
            needed.append({"teacher": teacher, "recipe": teacher if pooled else None, "select": how, "target": goal,
                           "per_class": at, "below": below, "ratio": ratio})  # fmt: skip
    return tuple(needed)


def crossing(sizes: Sequence[int], values: Sequence[float], goal: float) -> tuple[float | None, bool]:
    """The first size at which values, joined by lines over log size, reach the goal, and whether the first one does."""
    if values[0] >= goal:
        return float(sizes[0]), True
    for (a, low), (b, high) in zip(
        zip(sizes, values, strict=True), zip(sizes[1:], values[1:], strict=True), strict=False
    ):
        if high >= goal:
            share = (goal - low) / (high - low)
            return float(math.exp(math.log(a) + share * (math.log(b) - math.log(a)))), False
    return None, False


def _shown(entry: dict[str, Any]) -> Cell:
    if entry["per_class"] is None:
        return "not reached"
    return f"≤ {entry['per_class']:g}" if entry["below"] else round(entry["per_class"], 1)

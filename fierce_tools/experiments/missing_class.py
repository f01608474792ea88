"""Would a student learn a class it has never seen?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np

from fierce_tools.analysis._classes import number_of
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _pooled
from fierce_tools.experiments._lab import Lab
from fierce_tools.experiments._seeds import band, formula, four
from fierce_tools.experiments._teachers import UNTAUGHT, Teacher
from fierce_tools.outputs import Outputs
from fierce_tools.report import Cell, Heat, Lines, Report, Table
from fierce_tools.training.ensemble import Student

# Those that are pooled; the last three with the bias alone.
FIGURES = ("missing", "overall", "missing_corrected", "overall_corrected", "bias")


@dataclass(frozen=True)
class MissingClass:
    """Accuracies (fractions) of students on what they never saw: one entry of `found` for each student.

    An entry has its `teacher` (or "smoothed labels"), its `temperature` or `alpha`, what was dropped, its `seed`, the
    accuracy on the dropped classes' test images (`missing`) and on all (`overall`), and both with the `bias` that does
    best on validation added to the dropped classes' logits, where there is a validation split. `errors` and
    `errors_missing` are the same two as numbers of test images that are taken for another class. With --teacher-seeds
    it has the `recipe` of its teacher, and `pooled` an entry for each recipe, condition and figure (see _pooled.pool).
    """

    found: tuple[dict[str, Any], ...]
    by: str
    dropped: tuple[str, ...]
    bias_correction: bool
    setting: str
    notes: tuple[str, ...] = ()
    pooled: tuple[dict[str, Any], ...] = ()

    def report(self) -> Report:
        """Heat tables of classes and temperatures, their means as lines, and a table."""
        heats, lines = [], []
        rows: list[tuple[Cell, ...]] = []
        who, fold = ("recipe" if self.pooled else "teacher"), _pooled.folded(bool(self.pooled))
        values = tuple(dict.fromkeys(e[self.by] for e in self.found))
        heads = tuple(f"{self._axis}={v:g}" for v in values)
        for teacher in dict.fromkeys(e[who] for e in self.found):
            for suffix, title in self._kinds():
                of = {v: [e for e in self.found if e[who] == teacher and e[self.by] == v] for v in values}
                key, name = f"missing{suffix}", f"{teacher}{title}"
                cells = [
                    tuple(fold([e for e in of[v] if e["dropped"] == d], key).mean for v in values) for d in self.dropped
                ]
                means = [fold(of[v], key) for v in values]
                if len(self.dropped) > 1:
                    cells.append(tuple(mean.mean for mean in means))
                names = (*self.dropped, *(("mean",) if len(self.dropped) > 1 else ()))
                heats.append(Heat(f"{name}: missing class, accuracy", names, heads, tuple(cells)))
                lines.append(band(name, values, means))
                for v, missing in zip(values, means, strict=True):
                    overall = fold(of[v], f"overall{suffix}")
                    bias = fold(of[v], "bias").mean if suffix else None
                    rows.append((name, v, *map(four, (missing.mean, missing.sd, overall.mean, overall.sd, bias))))
        chart = Lines("Accuracy on a class never seen", self.by, "accuracy", tuple(lines))
        tables = self._of_recipes() if self.pooled else (self._of_teachers(rows),)
        notes = (*_pooled.notes(self.pooled), *self.notes, self.setting)
        return Report("Missing class", (*heats, chart, *tables), notes)

    def _of_teachers(self, rows: Sequence[tuple[Cell, ...]]) -> Table:
        columns = ("teacher", self._axis, "missing", "sd", "overall", "sd", "bias")
        used = columns if self.bias_correction else columns[:-1]
        return Table("Accuracy: means over what was dropped", used, tuple(row[: len(used)] for row in rows))

    def _of_recipes(self) -> tuple[Table, ...]:
        named = {"missing": "Accuracy on classes never seen", "overall": "Accuracy on all classes"}
        if self.bias_correction:
            named |= {f"{key}_corrected": f"{title}, with bias" for key, title in named.items()}
            named["bias"] = "Bias of the missing logits"
        axes = {self.by: self._axis}
        return tuple(
            _pooled.table(title, self.pooled, key, key.partition("_")[0], axes) for key, title in named.items()
        )

    @property
    def _axis(self) -> str:
        return "T" if self.by == "temperature" else "α"

    def _kinds(self) -> list[tuple[str, str]]:
        return [("", ""), *([("_corrected", ", with bias")] if self.bias_correction else [])]


def missing_class(
    checkpoints: Sequence[Teacher],
    lab: Lab,
    *,
    temperatures: Annotated[tuple[float, ...], "temperatures of the soft labels"] = (3, 6, 9, 12, 15, 18, 20),
    drop: Annotated[
        tuple[str, ...], "what each student never sees: all (every class once), or classes such as 3,5 or 0+1+2"
    ] = ("all",),
    bias_correction: Annotated[
        bool, "also add one number to the missing logit, chosen on validation (Hinton et al.)"
    ] = False,
    labels: Annotated[
        Literal["teacher", "smoothed"], "soft labels of checkpoints, or smoothed labels, which need none"
    ] = "teacher",
    alphas: Annotated[tuple[float, ...], "smoothing of the labels with --labels smoothed"] = (
        0.2,
        0.3,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
    ),
    kd_weight: Annotated[float, "weight of the soft labels' term"] = 0.99,
    ce_weight: Annotated[float, "weight of the cross-entropy with the labels of the kept classes"] = 0.01,
    t2: Annotated[bool, "multiply the soft labels' term by T²"] = True,
) -> MissingClass:
    """Distil students that never see an example of some classes; accuracy on those classes' test images.

    A student has all C outputs and learns kd_weight·T²·KL(teacher^T ‖ student^T) + ce_weight·CE from the training
    examples of the other classes alone, which are left out exactly: batch statistics never see one. With smoothed
    labels, the control, q = (1 - α)·y + α/C takes the teacher's place at T = 1. Accuracies are fractions, of
    logits [N, C] on test. The teachers of Vats differ in capacity and in epochs at once, so what is seen between them
    is of both. Raises UsageError for classes that do not exist and for nothing to learn from, DataError for checkpoints
    of different data. Source: Vats 2021, after Hinton, Vinyals, Dean 2015.
    """
    dropped = _dropped(drop, lab)
    if labels == "teacher" and not checkpoints:
        raise UsageError("missing-class asks teachers", "name checkpoints, or say --labels smoothed")
    if bias_correction and not len(lab.splits.val):
        raise UsageError("--bias-correction is chosen on validation, and there is none", "leave it out")
    train_labels = lab.splits.train.labels
    kept = {name: np.flatnonzero(~np.isin(train_labels, classes)) for name, classes in dropped.items()}
    conditions: list[dict[str, Any]] = []
    students: list[Student] = []
    weights: dict[str, Any] = {"kd_weight": kd_weight, "ce_weight": ce_weight, "t2": t2, "lr": lab.lr}
    for name in dropped:
        for seed in lab.each_seed:
            common: dict[str, Any] = {"seed": seed, "rows": kept[name], **weights}
            if labels == "smoothed":
                for alpha in alphas:
                    about = {**UNTAUGHT, "teacher": "smoothed labels", "alpha": alpha}
                    conditions.append({**about, "dropped": name, "seed": seed})
                    students.append(Student(alpha=alpha, **common))
                continue
            for number, teacher in enumerate(checkpoints):
                for temperature in temperatures:
                    conditions.append({**teacher.named, "temperature": temperature, "dropped": name, "seed": seed})
                    students.append(Student(teacher=number, temperature=temperature, **common))

    def judge(number: int, val: Outputs | None, test: Outputs) -> dict[str, Any]:
        return judged(dropped[conditions[number]["dropped"]], val, test)

    said = lab.train(students, judge, "missing-class", ["+".join(map(str, dropped[c["dropped"]])) for c in conditions])
    found = tuple(c | a | _errors(a, dropped[c["dropped"]], lab) for c, a in zip(conditions, said, strict=True))
    smoothed = labels == "smoothed"
    said_loss = formula(kd_weight, ce_weight, t2=t2 and not smoothed, soft="smoothed label" if smoothed else "teacher")
    by = "alpha" if smoothed else "temperature"
    untaught = replace(lab, teachers=()) if smoothed else lab
    notes = untaught.notes("missing-class", kd_weight=kd_weight, ce_weight=ce_weight, t2=t2)
    pooled = _pooled.pool(found, (by,), FIGURES if bias_correction else FIGURES[:2])
    return MissingClass(found, by, tuple(dropped), bias_correction, f"{said_loss}; {lab.setting()}", notes, pooled)


def judged(dropped: Sequence[int], val: Outputs | None, test: Outputs) -> dict[str, Any]:
    """Accuracy on dropped classes and overall, as it is and with the bias that does best on validation."""
    missing, overall = _accuracies(test, dropped, 0.0)
    found: dict[str, Any] = {"missing": missing, "overall": overall}
    if val is None:
        return found | {"bias": None, "missing_corrected": None, "overall_corrected": None}
    bias = best_bias(val.logits, val.get("labels"), dropped)
    missing, overall = _accuracies(test, dropped, bias)
    return found | {"bias": bias, "missing_corrected": missing, "overall_corrected": overall}


def best_bias(logits: np.ndarray, labels: np.ndarray, dropped: Sequence[int]) -> float:
    """The number that, added to the dropped classes' logits [N, C], gives the highest accuracy; of several the least.

    Accuracy changes only where the bias passes an example's margin, so that every value it can take is tried.
    """
    logits = logits.astype(np.float64)
    inside = np.isin(np.arange(logits.shape[1]), dropped)
    margins = logits[:, ~inside].max(axis=1) - logits[:, inside].max(axis=1)
    right_in = np.flatnonzero(inside)[logits[:, inside].argmax(axis=1)] == labels
    right_out = np.flatnonzero(~inside)[logits[:, ~inside].argmax(axis=1)] == labels
    order = np.argsort(margins)
    # Above margin k the first k + 1 examples are taken for dropped classes.
    right = np.concatenate([[0], np.cumsum(right_in[order])]) + np.concatenate(
        [np.cumsum(right_out[order][::-1])[::-1], [0]]
    )
    low, high = min(margins.min(), 0.0) - 1, max(margins.max(), 0.0) + 1
    edges = np.concatenate([[low], margins[order], [high]])
    # Within a place between two margins any bias does as well: 0 where it lies inside, else the middle.
    middles = np.where((edges[:-1] < 0) & (edges[1:] > 0), 0.0, (edges[:-1] + edges[1:]) / 2)
    there = edges[:-1] < edges[1:]
    best = np.flatnonzero(there & (right == right[there].max()))
    return float(middles[best[np.abs(middles[best]).argmin()]])


def _accuracies(outputs: Outputs, dropped: Sequence[int], bias: float) -> tuple[float | None, float]:
    logits, labels = outputs.logits.astype(np.float64), outputs.get("labels")
    logits[:, list(dropped)] += bias
    right = logits.argmax(axis=1) == labels
    of_missing = right[np.isin(labels, dropped)]
    return (float(of_missing.mean()) if len(of_missing) else None), float(right.mean())


def _errors(answer: dict[str, Any], dropped: Sequence[int], lab: Lab) -> dict[str, int | None]:
    """The accuracies of an answer as errors: how many test images are taken for another class."""
    labels = lab.splits.test.labels
    counts = {"overall": len(labels), "missing": int(np.isin(labels, dropped).sum())}
    found: dict[str, int | None] = {}
    for key, name in (("overall", "errors"), ("missing", "errors_missing")):
        for suffix in ("", "_corrected"):
            share = answer[f"{key}{suffix}"]
            found[f"{name}{suffix}"] = None if share is None else counts[key] - round(share * counts[key])
    return found


def _dropped(drop: tuple[str, ...], lab: Lab) -> dict[str, tuple[int, ...]]:
    """Each set of classes by the name it is shown under."""
    names = lab.class_names
    words = [str(c) for c in range(len(names))] if drop == ("all",) else list(drop)
    found: dict[str, tuple[int, ...]] = {}
    for word in words:
        classes = tuple(dict.fromkeys(number_of(part, names) for part in word.split("+")))
        if len(classes) >= len(names):
            raise UsageError(f"--drop {word} drops all {len(names)} classes", "leave at least one")
        found["+".join(names[c] for c in classes)] = classes
    return found

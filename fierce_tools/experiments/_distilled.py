"""What became of a student: its figures beside its teacher's, and how far it says what the teacher says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fierce_tools import sources
from fierce_tools.analysis.agreement import agreement
from fierce_tools.experiments._loading import Places, outputs_of
from fierce_tools.experiments._measured import figures_of
from fierce_tools.outputs import Outputs
from fierce_tools.report import Cell, Report, Table
from fierce_tools.runs import Run
from fierce_tools.training.distill import Teachers

FIGURES = {
    "accuracy": "accuracy",
    "nll": "NLL (nats)",
    "ece": "ECE",
    "entropy_t9": "entropy, T=9 (nats)",
    "agreement": "agreement with the teacher",
    "kl": "KL(teacher ‖ ·), T=1 (nats)",
    "kl_at_t": "KL(teacher ‖ ·) at T (nats)",
}


@dataclass(frozen=True)
class Distilled:
    """Figures by model, in the order of a table; `agreement` is a fraction, `kl` in nats at T=1 and at `temperature`.

    `missing` holds the accuracy on classes of which the student saw no example.
    """

    split: str
    temperature: float
    models: Mapping[str, Mapping[str, float]]
    missing: Mapping[str, Mapping[str, float]]

    def report(self) -> Report:
        """One table, a model in each column."""
        heads = {**FIGURES, "kl_at_t": f"KL(teacher ‖ ·), T={self.temperature:g} (nats)"}
        if self.temperature == 1:
            del heads["kl_at_t"]
        rows: list[tuple[Cell, ...]] = []
        for key, head in heads.items():
            if any(key in found for found in self.models.values()):
                rows.append((head, *(found.get(key) for found in self.models.values())))
        for name in next(iter(self.missing.values()), {}):
            rows.append((f"accuracy on {name}, never seen", *(found.get(name) for found in self.missing.values())))
        table = Table(f"Student and teacher ({self.split})", ("", *self.models), tuple(rows))
        return Report("Distillation", (table,))


def distilled(teachers: Teachers, students: Mapping[str, Outputs], split: str) -> Distilled:
    """Students' outputs on a split beside their teachers'; of soft labels in a file, on the examples they cover."""
    found: dict[str, dict[str, float]] = {name: dict(figures_of(made)) for name, made in students.items()}
    examples = teachers.splits.get(split)
    said = teachers.logits(examples, 1.0) if teachers else None
    covered = np.ones(len(examples), bool) if said is None else ~np.isnan(said).any(axis=1)
    if said is not None and covered.any():
        soft = teachers.logits(examples)[covered]
        for name, made in students.items():
            own = made.logits[covered]
            plain = agreement(own, targets=_softmax(said[covered]))
            at_t = agreement(own, teacher_logits=soft, temperature=teachers.temperature)
            divergence = {"kl": plain.kl, "kl_at_t": at_t.kl}  # students give every class some probability
            found[name] |= {"agreement": plain.top1, **{k: v for k, v in divergence.items() if v is not None}}
        if covered.all() and np.isfinite(said).all():
            students = {**students, "teacher": Outputs(said, examples.labels)}
            found["teacher"] = dict(figures_of(students["teacher"]))
        else:
            right = said[covered].argmax(axis=1) == examples.labels[covered]
            found["teacher"] = {"accuracy": float(right.mean())}
    missing = {
        name: {
            c: float((made.logits[examples.labels == number].argmax(axis=1) == number).mean())
            for c, number in teachers.dropped.items()
            if (examples.labels == number).any()
        }
        for name, made in students.items()
    }
    return Distilled(split, teachers.temperature, found, {name: missing.get(name, {}) for name in found})


def finished_outputs(run: Run, split: str) -> Outputs:
    """A finished run's outputs on a split: those kept beside it, else made now."""
    (source,) = sources.locate(str(run.model_path), run.path.parent)
    return outputs_of(source, split, {"logits", "labels"}, Places())


def as_json(found: Distilled) -> dict[str, Any]:
    """The figures as plain values."""
    rows = {name: {**row, "unseen": dict(found.missing[name])} for name, row in found.models.items()}
    return {"split": found.split, "temperature": found.temperature, "models": rows}


def _softmax(z: np.ndarray) -> np.ndarray:
    """Probabilities f64 [N, C]; a logit of -inf is a probability of 0."""
    e = np.exp(z.astype(np.float64) - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

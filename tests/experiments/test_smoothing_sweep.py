"""Müller's four curves: teachers that are ordinary runs, students that are what the ordinary trainer makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import outputs, runs
from fierce_tools.data import digits
from fierce_tools.data._splits import split
from fierce_tools.experiments.smoothing_sweep import ALONE, CURVES, OF_HARD, OF_SMOOTHED, TEACHER
from fierce_tools.report import Lines

ASKED = ("analyze", "smoothing-sweep", "--teacher-model", "mlp:16", "--student-model", "mlp:8", "--alphas", "0:.6:.3")
HOW = ("--teacher-epochs", "4", "--teacher-lr", "0.01", "--epochs", "3", "--batch-size", "64", "--lr", "0.01")
MORE = ("--temperatures", "1,8", "--device", "cpu", "--seeds", "2", "--engine", "sequential", "--progress", "off")


def gamma(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Its definition in float64."""
    z = logits.astype(np.float64) / temperature
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    classes = p.shape[1]
    return float((1 - p[np.arange(len(p)), labels]).mean() * classes / (classes - 1))


@pytest.mark.slow
def test_the_four_curves(fierce) -> None:
    code, out, err = fierce(*ASKED, *HOW, *MORE, "--format", "json")
    assert code == 0, err
    found = json.loads(out)["results"][0]["values"]["found"]
    by = {(e["curve"], e["alpha"], e["temperature"], e["seed"]): e for e in found}
    assert len(by) == len(found) == 2 * (3 + 3 + 3 + 2)
    assert len(runs.listing(Path("runs"))) == 6
    # A teacher is what `fierce train` makes, and γ is its definition.
    plain = ("train", "--model", "mlp:16", "--epochs", "4", "--lr", "0.01", "--device", "cpu", "--name", "plain")
    assert fierce(*plain, "--loss", "label-smoothing", "--alpha", "0.3", "--seed", "1")[0] == 0
    one = by[TEACHER, 0.3, None, 1]
    assert one["accuracy"] == runs.Run(Path("runs/plain")).info()["test"]["test_accuracy"]
    assert fierce("infer", "plain", "--split", "train", "--out", "z.safetensors")[0] == 0
    z = outputs.load(Path("z.safetensors"))
    assert one["gamma"] == pytest.approx(gamma(z.logits, z.labels, 1.0), rel=1e-5)
    assert by[OF_SMOOTHED, 0.3, 1.0, 1]["gamma"] == one["gamma"]
    assert by[ALONE, 0.3, None, 1]["gamma"] == 0.3
    assert by[OF_HARD, 0, 8.0, 0]["gamma"] > by[OF_HARD, 0, 1.0, 0]["gamma"] == by[TEACHER, 0, None, 0]["gamma"]
    # The hard teacher's student at T = 1 is in two curves, and is one.
    for seed in (0, 1):
        assert by[OF_HARD, 0, 1.0, seed]["accuracy"] == by[OF_SMOOTHED, 0, 1.0, seed]["accuracy"]
    # A student alone is a training with smoothed labels.
    alone = ("train", "--model", "mlp:8", "--epochs", "3", "--lr", "0.01", "--batch-size", "64", "--name", "alone")
    assert fierce(*alone, "--loss", "label-smoothing", "--alpha", "0.6", "--seed", "1", "--device", "cpu")[0] == 0
    accuracy = runs.Run(Path("runs/alone")).info()["test"]["test_accuracy"]
    assert by[ALONE, 0.6, None, 1]["accuracy"] == pytest.approx(accuracy, abs=1.1 / 360)
    # Said again, nobody is trained; another temperature is two students more, of the same teachers.
    code, out, err = fierce(*ASKED, *HOW, *MORE[2:-2], "--temperatures", "1,4,8")
    assert code == 0, err
    assert "6 of 6 runs were done before" in err
    assert "students were trained before" in err
    assert len(runs.listing(Path("runs"))) == 8
    for words in (
        "Accuracy against α",
        "Accuracy against γ",
        OF_HARD,
        "student's own T 1",
        "Teachers: mlp:16, 4 epochs",
    ):
        assert words in out, words


def test_students_learn_without_t2_at_their_own_temperature_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from fierce_tools.experiments._lab import Lab, lab
    from fierce_tools.experiments._loading import Places
    from fierce_tools.experiments._workshop import Workshop
    from fierce_tools.experiments.smoothing_sweep import smoothing_sweep

    seen = []

    def train(self: Lab, students, judge, question, asked=()):
        seen.extend((s, self.teachers[s.teacher].label if s.teacher is not None else None) for s in students)
        return [{"accuracy": 0.5 + 0.01 * s.temperature} for s in students]

    monkeypatch.setattr(Lab, "train", train)
    shop = Workshop(Path("runs"), {"train": {"epochs": 1, "device": "cpu"}}, {"data.per_class": 5})
    made_lab = lab([], Places(), Path("runs"), None, shop.of_data().as_dict()["data"], student="mlp:8", seeds=2)
    made = smoothing_sweep(shop, made_lab, teacher_model="linear", alphas=(0.5,), temperatures=(2, 16))
    assert len(made_lab.splits.train) == len(split(digits(), val_fraction=0.1).train.labels) - 1244
    taught = [(s, label) for s, label in seen if label is not None]
    assert {(s.student_temperature, s.t2, s.kd_weight, s.ce_weight) for s, _ in taught} == {(1.0, False, 1.0, 0.0)}
    assert {(s.temperature, s.seed, label.rpartition("-")[2]) for s, label in taught} == {
        (t, seed, f"s{seed}") for t in (1.0, 2.0, 16.0) for seed in (0, 1)
    }
    assert [s.alpha for s, label in seen if label is None] == [0.0, 0.0, 0.5, 0.5]
    charts = [b for b in made.report().blocks if isinstance(b, Lines)]
    assert [s.label for s in charts[-1].series] == [*CURVES]
    assert charts[1].series[0].x == (2.0, 16.0)
    assert charts[1].series[0].y == pytest.approx((0.52, 0.66))
    assert all(list(s.x) == sorted(s.x) for c in charts for s in c.series)


@pytest.mark.slow
def test_what_cannot_be(fierce) -> None:
    for more in (("--alphas", "0,1"), ("--alphas", "-0.1"), ("--temperatures", "0"), ("--set", "train.seed=3")):
        code, _, err = fierce("analyze", "smoothing-sweep", *more)
        assert code == 2, err
    assert not runs.listing(Path("runs"))
    code, _, err = fierce("analyze", "smoothing-sweep", "--teacher-model", "mlp:8", "--teacher-lr", "1e30", *HOW[:2])
    assert code == 4
    assert "teacher model mlp:8, loss ce, seed 0" in err

"""Transfer sets, temperatures and noise: what students are given, and what is made of their accuracies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from fierce_tools.analysis._soft import probabilities
from fierce_tools.errors import UsageError
from fierce_tools.experiments import noise, temperature_sweep, transfer_curve
from fierce_tools.experiments._lab import Lab, lab
from fierce_tools.experiments._loading import Places
from fierce_tools.experiments._noise import variances
from fierce_tools.experiments._selection import margins, select
from fierce_tools.experiments.transfer_curve import crossing
from fierce_tools.report import Lines, Table
from fierce_tools.sources import Source

SMALL: dict[str, Any] = {"student": "mlp:8", "epochs": 1, "seeds": 2}
FLAGS = ("--student", "mlp:8", "--epochs", "1", "--seeds", "2", "--device", "cpu", "--format", "json")


def table(result: Any, number: int = 0) -> Table:
    return [b for b in result.report().blocks if isinstance(b, Table)][number]


def spied(made: Lab, seen: list[Any]) -> Lab:
    train = made.train

    def spy(students: Any, *rest: Any) -> Any:
        seen.extend((s, made.options["epochs"]) for s in students)
        return train(students, *rest)

    object.__setattr__(made, "train", spy)
    return made


def test_selections_against_sorting_by_hand() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 4, (300, 5)), np.sort(rng.integers(0, 5, 300))
    p = probabilities(logits, 9.0)
    scores = scipy_entropy(p, axis=1)
    top = np.sort(p, axis=1)
    gaps = top[:, -1] - top[:, -2]
    assert np.allclose(margins(logits, 9.0), gaps)
    for how, key in (("entropy", -scores), ("lowest", scores), ("margin", gaps)):
        found = select(how, logits, labels, 7, temperature=9.0, seed=0)
        for c in range(5):
            own = np.flatnonzero(labels == c)
            assert set(found[labels[found] == c]) == set(own[np.argsort(key[own])[:7]]), how
    drawn = [select("random", logits, labels, 7, temperature=9.0, seed=s) for s in (0, 0, 1)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert np.array_equal(drawn[0], select("random", -logits, labels, 7, temperature=9.0, seed=0)), "of no teacher"
    for how in ("entropy", "lowest", "margin", "random"):
        less, more = (select(how, logits, labels, n, temperature=9.0, seed=3) for n in (4, 11))
        assert set(less) < set(more)
        assert len(select(how, logits, labels, 1000, temperature=9.0, seed=3)) == 300
    with pytest.raises(UsageError, match="did you mean 'entropy'"):
        select("entropie", logits, labels, 7, temperature=9.0, seed=0)


def test_where_a_curve_crosses() -> None:
    at, below = crossing([10, 100, 1000], [0.5, 0.7, 0.9], 0.8)
    assert at == pytest.approx(math.sqrt(100 * 1000))
    assert not below
    assert crossing([10, 100], [0.5, 0.7], 0.5) == (10.0, True)
    assert crossing([10, 100], [0.5, 0.7], 0.71) == (None, False)
    assert crossing([10, 100, 1000], [0.5, 0.9, 0.6], 0.9)[0] == pytest.approx(100)
    assert crossing([10, 100], [0.5, 0.5], 0.6) == (None, False)


def test_a_transfer_curve(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **SMALL)
    seen: list[Any] = []
    found = transfer_curve(
        made.teachers, spied(made, seen), sizes=(20, 5, 5000), select=("entropy", "random"), target=0.9, relative=True
    )
    assert len(found.found) == 2 * 2 * (2 * 2 + 1)
    labels = made.splits.train.labels
    for (student, _), entry in zip(seen, found.found, strict=True):
        if entry["per_class"] is None:
            assert student.rows is None
            continue
        assert (np.bincount(labels[student.rows]) == entry["per_class"]).all()
        teacher = made.teachers[student.teacher]
        rows = select(entry["select"], teacher.train, labels, entry["per_class"], temperature=9.0, seed=entry["seed"])
        assert np.array_equal(student.rows, rows)
    assert [r[2] for r in table(found).rows[:2]] == [5, 20]
    values = [
        e["accuracy"] for e in found.found if (e["teacher"], e["select"], e["per_class"]) == ("hard", "entropy", 20)
    ]
    assert table(found).rows[1][4] == pytest.approx(np.mean(values), abs=1e-4)
    assert table(found).rows[1][5] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
    whole = np.mean([e["accuracy"] for e in found.found if e["teacher"] == "smooth" and e["per_class"] is None])
    assert [n["target"] for n in found.needed if n["teacher"] == "smooth"] == pytest.approx([0.9 * whole] * 2)
    assert any("largest class has" in n for n in found.notes)


def test_ratios_are_of_the_first_teacher() -> None:
    from fierce_tools.experiments.transfer_curve import _needed

    def entries(teacher: str, values: list[float]) -> list[dict[str, Any]]:
        sizes: list[int | None] = [10, 100, None]
        about = {"teacher": teacher, "seed": 0, "examples": 0}
        return [
            {**about, "select": "entropy" if n else "all", "per_class": n, "accuracy": v}
            for n, v in zip(sizes, values, strict=True)
        ]

    found = _needed(
        [*entries("a", [0.5, 0.9, 1.0]), *entries("b", [0.7, 0.9, 1.0]), *entries("c", [0.9, 0.9, 1.0])], 0.8, False
    )
    assert [f["per_class"] for f in found] == [pytest.approx(10**1.75), pytest.approx(10**1.5), 10.0]
    assert [f["ratio"] for f in found] == [1.0, pytest.approx(10**-0.25), None], "of a bound there is no ratio"
    assert [f["below"] for f in found] == [False, False, True]


def test_equal_steps(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    heard: list[int] = []
    longer = lab(
        teachers[:1],
        places,
        tmp_path,
        lambda e: heard.append(getattr(e, "total", 0)),
        student="mlp:8",
        epochs=2,
        seeds=1,
        batch_size=50,
    )
    transfer_curve(longer.teachers, longer, sizes=(5, 20), equal_steps=True)
    # 1,294 examples are 26 steps, so 52 in two epochs; 50 examples are one step an epoch, 200 are four.
    assert set(heard) - {0} == {2 * 1294, 52 * 50, 13 * 200}
    assert longer.options["epochs"] == 2


def test_a_temperature_sweep(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **{**SMALL, "epochs": 3})
    found = temperature_sweep(made.teachers, made, temperatures=(1, 9))
    assert len(found.found) == 2 * (1 + 2 * 2)
    alone = [e for e in found.found if e["temperature"] is None]
    assert len(alone) == 2
    assert all(e["kl"] is None and e["accuracy"] > 0.1 for e in alone)
    taught = [e for e in found.found if e["temperature"] is not None]
    assert all(e["kl"] > 0 and 0 < e["agreement"] <= 1 for e in taught)
    labels = made.splits.test.labels
    assert found.teachers["hard"] == pytest.approx((made.teachers[0].test.argmax(axis=1) == labels).mean())
    lines = [b for b in found.report().blocks if isinstance(b, Lines)]
    assert [len(b.series) for b in lines] == [3, 2, 2]
    mean = np.mean([e["kl"] for e in taught if (e["teacher"], e["temperature"]) == ("smooth", 9)])
    assert lines[2].series[1].y[1] == pytest.approx(mean)


def test_agreement_and_divergence_are_with_the_own_teacher(
    teachers: list[Source], places: Places, tmp_path: Path
) -> None:
    """A student much like its teacher: the same weights would agree wholly, at KL 0."""
    made = lab(teachers, places, tmp_path, student="mlp:32", epochs=30, seeds=1)
    found = temperature_sweep(made.teachers, made, temperatures=(2,))
    of = {e["teacher"]: e for e in found.found}
    assert of["hard"]["agreement"] > 0.8
    assert of["smooth"]["kl"] < 0.1
    assert of["smooth"]["accuracy"] > 0.7


def test_variances_against_a_long_simulation() -> None:
    rng = np.random.default_rng(1)
    q = probabilities(rng.normal(0, 3, (60, 4)), 3.0)
    labels = rng.integers(0, 4, 60)
    still = variances(q, labels, "normal", 0.0)
    assert still.induced == 0
    assert still.entropy == pytest.approx(float(scipy_entropy(q, axis=1).mean()))
    away = np.arange(4) != labels[:, None]
    assert still.row_variance == pytest.approx(np.mean([q[i][away[i]].var() for i in range(60)]))
    drawn = np.maximum(q + 0.1 * rng.uniform(-1, 1, (4000, 60, 4)), 0)
    drawn /= drawn.sum(axis=-1, keepdims=True)
    found = variances(q, labels, "uniform", 0.1)
    assert found.induced == pytest.approx(drawn.var(axis=0)[away].mean(), rel=0.1)
    assert found.entropy == pytest.approx(float(scipy_entropy(drawn, axis=-1).mean()), rel=0.01)


def test_noise_on_smoothed_labels_beside_the_teachers(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **SMALL)
    seen: list[Any] = []
    found = noise(made.teachers, spied(made, seen), labels="smoothed", noise="normal", scales=(0, 0.1), sizes=(10,))
    names = list(dict.fromkeys(e["labels"] for e in found.found))
    assert names[:2] == ["hard", "smooth"]
    assert [n.startswith("smoothed α=") for n in names[2:]] == [True, True]
    by = {(v["labels"], v["noise_scale"]): v for v in found.variances}
    # Smoothing of the same entropy as the teacher's labels; it has no variance but what is induced.
    whole = scipy_entropy(probabilities(made.teachers[0].train, 9.0), axis=1).mean()
    assert by[names[2], 0.0]["entropy"] == pytest.approx(whole, abs=1e-3)
    assert by[names[2], 0.0]["column_variance"] == pytest.approx(0, abs=1e-12)
    assert by["hard", 0.0]["column_variance"] > 1e-5
    assert by[names[2], 0.1]["induced"] == pytest.approx(by[names[2], 0.1]["column_variance"], rel=0.2)
    for (student, _), entry in zip(seen, found.found, strict=True):
        assert student.noise_scale == entry["noise_scale"]
        assert (student.alpha is None) == (entry["labels"] in ("hard", "smooth"))
        assert len(student.rows) == 100
    assert any("noisy smoothed label" in n for n in found.notes)


def test_noise_changes_students_and_none_does_not(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers[:1], places, tmp_path, **{**SMALL, "epochs": 8})
    found = noise(made.teachers, made, scales=(0, 2.0))
    quiet, loud = ([e["accuracy"] for e in found.found if e["noise_scale"] == s] for s in (0, 2.0))
    plain = transfer_curve(made.teachers, made, sizes=(5,))
    whole = [e["accuracy"] for e in plain.found if e["per_class"] is None]
    assert quiet == whole, "without noise it is the ordinary distillation"
    assert np.mean(loud) < np.mean(quiet)
    alone = lab([], places, tmp_path, **SMALL)
    assert len(noise((), alone, labels="smoothed", alpha=0.5, scales=(0.1,), sizes=(5,)).found) == 2


def test_wrong_asking_is_said(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made, empty = lab(teachers, places, tmp_path, **SMALL), lab([], places, tmp_path, **SMALL)
    for ask, given, said in (
        (transfer_curve, {"sizes": (0,)}, "--sizes 0"),
        (transfer_curve, {"sizes": ()}, "--sizes without"),
        (transfer_curve, {"sizes": (500,)}, "more than"),
        (transfer_curve, {"target": 95.0}, "--target is 95"),
        (transfer_curve, {"select": ("best",)}, "unknown selection 'best'"),
        (transfer_curve, {"temperature": 0.0}, "temperature 0"),
        (temperature_sweep, {"temperatures": ()}, "--temperatures without"),
        (temperature_sweep, {"temperatures": (0,)}, "temperature 0"),
        (temperature_sweep, {"kd_weight": -1}, "weights -1"),
        (noise, {"scales": (-1,)}, "--scales -1"),
        (noise, {"sizes": (0,)}, "--sizes 0"),
        (noise, {"alpha": 0.5}, "goes with --labels smoothed"),
        (noise, {"labels": "smoothed", "alpha": 2.0}, "--alpha is 2"),
    ):
        with pytest.raises(UsageError, match=said):
            ask(made.teachers, made, **given)  # type: ignore[operator]
    for ask in (transfer_curve, temperature_sweep, noise):
        with pytest.raises(UsageError, match="asks teachers"):
            ask((), empty)
    with pytest.raises(UsageError, match="needs an amount"):
        noise((), empty, labels="smoothed")


@pytest.mark.parametrize(("name", "more"), [
    ("transfer-curve", ("--sizes", "5", "--select", "lowest,margin")),
    ("temperature-sweep", ("--temperatures", "2")),
    ("noise", ("--scales", "0.1",)),
])  # fmt: skip
def test_the_commands(fierce: Any, taught: Path, tmp_path: Path, name: str, more: tuple[str, ...]) -> None:
    asked = ("analyze", name, str(taught / "hard"), *more, *FLAGS)
    code, out, err = fierce(*asked, "--save", "a.png", "--runs-dir", "r")
    assert code == 0, err
    document = json.loads(out)
    assert document["analysis"] == name
    assert document["results"][0]["values"]["found"][0]["seed"] == 0
    assert Path("a.png").stat().st_size > 1000
    text = fierce(*asked[:-2], "--runs-dir", "r")[1]
    assert "sd: standard deviation over seeds" in text
    assert fierce(*asked[:-2], "--save", "a.csv", "--runs-dir", "r")[0] == 0
    assert Path("a.csv").read_text().count("hard") > 0

"""Students that never see a class: what is left out, what is measured, the bias, the control, the command."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import STUDENT, Job

from fierce_tools import sources
from fierce_tools.errors import UsageError
from fierce_tools.experiments import missing_class
from fierce_tools.experiments._lab import Lab, lab
from fierce_tools.experiments._loading import Places
from fierce_tools.experiments.missing_class import best_bias, judged
from fierce_tools.outputs import Outputs
from fierce_tools.report import Heat, Table
from fierce_tools.sources import Source

SMALL: dict[str, Any] = {"student": "mlp:8", "epochs": 2, "seeds": 2}
FLAGS = ("--student", "mlp:8", "--epochs", "1", "--seeds", "1", "--device", "cpu")


def accuracy(logits: np.ndarray, labels: np.ndarray, dropped: list[int], bias: float) -> float:
    moved = logits.astype(np.float64)
    moved[:, dropped] += bias
    return float((moved.argmax(axis=1) == labels).mean())


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 6), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_bias_is_the_best_there_is(seed: int, rows: int, classes: int, coarse: bool) -> None:
    """By brute force over every value between two margins; of equally good ones none is nearer to 0 by a place."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (rows, classes)).astype(np.float32)
    logits = np.round(logits) if coarse else logits  # ties
    labels = rng.integers(0, classes, rows)
    dropped = sorted(rng.choice(classes, int(rng.integers(1, classes)), replace=False).tolist())
    found = best_bias(logits, labels, dropped)
    inside = np.isin(np.arange(classes), dropped)
    margins = np.unique(logits[:, ~inside].max(axis=1).astype(np.float64) - logits[:, inside].max(axis=1))
    tried = [margins[0] - 1, *((margins[1:] + margins[:-1]) / 2), margins[-1] + 1, 0.0]
    best = max(accuracy(logits, labels, dropped, b) for b in tried if not np.isclose(b, margins).any())
    assert accuracy(logits, labels, dropped, found) >= best - 1e-12
    if not np.isclose(margins, 0).any() and accuracy(logits, labels, dropped, 0.0) == best:
        assert found == 0.0


def test_accuracies_by_hand() -> None:
    logits = np.array([[3, 0, 0], [0, 3, 0], [2, 0, 1], [0, 0, 5]], np.float32)
    test = Outputs(logits, np.array([0, 1, 2, 2]))
    found = judged([2], None, test)
    assert found == {
        "missing": 0.5,
        "overall": 0.75,
        "bias": None,
        "missing_corrected": None,
        "overall_corrected": None,
    }
    found = judged([2], test, test)
    assert 1 < found["bias"] < 3
    assert (found["missing_corrected"], found["overall_corrected"]) == (1.0, 1.0)
    assert judged([1], None, Outputs(logits[:1], np.array([0])))["missing"] is None


def spied(made: Lab) -> list[Any]:
    """The students a lab is asked for."""
    seen: list[Any] = []
    train = made.train

    def spy(students: Any, *rest: Any) -> Any:
        seen.extend(students)
        return train(students, *rest)

    object.__setattr__(made, "train", spy)
    return seen


def test_a_student_never_sees_what_it_misses(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **SMALL)
    seen = spied(made)
    found = missing_class(made.teachers, made, temperatures=(3, 9), drop=("3", "0+1+2"))
    labels = made.splits.train.labels
    assert len(seen) == len(found.found) == 2 * 2 * 2 * 2
    for student, entry in zip(seen, found.found, strict=True):
        gone = {int(c) for c in entry["dropped"].split("+")}
        assert set(labels[student.rows]) == set(range(10)) - gone
        assert len(student.rows) == (~np.isin(labels, list(gone))).sum(), "nothing else is left out"
        assert (student.seed, student.temperature) == (entry["seed"], entry["temperature"])
        assert made.teachers[student.teacher].label == entry["teacher"]
    assert {e["dropped"] for e in found.found} == {"3", "0+1+2"}


def test_errors_are_counted(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    """By hand, from the logits that were judged, with the bias and without."""
    made = lab(teachers[:1], places, tmp_path, **SMALL)
    seen: list[Outputs] = []
    train = made.train

    def keep(students: Any, judge: Any, *rest: Any) -> Any:
        return train(students, lambda n, val, test: seen.append(test) or judge(n, val, test), *rest)

    object.__setattr__(made, "train", keep)
    found = missing_class(made.teachers, made, temperatures=(9,), drop=("3", "0+1+2+3+4+5+6+9")).found
    assert len(seen) == len(found) == 4
    for entry in found:
        gone = [int(c) for c in entry["dropped"].split("+")]
        of_gone = np.isin(seen[0].get("labels"), gone)
        matches = []
        for outputs in seen:
            wrong = {}
            for suffix, bias in (("", 0.0), ("_corrected", entry["bias"])):
                logits = outputs.logits.astype(np.float64)
                logits[:, gone] += bias
                taken = logits.argmax(axis=1) != outputs.get("labels")
                wrong |= {f"errors{suffix}": taken.sum(), f"errors_missing{suffix}": taken[of_gone].sum()}
            matches.append(all(entry[k] == v for k, v in wrong.items()))
        assert any(matches), entry
        assert entry["errors"] == round((1 - entry["overall"]) * len(of_gone))
    assert all(type(entry["errors"]) is int for entry in found)


def test_without_validation_errors_are_counted_as_they_are(places: Places, tmp_path: Path, train_run: Any) -> None:
    bare = train_run(tmp_path / "runs", "bare", "--val-fraction", "0", "--epochs", "1")
    made = lab([bare], places, tmp_path, **SMALL)
    (entry, _) = missing_class(made.teachers, made, temperatures=(9,), drop=("1",)).found
    assert entry["errors"] >= entry["errors_missing"] > 0
    assert entry["errors_corrected"] is None
    assert entry["errors_missing_corrected"] is None


@pytest.mark.slow
def test_a_good_teacher_tells_of_a_class_and_labels_do_not(
    taught: Path, places: Places, tmp_path: Path, train_run: Any
) -> None:
    """What the experiment is about, small: hard teacher some, smoothed labels none at any alpha."""
    teacher = train_run(tmp_path / "runs", "long", "--epochs", "12", "--model", "mlp:64")
    options = {"student": "mlp:32", "epochs": 20, "seeds": 1}
    made = lab([teacher], places, tmp_path, **options)
    found = missing_class(made.teachers, made, temperatures=(9,), drop=("0", "6", "8"))
    assert np.mean([e["missing"] for e in found.found]) > 0.05
    control = lab([], places, tmp_path, **options)
    none = missing_class((), control, labels="smoothed", drop=("0", "6"))
    assert [e["missing"] for e in none.found] == [0.0] * 14
    assert {e["alpha"] for e in none.found} == {0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9}
    assert min(e["overall"] for e in none.found) > 0.5


def test_the_report_has_every_class_and_temperature(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **SMALL)
    found = missing_class(made.teachers, made, temperatures=(3, 9), bias_correction=True)
    report = found.report()
    heats = [b for b in report.blocks if isinstance(b, Heat)]
    assert [h.title.partition(":")[0] for h in heats] == ["hard", "hard, with bias", "smooth", "smooth, with bias"]
    assert heats[0].rows == (*map(str, range(10)), "mean")
    cell = np.mean(
        [e["missing"] for e in found.found if (e["teacher"], e["dropped"], e["temperature"]) == ("hard", "4", 9)]
    )
    assert heats[0].values[4][1] == pytest.approx(cell)
    means = [
        np.mean([e["missing"] for e in found.found if (e["teacher"], e["temperature"], e["seed"]) == ("hard", 3, s)])
        for s in (0, 1)
    ]
    assert heats[0].values[10][0] == pytest.approx(np.mean(means))
    (table,) = [b for b in report.blocks if isinstance(b, Table)]
    assert table.rows[0][2] == pytest.approx(np.mean(means), abs=1e-4)
    assert table.rows[0][3] == pytest.approx(np.std(means, ddof=1), abs=1e-4)
    assert "mlp:8" in report.notes[-1]
    assert "T²·KL(teacher ‖ student)" in report.notes[-1]


def test_wrong_asking_is_said(teachers: list[Source], places: Places, tmp_path: Path, train_run: Any) -> None:
    made = lab(teachers, places, tmp_path, **SMALL)
    with pytest.raises(UsageError, match="unknown class 'seven'"):
        missing_class(made.teachers, made, drop=("seven",))
    with pytest.raises(UsageError, match="drops all 10"):
        missing_class(made.teachers, made, drop=("+".join(map(str, range(10))),))
    with pytest.raises(UsageError, match="temperature -1"):
        missing_class(made.teachers, made, temperatures=(-1,))
    with pytest.raises(UsageError, match="name checkpoints, or say --labels smoothed"):
        missing_class((), lab([], places, tmp_path, **SMALL))
    bare = train_run(tmp_path / "runs", "bare", "--val-fraction", "0", "--epochs", "1")
    without = lab([bare], places, tmp_path, **SMALL)
    with pytest.raises(UsageError, match="chosen on validation"):
        missing_class(without.teachers, without, bias_correction=True)
    assert missing_class(without.teachers, without, temperatures=(9,), drop=("1",)).found[0]["bias"] is None


def test_the_command_prints_one_document(fierce: Any, taught: Path) -> None:
    asked = ("analyze", "missing-class", "hard", "smooth", "--drop", "1,2+3", "--temperatures", "9", *FLAGS)
    code, out, err = fierce(*asked, "--format", "json", "--runs-dir", str(taught), "--engine", "sequential")
    assert code == 0, err
    document = json.loads(out)
    assert set(document) == {"format", "analysis", "options", "split", "results"}
    assert document["options"]["drop"] == ["1", "2+3"]
    assert document["options"]["student"] == "mlp:8"
    (result,) = document["results"]
    assert [s["source"] for s in result["sources"]] == ["hard", "smooth"]
    assert len(result["values"]["found"]) == 4
    code, out, err = fierce(*asked, "--progress", "jsonl", "--runs-dir", str(taught))
    assert code == 0
    assert json.loads(err.splitlines()[0]) == {"event": "reused", "reused": 4, "students": 4}
    for columns in (80, 100):
        os.environ["COLUMNS"], before = str(columns), os.environ["COLUMNS"]
        text = fierce(*asked, "--runs-dir", str(taught))[1]
        os.environ["COLUMNS"] = before
        assert max(map(len, [line for line in text.splitlines() if " " not in line.strip() or "│" in line])) <= columns
        assert "hard: missing class, accuracy" in text


def test_one_checkpoints_answer_lies_beside_it(fierce: Any, taught: Path) -> None:
    asked = ("analyze", "missing-class", "hard", "--drop", "1", "--temperatures", "9", *FLAGS)
    code, out, err = fierce(*asked, "--format", "json", "--runs-dir", str(taught))
    assert code == 0, err
    (source,) = sources.locate("hard", taught)
    kept = sources.answers(source, "missing-class")[0]
    assert kept["values"] == json.loads(out)["results"][0]["values"]
    assert kept["report"]["blocks"][0]["kind"] == "Heat"


@pytest.mark.parametrize(("more", "code", "said"), [
    ((), 2, "name checkpoints"),
    (("nobody",), 3, "unknown run 'nobody'"),
    (("hard", "--drop", "x"), 2, "unknown class 'x'"),
    (("hard", "--lr", "nan"), 2, "--lr is 'nan', expected a number"),
    (("hard", "--lr", "0"), 2, "expected above 0"),
    (("hard", "--student", "mpl:3"), 2, "did you mean 'mlp'"),
    (("hard", "--save", "x.xyz"), 2, "nothing is saved as .xyz"),
    (("hard", "--save", "x.npz"), 2, "--save x.npz"),
    (("hard", "--epochs", "0"), 2, "--epochs"),
])  # fmt: skip
def test_the_command_says_what_is_wrong(fierce: Any, taught: Path, more: tuple[str, ...], code: int, said: str) -> None:
    got, out, err = fierce("analyze", "missing-class", *FLAGS[2:], *more, "--runs-dir", str(taught))
    assert (got, out) == (code, ""), err
    assert said in err.splitlines()[-1]


def test_ctrl_c_ends_in_one_line_that_says_what_is_kept(taught: Path, tmp_path: Path) -> None:
    command = ("analyze", "missing-class", str(taught / "hard"), "--runs-dir", str(tmp_path))
    more = ("--student", "mlp:64", "--epochs", "4", "--engine", "sequential", "--progress", "jsonl", "--device", "cpu")
    job = Job(*command, *more, hold=(STUDENT, 2)).held()
    job.send(signal.SIGINT)
    assert job.end() == 130
    assert job.out == ""
    err = job.err
    last = err.strip().splitlines()[-1]
    assert "of 210 students are done and kept" in last
    assert "the same command goes on" in last
    assert "Traceback" not in err
    (path,) = (tmp_path / ".experiments").iterdir()
    assert len(path.read_text().splitlines()) == 2

"""The lab: teachers are asked in their own normalisation, students are kept, and what was interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fierce_tools import sources
from fierce_tools.errors import DataError, Interrupted, TrainingError, UsageError
from fierce_tools.experiments import _lab
from fierce_tools.experiments._lab import Lab, Reused, lab
from fierce_tools.experiments._loading import Places
from fierce_tools.experiments._seeds import band
from fierce_tools.outputs import Outputs
from fierce_tools.seeds import Mean
from fierce_tools.sources import Source
from fierce_tools.training.ensemble import Student, StudentDone

SMALL: dict[str, Any] = {"student": "mlp:6", "epochs": 1, "seeds": 2}


def judge(number: int, val: Outputs | None, test: Outputs) -> dict[str, Any]:
    return {"number": number, "sum": float(np.abs(test.logits).sum()), "val": None if val is None else len(val.logits)}


def test_teachers_say_what_they_say_of_themselves(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    """Each by its own normalisation, though students have another."""
    made = lab(teachers, places, tmp_path, **SMALL)
    assert [t.label for t in made.teachers] == ["hard", "smooth"]
    for teacher, source in zip(made.teachers, teachers, strict=True):
        kept = sources.kept(source, "test", {"logits"})
        assert kept is not None
        assert np.array_equal(teacher.test, kept.logits)
        right = (teacher.train.argmax(axis=1) == made.splits.train.labels).mean()
        assert right > 0.5, "rows are those of the training split"
    assert float(np.asarray(made.normalization.std).ravel()[0]) != 1.0


def test_students_are_kept_and_a_longer_table_trains_what_is_new(
    teachers: list[Source], places: Places, tmp_path: Path
) -> None:
    heard: list[Any] = []
    made = lab(teachers, places, tmp_path, heard.append, **SMALL)
    first = [Student(teacher=0, seed=s) for s in range(2)]
    said = made.train(first, judge, "q")
    assert [row["number"] for row in said] == [0, 1]
    assert said[0]["val"] == len(made.splits.val)
    assert not any(isinstance(e, Reused) for e in heard)
    again = made.train([Student(teacher=1), *first, first[0]], judge, "q")
    assert again[1:] == [*said, said[0]]
    assert again[0]["number"] == 0
    assert [e for e in heard if isinstance(e, Reused)] == [Reused(2, 3)]
    # Another teacher's student, another lr, other epochs or another question is another student.
    assert made.train([replace(first[0], lr=0.01)], judge, "q")[0] != said[0]
    others = lab(teachers, places, tmp_path, **{**SMALL, "epochs": 2}).train(first[:1], judge, "q")
    assert others != said[:1]


def test_how_fast_says_nothing_of_what_is_learned(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    heard: list[Any] = []
    lab(teachers, places, tmp_path, **SMALL, engine="sequential").train([Student(teacher=0)], judge, "q")
    lab(teachers, places, tmp_path, heard.append, **SMALL, engine="stacked").train([Student(teacher=0)], judge, "q")
    assert heard == [Reused(1, 1)]


def test_inputs_may_be_bytes_over_255(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **SMALL, normalization="unit")
    assert float(np.ravel(made.normalization.mean)[0]) == 0
    assert float(np.ravel(made.normalization.std)[0]) == 255
    assert "inputs 0 to 1" in made.setting()
    other = made.train([Student(teacher=0)], judge, "q")
    assert other != lab(teachers, places, tmp_path, **SMALL).train([Student(teacher=0)], judge, "q")


def test_fresh_trains_anew(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    heard: list[Any] = []
    students = [Student(teacher=0)]
    said = lab(teachers, places, tmp_path, **SMALL).train(students, judge, "q")
    fresh = lab(teachers, replace(places, fresh=True), tmp_path, heard.append, **SMALL)
    assert fresh.train(students, judge, "q") == said, "the same seeds give the same students"
    assert not any(isinstance(e, Reused) for e in heard)


def test_interrupted_it_keeps_what_is_done(
    teachers: list[Source], places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lab(teachers, places, tmp_path, **SMALL, engine="sequential")
    students = [Student(teacher=0, seed=s) for s in range(4)]
    whole = lab(teachers, places, tmp_path / "whole", **SMALL, engine="sequential").train(students, judge, "q")
    real = _lab.ensemble

    def stopping(*arguments: Any, **options: Any) -> Any:
        done = 0
        for event in real(*arguments, **options):
            yield event
            done += isinstance(event, StudentDone)
            if done == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(_lab, "ensemble", stopping)
    with pytest.raises(Interrupted, match="2 of 4 students are done"):
        made.train(students, judge, "q")
    monkeypatch.setattr(_lab, "ensemble", real)
    (path,) = (tmp_path / ".experiments").iterdir()
    with open(path, "a") as file:
        file.write('{"student": "half')  # a machine that went down in the midst of a line
    heard: list[Any] = []
    assert replace(made, listen=heard.append).train(students, judge, "q") == whole
    assert heard[0] == Reused(2, 4)
    lines = path.read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 4


def test_a_damaged_ledger_costs_only_its_damaged_lines(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **SMALL)
    students = [Student(teacher=0, seed=s) for s in range(2)]
    said = made.train(students, judge, "q")
    (path,) = (tmp_path / ".experiments").iterdir()
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["", "[]", "{}", "null", lines[1], "nonsense"]) + "\n")
    heard: list[Any] = []
    assert replace(made, listen=heard.append).train(students, judge, "q") == said
    assert heard[0] == Reused(1, 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_diverged_student_is_said(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, **SMALL, lr=1e30, optimizer="sgd")
    with pytest.raises(TrainingError, match="student 1 of 1 became NaN or infinite") as raised:
        made.train([Student(teacher=0, lr=made.lr)], judge, "q")
    assert "1e+30" in raised.value.hint


def test_different_data_do_not_go_together(
    teachers: list[Source], places: Places, tmp_path: Path, train_run: Callable[..., Source]
) -> None:
    other = train_run(tmp_path / "other", "cut", "--split-seed", "1", "--epochs", "1")
    with pytest.raises(DataError, match="trained on different data, or cut differently"):
        lab([teachers[0], other], places, tmp_path, **SMALL)


def test_files_of_arrays_are_no_teachers(tmp_path: Path, places: Places) -> None:
    np.save(tmp_path / "z.npy", np.zeros((4, 3)))
    with pytest.raises(DataError, match="a teacher is a checkpoint"):
        lab(sources.locate(str(tmp_path / "z.npy"), tmp_path), places, tmp_path)


def test_without_checkpoints_the_data_are_named(arrays_file: Path, tmp_path: Path) -> None:
    assert lab([], Places(device="cpu"), tmp_path, **SMALL).made.data["name"] == "digits"
    made = lab([], Places(data=f"arrays:{arrays_file}", device="cpu"), tmp_path, **SMALL)
    assert made.class_names == ("dark", "light")
    with pytest.raises(UsageError, match="--seeds 0"):
        lab([], Places(), tmp_path, seeds=0)


def test_other_data_than_the_teachers_are_other_students(
    teachers: list[Source], places: Places, tmp_path: Path
) -> None:
    """Asked with --data, students are of those data and kept apart."""
    made = lab([], places, tmp_path, **SMALL)
    path = tmp_path / "turned.npz"
    parts = {f"{n}_{k}": getattr(getattr(made.splits, n), k) for n in ("train", "test") for k in ("images", "labels")}
    parts["train_images"] = parts["train_images"][:, ::-1]
    np.savez(path, **parts, class_names=np.array(made.class_names))
    turned = lab(teachers[:1], Places(data=f"arrays:{path}", device="cpu"), tmp_path, **SMALL)
    assert turned.made.data["name"].startswith("arrays:")
    own = lab(teachers[:1], places, tmp_path, **SMALL)
    assert turned.fingerprint != own.fingerprint
    assert turned.train([Student(teacher=0)], judge, "q") != own.train([Student(teacher=0)], judge, "q")


def test_bands_are_one_sd_to_either_side() -> None:
    drawn = band("x", (1, 2, 3), [Mean(3.5, 2.0, 2, 2), Mean(2.0, None, 1, 1), Mean(None, None, 0, 1)])
    assert drawn.y == (3.5, 2.0, None)
    assert drawn.low == (1.5, None, None)
    assert drawn.high == (5.5, None, None)


def test_longer(places: Places, tmp_path: Path) -> None:
    made: Lab = lab([], places, tmp_path, **{**SMALL, "epochs": 10})
    assert made.longer(2.5).options["epochs"] == 25
    assert made.longer(0.001).options["epochs"] == 1

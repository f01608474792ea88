"""Students on disk: found again by what they are, not by their number; a damaged file is trained again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fierce_tools.outputs import Outputs
from fierce_tools.training._kept import Kept
from fierce_tools.training.ensemble import Student, StudentDone

ROWS = np.arange(40)


def through(student: Student, value: float) -> StudentDone:
    logits = np.full((3, 2), value, np.float32)
    return StudentDone(0, student, {"head.bias": np.full(2, value, np.float32)}, Outputs(logits), value > 0)


def test_results_belong_to_students_and_settings(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "students", {"epochs": 3, "model": "cnn"})
    table = [Student(rows=ROWS, teacher=0, temperature=t) for t in (3.0, 9.0)]
    assert kept.done(table) == {}
    kept.add(through(table[1], 2.0))
    (number,) = kept.done(table)
    assert number == 1
    # Of a larger table in another order, with rows and seeds said in another way, it is still that student.
    same = Student(rows=ROWS.copy().astype(np.int32), teacher=0, temperature=9.0, order_seed=0)
    wider = [same, *[Student(rows=ROWS, teacher=0, temperature=t) for t in (1.0, 3.0)]]
    found = kept.done(wider)
    assert set(found) == {0}
    assert np.array_equal(found[0]["logits"], np.full((3, 2), 2.0, np.float32))
    assert found[0]["finite"].all()
    assert Kept(tmp_path / "students", {"model": "cnn", "epochs": 3}).done(table).keys() == {1}
    assert Kept(tmp_path / "students", {"epochs": 4, "model": "cnn"}).done(table) == {}


@pytest.mark.parametrize("change", [
    {"seed": 1}, {"order_seed": 5}, {"rows": ROWS[1:]}, {"rows": ROWS[::-1]}, {"rows": None}, {"lr": 0.01},
    {"teacher": 1}, {"temperature": 8.0}, {"t2": False}, {"kd_weight": 0.5}, {"ce_weight": 0.5},
    {"teacher": None, "alpha": 0.1}, {"student_temperature": 1.0}, {"convention": "others"},
])  # fmt: skip
def test_another_student_is_another(change: dict[str, object]) -> None:
    one = Student(rows=ROWS, teacher=0)
    assert one.digest() != replace(one, **change).digest()  # type: ignore[arg-type]
    assert one.digest() == replace(one).digest()


def test_what_is_damaged_is_trained_again(tmp_path: Path) -> None:
    kept, student = Kept(tmp_path, {}), Student()
    kept.add(through(student, -1.0))
    assert not kept.done([student])[0]["finite"].any()
    assert "weights.head.bias" not in kept.done([student])[0]
    assert Kept(tmp_path, {}, weights=True).done([student]) == {}
    Kept(tmp_path, {}, weights=True).add(through(student, 4.0))
    assert kept.done([student])[0]["weights.head.bias"].tolist() == [4.0, 4.0]
    path = kept.path(student)
    path.write_bytes(path.read_bytes()[:-3])
    assert kept.done([student]) == {}

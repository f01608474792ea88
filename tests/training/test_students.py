"""Students and their parts: streams, stacks, soft labels, unfolded convolutions, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fierce_tools.data import digits
from fierce_tools.data._splits import Split, Splits, split
from fierce_tools.errors import DataError, UsageError
from fierce_tools.losses import kd, label_smoothing, smoothed_labels
from fierce_tools.models import mlp
from fierce_tools.models._classifier import Classifier
from fierce_tools.training._soft_targets import Targets
from fierce_tools.training._students import Stream, arrange
from fierce_tools.training._unfolded import UnfoldedConv2d
from fierce_tools.training.batches import Examples, measure
from fierce_tools.training.ensemble import Student, StudentDone, ensemble

NAMES = tuple("0123456789")
COUNT = 150
dense = partial(mlp, (8, 8, 1), 10, "12")


@pytest.fixture(scope="module")
def splits() -> Splits:
    whole = split(digits())
    few = replace(whole, train=_some(whole.train, np.arange(COUNT)), test=_some(whole.test, np.arange(60)))
    return few


def _some(examples: Split, rows: np.ndarray) -> Split:
    return Split(examples.images[rows], examples.labels[rows], examples.index[rows])


@pytest.fixture(scope="module")
def teachers() -> list[np.ndarray]:
    return [np.random.default_rng(seed).normal(0, 4, (COUNT, 10)).astype(np.float32) for seed in (1, 2)]


def without(splits: Splits, label: int) -> np.ndarray:
    return np.flatnonzero(splits.train.labels != label)


def run(
    make: Callable[[], Classifier], students: list[Student], splits: Splits, teachers: list[np.ndarray], **options: Any
) -> dict[int, StudentDone]:
    """All students by number; float64 steps unless said."""
    options = {"epochs": 2, "batch_size": 16, "dtype": torch.float64, "test": splits.test, **options}
    scale = measure(splits.train.images, "standard")
    events = ensemble(make, students, splits.train, scale, NAMES, teachers=teachers, **options)
    return {e.number: e for e in events if isinstance(e, StudentDone)}


def test_examples_fill_a_step_only_where_they_cannot_meet(splits: Splits) -> None:
    rows = [without(splits, c) for c in range(4)]
    students = [Student(rows=r, seed=s) for r in rows for s in range(2)]
    together = arrange(students, range(8), COUNT, 16, 1, most=100, equal_rows=False)
    assert [stack.numbers.shape for stack in together] == [(8, 1)]
    apart = arrange(students, range(8), COUNT, 16, 1, most=100, equal_rows=True)
    assert len(apart) == len({len(r) for r in rows}) > 1
    assert all(len({len(s.rows) for s in stack.streams}) == 1 for stack in apart)


def test_students_of_the_same_rows_and_order_share_a_stream(splits: Splits) -> None:
    copy = without(splits, 2).copy()
    students = [Student(seed=s, order_seed=0, rows=r) for r in (without(splits, 2), copy, None) for s in range(3)]
    students.append(Student(seed=0, order_seed=1))
    (shared, other, own) = sorted(
        arrange(students, range(10), COUNT, 16, 1, most=100, equal_rows=False), key=lambda s: -len(s.students)
    )
    assert shared.numbers.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert other.numbers.tolist() == [[6, 7, 8]]
    assert own.numbers.tolist() == [[9]]
    chunks = arrange(students, range(10), COUNT, 16, 1, most=4, equal_rows=False)
    assert max(len(s.students) for s in chunks) == 4
    assert sorted(n for s in chunks for n in s.students) == list(range(10))


def test_batches_are_those_of_the_ordinary_trainer(splits: Splits) -> None:
    rows = without(splits, 4)[:129]  # 128 + 1: the one left over joins the batch before it
    examples = Examples(_some(splits.train, rows), measure(splits.train.images, "standard"), torch.device("cpu"))
    stream = Stream(rows, 9, 32, 3)
    assert (stream.steps_per_epoch, stream.steps) == (4, 12)
    for epoch in (0, 2):
        for step, batch in enumerate(examples.epoch(9, epoch, 32)):
            assert np.array_equal(stream.batch(epoch * 4 + step), rows[batch.rows.numpy()])
    assert len(stream.batch(3)) == 33


def test_the_gradient_of_the_distillation_term_is_hintons() -> None:
    """(T/B)·(p_s - p_t) with T², (1/TB)·(…) without, for every student of a stack with its own T."""
    rng = np.random.default_rng(0)
    teacher = rng.normal(0, 3, (7, 5)).astype(np.float32)
    labels = torch.from_numpy(rng.integers(0, 5, 7))
    students = [
        Student(teacher=0, temperature=t, t2=t2, kd_weight=1, ce_weight=0) for t in (2.0, 9.0) for t2 in (True, False)
    ]
    targets = Targets(students, [teacher], labels, 5, torch.float64)
    z = torch.from_numpy(rng.normal(0, 2, (4, 1, 3, 5))).requires_grad_()
    rows = torch.tensor([[4, 0, 2]])
    targets.loss(z, rows, targets.of(np.arange(4).reshape(4, 1))).sum().backward()
    for k, student in enumerate(students):
        t = student.temperature
        p_s = (z[k, 0].detach() / t).softmax(-1)
        p_t = (torch.from_numpy(teacher[[4, 0, 2]]).double() / t).softmax(-1)
        scale = t / 3 if student.t2 else 1 / (t * 3)
        assert z.grad is not None
        assert torch.allclose(z.grad[k, 0], scale * (p_s - p_t), atol=1e-12)


def test_smoothed_labels_are_the_label_smoothing_loss() -> None:
    labels = torch.tensor([0, 3, 2, 3])
    z = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for convention, alpha in (("uniform", 0.3), ("others", 0.6)):
        student = Student(alpha=alpha, convention=convention, kd_weight=1, ce_weight=0)  # type: ignore[arg-type]
        targets = Targets([student], [], labels, 4, torch.float64)
        found = targets.loss(z, torch.arange(4), targets.of(np.array(0)))
        expected = label_smoothing(z, labels, alpha=alpha, convention=convention).mean()  # type: ignore[operator]
        assert found.item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize(("stride", "padding", "dilation", "kernel"), [
    (1, 1, 1, 3), (2, 1, 1, 3), ((2, 1), (0, 2), 1, (3, 5)), (1, 2, 2, 3), (2, 0, 1, 1),
])  # fmt: skip
def test_an_unfolded_convolution_is_the_convolution(stride: Any, padding: Any, dilation: int, kernel: Any) -> None:
    torch.manual_seed(0)
    ours = UnfoldedConv2d(3, 4, kernel, stride=stride, padding=padding, dilation=dilation, dtype=torch.float64)
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64, requires_grad=True)
    theirs = F.conv2d(x, ours.weight, ours.bias, stride, padding, dilation)
    (expected,) = torch.autograd.grad(theirs.square().sum(), x)
    (found,) = torch.autograd.grad(ours(x).square().sum(), x)
    assert torch.allclose(ours(x), theirs, atol=1e-12)
    assert torch.allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize(("student", "options", "said"), [
    (Student(teacher=2), {}, "teacher 2 of 2"),
    (Student(teacher=0, alpha=0.1), {}, "and smoothed labels"),
    (Student(teacher=0, temperature=0.0), {}, "temperature 0"),
    (Student(teacher=0, student_temperature=1.0), {}, "T² with two temperatures"),
    (Student(alpha=1.5), {}, "alpha is 1.5"),
    (Student(lr=0.0), {}, "learning rate 0"),
    (Student(seed=-1), {}, "seeds -1"),
    (Student(ce_weight=-1.0), {}, "weights"),
    (Student(), {"engine": "fast"}, "engine 'fast' is none"),
    (Student(), {"epochs": 0}, "--epochs is 0"),
    (Student(), {"clip_norm": 0.0}, "--clip-norm"),
    (Student(), {"memory": 0.0}, "memory of 0"),
    (Student(), {"learning_rates": 3}, "no option learning_rates"),
    (Student(), {"lr": 0.1}, "no option lr"),
])  # fmt: skip
def test_wrong_options_are_said(
    splits: Splits, teachers: list[np.ndarray], student: Student, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        run(dense, [student], splits, teachers, **options)


def test_wrong_data_are_said(splits: Splits, teachers: list[np.ndarray]) -> None:
    for rows in (np.array([0, COUNT]), np.array([-1, 3])):
        with pytest.raises(DataError, match="expected 0 to 149"):
            run(dense, [Student(rows=rows)], splits, [])
    with pytest.raises(DataError, match="rows are"):
        run(dense, [Student(rows=np.array([], np.int64))], splits, [])
    with pytest.raises(DataError, match=r"expected \[150, 10\]"):
        run(dense, [Student(teacher=0)], splits, [teachers[0][:9]])
    broken = teachers[0].copy()
    broken[4, 2] = np.nan
    with pytest.raises(DataError, match="nothing finite of row 4"):
        run(dense, [Student(teacher=0)], splits, [broken])
    assert run(dense, [Student(teacher=0, rows=np.arange(5, 50))], splits, [broken], epochs=1)[0].finite
    with pytest.raises(UsageError, match="no student"):
        run(dense, [], splits, [])


def test_the_losses_are_those_of_fierce_distill() -> None:
    """Gradients of kd and smoothed_labels with the same options, each a mean over the batch."""
    rng = np.random.default_rng(3)
    teacher, labels = rng.normal(0, 3, (6, 4)).astype(np.float32), torch.from_numpy(rng.integers(0, 4, 6))
    kinds: list[tuple[Student, dict[str, Any]]] = [
        (Student(teacher=0, temperature=5.0), {"temperature": 5.0}),
        (
            Student(teacher=0, temperature=5.0, t2=False, student_temperature=2.0, kd_weight=0.4, ce_weight=0.6),
            {"temperature": 5.0, "t2": False, "student_temperature": 2.0, "kd_weight": 0.4, "ce_weight": 0.6},
        ),
        (Student(alpha=0.4, convention="others"), {"alpha": 0.4, "convention": "others"}),
        (Student(alpha=0.4, student_temperature=3.0), {"alpha": 0.4, "student_temperature": 3.0}),
    ]
    targets = Targets([s for s, _ in kinds], [teacher], labels, 4, torch.float64)
    z = torch.from_numpy(rng.normal(0, 2, (6, 4))).requires_grad_()
    for number, (student, options) in enumerate(kinds):
        ours = targets.loss(z, torch.arange(6), targets.of(np.array(number)))
        if student.teacher is None:
            theirs = smoothed_labels(z, labels, **options).mean()  # type: ignore[operator]
        else:
            theirs = kd(z, labels, torch.from_numpy(teacher).double(), **options).mean()  # type: ignore[operator]
        (found,), (expected,) = torch.autograd.grad(ours, z), torch.autograd.grad(theirs, z)
        assert torch.allclose(found, expected, atol=1e-12)

"""Many students of one architecture trained together, each with its own targets, rows, order, weights and rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fierce_tools.data._splits import Split
from fierce_tools.errors import TrainingError, UsageError
from fierce_tools.models._classifier import Classifier
from fierce_tools.outputs import Outputs
from fierce_tools.training import _auto
from fierce_tools.training._banks import Bank, Job, Trained
from fierce_tools.training._soft_targets import Targets
from fierce_tools.training._stacked import couples_examples
from fierce_tools.training._students import Stack, Stream, Student, arrange, check
from fierce_tools.training.batches import Examples, Normalization
from fierce_tools.training.infer import infer
from fierce_tools.training.loop import enough_memory
from fierce_tools.training.optimizers import make_optimizer
from fierce_tools.training.schedules import learning_rate
from fierce_tools.training.train import _taken, check_options

__all__ = ["Advanced", "Chosen", "Student", "StudentDone", "ensemble"]

ENGINES = ("auto", *_auto.ENGINES)
# Seconds between two events of progress.
PACE = 0.1


@dataclass(frozen=True)
class Chosen:
    """Which engine trains, once it is known; the first event.

    `seconds` an example of a student took in each engine that was measured, `refused` why others cannot; students are
    trained in `stacks`, of at most `largest` at once.
    """

    engine: str
    asked: bool
    seconds: Mapping[str, float]
    refused: Mapping[str, str]
    stacks: int
    largest: int


@dataclass(frozen=True)
class Advanced:
    """How far all of it is: students done of those there are, and examples seen by students of those to be seen."""

    done: int
    students: int
    seen: int
    total: int
    per_second: float


@dataclass(frozen=True)
class StudentDone:
    """A student after its last step: its weights and buffers by name, and its outputs on the test split, if any.

    Outputs are of float32 and eval mode, whatever the steps used. `finite` says whether its loss was so in every step.
    """

    number: int
    student: Student
    weights: dict[str, np.ndarray]
    outputs: Outputs | None
    finite: bool


def ensemble(
    make: Callable[[], Classifier],
    students: Sequence[Student],
    train: Split,
    normalization: Normalization,
    class_names: tuple[str, ...],
    *,
    test: Split | None = None,
    teachers: Sequence[np.ndarray] = (),
    done: Collection[int] = (),
    epochs: int = 30,
    batch_size: int = 64,
    clip_norm: float | None = None,
    engine: str = "auto",
    memory: float | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    bf16: bool = False,
    **others: Any,
) -> Iterator[Chosen | Advanced | StudentDone]:
    """Train the students on rows of `train`; yields Chosen, then Advanced and StudentDone as they come.

    `make` gives a new model of the one architecture; `teachers` are logits f32 [N, C] of the training split, a class
    of -∞ has no probability. Those whose number is in `done` are left out, which is how an interrupted table goes on.
    `others` are options of the optimiser and the schedule, as `training.train.train` takes them, but for the learning
    rate, which is a student's own. Each student is what the ordinary trainer makes of its rows, seed and loss: the
    same first weights, batches in the same order, steps an epoch by its own number of rows, and, where `clip_norm` is
    given, its own norm clipped. Inputs are never augmented, and normalised by `normalization` for all.

    Engines: `sequential` (the ordinary step, one after another), `stacked` (torch.func: one step of all),
    `unfolded` (the same with convolutions as batched matrix products), `graph` (CUDA: the recorded step, one after
    another), or `auto`, the one that a few steps on copies find fastest. They agree to rounding; with dropout the
    stacked ones draw masks of their own. A stack holds as many students as fit into `memory` bytes (none said: what
    is reasonable here); examples of students with unequal numbers of rows share a stack only where no batch statistics
    could see them. torch's own generators are left as they were. Raises UsageError for what cannot be, DataError for
    rows or logits that do not fit the split, TrainingError where memory is not enough; a student whose loss becomes
    NaN harms no other, see `finite`.
    """
    options, schedule = _options(others, epochs, batch_size, clip_norm)
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r} is none", f"choose from {', '.join(ENGINES)}")
    if memory is not None and not memory > 0:
        raise UsageError(f"a memory of {memory:g} bytes, expected above 0", "for example 2e9")
    check(students, train.labels, len(class_names), teachers)
    wanted = [number for number in range(len(students)) if number not in set(done)]
    device = torch.device(device)
    with enough_memory(batch_size):
        examples = {last: Examples(train, normalization, device, channels_last=last) for last in (True, False)}
        targets = Targets([*students], teachers, examples[False].labels, len(class_names), dtype)
    job = Job(
        make, students, examples, targets, batch_size, epochs, dtype, bf16, clip_norm, options, schedule
    )  # fmt: skip
    return _run(job, wanted, engine, memory, test, normalization, class_names)


def _options(
    others: Mapping[str, Any], epochs: int, batch_size: int, clip_norm: float | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of the optimiser and those of the schedule. Raises UsageError for values out of range or unknown names."""
    options, schedule = _taken(make_optimizer, others), _taken(learning_rate, others)
    unknown = set(others) - set(options) - (set(schedule) - {"lr", "epochs", "steps_per_epoch"})
    if unknown:
        raise UsageError(f"no option {', '.join(sorted(unknown))}", "the learning rate is a student's own")
    check_options(
        epochs=epochs, batch_size=batch_size, accumulate=1, patience=None, clip_norm=clip_norm, **options, **schedule
    )
    return options, schedule


def _run(
    job: Job,
    wanted: list[int],
    engine: str,
    memory: float | None,
    test: Split | None,
    normalization: Normalization,
    class_names: tuple[str, ...],
) -> Iterator[Chosen | Advanced | StudentDone]:
    if not wanted:
        return
    apart = _Apart(job.device)
    with apart():
        stacks, choice = _plan(job, wanted, engine, memory)
    yield Chosen(
        choice.engine, engine != "auto", choice.seconds, choice.refused,
        len(stacks), max(len(stack.students) for stack in stacks),
    )  # fmt: skip
    template = job.bare().float()
    total = sum(_examples(job, stack.streams) * stack.numbers.shape[1] for stack in stacks)
    seen, through, started = 0, 0, time.perf_counter()
    for stack in stacks:
        bank: Bank | None = None
        while True:
            with apart(), _fitting(job, choice.engine, stack):
                bank = bank or _auto.ENGINES[choice.engine](job, stack)
                new, came = _burst(bank)
            seen += new
            for trained in came:
                through += 1
                yield _judged(job, trained, template, test, normalization, class_names)
            if not new:
                break
            per_second = seen / (time.perf_counter() - started)
            yield Advanced(through, len(wanted), seen, total, per_second)


def _plan(job: Job, wanted: list[int], engine: str, memory: float | None) -> tuple[list[Stack], _auto.Choice]:
    """The stacks, and the engine that trains them."""
    room = _auto.usable_memory(job.device) if memory is None else memory
    coupled = couples_examples(job.bare())

    def stacks(name: str) -> list[Stack]:
        alone = name in ("sequential", "graph")
        return arrange(
            job.students, wanted, len(job.examples[False]), job.batch_size, job.epochs,
            most=len(wanted) if alone else _auto.most_students(job, room, engine=name),
            equal_rows=coupled and not alone,
        )  # fmt: skip

    if engine != "auto":
        choice = _auto.named(job, engine)
        return stacks(engine), choice
    refused = _auto.refusals(job)
    found = {name: stacks(name) for name in _auto.ENGINES if name not in refused}
    examples = sum(_examples(job, stack.streams) * stack.numbers.shape[1] for stack in found["sequential"])
    choice = _auto.fastest(job, found, examples, refused)
    return found[choice.engine], choice


def _examples(job: Job, streams: Sequence[Stream]) -> int:
    return job.epochs * sum(len(stream.rows) for stream in streams)


def _burst(bank: Bank) -> tuple[int, list[Trained]]:
    """Steps for a moment, or until somebody is through; how many examples were seen, and who that is."""
    seen, until = 0, time.perf_counter() + PACE
    while time.perf_counter() < until:
        new = bank.step()
        seen += new
        came = bank.trained()
        if came or not new:
            return seen, came
    return seen, []


@torch.no_grad()
def _judged(
    job: Job,
    trained: Trained,
    template: nn.Module,
    test: Split | None,
    normalization: Normalization,
    class_names: tuple[str, ...],
) -> StudentDone:
    outputs = None
    if test is not None:
        template.load_state_dict(trained.weights, strict=False)  # tied weights are named once
        outputs = infer(template, test, normalization, class_names)  # type: ignore[arg-type]
    weights = {name: _array(value) for name, value in trained.weights.items()}
    return StudentDone(trained.number, job.students[trained.number], weights, outputs, trained.finite)


def _array(value: Tensor) -> np.ndarray:
    return value.detach().cpu().contiguous().numpy().copy()


@contextmanager
def _fitting(job: Job, engine: str, stack: Stack) -> Iterator[None]:
    """Raises TrainingError with what to try where memory is not enough."""
    if engine in ("sequential", "graph"):
        with enough_memory(job.batch_size):
            yield
        return
    try:
        with enough_memory(job.batch_size):
            yield
    except TrainingError:
        count = len(stack.students)
        raise TrainingError(
            f"out of memory with {count} students of batches of {job.batch_size} at once",
            "give `memory` a smaller number of bytes, or train them by engine sequential",
        ) from None


class _Apart:
    """torch's generators as this ensemble last left them, while inside; outside those of everybody else."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._left: tuple[Tensor, Tensor | None] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with torch.random.fork_rng():
            if self._left is not None:
                torch.set_rng_state(self._left[0])
                if self._left[1] is not None:
                    torch.cuda.set_rng_state(self._left[1])
            yield
            self._left = torch.get_rng_state(), torch.cuda.get_rng_state() if self._cuda else None

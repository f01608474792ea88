"""How many ordinary runs are shown while they are trained one after another, and how they are stopped."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from fierce_tools.cli.progress import Shown, Students
from fierce_tools.errors import Interrupted, TrainingError
from fierce_tools.runs import remarks

# What a workshop and a study tell of; everything else is of a lab's students.
OF_RUNS = ("Found", "Begun", "Stepped", "Measured", "Ended", "StepBegun")


class Cells:
    """The progress of all runs of a workshop on stderr, in one of the modes auto, bar, off, jsonl."""

    def __init__(self, mode: str) -> None:
        able = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.mode = ("bar" if able else "lines") if mode == "auto" else mode
        self._bar: Progress | None = None
        self._cell: Any = None
        self._done = self._examples = 0
        self._since = 0.0

    def event(self, event: Any) -> None:
        """What the workshop says."""
        kind = type(event).__name__
        if kind == "Found":
            self.close()
            self._done = 0
            if event.done and self.mode in ("bar", "lines"):
                self._line(f"{event.done} of {event.cells} runs were done before")
        elif kind == "StepBegun":
            self.close()
            self._step_begun(event)
        elif kind == "Begun":
            self._begin(event)
        elif kind == "Stepped" and self._bar is not None:
            self._step(event, self._bar)
        elif kind == "Measured" and self.mode == "jsonl":
            run, epochs = self._cell.run.name, self._cell.cell.epochs
            self._line(json.dumps({"event": "epoch", "run": run, "epochs": epochs, **event.row}))
        elif kind == "Ended":
            self._end(event)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _step_begun(self, event: Any) -> None:
        if self.mode == "jsonl":
            where = {"number": event.number + 1, "steps": event.steps, "name": event.name, "what": event.what}
            self._line(json.dumps({"event": "step", **where}))
        elif self.mode != "off":
            self._line(f"step {event.number + 1}/{event.steps}  {event.name}  ({event.what})")

    def _begin(self, event: Any) -> None:
        self._cell = event
        self._since, self._examples = time.perf_counter(), 0
        if self.mode == "bar" and self._bar is None:
            console = Console(stderr=True)
            columns: list[ProgressColumn] = [
                TextColumn("{task.description}"),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
            ]
            if console.width >= 90:
                columns.insert(1, BarColumn(bar_width=12))
            self._bar = Progress(*columns, console=console, transient=True, refresh_per_second=4)
            self._task = self._bar.add_task("", total=event.epochs, completed=self._done, rate="")
            self._bar.start()
        elif self.mode == "jsonl":
            where = {"number": event.number + 1, "runs": event.cells, "run": event.run.name}
            self._line(json.dumps({"event": "run", **where, "epoch": event.before, "epochs": event.cell.epochs}))

    def _step(self, event: Any, bar: Progress) -> None:
        began = self._cell
        self._examples += event.examples
        passed = time.perf_counter() - self._since
        what = f"run {began.number + 1}/{began.cells}  {began.cell.label}  epoch {event.epoch}/{began.cell.epochs}"
        room = max(24, bar.console.width - (50 if bar.console.width >= 90 else 34))
        bar.update(
            self._task, description=what if len(what) <= room else what[: room - 1] + "…",
            rate=f"{self._examples / passed:,.0f} img/s" if passed > 0 else "",
            completed=self._done + event.epoch + event.step / event.steps,
        )  # fmt: skip

    def _end(self, event: Any) -> None:
        self._done += event.cell.epochs
        name = event.run.name if event.run is not None else event.cell.label
        figures = event.figures()
        accuracy = figures.get("val_accuracy")
        if self.mode == "jsonl":
            where = {"number": event.number + 1, "runs": event.cells, "run": name, "reused": event.reused}
            reason = None if event.error is None else str(event.error)
            self._line(json.dumps({"event": "done", **where, "error": reason, "val_accuracy": accuracy}))
        elif event.error is not None:
            self._line(f"run {event.number + 1}/{event.cells}  {name}  failed: {event.error}")
        elif self.mode != "off" and not event.reused:
            said = "" if accuracy is None else f"  val accuracy {accuracy:.4f}"
            said += "".join(f"  warning: {remark.partition(':')[0]}" for remark in remarks(figures))
            self._line(f"run {event.number + 1}/{event.cells}  {name}{said}")

    def _line(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            Shown._say(line)


@contextmanager
def watched(mode: str) -> Iterator[Callable[[Any], None]]:
    """A listener for what runs and students say; the first Ctrl-C ends the step, saves, and raises Interrupted."""
    from fierce_tools.cli.session import stopping

    cells = Cells(mode)
    students: Students | None = None
    where = ""

    with stopping() as stopped, ExitStack() as stack, ExitStack() as shown:
        stack.callback(cells.close)

        def listen(event: Any) -> None:
            nonlocal where, students
            kind = type(event).__name__
            if kind not in OF_RUNS:
                if students is None:
                    cells.close()
                    students, where = shown.enter_context(Students(mode)), ""
                students.event(event)
            else:
                if students is not None:
                    shown.close()
                    students = None
                if kind == "StepBegun":
                    where = ""
                if kind == "Begun":
                    where = f" in run {event.number + 1} of {event.cells}"
                cells.event(event)
            if stopped() and students is not None:
                raise KeyboardInterrupt  # the lab says how many of them are done
            if stopped():
                raise Interrupted(f"stopped{where}; everything is saved", "say the same command again to go on")

        yield listen


@contextmanager
def taught(mode: str) -> Iterator[Callable[[Any], None]]:
    """A listener for an experiment's students, and for the teachers that are trained before them.

    While a teacher is trained the first Ctrl-C ends the step and saves it, as in `watched`; else it stops at once.
    """
    with ExitStack() as runs, ExitStack() as stack:
        teachers: Callable[[Any], None] | None = None
        students: Students | None = stack.enter_context(Students(mode))

        def listen(event: Any) -> None:
            nonlocal teachers, students
            if type(event).__name__ not in OF_RUNS:
                if students is None:
                    students = stack.enter_context(Students(mode))
                students.event(event)
                return
            if teachers is None:
                stack.close()
                students, teachers = None, runs.enter_context(watched(mode))
            teachers(event)
            if type(event).__name__ == "Ended" and event.number + 1 == event.cells:
                runs.close()
                teachers = None

        yield listen


def check_failed(failed: Sequence[str]) -> None:
    """Raises TrainingError where runs failed, after the others are shown."""
    if failed:
        raise TrainingError(f"{len(failed)} run{'s' if len(failed) > 1 else ''} failed", "the others are above")

"""How long work is shown: a bar with rate and time left on a terminal, lines of JSON, or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn


class Shown:
    """The progress of one training on stderr, in one of the modes auto, bar, off, jsonl."""

    def __init__(self, mode: str, epochs: int) -> None:
        able = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.mode = ("bar" if able else "lines") if mode == "auto" else mode
        self.wide = False
        self.epochs = epochs
        self._bar: Progress | None = None
        if self.mode == "bar":
            console = Console(stderr=True)
            self.wide = console.width >= 90
            # What a person waits for is always there; the bar itself only where there is room.
            columns: list[ProgressColumn] = [
                TextColumn("{task.description}"),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
            ]
            if console.width >= 70:
                columns.insert(1, BarColumn(bar_width=None if self.wide else 16))
            self._bar = Progress(*columns, console=console, transient=True, refresh_per_second=4, expand=self.wide)
            self._task = self._bar.add_task(f"epoch 0/{epochs}", total=None, rate="")
        self._images = 0
        self._since = 0.0

    def __enter__(self) -> Shown:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, epoch: int, step: int, steps: int, examples: int) -> None:
        """One step of an epoch (counted from 0) is done."""
        if self._bar is None:
            return
        now = self._bar.get_time()
        self._since = self._since or now
        self._images += examples
        rate = f"{self._images / (now - self._since):,.0f} img/s" if now > self._since else ""
        self._bar.update(self._task, total=self.epochs * steps, completed=epoch * steps + step, rate=rate)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """One epoch is done and measured."""
        if self._bar is not None:
            short = f"epoch {row['epoch']}/{self.epochs}"
            self._bar.update(self._task, description=line(row, self.epochs, ("val",)) if self.wide else short)
        elif self.mode == "jsonl":
            self._say(json.dumps({"event": "epoch", "epochs": self.epochs, **row}))
        elif self.mode == "lines":
            self._say(line(row, self.epochs))

    @staticmethod
    def _say(text: str) -> None:
        # Whoever read the progress may have gone; the training goes on.
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


class Students:
    """The progress of many students on stderr, in one of the modes auto, bar, off, jsonl."""

    def __init__(self, mode: str) -> None:
        able = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.mode = ("bar" if able else "lines") if mode == "auto" else mode
        self._bar: Progress | None = None
        if self.mode == "bar":
            columns: list[ProgressColumn] = [
                TextColumn("{task.description}"),
                BarColumn(bar_width=16),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
            ]
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4)
            self._task = self._bar.add_task("students", total=None, rate="")
        self._told = 0

    def __enter__(self) -> Students:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, event: Any) -> None:
        """What the ensemble says: which engine trains, and how far it is."""
        if hasattr(event, "engine"):
            self._chosen(event)
        elif hasattr(event, "reused"):
            self._say(f"{event.reused} of {event.students} students were trained before",
                      {"event": "reused", "reused": event.reused, "students": event.students})  # fmt: skip
        elif self._bar is not None:
            rate = f"{event.per_second:,.0f} img·student/s"
            what = f"student {event.done}/{event.students}"
            self._bar.update(self._task, description=what, total=event.total, completed=event.seen, rate=rate)
        elif self.mode == "jsonl":
            share = event.seen / event.total if event.total else 1.0
            if event.done > self._told or share >= 1:
                self._told = event.done
                document = {"event": "students", "done": event.done, "students": event.students, "share": share}
                Shown._say(json.dumps(document))

    def _chosen(self, event: Any) -> None:
        if self.mode != "off":
            times = ", ".join(f"{name} {1e6 * s:.3g} µs" for name, s in event.seconds.items())
            why = "as asked" if event.asked else f"the fastest of {times} an image·student" if times else "the only one"
            stacks = "one stack" if event.stacks == 1 else f"{event.stacks} stacks"
            self._say(f"engine {event.engine}: {why}; {stacks} of up to {event.largest} students",
                      {"event": "engine", "engine": event.engine, "seconds": dict(event.seconds)})  # fmt: skip

    def _say(self, text: str, document: dict[str, Any]) -> None:
        if self._bar is not None:
            self._bar.console.print(text)
        elif self.mode != "off":
            Shown._say(json.dumps(document) if self.mode == "jsonl" else text)


def line(row: Mapping[str, Any], epochs: int, splits: tuple[str, ...] = ("val", "train")) -> str:
    """An epoch in one line, with accuracy on those splits where it is known."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"loss {row['train_loss']:.4f}"]
    for split in splits:
        if row.get(f"{split}_accuracy") is not None:
            true = row.get(f"{split}_target_accuracy")
            against = "" if true is None else f" (true labels {true:.4f})"
            parts.append(f"{split} accuracy {row[f'{split}_accuracy']:.4f}{against}")
    return "  ".join(parts)

"""How long work is shown: a bar with rate and time left on a terminal, lines of JSON, or nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Shown:
    """The progress of one training on stderr, in one of the modes auto, bar, off, jsonl."""

    def __init__(self, mode: str, what: str, epochs: int) -> None:
        self.mode = ("bar" if sys.stderr.isatty() else "lines") if mode == "auto" else mode
        self.epochs = epochs
        self._bar: Progress | None = None
        if self.mode == "bar":
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4)
            self._task = self._bar.add_task(what, total=None, rate="")
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
        if self.mode == "jsonl":
            print(json.dumps({"event": "epoch", "epochs": self.epochs, **row}), file=sys.stderr, flush=True)
        elif self._bar is not None:
            self._bar.update(self._task, description=line(row, self.epochs))
        elif self.mode == "lines":
            print(line(row, self.epochs), file=sys.stderr, flush=True)


def line(row: Mapping[str, Any], epochs: int) -> str:
    """An epoch in one line."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"loss {row['train_loss']:.4f}"]
    if row.get("val_accuracy") is not None:
        parts.append(f"val accuracy {row['val_accuracy']:.4f}")
    return "  ".join(parts)

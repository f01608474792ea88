"""A training in the foreground: said, shown, stopped with care, its figures at the end."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fierce_tools import runs
from fierce_tools.cli import text
from fierce_tools.recipe import Recipe

FIGURES = (
    ("accuracy", "accuracy", ""),
    ("target_accuracy", "accuracy against true labels", ""),
    ("top5", "top-5 accuracy", ""),
    ("nll", "NLL", "nats"),
    ("ece", "ECE, 15 bins", ""),
    ("entropy_t1", "soft-label entropy, T=1", "nats"),
    ("entropy_t9", "soft-label entropy, T=9", "nats"),
    ("feature_entropy", "feature entropy, common codebook", "bits"),
    ("anchor_entropy", "feature entropy, own anchors", "bits"),
)


def go(prepared: Any, run: runs.Run, progress: str) -> dict[str, Any]:
    """Train into the run's folder, saying what and showing how far; the figures it ends with."""
    from fierce_tools.experiments._record import options_of, record

    announce(prepared, run)
    events = record(prepared, run, ["fierce", *sys.argv[1:]], **options_of(prepared.recipe, record))
    result = follow(events, run, prepared.epochs, progress)
    for remark in runs.remarks(result):
        text.say(f"warning: {remark}")
    return result


def announce(prepared: Any, run: runs.Run) -> None:
    """Say what is about to be trained, by what, and what a person should know before."""
    text.say(f"{run.path}: {describe(prepared)}")
    for line in (*taught(prepared), *prepared.data.notes, *(f"warning: {w}" for w in prepared.warnings())):
        text.say(line)


def follow(events: Any, run: runs.Run, epochs: int, progress: str, command: str = "train") -> dict[str, Any]:
    """Show a recorded training while it runs; its result. Raises Interrupted where a person stopped it."""
    from fierce_tools.cli.progress import Shown
    from fierce_tools.experiments._record import interrupted
    from fierce_tools.training.loop import StepDone

    result: dict[str, Any] = {}
    with stopping() as stopped, Shown(progress, epochs) as shown:
        for event in events:
            if isinstance(event, StepDone):
                shown.step(event.progress.epoch, event.progress.step, event.steps, event.examples)
                if stopped():
                    events.close()
                    raise interrupted(run, event.progress.epoch, command)
            elif "run" in event:
                result = event
            else:
                shown.epoch(event)
    return result


def describe(prepared: Any) -> str:
    """What is about to be trained, in one line."""
    from fierce_tools.training.loop import members

    made: Recipe = prepared.recipe
    names = made.mutual["models"] if made.mutual is not None else (made.model["name"],)
    counts = [sum(p.numel() for p in m.parameters()) for m in members(prepared.setup.model)]
    who = ", ".join(f"{n} ({c:,} parameters)" for n, c in zip(names, counts, strict=True))
    splits = prepared.splits
    sizes = f"{len(splits.train):,} train, {len(splits.val):,} validation, {len(splits.test):,} test"
    return (
        f"{who} with {made.loss['name']} on {made.data['name']} ({sizes}), "
        f"{prepared.epochs} epochs of {made.train['batch_size']}, {made.train['optimizer']} {made.train['lr']:g}, "
        f"{prepared.setup.device}{', bf16' if prepared.setup.bf16 else ''}"
    )


def print_result(result: dict[str, Any]) -> None:
    """The figures of a finished training, and where its checkpoint is."""
    splits = {"val": "validation", "test": "test"}
    if result.get("train_target_accuracy") is not None:  # what was learned of wrong labels shows there
        splits = {"train": "training", **splits}
    rows = []
    for key, title, unit in FIGURES:
        values = [result.get(f"{split}_{key}") for split in splits]
        if any(v is not None for v in values):
            rows.append((title, *values, unit))
    text.print_table("", ("", *splits.values(), ""), rows)
    print(result["checkpoint"])
    text.say(f"next: fierce analyze entropy {shlex.quote(result['checkpoint'])}")


def taught(prepared: Any) -> list[str]:
    """The formula of a distillation, and who teaches how."""
    facts = prepared.distillation()
    lines = [f"loss: {facts['formula']}"] if "formula" in facts else []
    if "teachers" in facts:
        how = {
            "given": "its soft labels are the file's",
            "once": "its outputs are computed once",
            "in the loop": "its outputs are computed in the loop, on the same batches as the student's",
        }[facts["teacher_outputs"]]
        lines.append(f"teacher: {prepared.teachers.label()}; {how}")
        lines += prepared.teachers.notes()
    return lines


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C (or TERM) asks to stop after the step; a second one stops at once."""
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        text.say("\nfinishing the step and saving; once more stops at once without saving")

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    previous = {n: signal.signal(n, handle) for n in numbers}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def tune_allocator() -> None:
    """Keep large tensors' memory from one step to the next: glibc else maps and unmaps anything above 32 MB each time.

    Done in the command's own process only, never by importing the library.
    """
    import ctypes

    m_trim_threshold, m_mmap_threshold, gigabyte = -1, -3, 1 << 30
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(m_mmap_threshold, gigabyte)
    mallopt(m_trim_threshold, gigabyte)

"""Jobs: commands of fierce in processes of their own, with progress, a log, and an end that leaves no child."""

from __future__ import annotations

import asyncio
import atexit
import codecs
import contextlib
import json
import os
import shlex
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textual.message import Message

from fierce_tools.errors import EXIT_CODES
from fierce_tools.tui.questions import EXPERIMENTS

# Commands that can tell their progress as lines of JSON; experiments do so too.
TELLING = ("train", "distill", "distill-chain", "mutual")
# How long a job is given after it was asked to stop, after it was told to, and after it was killed (seconds).
GRACE = ((signal.SIGINT, 12.0), (signal.SIGTERM, 4.0), (getattr(signal, "SIGKILL", signal.SIGTERM), 4.0))
LINES, LINE = 2_000, 2_000
TAIL = 12
# Seconds between two tellings of one job's news.
PACE = 0.2
BLOCKS = "▏▎▍▌▋▊▉█"

RUNNING = ("running", "stopping")


@dataclass(eq=False)
class Job:
    """One command: `arguments` without the leading `fierce`; `share` of it is done (0 to 1), None where unknown.

    `state` is running, stopping, done, failed or cancelled. `log` holds the last lines of stderr and stdout, each with
    "err" or "out" before it; what is progress is not among them.
    """

    number: int
    title: str
    arguments: tuple[str, ...]
    state: str = "running"
    share: float | None = None
    note: str = ""
    code: int | None = None
    started: float = field(default_factory=time.time)
    finished: float | None = None
    pid: int | None = None
    log: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=LINES))
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def command(self) -> str:
        """As a person would type it."""
        return shlex.join(["fierce", *self.arguments])

    @property
    def alive(self) -> bool:
        return self.state in RUNNING

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (self.finished or time.time()) - self.started

    @property
    def output(self) -> list[str]:
        """What it printed as results."""
        return [text for stream, text in self.log if stream == "out"]

    @property
    def problem(self) -> str:
        """Why it failed: what it said last, and its exit code; of one that was killed, by which signal."""
        if self.state != "failed":
            return ""
        said = next(
            (text for stream, text in reversed(self.log) if stream == "err" and text.strip()), "it said nothing"
        )
        if self.code is not None and self.code < 0:  # what it said last is not why
            return meaning(self.code)
        return f"{said.removeprefix('fierce: ')} ({meaning(self.code)})"

    def read(self, stream: str, text: str) -> None:
        """Take one line of its output: progress, or a line for the log."""
        event = _event(text) if stream == "err" else None
        if event is None:
            if text.strip() or stream == "out":
                self.log.append((stream, text[:LINE]))
            return
        share = _share(event)
        self.share = self.share if share is None else share
        figures = {"loss": event.get("train_loss"), "val accuracy": event.get("val_accuracy")}
        parts = [f"epoch {event['epoch']}/{event.get('epochs', '?')}"] if "epoch" in event else []
        if "students" in event:
            parts.append(f"{event.get('done', event.get('reused', '?'))} of {event['students']} students")
        if "engine" in event:
            parts.append(f"engine {event['engine']}")
        parts += [f"{name} {value:.4f}" for name, value in figures.items() if isinstance(value, int | float)]
        self.note = "  ".join(parts) or str(event.get("note", self.note))


class JobNews(Message, bubble=False):
    """Something of a job changed: its state, its progress or its log."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        """News of one job replace those before."""
        return isinstance(message, JobNews) and message.job is self.job


class Jobs:
    """The board of jobs. `tell` is called with each piece of news, in the event loop, at a pace people can follow."""

    def __init__(self, tell: Callable[[JobNews], Any], environment: Mapping[str, str] | None = None) -> None:
        self.all: list[Job] = []
        self._tell = tell
        self._environment = dict(environment or {})
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: dict[Job, float] = {}
        self._later: set[Job] = set()
        atexit.register(self.end_all)

    def start(self, title: str, arguments: Sequence[str], *, columns: int | None = None) -> Job:
        """Start `fierce ARGUMENTS…` in a process group of its own; what it prints is `columns` wide."""
        job = Job(len(self.all) + 1, title, tuple(arguments))
        self.all.append(job)
        task = asyncio.get_running_loop().create_task(self._run(job, columns))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def _run(self, job: Job, columns: int | None) -> None:
        told = ["--progress", "jsonl"] if tells(job.arguments) else []
        extra = {"COLUMNS": str(columns)} if columns else {}
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "fierce_tools", *job.arguments, *told,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True, env={**os.environ, **self._environment, "PYTHONUNBUFFERED": "1", **extra},
            )  # fmt: skip
        except (OSError, ValueError) as error:
            job.log.append(("err", f"it could not be started: {error}"))
            self._finish(job, None)
            return
        job.pid = process.pid
        self._news(job)
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            asyncio.create_task(self._read(job, "out", process.stdout)),
            asyncio.create_task(self._read(job, "err", process.stderr)),
        ]
        code = await process.wait()
        _signal_group(process.pid, GRACE[-1][0])  # what it left behind, which would hold the pipes open
        _, stuck = await asyncio.wait(readers, timeout=2.0)
        for reader in stuck:
            reader.cancel()
        self._finish(job, code)

    async def _read(self, job: Job, stream: str, source: asyncio.StreamReader) -> None:
        rest, decode = "", codecs.getincrementaldecoder("utf-8")("replace").decode
        while chunk := await source.read(65_536):
            *lines, rest = (rest + decode(chunk)).replace("\r\n", "\n").replace("\r", "\n").split("\n")
            rest = rest[:LINE]
            for line in lines:
                job.read(stream, line)
            self._news(job)
        if rest:
            job.read(stream, rest)

    def _finish(self, job: Job, code: int | None) -> None:
        job.code, job.finished = code, time.time()
        job.state = "cancelled" if job.state == "stopping" and code != 0 else "done" if code == 0 else "failed"
        job.share = 1.0 if job.state == "done" else job.share
        job.ended.set()
        self._tell(JobNews(job))

    def _news(self, job: Job) -> None:
        """Tell of a job now, or soon where it was told of just before."""
        now = time.monotonic()
        wait = self._told.get(job, 0.0) + PACE - now
        if wait <= 0:
            self._told[job] = now
            self._tell(JobNews(job))
        elif job not in self._later:
            self._later.add(job)
            asyncio.get_running_loop().call_later(wait, self._late_news, job)

    def _late_news(self, job: Job) -> None:
        self._later.discard(job)
        if job.alive:
            self._news(job)

    async def cancel(self, job: Job) -> None:
        """Ask a job to stop (a training saves first), then tell it to, then kill it with every child it has."""
        if job.state != "running":
            return
        job.state = "stopping"
        self._tell(JobNews(job))
        for number, grace in GRACE:
            if job.pid is not None:
                _signal_group(job.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(job.ended.wait(), grace)
                return

    async def cancel_all(self) -> None:
        """End every job at once, each by its steps."""
        await asyncio.gather(*(self.cancel(job) for job in self.all if job.alive))

    def running(self) -> int:
        """How many jobs run now."""
        return sum(job.alive for job in self.all)

    def line(self) -> str:
        """What the footer says of them: the newest one that runs, and how many more."""
        alive = [job for job in self.all if job.alive]
        if not alive:
            return ""
        job = alive[-1]
        share = f" {job.share:.0%} {bar(job.share, 6)}" if job.share is not None else " …"
        more = f" +{len(alive) - 1}" if len(alive) > 1 else ""
        return f"job: {job.title}{' stopping' if job.state == 'stopping' else share}{more}"

    def end_all(self) -> None:
        """End every job and its children, without the event loop: the last resort when the app closes."""
        left = [job.pid for job in self.all if job.alive and job.pid is not None]
        for number, grace in GRACE:
            for pid in left:
                _signal_group(pid, number)
            until = time.monotonic() + grace
            while left and time.monotonic() < until:
                left = [pid for pid in left if not _gone(pid)]
                time.sleep(0.02 if left else 0)
        for job in self.all:
            if job.pid is not None and job.alive:
                _signal_group(job.pid, GRACE[-1][0])
                job.state = "cancelled"


def tells(arguments: Sequence[str]) -> bool:
    """Whether a command takes `--progress jsonl`."""
    first, second = (*arguments, "", "")[:2]
    return first in TELLING or (first == "analyze" and second in EXPERIMENTS.names())


def meaning(code: int | None) -> str:
    """An exit code in words."""
    if code is None:
        return "it never started"
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return f"ended by {name}" + (": by hand, or memory was short" if name == "SIGKILL" else "")
    return f"exit code {code}" + (f": {EXIT_CODES[code]}" if code in EXIT_CODES else "")


def bar(share: float, width: int) -> str:
    """A bar of `width` columns for a share of 0 to 1."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (BLOCKS[rest - 1] if rest else "")).ljust(width, "·")


def _share(event: Mapping[str, Any]) -> float | None:
    """How much an event says is done, 0 to 1: by its `share`, or what is done of a total."""
    done, total = event.get("share"), 1.0
    if done is None:
        done = event.get("epoch", event.get("done"))
        total = event.get("epochs", event.get("students", event.get("total")))
    known = isinstance(done, int | float) and isinstance(total, int | float) and total > 0
    return min(max(done / total, 0.0), 1.0) if known else None


def _event(text: str) -> dict[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and "event" in document else None


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _gone(pid: int) -> bool:
    """Whether a child has ended, reaped or not."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True

"""fierce in a process of its own, to be stopped by signals at a moment that the test chooses.

Processes are forked from a server that has torch loaded, so that none of them waits seconds for its import. A process is
held where `hold` says, before it goes on, until a signal comes: no test races against a training.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from waiting import LIMIT, wait_until

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
# Where a training writes a line for an epoch, and an experiment one for a student.
EPOCH, STUDENT = "fierce_tools.runs:Run.append", "fierce_tools.experiments._ledger:Ledger.add"

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["torch._dynamo", "sklearn.datasets", "scipy.stats", "fierce_tools.experiments._record"])


_started: list[Job] = []


def kill_left() -> None:
    """End what a test that failed left running."""
    while _started:
        process = _started.pop().process
        if process.is_alive():
            process.kill()
        process.join()


class Job:
    """`fierce ARGUMENTS` in this test's folder; `hold=(EPOCH, 2)` holds it after the second epoch is written."""

    def __init__(self, *arguments: str, hold: tuple[str, int] | None = None) -> None:
        self.folder = Path.cwd() / f".job-{len(list(Path.cwd().glob('.job-*')))}"
        self.folder.mkdir()
        setting = (arguments, str(self.folder), hold, os.getcwd(), dict(os.environ))
        self.process = _server.Process(target=_run, args=setting, daemon=True)
        self.process.start()
        _started.append(self)
        assert self.process.pid is not None
        self.pid: int = self.process.pid

    @property
    def out(self) -> str:
        """What it has printed."""
        return self._read("out")

    @property
    def err(self) -> str:
        """What it has written to stderr."""
        return self._read("err")

    def _read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def held(self) -> Job:
        """Wait until it is held."""
        wait_until(lambda: (self.folder / "held").exists() or not self.process.is_alive(), lambda: self.err[-2000:])
        assert self.process.is_alive(), f"it ended before it was held:\n{self.err[-2000:]}"
        return self

    def send(self, number: int) -> None:
        """Send it a signal, which also lets it go on."""
        os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        self.process.join(LIMIT)
        assert self.process.exitcode is not None, f"it did not end in {LIMIT:.0f} s:\n{self.err[-2000:]}"
        return self.process.exitcode


def _run(
    arguments: tuple[str, ...], folder: str, hold: tuple[str, int] | None, cwd: str, environment: Mapping[str, str]
) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
    sys.argv = ["fierce", *arguments]
    import torch

    torch.set_num_threads(1)  # or another thread could receive the signal
    if hold is not None:
        _hold(*hold, os.path.join(folder, "held"))
    from fierce_tools.cli import main

    main()


def _hold(where: str, times: int, marker: str) -> None:
    module, _, path = where.partition(":")
    owner, name = path.split(".")
    holder = getattr(importlib.import_module(module), owner)
    real = getattr(holder, name)
    called = 0

    @functools.wraps(real)
    def held(*values: Any, **named: Any) -> Any:
        nonlocal called
        result = real(*values, **named)
        called += 1
        if called == times:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # one that comes before it is waited for is kept
            Path(marker).touch()
            number = signal.sigwait(SIGNALS)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            os.kill(os.getpid(), number)
        return result

    setattr(holder, name, held)

"""Jobs: progress, logs, ends; and that nothing is left of one that was cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import LIMIT, until, wait_until

from fierce_tools.tui import jobs
from fierce_tools.tui.jobs import Job, JobNews, Jobs, bar, meaning


def group(pid: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def end(*groups: int | None) -> None:
    """Kill what a test that failed left behind."""
    for pid in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid is not None and pid != os.getpgid(0):
                os.killpg(pid, signal.SIGKILL)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Let jobs run a program of the test's own in the place of fierce."""

    def use(code: str) -> None:
        path = tmp_path / "program" / "fierce_tools" / "__main__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(path.parent.parent))

    return use


def ran(*arguments: str, during: Callable[[Jobs, Job], object] | None = None) -> tuple[Job, list[JobNews]]:
    news: list[JobNews] = []

    async def main() -> Job:
        board = Jobs(news.append)
        job = board.start("test", arguments)
        if during is not None:
            found = during(board, job)
            if asyncio.iscoroutine(found):
                await found
        await asyncio.wait_for(job.ended.wait(), LIMIT)
        return job

    return asyncio.run(main()), news


def test_a_job_of_the_real_command() -> None:
    job, news = ran("list", "losses")
    assert (job.state, job.code, job.share) == ("done", 0, 1.0), job.log
    assert job.command == "fierce list losses"
    assert any("label-smoothing" in line for line in job.output), "what is printed is kept"
    assert news[-1].job is job
    assert job.problem == ""


def test_a_job_that_fails_says_why(tmp_path: Path) -> None:
    job, _ = ran("analyze", "entropy", "nowhere.npz")
    assert (job.state, job.code) == ("failed", 3)
    assert "nowhere.npz does not exist" in job.problem
    assert "exit code 3: a file or an array is missing" in job.problem


def test_a_crash_inside_a_job_is_shown_with_its_last_lines(program) -> None:
    program("import sys\nprint('begun', file=sys.stderr)\n1 / 0\n")
    job, _ = ran("analyze", "x")
    assert (job.state, job.code) == ("failed", 1)
    assert job.problem.startswith("ZeroDivisionError: division by zero (exit code 1")
    assert job.log[0] == ("err", "begun")
    program("import os, sys\nprint('all is well', file=sys.stderr)\nos.kill(os.getpid(), 9)\n")
    job, _ = ran("analyze", "x")
    assert job.problem == "ended by SIGKILL: by hand, or memory was short", "not what it said last"


def test_lines_of_any_kind(program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PACE", 3600.0)
    program(
        "import sys\nw = sys.stderr.buffer.write\n"
        'w(b\'{"event": "epoch", "epoch": 1, "epochs": 4, "train_loss": null}\\n\')\n'
        "w(b'{\"half\": \\n{broken\\n\\xff\\xfe\\n' + b'x' * 100000 + b'\\nlast')\n"
    )
    job, news = ran("train")
    assert job.share == 1.0
    assert job.note == "epoch 1/4"
    texts = [text for _, text in job.log]
    assert texts[:2] == ['{"half": ', "{broken"]
    assert texts[2] == "\ufffd\ufffd"
    assert len(texts[3]) == jobs.LINE
    assert texts[4] == "last"
    assert len(news) < 6, "at a pace, not by the line"


def test_an_experiment_tells_its_share(program, monkeypatch: pytest.MonkeyPatch) -> None:
    class Experiments:
        def names(self) -> tuple[str, ...]:
            return ("missing-class",)

    monkeypatch.setattr(jobs, "EXPERIMENTS", Experiments())
    assert jobs.tells(("analyze", "missing-class", "a"))
    assert not jobs.tells(("analyze", "entropy", "missing-class"))
    assert jobs.tells(("distill", "--teacher", "a"))
    assert not jobs.tells(("analyze",))
    program(
        "import json, sys\nassert sys.argv[-2:] == ['--progress', 'jsonl']\n"
        "def say(**event): print(json.dumps(event), file=sys.stderr, flush=True)\n"
        "say(event='engine', engine='stacked', seconds={})\n"
        "say(event='students', done=3, students=40, share=0.25)\nsys.exit(3)\n"
    )
    job, _ = ran("analyze", "missing-class", "a")
    assert job.code == 3, job.log
    assert job.share == 0.25, "work is not done student by student"
    assert job.note == "3 of 40 students"
    assert not job.log


@pytest.mark.parametrize(
    ("event", "share"),
    [
        ({"done": 3, "students": 12}, 0.25),
        ({"share": 1.7}, 1.0),
        ({"share": None, "epoch": 1, "epochs": 4}, 0.25),
        ({"epoch": 1}, None),
        ({"share": "much"}, None),
    ],
)
def test_shares(event: dict[str, object], share: float | None) -> None:
    assert jobs._share(event) == share


def test_a_log_keeps_its_end(program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PACE", 3600.0)
    program("for i in range(9000): print(i)")
    job, news = ran("analyze", "x")
    assert len(job.log) == jobs.LINES
    assert job.output[-1] == "8999"
    assert len(news) < 6


STUBBORN = """
import signal, subprocess, sys
ignored = [getattr(signal, n) for n in sys.argv[1].split(",") if n]
for n in ignored:
    signal.signal(n, signal.SIG_IGN)
child = "import signal\\nfor n in (signal.SIGINT, signal.SIGTERM): signal.signal(n, signal.SIG_IGN)\\nwhile True: signal.pause()"
subprocess.Popen([sys.executable, "-c", child])
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize("ignored", ["", "SIGINT", "SIGINT,SIGTERM"])
def test_a_cancelled_job_leaves_no_child(program, monkeypatch: pytest.MonkeyPatch, ignored: str) -> None:
    program(STUBBORN)
    monkeypatch.setattr(jobs, "GRACE", tuple((number, 0.4) for number, _ in jobs.GRACE[:2]) + jobs.GRACE[2:])

    async def during(board: Jobs, job: Job) -> None:
        await until(lambda: job.output == ["ready"])
        assert job.pid is not None
        await until(lambda: len(group(job.pid)) == 2)
        assert os.getpgid(job.pid) == job.pid != os.getpgid(0), "a group of its own"
        await board.cancel(job)

    job, _ = ran(ignored, during=during)
    assert job.state == "cancelled"
    assert job.pid is not None
    try:
        wait_until(lambda: not group(job.pid), lambda: group(job.pid))  # killed, but perhaps not yet gone
    finally:
        end(job.pid)
    if ignored == "SIGINT,SIGTERM":
        assert job.code == -signal.SIGKILL


@pytest.mark.slow
def test_a_training_that_is_cancelled_is_saved_and_can_go_on(tmp_path: Path) -> None:
    async def during(board: Jobs, job: Job) -> None:
        await until(lambda: job.share)
        assert job.note.startswith("epoch ")
        assert "val accuracy" in job.note
        await board.cancel(job)

    runs = tmp_path / "runs"
    job, _ = ran("train", "--epochs", "500", "--device", "cpu", "--name", "a", "--runs-dir", str(runs), during=during)
    assert (job.state, job.code) == ("cancelled", 130)
    assert not any(text.startswith("{") for _, text in job.log), "progress is no log"
    assert (runs / "a" / "state.safetensors").exists()


def test_the_end_of_the_app_ends_them_all(program, monkeypatch: pytest.MonkeyPatch) -> None:
    program(STUBBORN)
    monkeypatch.setattr(jobs, "GRACE", tuple((number, 0.3) for number, _ in jobs.GRACE[:2]) + jobs.GRACE[2:])
    left: list[int] = []

    async def main() -> None:
        board = Jobs(lambda _: None)
        both = [board.start("a", [""]), board.start("b", ["SIGINT,SIGTERM"])]
        await until(lambda: all(job.output for job in both))
        assert board.running() == 2
        left.extend(job.pid for job in both if job.pid is not None)
        board.end_all()
        assert board.running() == 0
        await asyncio.gather(*(job.ended.wait() for job in both))

    try:
        asyncio.run(main())
        assert len(left) == 2
        wait_until(lambda: not any(map(group, left)), lambda: [group(pid) for pid in left])
    finally:
        end(*left)


def test_a_python_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    job, _ = ran("train")
    assert job.state == "failed"
    assert "could not be started" in job.problem
    assert "it never started" in job.problem


def test_words() -> None:
    assert meaning(4).startswith("exit code 4: training cannot go on")
    assert meaning(77) == "exit code 77"
    assert bar(0.5, 4) == "██··"
    assert bar(0.5625, 2) == "█▏"
    board = Jobs(lambda _: None)
    assert board.line() == ""
    board.all += [Job(1, "probe", ("x",)), Job(2, "train a", ("train",), share=0.5)]
    assert board.line() == "job: train a 50% ███··· +1"
    board.all[1].state = "stopping"
    assert board.line() == "job: train a stopping +1"
    for job in board.all:
        job.state = "done"

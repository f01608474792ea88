"""The dashboard as a person starts it: a process in a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

START = [sys.executable, "-m", "fierce_tools", "tui"]


class Terminal:
    """A process with a terminal of its own."""

    def __init__(self, command: list[str], cwd: Path, size: tuple[int, int] = (100, 30), **environment: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        made = {**os.environ, "TERM": "xterm-256color", **environment}
        self.process = subprocess.Popen(
            command, cwd=cwd, env=made, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        self.output = b""

    def until(self, text: str, seconds: float = 30.0) -> None:
        """Read until that text was written."""
        end = time.monotonic() + seconds
        while text.encode() not in self.output:
            assert time.monotonic() < end, self.output[-2000:].decode(errors="replace")
            self.read()

    def read(self) -> None:
        """What is there now."""
        if select.select([self.master], [], [], 0.1)[0]:
            self.output += os.read(self.master, 65536)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.master, keys.encode())

    def end(self, seconds: float = 20.0) -> int:
        """Wait for the process, reading what it still says."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read()
        while select.select([self.master], [], [], 0.2)[0]:
            self.output += os.read(self.master, 65536)
        return self.process.wait(timeout=1)

    def restored(self) -> bool:
        """Whether the terminal is as it was: the screen, the cursor, the line discipline."""
        return (
            b"\x1b[?1049l" in self.output
            and b"\x1b[?25h" in self.output
            and termios.tcgetattr(self.slave) == self.before
        )


@pytest.mark.parametrize(
    "environment",
    [{}, *(pytest.param(e, marks=pytest.mark.slow) for e in ({"NO_COLOR": "1"}, {"COLORTERM": "truecolor"}))],
    ids=str,
)
def test_start_look_and_quit(runs_root: Path, environment: dict[str, str]) -> None:
    terminal = Terminal([*START, str(runs_root)], runs_root.parent, **environment)
    terminal.until("fierce-live")
    terminal.until("val_accuracy")
    terminal.press("s \x1b[B?")
    terminal.until("Everywhere")
    terminal.press("\x1b")
    time.sleep(0.5)
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.restored()


def test_without_a_terminal_it_says_so(runs_root: Path, fierce) -> None:
    for arguments in ((), (str(runs_root),)):
        done = subprocess.run(
            [*START, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("fierce: the dashboard needs a terminal")
    code, _, err = fierce("tui")
    assert code == 2
    assert "fierce runs" in err


CRASH = """
import sys
from fierce_tools.tui.home import Home
def crash(self):
    raise RuntimeError("a fault of our own")
Home.do_fold = crash
from fierce_tools.cli import main
main(["tui", sys.argv[1]])
"""


def test_a_crash_ends_with_a_usable_terminal_and_another_code_than_0(runs_root: Path) -> None:
    terminal = Terminal([sys.executable, "-c", CRASH, str(runs_root)], runs_root.parent)
    terminal.until("fierce-live")
    terminal.press("u")
    assert terminal.end() == 1
    assert terminal.restored()
    assert b"a fault of our own" in terminal.output


NO_TORCH = """
import sys
from fierce_tools.tui.app import Dashboard
from fierce_tools.cli import main
leave = Dashboard.leave
def left(self):
    heavy = [m for m in ("torch", "torchvision", "sklearn", "scipy", "plotext", "matplotlib") if m in sys.modules]
    open("heavy.txt", "w").write(repr(heavy))
    leave(self)
Dashboard.leave = left
main(["tui", sys.argv[1]])
"""


def test_no_torch_in_the_process(runs_root: Path, tmp_path: Path) -> None:
    terminal = Terminal([sys.executable, "-c", NO_TORCH, str(runs_root)], tmp_path)
    terminal.until("val_accuracy")
    for key in ("1", "2", "3", "4", "5", "6", "7", "8", "1", "\r"):
        terminal.press(key)
        time.sleep(0.1)
    time.sleep(0.3)
    terminal.press("\x1b")
    time.sleep(0.3)
    terminal.press("\x03")
    assert terminal.end() == 0
    assert (tmp_path / "heavy.txt").read_text() == "[]"

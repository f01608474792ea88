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
from pathlib import Path

import pytest
from waiting import LIMIT, wait_until

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

    def until(self, text: str, since: int = 0) -> None:
        """Read until that text was written, after so many bytes."""
        wait_until(lambda: self.read() or text.encode() in self.output[since:], self.shown)

    def shown(self) -> str:
        """The end of what was written."""
        return self.output[-2000:].decode(errors="replace")

    def read(self) -> None:
        """What is there now."""
        while select.select([self.master], [], [], 0)[0]:
            self.output += os.read(self.master, 65536)

    def press(self, keys: str, then: str = "") -> None:
        """Type; wait until that text, or anything at all, is written after it."""
        self.read()
        before = len(self.output)
        os.write(self.master, keys.encode())
        if then:
            self.until(then, since=before)
        else:
            wait_until(lambda: self.read() or len(self.output) > before, self.shown)

    def end(self) -> int:
        """Wait for the process, reading what it still says."""
        wait_until(lambda: self.read() or self.process.poll() is not None, self.shown)
        self.read()
        return self.process.wait()

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
    terminal.press("s \x1b[B?", then="Everywhere")
    terminal.press("\x1b", then="fierce-live")  # an escape with a key right after it would be another key
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.restored()


def test_without_a_terminal_it_says_so(runs_root: Path, fierce) -> None:
    for arguments in ((), (str(runs_root),)):
        done = subprocess.run(
            [*START, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT, check=False
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
from fierce_tools.tui.home import Home
from fierce_tools.cli import main
leave = Dashboard.leave
opened = Home.open_tab
def open_tab(self, number):
    opened(self, number)
    self.call_after_refresh(lambda: open("tabs.txt", "a").write(str(number)))
Home.open_tab = open_tab
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
    tabs = tmp_path / "tabs.txt"
    for key in ("2", "3", "4", "5", "6", "7", "8", "1"):
        terminal.press(key)
        wait_until(
            lambda key=key: terminal.read() or (tabs.exists() and tabs.read_text().endswith(key)), terminal.shown
        )
    terminal.press("\r", then="Recipe")
    terminal.press("\x1b", then="fierce-live")
    terminal.press("\x03")
    assert terminal.end() == 0
    assert (tmp_path / "heavy.txt").read_text() == "[]"

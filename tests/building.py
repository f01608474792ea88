"""Runs that many tests look at: built once for all workers of a test run, or written by an earlier version."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

EDITION = Path(__file__).parent / "data" / "edition1"


def shared(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], None]) -> Path:
    """A copy of a folder that `build` fills once: the first worker builds, the others wait for it."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    path, whole = root / f"{name}.shared", root / f"{name}.built"
    with FileLock(root / f"{name}.lock"):
        if not whole.exists():
            shutil.rmtree(path, ignore_errors=True)  # of a build that failed
            path.mkdir()
            build(path)
            whole.touch()
    return Path(shutil.copytree(path, factory.mktemp(name) / name))


def copy_earlier(target: Path) -> None:
    """Copy the files that version 0.1.0 wrote, without their time stamps, as a fresh checkout has them."""
    shutil.copytree(EDITION, target, copy_function=shutil.copyfile, dirs_exist_ok=True)


def command(*arguments: str) -> str:
    """Run `fierce ARGUMENTS` in this process; what it printed. Raises AssertionError where it fails."""
    from fierce_tools.cli import main

    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    before, sys.argv = sys.argv, ["fierce", *arguments]  # a run records the command that made it
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as end:
        code = end.code
    finally:
        sys.argv = before
    assert code in (0, None), err.getvalue()
    return out.getvalue()

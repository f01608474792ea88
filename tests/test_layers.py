"""Which modules start-up loads: import-linter sees every import, this sees which of them run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools.menu import ANALYSES, EXPERIMENTS

LIGHT = ("torch", "torchvision", "textual", "sklearn", "plotext", "numpy", "scipy")


# Runs commands one after another and says of each its exit code, whether it printed anything, and which modules of the
# second argument it was the first to load.
LISTER = """
import contextlib, io, json, sys
from fierce_tools.cli import main
commands, watched = map(json.loads, sys.argv[1:])
for command in commands:
    before, out, code = set(sys.modules), io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(out):
            main(command)
    except SystemExit as end:
        code = end.code or 0
    loaded = [name for name in watched if name in sys.modules and name not in before]
    print(json.dumps([code, bool(out.getvalue().strip()), loaded]))
"""


def listed(commands: Sequence[tuple[str, ...]], cwd: Path) -> dict[tuple[str, ...], list[Any]]:
    """Exit code, whether anything was printed, and heavy modules first loaded, of each of some commands in one process."""
    program = [sys.executable, "-c", LISTER, json.dumps(commands), json.dumps(LIGHT)]
    done = subprocess.run(program, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(commands, map(json.loads, done.stdout.splitlines()), strict=True))


COMMANDS = [
    ("--help",),
    ("train", "--help"),
    ("distill", "--help"),
    ("distill-chain", "--help"),
    ("mutual", "--help"),
    ("sweep", "--help"),
    ("infer", "--help"),
    ("import", "--help"),
    ("analyze", "--help"),
    ("runs", "--help"),
    ("runs", "show", "--help"),
    ("tui", "--help"),
    ("list", "--help"),
    ("list", "models", "--help"),
    ("list", "losses"),
    ("list", "datasets"),
    ("list", "analyses"),
    ("runs",),
    *(("analyze", name, "--help") for name in (*ANALYSES.names(), *EXPERIMENTS.names())),
]


def test_help_listings_and_analyses_of_files_load_nothing_they_do_not_need(digits_run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.random.default_rng(0).normal(size=(50, 4)))
    of_a_file = ("analyze", "entropy", "z.npy")
    of_a_run = ("analyze", "entropy", str(digits_run), "--temperatures", "1,3,7")
    found = listed([*COMMANDS, of_a_file, of_a_run], tmp_path)
    assert {command: result for command, result in found.items() if result[:2] != [0, True]} == {}
    assert {command: found[command][2] for command in COMMANDS if found[command][2]} == {}
    analyses = {name for command in (of_a_file, of_a_run) for name in found[command][2]}
    assert analyses & {"torch", "torchvision", "textual", "sklearn"} == set()
    assert "numpy" in analyses, "what a command loads is seen"


def test_the_package_imports_nothing() -> None:
    code = f"import sys, fierce_tools; assert not [m for m in {LIGHT!r} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Which modules start-up loads: import-linter sees every import, this sees which of them run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fierce_tools.menu import ANALYSES, EXPERIMENTS

HEAVY = ("torch", "torchvision", "textual", "sklearn", "plotext")
LIGHT = (*HEAVY, "numpy", "scipy")


def loaded(*arguments: str, cwd: Path, absent: tuple[str, ...] = HEAVY) -> tuple[list[str], str]:
    """Those of `absent` that a command loads, and its stdout."""
    code = (
        "import sys\nfrom fierce_tools.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as error:\n"
        "    code = error.code or 0\n"
        f"print('LOADED', code, *[m for m in {absent!r} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )
    last = done.stderr.strip().split("\n")[-1].split()
    assert last[:2] == ["LOADED", "0"], done.stderr
    return last[2:], done.stdout


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


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_help_and_listings_load_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    found, out = loaded(*arguments, cwd=tmp_path, absent=LIGHT)
    assert not found
    assert out


def test_an_analysis_of_a_file_needs_no_torch(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.random.default_rng(0).normal(size=(50, 4)))
    found, out = loaded("analyze", "entropy", "z.npy", cwd=tmp_path, absent=("torch", "textual", "sklearn"))
    assert not found
    assert "Soft-label entropy" in out


def test_an_analysis_of_a_finished_run_needs_no_torch(digits_run: Path) -> None:
    found, _ = loaded(
        "analyze",
        "entropy",
        str(digits_run),
        "--temperatures",
        "1,3,7",
        cwd=digits_run.parent,
        absent=("torch", "textual"),
    )
    assert not found


def test_the_package_imports_nothing() -> None:
    code = f"import sys, fierce_tools; assert not [m for m in {LIGHT!r} if m in sys.modules]"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Shared by all tests: one thread, no network, runs in temporary folders, and one small finished run on digits."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from building import command, shared
from hypothesis import HealthCheck, settings
from skipping import pytest_make_collect_report, pytest_runtest_makereport

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["COLUMNS"] = "100"
os.environ["NO_COLOR"] = "1"

# A shell that starts the tests in its background leaves SIGINT ignored, for every process they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# An example may take as long as it takes: a busy machine is no fault of it.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]

Fierce = Callable[..., tuple[int, str, str]]


def pytest_collection_finish() -> None:
    """Leave what is loaded by now, torch and thousands of tests, out of garbage collections, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test in a folder of its own, with nobody's data, runs or caches."""
    monkeypatch.chdir(tmp_path)
    for name in ("FIERCE_DATA", "FIERCE_RUNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    if "processes" in sys.modules:
        sys.modules["processes"].kill_left()


@pytest.fixture
def fierce(capsys: pytest.CaptureFixture[str]) -> Fierce:
    """Run a command in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        from fierce_tools.cli import main

        capsys.readouterr()
        code = 0
        try:
            main(arguments)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished FIERCE run on digits with snapshots of epochs 1 and 2; read it, never write to it."""

    def build(root: Path) -> None:
        options = ("--loss", "fierce", "--lam", "0.1", "--epochs", "3", "--save-at", "1,2", "--save-best")
        command("train", *options, "--name", "demo", "--device", "cpu", "--runs-dir", str(root / "runs"))

    return shared(tmp_path_factory, "digits", build) / "runs" / "demo"


@pytest.fixture
def arrays_file(tmp_path: Path) -> Path:
    """A small dataset of two colour classes as an arrays: file."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(0, 100, (40, 6, 6, 3), dtype=np.uint8) + (labels[:, None, None, None] * 120).astype(np.uint8)
    path = tmp_path / "two.npz"
    names = np.array(["dark", "light"])
    np.savez(
        path,
        train_images=images,
        train_labels=labels,
        test_images=images[:10],
        test_labels=labels[:10],
        class_names=names,
    )
    return path

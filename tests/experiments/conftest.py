"""Two small teachers of digits, one of hard and one of smoothed labels; read them, never write to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from building import command, shared

from fierce_tools import sources
from fierce_tools.experiments._loading import Places
from fierce_tools.sources import Source


def trained(root: Path, name: str, *options: str) -> Source:
    """A run of an MLP on digits, a few epochs."""
    arguments = ["train", "--model", "mlp:24", "--name", name, "--device", "cpu", "--progress", "off", *options]
    if "--epochs" not in options:
        arguments += ["--epochs", "4"]
    command(*arguments, "--runs-dir", str(root))
    (source,) = sources.locate(name, root)
    return source


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: hard, and smooth, whose pixels were scaled otherwise."""

    def build(root: Path) -> None:
        trained(root, "hard")
        trained(root, "smooth", "--loss", "label-smoothing", "--alpha", "0.3", "--normalization", "unit")

    return shared(tmp_path_factory, "taught", build)


@pytest.fixture
def teachers(taught: Path) -> list[Source]:
    """Both."""
    return [sources.locate(name, taught)[0] for name in ("hard", "smooth")]


@pytest.fixture
def places() -> Places:
    """On the CPU."""
    return Places(device="cpu")


@pytest.fixture(scope="session")
def train_run() -> Callable[..., Source]:
    """Train another: folder of runs, name, options."""
    return trained

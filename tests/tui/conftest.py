"""Runs that every test of the dashboard may look at."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from driving import idle, make, rows
from textual.notifications import Notification


@pytest.fixture(autouse=True)
def _no_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toasts stay, and a key is done when the app is at rest: nothing depends on how fast the machine is."""
    monkeypatch.setattr(Notification, "time_left", property(lambda self: 86_400.0))
    monkeypatch.setattr("textual.app.wait_for_idle", idle)
    monkeypatch.setattr("textual.pilot.wait_for_idle", idle)


@pytest.fixture
def runs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven runs: three seeds of ce, a live one, one that failed, one that cannot be read, one taught by another."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # ages stay what they are, however long a test takes
    root = Path("runs")  # tests run in tmp_path; so that screens name the same folder everywhere
    for seed in range(3):
        make(root, f"ce-s{seed}", rows(8, start=0.6 + 0.05 * seed), seed=seed, age=(7 - seed) * 3600 + 60)
    make(root, "fierce-live", rows(3, start=0.7), loss="fierce", state="running", age=125)
    make(root, "smooth-nan", rows(5, lost=(3,)), loss="label-smoothing", state="failed", error="loss became nan")
    broken = make(root, "broken", rows(2), age=2 * 86400 + 60)
    (broken / "recipe.toml").write_text("not toml [")
    os.utime(broken / "recipe.toml", (now - 2 * 86400 - 60,) * 2)
    make(
        root, "student", rows(8, start=0.8), loss="ce", epochs=9, tags=["paper"], age=86400 + 60,
        teachers=[{"sha256": "ab" * 32, "path": "/x/ce-s0/model.safetensors", "run": "ce-s0"}],
    )  # fmt: skip
    return root

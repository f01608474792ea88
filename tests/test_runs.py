"""Run folders: never overwritten, readable while they are written, and honest about their state."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fierce_tools import recipe, runs
from fierce_tools.errors import DataError, UsageError

MADE = recipe.resolve({}, {"loss.name": "fierce", "loss.lam": 0.3})


def test_names_are_readable_and_never_taken_twice(tmp_path: Path) -> None:
    first, second = runs.create(tmp_path, MADE), runs.create(tmp_path, MADE)
    assert first.name == "digits-cnn-fierce-lam0.3-s0"
    assert second.name == "digits-cnn-fierce-lam0.3-s0-2"
    assert first.recipe() == MADE
    with pytest.raises(UsageError, match="exists already"):
        runs.create(tmp_path, MADE, first.name)
    for name in ("../x", "a/b", "", ".hidden", "-x", "a b"):
        with pytest.raises(UsageError, match="plain folder name"):
            runs.create(tmp_path, MADE, name)


def test_names_say_what_differs(tmp_path: Path) -> None:
    made = recipe.resolve(
        {}, {"model.name": "mlp:20-10", "loss.name": "fierce", "loss.preset": "few-shot", "train.seed": 4}
    )
    assert runs.create(tmp_path, made).name.startswith("digits-mlp-20-10-fierce-lam1.5")
    assert runs.create(tmp_path, made).name.endswith("-s4-2")


def test_two_at_once_get_two_folders(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from fierce_tools import recipe, runs; print(runs.create(Path(sys.argv[1]), recipe.resolve({})).name)"
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    names = [job.communicate()[0].strip() for job in jobs]
    assert len(set(names)) == 4
    assert all((tmp_path / name / "recipe.toml").is_file() for name in names)


def test_metrics_are_read_while_they_are_written(tmp_path: Path) -> None:
    run = runs.create(tmp_path, MADE)
    run.append({"epoch": 1, "val_accuracy": 0.5, "train_loss": float("nan")})
    run.append({"epoch": 2, "val_accuracy": 0.75, "train_loss": float("inf")})
    with open(run.metrics_path, "a") as file:
        file.write('\n[1]\nnot json\n{"epoch": 3, "val_acc')
    rows = run.metrics()
    assert [r["epoch"] for r in rows] == [1, 2]
    assert rows[0]["train_loss"] is None
    run.keep_metrics(1)
    assert [r["epoch"] for r in run.metrics()] == [1]


def test_a_summary_never_raises(tmp_path: Path) -> None:
    run = runs.create(tmp_path, MADE, "broken")
    run.recipe_path.write_text("not toml [")
    run.info_path.write_text("{")
    run.metrics_path.write_bytes(b"\xff\xfe\n")
    row = runs.summary(run)
    assert row["state"] == "unreadable"
    assert "not TOML" in row["error"]
    odd = runs.create(tmp_path, MADE, "odd")
    odd.recipe_path.write_text("loss = 3\ntrain = 4\n")
    odd.info_path.write_text("[]")
    assert runs.summary(odd)["loss"] is None
    for pid in (10**30, 1e400, "x", None):
        odd.update(state="running", pid=pid, host=socket.gethostname(), tags=5)
        assert (runs.summary(odd)["state"], runs.summary(odd)["tags"]) == ("stale", [])
    odd.metrics_path.write_text('{"epoch": 1, "val_accuracy": NaN, "val_ece": Infinity}\n')
    assert runs.summary(odd)["ece"] is None
    assert [r.name for r in runs.listing(tmp_path)] in (["broken", "odd"], ["odd", "broken"])
    assert runs.listing(tmp_path / "none") == []


def test_states(tmp_path: Path) -> None:
    run = runs.create(tmp_path, MADE)
    assert runs.state(run) == "stale"
    run.update(**runs.started(["fierce"], "cpu", {}))
    assert runs.state(run) == "running"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.update(pid=gone.pid)
    assert runs.state(run) == "stale"
    run.update(host="elsewhere")
    assert runs.state(run) == "running", "another machine, heard of just now"
    old = time.time() - 2 * runs.QUIET_SECONDS
    os.utime(run.info_path, (old, old))
    assert runs.state(run) == "stale"
    for word in ("done", "stopped", "failed"):
        run.update(state=word)
        assert runs.state(run) == word
    assert run.info()["pid"] == gone.pid
    assert json.loads(run.info_path.read_text())["format"] == 1


def test_best_and_last(tmp_path: Path) -> None:
    run = runs.create(tmp_path, MADE)
    for epoch, value in enumerate((0.5, 0.9, 0.8), 1):
        run.append({"epoch": epoch, "val_accuracy": value, "val_ece": 0.1, "val_entropy_t9": 2.0})
    row = runs.summary(run)
    assert (row["best"], row["last"], row["epoch"], row["epochs"]) == (0.9, 0.8, 3, 30)
    assert (row["ece"], row["entropy"]) == (0.1, 2.0)
    assert (row["loss"], row["model"], row["dataset"]) == ("fierce", "cnn", "digits")


def test_only_one_trains_a_run(tmp_path: Path) -> None:
    run = runs.create(tmp_path, MADE)
    lock = run.lock()
    with pytest.raises(UsageError, match="being trained"):
        run.lock()
    lock.release()
    run.lock().release()


def test_finding_a_run(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    run = runs.create(root, MADE, "alpha")
    assert runs.find("alpha", root).path == run.path
    assert runs.find(str(run.path), tmp_path / "elsewhere").path == run.path
    with pytest.raises(DataError, match="did you mean 'alpha'"):
        runs.find("alpa", root)
    with pytest.raises(DataError, match="no runs there"):
        runs.find("alpha", tmp_path / "none")


def test_where_runs_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs.folder() == Path("runs")
    monkeypatch.setenv("FIERCE_RUNS", "/somewhere")
    assert runs.folder() == Path("/somewhere")
    assert runs.folder("here") == Path("here")


def test_a_teacher_of_no_run_goes_by_its_files_name() -> None:
    of_a_run, alone = "/r/big/model.safetensors", "/w/imported.safetensors"
    found = runs.teachers({"teachers": [{"path": of_a_run}, {"path": alone}, {"path": alone, "run": "mine"}]})
    assert [t["name"] for t in found] == ["big", "imported", "mine"]

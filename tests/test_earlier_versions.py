"""Files written by earlier versions keep opening: they are listed, asked, resumed and continued. See data/edition1/README.md."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import EDITION, copy_earlier
from safetensors import safe_open

from fierce_tools import checkpoints, outputs, runs, sources

DONE = ("anchored", "pair", "pair-1-linear", "pair-2-mlp-4", "peers-hard-s0", "student")
STOPPED = ("half", "half-pair", "half-pair-1-linear", "half-pair-2-mlp-4", "peers-hard-s1")
SWEPT = tuple(f"digits-classes-3-5-8-mlp-4-fierce-lam{lam}-s0" for lam in ("0", "0.1"))
# What was added to them since.
OURS = ("README.md", "SHA256SUMS", ".gitattributes")
QUIET = ("--progress", "off")


@pytest.fixture(autouse=True)
def earlier(tmp_path: Path) -> None:
    """A copy of the files in the test's own folder; writable, and with the time stamps of a fresh checkout."""
    copy_earlier(tmp_path)


def last(name: str) -> dict[str, Any]:
    return runs.Run(Path("runs") / name).metrics()[-1]


def test_nobody_changed_them() -> None:
    listed = dict(reversed(line.split("  ", 1)) for line in (EDITION / "SHA256SUMS").read_text().splitlines())
    kept = {path for path in EDITION.rglob("*") if path.is_file() and path.name not in OURS}
    found = {
        f"./{path.relative_to(EDITION).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest() for path in kept
    }
    assert found == listed
    assert sum(path.stat().st_size for path in kept) < 300_000


def test_they_are_listed(fierce) -> None:
    code, out, err = fierce("runs", "--format", "json")
    assert code == 0, err
    rows = {row["name"]: row for row in json.loads(out)}
    assert set(rows) == {*DONE, *STOPPED, *SWEPT}
    assert {name for name, row in rows.items() if row["state"] == "done"} == {*DONE, *SWEPT}
    assert {name for name, row in rows.items() if row["state"] == "stopped"} == set(STOPPED)
    assert rows["student"]["teacher"] == "anchored"
    assert rows["anchored"]["best"] == pytest.approx(0.6364, abs=1e-4)
    for name in rows:
        code, out, err = fierce("runs", "show", name)
        assert code == 0, err
        assert name in out


def test_a_checkpoint_with_anchors_opens_and_gives_the_logits_it_gave(fierce) -> None:
    loaded = checkpoints.load(Path("runs/anchored/model.safetensors"))
    assert loaded.anchors is not None
    assert tuple(loaded.anchors.shape) == (1, 100, 8)
    before = outputs.load("anchored-val.safetensors")
    shutil.rmtree("runs/anchored/outputs")
    code, _, err = fierce("infer", "anchored", "--split", "val", "--features", "--out", "now.safetensors")
    assert code == 0, err
    now = outputs.load("now.safetensors")
    assert np.array_equal(now.index, before.index)
    assert np.array_equal(now.labels, before.labels)
    np.testing.assert_allclose(now.logits, before.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(now.features, before.features, rtol=1e-4, atol=1e-5)


def test_kept_answers_are_found_and_say_the_same_when_asked_anew(fierce) -> None:
    (source,) = sources.locate("anchored", Path("runs"))
    (entropy,) = sources.answers(source, "entropy")
    (softest,) = sources.answers(source, "transfer-set")
    images = sources.kept_images(sources.images_path(softest["path"]), source.sha256)
    assert images is not None
    assert set(images) == set(softest["values"]["index"])
    asked = ("analyze", "entropy", "anchored", "--temperatures", "1,9", "--format", "json")
    for more in ((), ("--fresh",)):
        code, out, err = fierce(*asked, *more)
        assert code == 0, err
        values = json.loads(out)["results"][0]["values"]
        assert values["mean"] == pytest.approx(entropy["values"]["mean"], rel=1e-5)
    with safe_open("softest.safetensors", framework="numpy") as file:
        saved = file.get_tensor("index")
    assert saved.tolist() == softest["values"]["index"]
    code, out, err = fierce("analyze", "transfer-set", "anchored", "--per-class", "2", "--format", "json", "--fresh")
    assert code == 0, err
    assert json.loads(out)["results"][0]["values"]["index"] == saved.tolist()


def test_snapshots_and_outputs_are_asked(fierce) -> None:
    code, out, err = fierce("analyze", "entropy", "anchored", "--epochs", "all", "--format", "json")
    assert code == 0, err
    assert [r["epoch"] for r in json.loads(out)["results"]] == ["0001", "0002", "best"]
    for path in ("anchored-val.safetensors", "stranger.safetensors"):
        code, out, err = fierce("analyze", "entropy", path, "--temperatures", "1", "--format", "json")
        assert code == 0, err
        z = outputs.load(path).logits.astype(float)
        p = np.exp(z - np.logaddexp.reduce(z, axis=1, keepdims=True))
        entropy = float(-(p * np.log(p)).sum(axis=1).mean())
        assert json.loads(out)["results"][0]["values"]["mean"] == pytest.approx([entropy], rel=1e-5)
    code, out, err = fierce("analyze", "entropy", "pair", "student", "--format", "json")
    assert code == 0, err
    assert [r["source"] for r in json.loads(out)["results"]] == ["pair-1-linear", "pair-2-mlp-4", "student"]


# What the version that wrote them reached from there, on one thread of a CPU.
@pytest.mark.parametrize(
    ("command", "name", "ends"),
    [
        ("train", "half", {"half": (4, 1.0315949)}),
        ("mutual", "half-pair", {"half-pair-1-linear": (3, 0.8073434), "half-pair-2-mlp-4": (3, 1.0028017)}),
    ],
)
def test_a_run_half_way_is_resumed(fierce, command: str, name: str, ends: dict[str, tuple[int, float]]) -> None:
    code, _, err = fierce(command, "--resume", name, *QUIET)
    assert code == 0, err
    for run, (epoch, loss) in ends.items():
        assert last(run)["epoch"] == epoch
        assert last(run)["val_loss"] == pytest.approx(loss, rel=1e-4)
        assert runs.state(runs.Run(Path("runs") / run)) == "done"


def test_an_experiment_half_done_trains_only_what_is_missing(fierce) -> None:
    (table,) = Path("runs/.experiments").iterdir()
    before = table.read_text().splitlines()
    asked = ("--student", "mlp:4", "--drop", "3,8", "--temperatures", "3,9", "--epochs", "2", "--seeds", "2")
    more = ("--engine", "sequential", "--device", "cpu", "--progress", "jsonl", "--format", "json")
    code, out, err = fierce("analyze", "missing-class", "anchored", *asked, *more)
    assert code == 0, err
    assert json.loads(out)["analysis"] == "missing-class"
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [e["reused"] for e in events if "reused" in e] == [3]
    after = table.read_text().splitlines()
    assert after[:3] == before
    assert len(after) == 8


def test_a_sweep_trains_nothing_again(fierce) -> None:
    asked = ("--loss", "fierce", "--grid", "lam=0,0.1", "--epochs", "1", "--model", "mlp:4", "--classes", "3,5,8")
    code, _, err = fierce("sweep", *asked, "--device", "cpu", *QUIET)
    assert code == 0, err
    assert len(list(Path("runs").glob("digits-*"))) == len(SWEPT)


def test_a_study_half_done_goes_on(fierce) -> None:
    kept = Path("runs/peers-hard-s0/model.safetensors")
    before = kept.stat().st_mtime_ns
    code, out, err = fierce("reproduce", "peers.toml", "--full", "--device", "cpu", "--format", "json", *QUIET)
    assert code == 0, err
    ours = {row["key"]: row["ours"] for row in json.loads(out)["rows"]}
    assert kept.stat().st_mtime_ns == before
    assert sorted(p.name for p in Path("runs").glob("peers-hard-*")) == ["peers-hard-s0", "peers-hard-s1"]
    assert ours["teacher"] == pytest.approx([0.5278, 0.3426], abs=0.02)
    assert ours["h9"] == pytest.approx([1.09824, 1.09826], abs=1e-4)


def test_the_dashboard_remembers() -> None:
    from fierce_tools.tui.memory import Memory

    memory = Memory(Path("runs"))
    assert (memory.tags, memory.notes) == ({"anchored": ["paper"]}, {"half": "ends on Monday"})
    assert (memory.pins, memory.marks) == ({"pair"}, {"anchored": 0, "student": 1})


def test_a_student_is_asked_and_shown_although_its_teachers_file_is_gone(fierce) -> None:
    (teacher,) = runs.teachers(runs.Run(Path("runs/student")).info())
    assert not Path(teacher["path"]).exists()
    code, out, err = fierce("runs", "show", "student")
    assert (code, "anchored" in out) == (0, True), err
    code, out, err = fierce("analyze", "agreement", "student", "--teacher", "anchored", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["results"][0]["source"] == "student"
    assert os.path.isdir("runs/student/analyses")

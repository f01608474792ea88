"""Grids: what they are made of, what they find, and `fierce sweep` as a person uses it."""

from __future__ import annotations

import json
import signal
import tomllib
from pathlib import Path

import numpy as np
import pytest
from processes import EPOCH, Job

from fierce_tools import checkpoints, runs
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _sweep
from fierce_tools.experiments._sweep import parse, values_of
from fierce_tools.report import Table

SMALL = ("--model", "mlp:8", "--epochs", "2", "--device", "cpu")


def test_keys_with_and_without_their_section() -> None:
    sections = {"lr": "train", "batch_size": "train", "lam": "loss"}
    found = parse(["lr=0.1,0.2", "batch-size=8:32:*2", "loss=ce,fierce", "data.split_seed=1"], sections.__getitem__)
    assert list(found) == ["train.lr", "train.batch_size", "loss.name", "data.split_seed"]
    assert found["train.batch_size"] == ("8:32:*2",)
    for wrong in (["lr"], ["lr="], ["=3"], ["lr=1", "train.lr=2"], ["train.seed=1,2"]):
        with pytest.raises(UsageError):
            parse(wrong, sections.__getitem__)


def test_values_as_their_options_take_them() -> None:
    def of(key: str, text: str, *chosen: str) -> tuple:
        return values_of(key, text.split(","), chosen)

    assert of("train.batch_size", "8:32:*2,8,100") == (8, 16, 32, 100)
    assert of("train.lr", "0,.1,1") == (0.0, 0.1, 1.0)
    assert all(isinstance(v, float) for v in of("train.lr", "0,1"))
    assert of("train.clip_norm", "none,1") == (None, 1.0)
    assert of("train.nesterov", "true,no") == (True, False)
    assert of("train.augment", "none,flip,flip+crop:4") == ((), ("flip",), ("flip", "crop:4"))
    assert of("train.drop_at", "none,10+20") == ((), (10, 20))
    assert of("loss.name", "ce,fierce") == ("ce", "fierce")
    assert of("loss.lam", "0.5", "ce", "fierce") == (0.5,)
    assert of("loss.convention", "uniform,others", "label-smoothing") == ("uniform", "others")
    for key, text in (("train.lrr", "1"), ("train.batch_size", "0.5"), ("foo.x", "1"), ("train.optimizer", "adan")):
        with pytest.raises(UsageError):
            of(key, text)


@pytest.mark.slow
def test_means_are_those_of_the_runs(fierce) -> None:
    command = ("sweep", *SMALL, "--grid", "lr=0.005,0.01,0.02", "--seeds", "2", "--seed", "3", "--progress", "off")
    code, out, err = fierce(*command, "--format", "json")
    assert code == 0, err
    document = json.loads(out)["sweep"]
    assert document["seeds"] == [3, 4]
    assert [row["values"] for row in document["rows"]] == [{"train.lr": v} for v in (0.005, 0.01, 0.02)]
    assert len(runs.listing(Path("runs"))) == 6
    for row in document["rows"]:
        found = [runs.Run(Path("runs") / name) for name in row["runs"]]
        assert [r.recipe().train["seed"] for r in found] == [3, 4]
        assert {r.recipe().train["lr"] for r in found} == set(row["values"].values())
        assert row["figures"]["val_nll"] == [r.metrics()[-1]["val_nll"] for r in found]
        assert row["figures"]["test_ece"] == [r.info()["test"]["test_ece"] for r in found]
    # Said again, nothing is trained, and the table has each mean and sample deviation.
    before = {r.name: r.model_path.stat().st_mtime_ns for r in runs.listing(Path("runs"))}
    code, out, err = fierce(*command[:-2])
    assert code == 0
    assert "6 of 6 runs were done before" in err
    assert before == {r.name: r.model_path.stat().st_mtime_ns for r in runs.listing(Path("runs"))}
    values = document["rows"][1]["figures"]["test_accuracy"]
    assert document["rows"][1]["means"]["test_accuracy"] == pytest.approx([np.mean(values), np.std(values, ddof=1)])
    assert f"{np.mean(values):.4g} ± {np.std(values, ddof=1):.2g}" in out
    assert "Test accuracy against lr" in out
    code, out, _ = fierce("runs", "--format", "json")
    assert "digits-mlp-8-ce-lr0.005-s3" in {row["name"] for row in json.loads(out)}
    names = [name for row in document["rows"][:2] for name in row["runs"]]
    code, out, err = fierce("compare", *names, "--skip", "probe,mi", "--bootstrap", "0")
    assert code == 0, err
    assert "lr 0.005" in out


def test_a_recipe_words_and_a_dry_run(fierce, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[model]\nname = "mlp:8"\n[train]\nepochs = 1\nlr = 0.01\n')
    command = ("sweep", "r.toml", "--grid", "loss=ce,label-smoothing", "--grid", "augment=none,shift:1")
    code, out, err = fierce(*command, "--dry-run", "--format", "json")
    assert code == 0, err
    cells = json.loads(out)["cells"]
    assert [(c["loss.name"], c["train.augment"]) for c in cells] == [
        (loss, augment) for loss in ("ce", "label-smoothing") for augment in ([], ["shift:1"])
    ]
    assert {c["state"] for c in cells} == {"new"}
    assert not Path("runs").exists()
    code, out, err = fierce(*command, "--save", "t.csv")
    assert code == 0, err
    assert "One seed" in out
    assert Path("t.csv").read_text().startswith("loss,augment,n,accuracy")
    made = tomllib.loads(Path("runs/digits-mlp-8-ce-augment-shift-1-s0/recipe.toml").read_text())
    assert (made["train"]["augment"], made["train"]["lr"]) == (["shift:1"], 0.01)
    code, out, err = fierce(*command, "--dry-run")
    assert out.count("done") == 4
    assert "4 runs: 4 done, 0 to train" in err


def test_a_cell_that_fails_is_shown_and_the_others_go_on(fierce) -> None:
    code, out, err = fierce("sweep", *SMALL, "--grid", "lr=1e30,0.01")
    assert code == 4
    assert "0 of 1" in out
    assert "Failed: lr 1e+30, seed 0: the loss became nan" in out
    assert "1 run failed" in err
    assert [runs.state(r) for r in runs.listing(Path("runs"))] == ["failed", "done"]
    assert "fierce compare" not in err


def test_what_is_wrong_is_said_before_anything_is_trained(fierce, tmp_path: Path) -> None:
    for arguments, words in (
        (("--grid", "lx=1"), ("'lx'", "did you mean 'lr'")),
        (("--grid", "loss=ce,fierce", "--grid", "loss.lam=1"), ("with loss.name=ce", "'lam'")),
        (("--grid", "model=cnn,cnnn"), ("'cnnn'", "did you mean 'cnn'")),
        (("--grid", "seed=1,2"), ("--seeds",)),
        (("--grid", "lr=a"), ("'a'", "is not a number")),
        (("--grid", "lr=1:20000"), ("20,000 cells",)),
        (("--seeds", "0"), ("--seeds",)),
        (("--grid", "lr"), ("--grid loss.lam=",)),
    ):
        code, _, err = fierce("sweep", *arguments)
        assert code == 2, arguments
        assert all(word in err for word in words), err
    (tmp_path / "m.toml").write_text('[mutual]\nmodels = ["cnn", "mlp:8"]\n')
    code, _, err = fierce("sweep", "m.toml")
    assert (code, "fierce mutual" in err) == (2, True)
    assert not Path("runs").exists()


def test_students_over_temperatures(fierce) -> None:
    assert fierce("train", *SMALL, "--name", "teacher")[0] == 0
    command = ("sweep", "--teacher", "teacher", *SMALL, "--grid", "temperature=1,4")
    code, out, err = fierce(*command)
    assert code == 0, err
    assert "temperature" in out
    found = [r.recipe() for r in runs.listing(Path("runs"))[1:]]
    assert [(r.loss["name"], r.loss["temperature"]) for r in found] == [("kd", 1.0), ("kd", 4.0)]
    code, out, err = fierce(*command, "--dry-run")
    assert "2 runs: 2 done" in err


def test_ctrl_c_saves_and_the_same_command_goes_on(fierce) -> None:
    command = ["sweep", "--model", "mlp:32", "--epochs", "3", "--device", "cpu", "--grid", "lr=0.001,0.002"]
    job = Job(*command, "--progress", "jsonl", hold=(EPOCH, 1)).held()
    job.send(signal.SIGINT)
    assert job.end() == 130
    last = job.err.splitlines()[-1]
    assert "stopped in run 1 of 2; everything is saved; say the same command again to go on" in last
    (stopped,) = runs.listing(Path("runs"))
    assert runs.state(stopped) == "stopped"
    code, _, err = fierce(*command, "--progress", "jsonl")
    assert code == 0, err
    events = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert next(e for e in events if e["event"] == "run")["epoch"] >= 1
    assert [e["number"] for e in events if e["event"] == "done"] == [1, 2]
    assert fierce(*command[:-1], "lr=0.001", "--runs-dir", "whole")[0] == 0
    pair = [checkpoints.load(Path(root) / stopped.name / "model.safetensors") for root in ("runs", "whole")]
    assert pair[0].content_sha256 == pair[1].content_sha256


def test_the_table_counts_seeds_that_are_missing() -> None:
    names = [f"{split}_{key}" for split in _sweep.SPLITS for key in _sweep.FIGURES]
    figures = {name: (0.5, None, 0.7) if name == "test_accuracy" else (None,) * 3 for name in names}
    row = _sweep.Row({"loss.lam": 1.0}, ("a", "c"), 3, figures, dict.fromkeys(names, (None, None)))
    made = _sweep.Sweep({"loss.lam": (1.0,)}, (0, 1, 2), (row,), ())
    (table,) = [b for b in made.report().blocks if isinstance(b, Table)]
    assert table.rows == ((1.0, "2 of 3", "0.6 ± 0.14"),)

"""`fierce train` as a person uses it: flags, recipes, errors, stopping and going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from processes import EPOCH, Job
from waiting import wait_until

from fierce_tools import arrayfile, runs

SMALL = ("--model", "mlp:8", "--epochs", "2", "--device", "cpu")


def test_the_first_command_of_the_readme(fierce) -> None:
    code, out, err = fierce("train", "--loss", "fierce", "--lam", "0.1", "--epochs", "2", "--device", "cpu")
    assert code == 0, err
    path = out.strip().split("\n")[-1]
    assert path == "runs/digits-cnn-fierce-lam0.1-s0/model.safetensors"
    assert Path(path).is_file()
    assert "epoch 2/2" in err
    rows = runs.Run(Path(path).parent).metrics()
    expected = {
        "epoch",
        "step",
        "train_loss",
        "train_ce",
        "train_penalty",
        "val_loss",
        "val_accuracy",
        "val_nll",
        "val_ece",
        "val_entropy_t1",
        "val_entropy_t9",
        "val_feature_entropy",
        "val_anchor_entropy",
        "learning_rate",
        "images_per_second",
        "seconds",
    }
    assert [set(r) for r in rows] == [expected, expected]
    info = runs.Run(Path(path).parent).info()
    assert info["state"] == "done"
    assert info["test"]["test_accuracy"] > 0.3
    assert not (Path(path).parent / "state.safetensors").exists()


def test_json_is_one_document_and_nothing_else(fierce) -> None:
    code, out, err = fierce("train", *SMALL, "--format", "json", "--progress", "off")
    assert code == 0
    document = json.loads(out)
    assert document["epoch"] == 2
    assert 0 < document["test_accuracy"] <= 1
    assert "mlp:8 (610 parameters) with ce on digits (1,294 train, 143 validation, 360 test)" in err


def test_progress_as_lines_of_json(fierce) -> None:
    code, _, err = fierce("train", *SMALL, "--progress", "jsonl")
    events = [json.loads(line) for line in err.split("\n") if line.startswith("{")]
    assert code == 0
    assert [(e["event"], e["epoch"], e["epochs"]) for e in events] == [("epoch", 1, 2), ("epoch", 2, 2)]


def test_a_recipe_flags_and_settings_in_that_order(fierce, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        '[loss]\nname = "fierce"\nlam = 3.0\n[model]\nname = "mlp:8"\n[train]\nepochs = 1\nseed = 5\n'
    )
    code, _, err = fierce("train", "r.toml", "--seed", "6", "--set", "loss.lam=0.5", "--name", "x", "--device", "cpu")
    assert code == 0, err
    made = tomllib.loads(Path("runs/x/recipe.toml").read_text())
    assert (made["loss"]["lam"], made["train"]["seed"], made["train"]["epochs"]) == (0.5, 6, 1)
    code, _, err = fierce("train", "runs/x/recipe.toml", "--name", "y")
    assert code == 0, err
    a, b = (arrayfile.load_arrays(Path(f"runs/{n}/model.safetensors"))[1] for n in "xy")
    assert a is not None
    assert b is not None
    assert a["content_sha256"] == b["content_sha256"], "the recipe of a run makes the same weights again"


@pytest.mark.parametrize(
    "loss",
    [
        ("ce",),
        ("label-smoothing", "--alpha", "0.2", "--convention", "others"),
        ("confidence-penalty", "--hinge", "1"),
        ("fierce", "--preset", "few-shot"),
        ("fierce", "--assignment", "gumbel-hard", "--similarity-scale", "50", "--codebooks", "2"),
    ],
)
def test_every_loss_trains(fierce, loss: tuple[str, ...]) -> None:
    code, out, err = fierce("train", *SMALL, "--loss", *loss, "--format", "json")
    assert code == 0, err
    assert np.isfinite(json.loads(out)["train_loss"])


def test_snapshots_and_the_best(fierce) -> None:
    code, _, err = fierce(
        "train",
        *SMALL[:2],
        "--epochs",
        "5",
        "--save-at",
        "1,4",
        "--save-every",
        "2",
        "--save-best",
        "--name",
        "s",
        "--device",
        "cpu",
    )
    assert code == 0, err
    assert sorted(p.name for p in Path("runs/s/epochs").iterdir()) == [
        "0001.safetensors",
        "0002.safetensors",
        "0004.safetensors",
        "best.safetensors",
    ]
    rows = runs.Run(Path("runs/s")).metrics()
    _, best = arrayfile.load_arrays(Path("runs/s/epochs/best.safetensors"))
    assert best is not None
    assert best["metrics"]["val_accuracy"] == max(r["val_accuracy"] for r in rows)


def test_without_validation(fierce) -> None:
    code, out, err = fierce("train", *SMALL, "--val-fraction", "0", "--name", "n", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["val_accuracy"] is None
    code, _, err = fierce("train", *SMALL, "--val-fraction", "0", "--save-best")
    assert code == 3
    assert "--val-fraction 0" in err
    code, _, err = fierce("analyze", "entropy", "n", "--split", "val")
    assert code == 3
    assert "no validation split" in err


def test_arrays_of_vectors_and_more_than_ten_classes(fierce, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 12
    vectors = rng.normal(size=(120, 5)) + labels[:, None]
    np.savez(
        tmp_path / "v.npz", train_images=vectors, train_labels=labels, test_images=vectors[:24], test_labels=labels[:24]
    )
    code, out, err = fierce(
        "train", "--data", "arrays:v.npz", "--model", "mlp:6", "--epochs", "1", "--format", "json", "--device", "cpu"
    )
    assert code == 0, err
    document = json.loads(out)
    assert document["val_top5"] >= document["val_accuracy"]
    assert "v-mlp-6-ce-s0" in document["run"]
    code, _, err = fierce("train", "--data", "arrays:v.npz")
    assert code == 2
    assert "cnn' needs images" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--loss", "feirce"), 2, "did you mean 'fierce'"),
        (("--model", "resnet"), 2, "unknown model"),
        (("--data", "minst"), 2, "did you mean 'mnist'"),
        (("--lam", "0.1"), 2, "--lam is an option of loss fierce, and the loss is ce; add --loss fierce"),
        (("--width", "3", "--model", "linear"), 2, "--width is an option of model cnn"),
        (("--download",), 2, "option of dataset cifar-fs, cifar10, cifar100, fashion-mnist, mnist, rotated-mnist"),
        (("--loss", "fierce", "--lam", "much"), 2, "expected a number"),
        (("--loss", "fierce", "--lam=-1"), 2, "expected 0 or more"),
        (("--loss", "fierce", "--anchor-distribution", "linspace"), 2, "one dimension"),
        (("--loss", "fierce", "--preset", "age"), 2, "one dimension"),
        (("--loss", "label-smoothing", "--alpha", "2"), 2, "expected 0 to 1"),
        (("--preset", "age"), 2, "unknown preset of ce: 'age'; there is none"),
        (("--patience", "2", "--val-fraction", "0"), 2, "there is no validation split"),
        (("--epochs", "0"), 2, "--epochs is 0"),
        (("--epochs", "1.5"), 2, "expected a whole number"),
        (("--lr", "0"), 2, "expected above 0"),
        (("--save-at", "99"), 2, "--save-at 99 is outside"),
        (("--optimizer", "adma"), 2, "did you mean 'adam'"),
        (("--val-fraction", "1"), 2, "--val-fraction is 1.0"),
        (("--set", "loss.lam"), 2, "no assignment"),
        (("--set", "train.epoch=3"), 2, "did you mean 'epochs'"),
        (("--name", "a/b"), 2, "plain folder name"),
        (("--seed=-1",), 2, "--seed is -1, expected 0"),
        (("--seed", "99999999999999999999"), 2, "expected 0 to below 2^63"),
        (("--split-seed=-1",), 2, "--split-seed is -1"),
        (("--model", "mlp:8", "--dropout", "2"), 2, "--dropout is 2"),
        (("--model", "mlp:99999999999999999999999"), 2, "cannot be built"),
        (("--model", "cnn", "--width", "0"), 2, "--width is 0"),
        (("--model", "cnn", "--feature-dim=-1"), 2, "--feature-dim -1"),
        (("--loss", "fierce", "--num-anchors", "99999999999"), 2, "2 to 1,000,000 anchors"),
        (("--data", "mnist", "--data-root", "~nobody-of-that-name/x"), 3, "nobody-of-that-name"),
        (("plain.toml",), 2, "expected a table"),
        (("--device", "tpu"), 2, "value for --device"),
        (("--resume", "nothing"), 3, "unknown run"),
        (("none.toml",), 3, "does not exist"),
        (("--data", "mnist"), 3, "--download"),
        (("--data", "arrays:none.npz"), 3, "does not exist"),
        (("--optimizer", "sgd", "--lr", "1e30"), 4, "the loss became"),
        (("--optimizer", "sgd", "--lr", "1e30", "--batch-size", "5000"), 4, "the weights became NaN"),
        (("--optimizer", "sgd", "--lr", "1e30", "--batch-size", "5000", "--save-best"), 4, "the weights became NaN"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_code(fierce, arguments: tuple[str, ...], code: int, said: str) -> None:
    Path("plain.toml").write_text('loss = "fierce"\n')
    got, out, err = fierce(
        "train", *arguments, *(() if {"--epochs", "--resume"} & set(arguments) else ("--epochs", "1"))
    )
    line = err.strip().split("\n")[-1]
    assert (got, said in line) == (code, True), err
    assert line.startswith("fierce: ")
    assert "Traceback" not in err
    assert not out
    if code != 4:
        assert not Path("runs").exists(), "nothing was begun"


def test_a_broken_training_is_marked(fierce) -> None:
    code, _, _ = fierce("train", "--optimizer", "sgd", "--lr", "1e30", "--epochs", "1", "--name", "b")
    assert code == 4
    info = runs.Run(Path("runs/b")).info()
    assert info["state"] == "failed"
    assert "the loss became" in info["error"]


def test_estimates_that_cannot_tell_are_warned_of(fierce) -> None:
    _, _, err = fierce("train", *SMALL, "--loss", "fierce", "--tau", "1")
    assert "warning: this estimate gives" in err
    _, _, err = fierce("train", *SMALL, "--loss", "fierce", "--assignment", "gumbel-hard")
    assert "warning: this estimate gives" in err
    _, _, err = fierce("train", "--epochs", "1", "--loss", "fierce")
    assert "warning" not in err
    _, _, err = fierce("train", *SMALL, "--batch-size", "5000")
    assert "warning: --batch-size 5000 is more than the 1294 training examples" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_ctrl_c_and_resumed_to_the_same_weights(fierce, number: signal.Signals) -> None:
    recipe = ("--model", "mlp:64", "--loss", "fierce", "--epochs", "5", "--batch-size", "64", "--device", "cpu")
    job = Job("train", *recipe, "--name", "cut", hold=(EPOCH, 2)).held()
    job.send(number)
    assert job.end() == 130, job.err
    assert "everything is saved; go on with `fierce train --resume runs/cut`" in job.err
    assert "Traceback" not in job.err
    assert not job.out
    run = runs.Run(Path("runs/cut"))
    assert run.info()["state"] == "stopped"
    assert run.state_path.exists()
    assert len(run.metrics()) == 2
    code, _, err = fierce("train", "--resume", "cut")
    assert code == 0, err
    code, _, err = fierce("train", *recipe, "--name", "whole")
    assert code == 0, err
    cut, whole = (arrayfile.load_arrays(Path(f"runs/{n}/model.safetensors")) for n in ("cut", "whole"))
    assert all(np.array_equal(cut[0][k], whole[0][k]) for k in whole[0])
    timeless = [
        [
            {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")}
            for row in runs.Run(Path(f"runs/{n}")).metrics()
        ]
        for n in ("cut", "whole")
    ]
    assert timeless[0] == timeless[1]
    code, _, err = fierce("train", "--resume", "cut")
    assert (code, "is done, there is nothing to resume" in err) == (2, True)


def test_killed_outright_it_goes_on_from_what_was_saved(fierce) -> None:
    job = Job("train", "--model", "mlp:64", "--epochs", "3", "--device", "cpu", "--name", "k", hold=(EPOCH, 2)).held()
    job.send(signal.SIGKILL)
    assert job.end() == -signal.SIGKILL
    run = runs.Run(Path("runs/k"))
    assert runs.state(run) == "stale"
    code, _, err = fierce("train", "--resume", "k")
    assert code == 0, err
    assert [r["epoch"] for r in run.metrics()] == [1, 2, 3]


def test_a_run_is_trained_by_one_process_at_a_time(fierce) -> None:
    job = Job(
        "train", "--model", "mlp:64", "--epochs", "3", "--device", "cpu", "--name", "busy", hold=(EPOCH, 1)
    ).held()
    code, _, err = fierce("train", "--resume", "busy")
    job.send(signal.SIGINT)
    assert job.end() == 130
    assert code == 2
    assert f"is being trained by process {job.pid}" in err


def test_a_resumed_training_keeps_to_its_data(fierce, tmp_path: Path, arrays_file: Path) -> None:
    from fierce_tools import recipe
    from fierce_tools.experiments._record import options_of, prepare, record

    for name, data in (("own", "digits"), ("other", f"arrays:{arrays_file}")):
        made = recipe.resolve({"data": {"name": data}, "model": {"name": "mlp:8"}, "train": {"epochs": 1}})
        events = record(prepare(made), runs.create(Path("runs"), made, name), [], **options_of(made, record))
        next(events)
        events.close()
    code, _, err = fierce("train", "--resume", "own", "--data-root", str(tmp_path))
    assert (code, "unknown option of digits" in err) == (2, True), "the checkpoint would not be read again"
    arrays = dict(np.load(arrays_file))
    np.savez(arrays_file, **{**arrays, "train_images": 255 - arrays["train_images"]})
    code, _, err = fierce("train", "--resume", "other")
    assert (code, "is not what other has been trained on" in err) == (3, True)
    assert runs.Run(Path("runs/other")).info()["state"] == "stopped"
    np.savez(arrays_file, **arrays)
    assert fierce("train", "--resume", "other")[0] == 0


def test_resume_takes_nothing_else(fierce) -> None:
    code, _, err = fierce("train", "--resume", "x", "--lr", "0.1")
    assert (code, "leave out --lr" in err) == (2, True)


def test_a_full_disk_is_one_line_and_marks_the_run(fierce, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "model.safetensors")

    monkeypatch.setattr("fierce_tools.checkpoints.arrayfile.save_arrays", full)
    code, _, err = fierce("train", *SMALL, "--name", "full")
    assert code == 1
    assert "No space left on device" in err.strip().split("\n")[-1]
    assert runs.Run(Path("runs/full")).info()["state"] == "failed"


def test_paths_hold_from_anywhere(fierce, arrays_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = fierce("train", "--data", "arrays:two.npz", *SMALL, "--name", "w")
    assert code == 0, err
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = fierce("infer", str(tmp_path / "runs" / "w"), "--split", "train")
    assert code == 0, err


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_training(tmp_path: Path) -> None:
    command = f"{sys.executable} -m fierce_tools train --model mlp:8 --epochs 6 --device cpu --name h 2>&1 >out.txt | head -n 1"
    subprocess.run(["bash", "-c", command], check=False, capture_output=True)
    # The shell waits for the last part of a pipe alone: the training may still go on.
    run = runs.Run(Path("runs/h"))
    wait_until(lambda: run.info().get("state") == "done", run.info)

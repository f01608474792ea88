"""`fierce mutual` as a person uses it: a group of runs, its figures, errors, stopping and going on."""

from __future__ import annotations

import json
import signal
import tomllib
from pathlib import Path

import numpy as np
import pytest
from processes import EPOCH, Job

from fierce_tools import arrayfile, binding, recipe, runs

SMALL = ("--models", "mlp:8", "linear", "--epochs", "2", "--device", "cpu")


def weights(path: str) -> dict[str, np.ndarray]:
    return arrayfile.load_arrays(Path(path))[0]


@pytest.fixture
def noisy_file(tmp_path: Path) -> Path:
    """Vectors of three classes; a third of the training labels are wrong, and the true ones lie in train_targets."""
    rng = np.random.default_rng(0)
    truth = np.arange(150) % 3
    vectors = rng.normal(size=(150, 4)) + 3 * np.eye(3, 4)[truth]
    labels = np.where(rng.random(150) < 0.33, (truth + 1) % 3, truth)
    path = tmp_path / "noisy.npz"
    np.savez(
        path,
        train_images=vectors,
        train_labels=labels,
        train_targets=truth,
        test_images=vectors[:30],
        test_labels=truth[:30],
    )
    return path


def test_every_peer_is_a_run_of_its_own(fierce) -> None:
    code, out, err = fierce("mutual", *SMALL, "--method", "mkd", "--name", "g", "--save-at", "1")
    assert code == 0, err
    assert "mlp:8 (610 parameters), linear (650 parameters) with ce on digits" in err
    assert "mkd: each peer learns from H(q̃, p) + mean over peers j of H(q̃_j, p); q̃ = (1-e)·y + e·p" in err
    assert "epoch 2/2" in err
    assert all(word in out for word in ("g-1-mlp-8", "g-2-linear", "mean", "test accuracy", "exchanged"))
    assert out.strip().split("\n")[-2:] == ["runs/g-1-mlp-8/model.safetensors", "runs/g-2-linear/model.safetensors"]
    for number, name in enumerate(("mlp-8", "linear"), 1):
        run = runs.Run(Path(f"runs/g-{number}-{name}"))
        assert sorted(p.name for p in run.path.iterdir() if p.name[0] != ".") == [
            "epochs", "metrics.jsonl", "model.safetensors", "outputs", "recipe.toml", "run.json",
        ]  # fmt: skip
        assert [p.name for p in run.epochs_path.iterdir()] == ["0001.safetensors"]
        assert run.recipe().model["name"].replace(":", "-") == name
        info, rows = run.info(), run.metrics()
        assert (info["state"], info["group"], info["peer"]) == ("done", "g", number)
        assert [r["epoch"] for r in rows] == [1, 2]
        assert rows[0]["train_exchanged"] == pytest.approx(1)
        assert rows[0]["val_loss"] == rows[0]["val_nll"]
    group = runs.Run(Path("runs/g"))
    assert (group.info()["state"], group.info()["peers"]) == ("done", ["g-1-mlp-8", "g-2-linear"])
    assert not group.state_path.exists()
    (row, *_), first, second = group.metrics(), runs.Run(Path("runs/g-1-mlp-8")), runs.Run(Path("runs/g-2-linear"))
    for key in ("val_accuracy", "train_loss", "val_entropy_t9"):
        assert row[key] == pytest.approx((first.metrics()[0][key] + second.metrics()[0][key]) / 2)


def test_every_command_takes_peers_and_the_group(fierce) -> None:
    assert fierce("mutual", *SMALL, "--name", "g")[0] == 0
    code, out, err = fierce("runs", "--format", "json")
    rows = {r["name"]: r for r in json.loads(out)}
    assert (code, len(rows)) == (0, 3), err
    assert (rows["g"]["loss"], rows["g"]["model"], rows["g"]["epoch"], rows["g"]["state"]) == (
        "cmd",
        "mlp:8+linear",
        2,
        "done",
    )
    assert rows["g"]["best"] == pytest.approx((rows["g-1-mlp-8"]["last"] + rows["g-2-linear"]["last"]) / 2, abs=0.2)
    assert (rows["g-2-linear"]["model"], rows["g-2-linear"]["group"]) == ("linear", "g")
    code, out, err = fierce("runs", "--filter", "group:g", "--format", "json")
    assert {r["name"] for r in json.loads(out)} == {"g-1-mlp-8", "g-2-linear"}, err
    code, out, err = fierce("runs", "show", "g")
    assert (code, "peers     g-1-mlp-8, g-2-linear" in out) == (0, True), err
    assert "runs" in fierce("runs", "show", "g-2-linear")[1]
    code, out, err = fierce("analyze", "entropy", "g", "--temperatures", "1,9", "--format", "json")
    assert code == 0, err
    assert [r["source"] for r in json.loads(out)["results"]] == ["g-1-mlp-8", "g-2-linear"]
    code, out, err = fierce("infer", "g-2-linear", "--split", "val")
    assert code == 0, err
    code, out, err = fierce("infer", "g")
    assert (code, "not one checkpoint" in err) == (2, True)


def test_json_is_one_document_with_every_peer(fierce) -> None:
    code, out, err = fierce("mutual", *SMALL, "--method", "dml", "--format", "json", "--progress", "jsonl")
    assert code == 0, err
    document = json.loads(out)
    assert document["method"] == "dml"
    assert document["run"] == "runs/digits-mlp-8-linear-dml-s0"
    assert [Path(p["run"]).name[-10:] for p in document["peers"]] == ["s0-1-mlp-8", "0-2-linear"]
    mean = np.mean([p["test_accuracy"] for p in document["peers"]])
    assert document["test_accuracy"] == pytest.approx(mean)
    events = [json.loads(line) for line in err.split("\n") if line.startswith("{")]
    assert [(e["event"], e["epoch"], len(e["peers"])) for e in events] == [("epoch", 1, 2), ("epoch", 2, 2)]


def test_wrong_labels_among_the_exchanged(fierce, noisy_file: Path) -> None:
    code, out, err = fierce(
        "mutual", "--data", "arrays:noisy.npz", "--models", "linear,linear", "--epochs", "2", "--method", "mkd",
        "--name", "w", "--format", "json", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    arrays = np.load(noisy_file)
    for peer in json.loads(out)["peers"]:
        assert peer["train_exchanged"] == pytest.approx(1)
        assert peer["train_exchanged_wrong"] == pytest.approx(
            np.mean(arrays["train_labels"] != arrays["train_targets"]), abs=0.05
        )
    code, out, err = fierce("mutual", *SMALL, "--method", "self-kd", "--format", "json")
    assert json.loads(out)["peers"][0].get("train_exchanged_wrong") is None


def test_a_recipe_flags_and_settings(fierce, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        '[train]\nepochs = 1\nseed = 5\n[mutual]\nmodels = ["mlp:8", "mlp:8"]\nmethod = "cmd"\nchi = 2.0\n'
    )
    common = ("--device", "cpu")
    code, _, err = fierce(
        "mutual", "r.toml", "--seed", "6", "--set", "mutual.chi=2.2", "--dropout", "0.1", "--name", "x", *common
    )
    assert code == 0, err
    made = tomllib.loads(Path("runs/x/recipe.toml").read_text())
    assert (made["train"]["seed"], made["mutual"]["chi"], made["mutual"]["models"]) == (6, 2.2, ["mlp:8", "mlp:8"])
    assert made["mutual"]["model_options"] == ["dropout=0.1"]
    peer = tomllib.loads(Path("runs/x-2-mlp-8/recipe.toml").read_text())
    assert (peer["model"]["name"], peer["model"]["dropout"], peer["mutual"]) == ("mlp:8", 0.1, made["mutual"])
    for source in ("x", "x-2-mlp-8"):
        code, _, err = fierce("mutual", f"runs/{source}/recipe.toml", "--name", f"{source}-again")
        assert code == 0, err
        for n in (1, 2):
            a, b = (
                weights(f"runs/x-{n}-mlp-8/model.safetensors"),
                weights(f"runs/{source}-again-{n}-mlp-8/model.safetensors"),
            )
            assert all(np.array_equal(a[k], b[k]) for k in a), "the recipe of a group, or of a peer, makes them again"
    document = arrayfile.load_arrays(Path("runs/x-2-mlp-8/model.safetensors"))[1]
    assert document is not None
    assert document["recipe"]["mutual"]["method"] == "cmd"
    code, _, err = fierce("train", "runs/x/recipe.toml")
    assert (code, "fierce mutual" in err) == (2, True)


def test_a_recipe_of_one_model_makes_two_of_it(fierce, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('[model]\nname = "cnn"\nwidth = 2\n[train]\nepochs = 1\n')
    code, _, err = fierce("mutual", "one.toml", "--name", "o", "--device", "cpu")
    assert code == 0, err
    widths = [tomllib.loads(Path(f"runs/o-{n}-cnn/recipe.toml").read_text())["model"]["width"] for n in (1, 2)]
    assert widths == [2, 2]
    code, _, err = fierce(
        "mutual", "one.toml", "--models", "cnn", "linear", "--width", "3", "--name", "p", "--device", "cpu"
    )
    assert code == 0, err
    assert tomllib.loads(Path("runs/p-1-cnn/recipe.toml").read_text())["model"]["width"] == 3


@pytest.mark.slow
def test_compare_takes_peers_of_one_group_for_two_trainings_and_those_of_one_place_for_seeds(fierce) -> None:
    for seed in ("0", "1"):
        done = fierce(
            "mutual",
            "--models",
            "linear",
            "linear",
            "--epochs",
            "1",
            "--seed",
            seed,
            "--name",
            f"c{seed}",
            "--device",
            "cpu",
        )
        assert done[0] == 0, done[2]
    assert fierce("train", "--model", "linear", "--epochs", "1", "--name", "alone", "--device", "cpu")[0] == 0
    code, out, err = fierce("compare", "c0", "c1", "alone", "--skip", "mi,probe", "--format", "json")
    assert code == 0, err
    members = [row["members"] for row in json.loads(out)["rows"]]
    assert members == [["c0-1-linear", "c1-1-linear"], ["c0-2-linear", "c1-2-linear"], ["alone"]]


def test_two_of_the_datasets_model_when_nothing_is_said(fierce) -> None:
    code, _, err = fierce("mutual", "--epochs", "1", "--set", "model.width=2", "--name", "d", "--device", "cpu")
    assert code == 0, err
    assert Path("runs/d-1-cnn").is_dir()
    assert Path("runs/d-2-cnn").is_dir()
    a, b = weights("runs/d-1-cnn/model.safetensors"), weights("runs/d-2-cnn/model.safetensors")
    assert a["model.features.conv1.weight"].shape[0] == 2
    assert not np.array_equal(a["model.head.weight"], b["model.head.weight"])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--models", "cnn"), 2, "--models names 1 model, cnn, and mutual learning needs 2 or more"),
        (("--models", "cnn", "cnm"), 2, "did you mean 'cnn'"),
        (("cnn", "mlp:8"), 2, "for models write --models cnn mlp:8"),
        (("a.toml", "b.toml"), 2, "two recipes"),
        (("none.toml",), 3, "does not exist"),
        (("--method", "cmdp"), 2, "did you mean 'cmd'"),
        (("--method", "dml", "--chi", "1"), 2, "--chi is an option of --method cmd"),
        (("--chi-start", "1"), 2, "add --chi-schedule linear"),
        (("--self-trust", "2"), 2, "expected 0 to 1"),
        (("--steepness", "0"), 2, "0.01 to 1000"),
        (("--models", "mlp:8", "linear", "--width", "3"), 2, "none of mlp:8, linear has such an option"),
        (("--models", "mlp:8", "mlp:8", "--dropout", "2"), 2, "--dropout is 2"),
        (("--set", "loss.name=fierce"), 2, "loss of its own"),
        (("--set", "mutual.chy=1"), 2, "did you mean 'chi'"),
        (("--epochs", "0"), 2, "--epochs is 0"),
        (("--patience", "2", "--val-fraction", "0"), 2, "there is no validation split"),
        (("--resume", "nothing"), 3, "unknown run"),
        (("--name", "a/b"), 2, "plain folder name"),
        (("--optimizer", "sgd", "--lr", "1e30"), 4, "the loss became"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_code(fierce, arguments: tuple[str, ...], code: int, said: str) -> None:
    got, out, err = fierce(
        "mutual", *arguments, *(() if {"--epochs", "--resume"} & set(arguments) else ("--epochs", "1"))
    )
    line = err.strip().split("\n")[-1]
    assert (got, said in line) == (code, True), err
    assert line.startswith("fierce: ")
    assert "Traceback" not in err
    assert not out
    if code == 4:
        assert {run.info()["state"] for run in runs.listing(Path("runs"))} == {"failed"}
    else:
        assert not Path("runs").exists(), "nothing was begun"


def test_a_name_that_is_taken_leaves_nothing_behind(fierce) -> None:
    Path("runs/t-2-linear").mkdir(parents=True)
    code, _, err = fierce("mutual", *SMALL, "--name", "t")
    assert (code, "runs/t-2-linear exists already" in err) == (2, True)
    assert [p.name for p in Path("runs").iterdir()] == ["t-2-linear"]


def test_stopped_by_ctrl_c_and_resumed_to_the_same_weights(fierce) -> None:
    command = (
        "--models",
        "mlp:64",
        "mlp:32",
        "--epochs",
        "3",
        "--batch-size",
        "64",
        "--chi-schedule",
        "linear",
        "--device",
        "cpu",
    )
    job = Job("mutual", *command, "--name", "cut", hold=(EPOCH, 3)).held()  # a line of each peer, one of the group
    code, _, err = fierce("mutual", "--resume", "cut")
    assert (code, "is being trained by process" in err) == (2, True)
    job.send(signal.SIGINT)
    assert job.end() == 130, job.err
    assert "everything is saved; go on with `fierce mutual --resume runs/cut`" in job.err
    assert not job.out
    every = [runs.Run(Path(f"runs/{n}")) for n in ("cut", "cut-1-mlp-64", "cut-2-mlp-32")]
    assert [run.info()["state"] for run in every] == ["stopped"] * 3
    assert [run.state_path.exists() for run in every] == [True, False, False]
    assert len(every[0].metrics()) == 1
    for name in ("cut", "cut-1-mlp-64"):
        code, _, err = fierce("train", "--resume", name)
        assert (code, "fierce mutual --resume runs/cut" in err) == (2, True)
    code, _, err = fierce("analyze", "entropy", "cut")
    assert (code, "`fierce mutual --resume runs/cut-1-mlp-64`" in err) == (3, True)
    code, _, err = fierce("mutual", "--resume", "cut-1-mlp-64")  # a peer stands for its group
    assert code == 0, err
    assert fierce("mutual", *command, "--name", "whole")[0] == 0
    for peer in ("1-mlp-64", "2-mlp-32"):
        cut, whole = weights(f"runs/cut-{peer}/model.safetensors"), weights(f"runs/whole-{peer}/model.safetensors")
        assert all(np.array_equal(cut[k], whole[k]) for k in whole)
    timeless = [
        [
            {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")}
            for row in runs.Run(Path(f"runs/{n}")).metrics()
        ]
        for n in ("cut", "whole", "cut-2-mlp-32", "whole-2-mlp-32")
    ]
    assert timeless[0] == timeless[1]
    assert timeless[2] == timeless[3]
    code, _, err = fierce("mutual", "--resume", "cut")
    assert (code, "is done, there is nothing to resume" in err) == (2, True)
    code, _, err = fierce("mutual", "--resume", "cut", "--chi", "1")
    assert (code, "leave out --chi" in err) == (2, True)


def test_a_single_run_is_no_group(fierce) -> None:
    assert fierce("train", "--model", "linear", "--epochs", "1", "--name", "s", "--device", "cpu")[0] == 0
    code, _, err = fierce("mutual", "--resume", "s")
    assert (code, "run s is no group of peers" in err) == (3, True)


def test_flags_of_mutual_learning_are_nobody_elses() -> None:
    own = {o.name for o in recipe.spec("mutual").options}
    others = {o.name for s in recipe.SECTIONS for o in recipe.spec(s).options}
    for menu in recipe.MENUS.values():
        for name in menu.names():
            others |= {o.name for o in binding.read_function(menu.source(name), name.replace("-", "_"), name).options}
    assert not own & others


def test_flags_are_read_from_the_source_as_they_are() -> None:
    import inspect
    from typing import get_args, get_type_hints

    from rich.text import Text

    from fierce_tools.cli.options import escape
    from fierce_tools.training import mutual

    read = {o.name: o for o in recipe.spec("mutual").options}
    for function in (mutual.peer_recipes, mutual.exchange):
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is not parameter.KEYWORD_ONLY:
                continue
            option = read.pop(parameter.name)
            assert (option.default, option.help) == (parameter.default, get_args(hints[parameter.name])[1])
            assert option.convert(option.default) == option.default
            assert Text.from_markup(escape(option.help)).plain == option.help
            assert option.help[-1] != "."
    assert not read

"""Datasets from the command line: what was made of them is trained on, recorded, and found again when asked."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from fierce_tools import files, outputs, recipe, runs
from fierce_tools.data import digits
from fierce_tools.data._splits import split
from fierce_tools.data._transform import transform

QUICK = ("--epochs", "1", "--model", "mlp:16", "--device", "cpu", "--progress", "off")


@pytest.fixture
def mixtures(tmp_path: Path) -> Path:
    """A hyperspectral file of 90 pixels of three kinds."""
    rng = np.random.default_rng(0)
    z = rng.dirichlet(np.ones(3) / 2, 90)
    np.savez(tmp_path / "scene.npz", pixels=z @ rng.random((3, 12)), abundances=z)
    return tmp_path / "scene.npz"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({}, "digits"),
        ({"name": "toys:age"}, "toys-age"),
        ({"name": "hyperspectral:/data/my_scene.mat"}, "my_scene"),
        ({"name": "folder:/data/cats.v2/"}, "cats"),
        ({"name": "folder:/data/pets"}, "pets"),
        ({"coarse": "odd-even", "label_noise": 0.4}, "digits-odd-even-label-noise0.4"),
        ({"coarse": "/maps/mine.json", "per_class": 10, "draw_seed": 2}, "digits-mine-per-class10-draw-seed2"),
        ({"classes": ["3", "5"], "imbalance": 10}, "digits-classes-3-5-imbalance10"),
        ({"val_fraction": 0.3}, "digits"),
    ],
)
def test_runs_are_named_by_what_they_are_trained_on(tmp_path: Path, data: dict, name: str) -> None:
    made = recipe.resolve({"data": data, "model": {"name": "linear"}})
    assert runs.create(tmp_path, made).name == f"{name}-linear-ce-s0"


def test_a_noisy_run_is_asked_about_the_labels_it_was_trained_on(fierce) -> None:
    code, _, err = fierce("train", "--label-noise", "0.4", "--coarse", "odd-even", *QUICK, "--name", "noisy")
    assert code == 0, err
    plain = split(transform(digits(), coarse="odd-even"))
    noisy = split(transform(digits(), coarse="odd-even", label_noise=0.4))
    for part in ("train", "val", "test"):
        assert fierce("infer", "noisy", "--split", part, "--device", "cpu", "--out", f"{part}.safetensors")[0] == 0
        made = outputs.load(Path(f"{part}.safetensors"))
        np.testing.assert_array_equal(made.get("labels"), getattr(noisy, part).labels)
        np.testing.assert_array_equal(made.get("targets"), getattr(plain, part).targets)
        np.testing.assert_array_equal(made.get("index"), getattr(plain, part).index)
    code, out, err = fierce("analyze", "linear-probe", "noisy", "--on", "targets", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["results"][0]["values"]["classes"] == 10


def test_fine_targets_are_asked_for(fierce, mixtures: Path) -> None:
    assert fierce("train", "--data", "toys:age", *QUICK, "--name", "age")[0] == 0
    code, out, err = fierce("analyze", "coarse-regression", "age", "--bootstrap", "0", "--format", "json")
    assert code == 0, err
    estimates = {e["name"]: e["mse"] for e in json.loads(out)["results"][0]["values"]["estimates"]}
    assert estimates["rank matching"] < estimates["one mean for all"] / 3
    code, _, err = fierce("train", "--data", f"hyperspectral:{mixtures.name}", *QUICK, "--name", "scene")
    assert code == 0, err
    assert "scene.npz: pixels are 'pixels' [90, 12], abundances 'abundances' [90, 3]" in err
    code, out, err = fierce("analyze", "abundance-regression", "scene", "--steps", "50", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["results"][0]["values"]["raw"]["squared_error"] < 2


def test_files_are_found_from_any_folder(fierce, mixtures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.json").write_text('{"0": "most", "1": "most", "2": "last"}')
    np.savez("truth.npz", A=np.load(mixtures)["abundances"])
    more = ("--coarse", "mine.json", "--truth-file", "truth.npz")
    code, _, err = fierce("train", "--data", "hyperspectral:scene.npz", *more, *QUICK, "--name", "x")
    assert code == 0, err
    section = tomllib.loads(Path("runs/x/recipe.toml").read_text())["data"]
    here = Path.cwd()
    assert section["name"] == f"hyperspectral:{here / 'scene.npz'}"
    assert (section["coarse"], section["truth_file"]) == (str(here / "mine.json"), str(here / "truth.npz"))
    Path("other").mkdir()
    monkeypatch.chdir("other")
    code, _, err = fierce("infer", str(here / "runs" / "x"), "--split", "train", "--device", "cpu")
    assert code == 0, err
    (here / "mine.json").write_text('{"0": "most", "1": "last", "2": "last"}')
    code, _, err = fierce("infer", str(here / "runs" / "x"), "--split", "train", "--device", "cpu")
    assert (code, "is not what x was trained on" in err) == (3, True), err


def test_other_data_are_labelled_alike(fierce) -> None:
    """The classes chosen hold for other data too, unless those have as many already; the training split is whole."""
    made = digits()
    held = {f"{s}_{k}": getattr(made, f"{s}_{k}") for s in ("train", "test") for k in ("images", "labels")}
    np.savez("ten.npz", **held)
    two = {k: v[held[f"{k.split('_')[0]}_labels"] < 2] for k, v in held.items()}
    np.savez("two.npz", **two)
    code, _, err = fierce("train", "--classes", "8,3", "--per-class", "20", *QUICK, "--name", "some")
    assert code == 0, err

    def labels(data: str, part: str) -> np.ndarray:
        more = ("--data", data, "--split", part, "--out", f"{len(list(Path().glob('*.safetensors')))}.safetensors")
        code, out, err = fierce("infer", "some", "--device", "cpu", *more)
        assert code == 0, err
        return outputs.load(Path(out.strip().split("\n")[-1].strip())).get("labels")

    expected = split(transform(made, classes=("8", "3")))
    np.testing.assert_array_equal(labels("arrays:ten.npz", "test"), expected.test.labels)
    np.testing.assert_array_equal(labels("arrays:ten.npz", "train"), expected.train.labels)
    np.testing.assert_array_equal(labels("arrays:two.npz", "test"), two["test_labels"])
    assert np.bincount(labels("digits", "train")).tolist() == [20, 20], "its own data, as they were"


def test_weights_of_some_classes_are_imported(fierce) -> None:
    import torch

    save_file({"head.weight": torch.zeros(3, 64), "head.bias": torch.zeros(3)}, "w.safetensors")
    said = ("import", "w.safetensors", "--model", "linear", "--data", "digits", "--classes", "3,5,8")
    code, _, err = fierce(*said)
    assert code == 0, err
    _, document = files.read_header(Path("w.fierce.safetensors"))
    assert document is not None
    assert document["class_names"] == ["3", "5", "8"]


def test_a_resumed_run_goes_on_with_the_same_noise(fierce) -> None:
    from fierce_tools.experiments._record import options_of, prepare, record

    made = recipe.resolve({"data": {"label_noise": 0.3}, "model": {"name": "linear"}, "train": {"epochs": 2}})
    for name in ("whole", "halted"):
        events = record(prepare(made), runs.create(Path("runs"), made, name), [], **options_of(made, record))
        if name == "halted":
            next(events)
            events.close()
        else:
            list(events)
    assert fierce("train", "--resume", "halted", "--progress", "off")[0] == 0
    from safetensors.numpy import load_file

    whole, halted = (load_file(f"runs/{n}/model.safetensors") for n in ("whole", "halted"))
    for name in whole:
        np.testing.assert_array_equal(whole[name], halted[name])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--coarse", "odd-evn"), 2, "did you mean 'odd-even'"),
        (("--coarse", "superclasses"), 2, "--coarse superclasses is for the classes of cifar100"),
        (("--coarse", "none.json"), 3, "none.json does not exist"),
        (("--bins", "2"), 2, "--bins cuts one number for each example, digits has none"),
        (("--classes", "3,x"), 2, "unknown class of digits: 'x'"),
        (("--per-class", "0"), 2, "--per-class is 0"),
        (("--imbalance", "1e6"), 2, "without a training example"),
        (("--label-noise", "2"), 2, "--label-noise is 2, expected 0 to 1"),
        (("--noise-kind", "pairwis"), 2, "did you mean 'pairwise'"),
        (("--data", "toys:aeg"), 2, "did you mean 'age'"),
        (("--data", "toys"), 2, "write toys:KIND"),
        (("--data", "folder:nowhere"), 3, "nowhere does not exist"),
        (("--data", "hyperspectral:x.csv"), 3, "neither .npz nor .mat"),
        (("--points", "9"), 2, "--points is an option of dataset toys"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(fierce, arguments: tuple, code: int, said: str) -> None:
    got, out, err = fierce("train", *arguments, *QUICK)
    assert (got, out) == (code, "")
    assert said in err
    assert len(err.strip().split("\n")) == 1
    assert not Path("runs").exists()


def test_they_are_listed_with_what_holds_for_all(fierce) -> None:
    out = fierce("list", "datasets")[1]
    for said in ("folder:PATH", "hyperspectral:FILE", "toys:KIND", "rotated-mnist", "cifar100", "For any of them: "):
        assert said in out
    assert "--label-noise" in out

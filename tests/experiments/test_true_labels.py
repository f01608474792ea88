"""Where true labels are known beside noisy ones: accuracy against both, and which of them a training is chosen by."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import EDITION

from fierce_tools import files, outputs, recipe, runs, same
from fierce_tools.errors import UsageError
from fierce_tools.experiments._record import prepare

QUICK = ("--model", "mlp:16", "--device", "cpu", "--progress", "off")
MEASURED = ("train_accuracy", "train_target_accuracy", "val_target_accuracy")


def rows(name: str) -> list[dict[str, Any]]:
    return runs.Run(Path("runs") / name).metrics()


def against(name: str, split: str, fierce: Any) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Accuracy against labels and against targets, logits and targets, of a finished run's outputs."""
    code, _, err = fierce("infer", name, "--split", split, "--device", "cpu", "--out", f"{split}.safetensors")
    assert code == 0, err
    made = outputs.load(f"{split}.safetensors")
    guess, targets = made.logits.argmax(axis=1), made.get("targets")
    return float((guess == made.labels).mean()), float((guess == targets).mean()), made.logits, targets


def test_accuracy_is_measured_against_noisy_and_true_labels_of_every_split(fierce: Any) -> None:
    code, out, err = fierce("train", "--label-noise", "0.4", *QUICK, "--lr", "0.01", "--epochs", "3", "--name", "n")
    assert code == 0, err
    assert "training  validation    test" in out
    assert [line.split()[:-3] for line in out.splitlines() if "accuracy" in line] == [
        ["accuracy"],
        ["accuracy", "against", "true", "labels"],
    ]
    last, test = rows("n")[-1], runs.Run(Path("runs/n")).info()["test"]
    train, true, *_ = against("n", "train", fierce)
    assert (last["train_accuracy"], last["train_target_accuracy"]) == pytest.approx((train, true))
    assert true > train + 0.2, "what was learned is the truth, not the noise"
    val, true, *_ = against("n", "val", fierce)
    assert last["val_target_accuracy"] == last["val_accuracy"] == pytest.approx(val)
    _, true, *_ = against("n", "test", fierce)
    assert test["test_target_accuracy"] == pytest.approx(true)
    assert all(set(MEASURED) <= set(row) for row in rows("n"))


@pytest.mark.parametrize("kind", ["coarse", "classes", "bins", "ages"])
def test_noise_is_measured_whatever_the_targets_are(kind: str, fierce: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The true labels are those that noise is put on; targets stay what they are."""
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    held: dict[str, np.ndarray] = {}
    for part, count in (("train", 60), ("val", 30), ("test", 30)):
        labels = np.arange(count) % 3
        images = (rng.normal(size=(count, 4)) + 9 * np.eye(4)[labels]).astype(np.float32)
        ages = labels * 10 + rng.random(count)
        held |= {f"{part}_images": images, f"{part}_labels": labels, f"{part}_targets": ages}
    np.savez("ages.npz", **held)
    more = {"coarse": ("digits", "--coarse", "odd-even"), "ages": ("arrays:ages.npz",),
            "classes": ("arrays:ages.npz", "--classes", "2,0"), "bins": ("arrays:ages.npz", "--bins", "3")}[kind]  # fmt: skip
    quick = ("--model", "linear", "--device", "cpu", "--progress", "off", "--epochs", "2", "--lr", "0.01")
    code, out, err = fierce(
        "train",
        "--data",
        *more,
        *quick,
        "--label-noise",
        "0.4",
        "--validate-on",
        "targets",
        "--save-best",
        "--name",
        "n",
    )
    assert code == 0, err
    made, ready = runs.Run(Path("runs/n")), prepare(runs.Run(Path("runs/n")).recipe())
    clean = prepare(
        recipe.resolve({**made.recipe().as_dict()}, {"data.label_noise": 0.0, "train.validate_on": "labels"})
    )
    for part in ("train", "val", "test"):
        one, other = ready.splits.get(part), clean.splits.get(part)
        np.testing.assert_array_equal(one.true_labels, other.labels)
        np.testing.assert_array_equal(one.targets, other.targets)
    assert (ready.splits.train.labels != clean.splits.train.labels).mean() == pytest.approx(0.4, abs=0.02)
    code, _, err = fierce("infer", "n", "--split", "train", "--device", "cpu", "--out", "o.safetensors")
    assert code == 0, err
    guess = outputs.load("o.safetensors").logits.argmax(axis=1)
    last = rows("n")[-1]
    assert last["train_target_accuracy"] == pytest.approx((guess == clean.splits.train.labels).mean())
    assert last["val_target_accuracy"] == last["val_accuracy"]
    test = made.info()["test"]
    assert test["test_target_accuracy"] == test["test_accuracy"]
    _, out, _ = fierce("runs", "show", "n")
    assert "train_accuracy" in out
    assert "train_target_accuracy" in out


def test_where_labels_are_true_or_truth_is_unknown_nothing_is_added(fierce: Any) -> None:
    for name, more in (("plain", ()), ("coarse", ("--coarse", "odd-even"))):
        code, out, err = fierce("train", *more, *QUICK, "--epochs", "1", "--name", name)
        assert code == 0, err
        assert not [key for key in rows(name)[0] if "target" in key or key == "train_accuracy"]
        assert "training" not in out


def flipped() -> str:
    """Two easy classes; all labels of validation are wrong, and targets are the truth of every split."""
    rng = np.random.default_rng(0)
    held: dict[str, np.ndarray] = {}
    for part, count in (("train", 64), ("val", 40), ("test", 20)):
        true = np.arange(count) % 2
        held[f"{part}_images"] = (rng.normal(size=(count, 6)) + 1.5 * true[:, None]).astype(np.float32)
        held[f"{part}_labels"], held[f"{part}_targets"] = true, true
    np.savez("flipped.npz", **{**held, "val_labels": 1 - held["val_targets"]})
    return "arrays:flipped.npz"


ON_FLIPPED = ("--epochs", "6", "--lr", "0.01", "--save-best", "--patience", "2")


def test_a_training_is_chosen_by_what_it_is_told(fierce: Any) -> None:
    data = flipped()
    for on in ("labels", "targets"):
        code, _, err = fierce("train", "--data", data, *QUICK, *ON_FLIPPED, "--validate-on", on, "--name", on)
        assert code == 0, err
    plain, true = rows("labels"), rows("targets")
    assert (len(plain), len(true)) == (3, 6), "the loss against flipped labels only rises"
    for row in true:
        assert row["val_accuracy"] == pytest.approx(1 - row["val_target_accuracy"])
    for on, figure, by_epoch in (("labels", "val_accuracy", plain), ("targets", "val_target_accuracy", true)):
        _, document = files.read_header(Path(f"runs/{on}/epochs/best.safetensors"))
        best = max(by_epoch, key=lambda row: row[figure])  # the first of equals
        assert document is not None
        assert document["epoch"] == best["epoch"]
    chosen = [max(true, key=lambda row: row[figure])["epoch"] for figure in ("val_accuracy", "val_target_accuracy")]
    assert chosen[0] != chosen[1], "the other choice would have been another epoch"
    *_, logits, targets = against("targets", "val", fierce)
    z = logits.astype(float)
    nll = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), targets]
    assert true[-1]["val_target_loss"] == pytest.approx(nll.mean(), rel=1e-4)
    assert "val_target_loss" not in plain[-1]


def test_peers_are_chosen_by_it_each_for_itself(fierce: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    data = ("--data", flipped(), "--models", "linear", "mlp:4", "--method", "dml")
    code, out, err = fierce(
        "mutual", *data, *ON_FLIPPED, "--device", "cpu", "--progress", "off", "--validate-on", "targets", "--name", "g",
        "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    for peer in json.loads(out)["peers"]:
        name = Path(peer["run"]).name
        *_, logits, targets = against(name, "val", fierce)
        z = logits.astype(float)
        nll = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), targets]
        assert rows(name)[-1]["val_target_loss"] == pytest.approx(nll.mean(), rel=1e-4)
        assert peer["test_target_accuracy"] == peer["test_accuracy"]
    shown = fierce("mutual", "--models", "linear", "linear", *("--data", "digits", "--label-noise", "0.4"),
                   "--device", "cpu", "--progress", "off", "--epochs", "1", "--name", "h")[1]  # fmt: skip
    assert "train accuracy  on true labels" in shown
    group = rows("g")[-1]
    assert math.isclose(group["val_target_accuracy"], 1 - group["val_accuracy"])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "none are known of it"),
        ({"data.coarse": "odd-even"}, "none are known of it"),
        ({"data.label_noise": 0.2, "data.val_fraction": 0.0}, "there is no validation split"),
    ],
)
def test_true_labels_that_are_not_known_cannot_be_gone_by(options: dict[str, Any], why: str) -> None:
    made = recipe.resolve({}, {"model.name": "linear", "train.validate_on": "targets", **options})
    with pytest.raises(UsageError, match=why):
        prepare(made)


def test_it_is_said_where_nothing_is_chosen() -> None:
    options = {"model.name": "linear", "data.label_noise": 0.2, "train.validate_on": "targets", "train.device": "cpu"}
    (line,) = prepare(recipe.resolve({}, options)).warnings()
    assert line == "--validate-on targets chooses nothing without --save-best or --patience"
    assert prepare(recipe.resolve({}, {**options, "train.save_best": True})).warnings() == []


def test_recipes_from_before_are_what_the_same_recipes_are_today() -> None:
    for name in ("half", "student", "pair", "peers-hard-s0"):
        path = EDITION / "runs" / name / "recipe.toml"
        assert "validate_on" not in path.read_text()
        before = runs.Run(path.parent).recipe()
        assert before.train["validate_on"] == "labels"
        today = before.as_dict()
        del today["train"]["validate_on"]
        assert same.training(recipe.resolve(today).as_dict()) == same.training(before.as_dict())
        assert same.training(recipe.resolve(today, {"train.validate_on": "targets"}).as_dict()) != same.training(
            before.as_dict()
        )


def test_experiments_that_choose_for_themselves_have_no_such_option() -> None:
    """Their answers are kept by their options: those kept before are found."""
    from fierce_tools import binding
    from fierce_tools.menu import EXPERIMENTS

    named = [o.name for n in EXPERIMENTS.names() for o in recipe.training_options(binding.read(EXPERIMENTS, n))]
    assert any(name.endswith("batch_size") for name in named)
    assert not [name for name in named if name.endswith("validate_on")]

"""Entropy against batch size and epochs: values against the analysis of it, snapshots against trainings of their length."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import checkpoints, outputs, runs
from fierce_tools.experiments.batch_epochs import BatchEpochs, some
from fierce_tools.report import Heat, Lines, Table

ASKED = ("analyze", "batch-epochs", "--model", "mlp:8,linear", "--batch-sizes", "32,1024:8192:*2", "--epochs", "3,1,2")
MORE = ("--lr", "0.01", "--device", "cpu", "--progress", "off")


@pytest.mark.slow
def test_the_values_and_the_runs_they_come_from(fierce) -> None:
    code, out, err = fierce(*ASKED, *MORE, "--format", "json")
    assert code == 0, err
    found = json.loads(out)["results"][0]["values"]["found"]
    # Batches of 2048, 4096 and 8192 are all one of the 1,294 training examples.
    assert [(e["model"], e["batch"], e["epochs"]) for e in found] == [
        (m, b, e) for m in ("mlp:8", "linear") for b in (32, 1024, 1294) for e in (1, 2, 3)
    ]
    assert len(runs.listing(Path("runs"))) == 6
    assert {e["steps"] for e in found if e["batch"] == 1294} == {1, 2, 3}
    names = {e["run"] for e in found}
    one = next(e for e in found if (e["model"], e["batch"], e["epochs"]) == ("mlp:8", 32, 2))
    # The same entropy as the analysis says of the snapshot, and as its definition says of the logits.
    asked = ("analyze", "entropy", f"runs/{one['run']}", "--epochs", "2", "--temperatures", "5,9")
    entropy = json.loads(fierce(*asked, "--format", "json")[1])["results"][0]["values"]["mean"]
    assert (one["curve"][4], one["entropy"]) == pytest.approx(tuple(entropy), rel=1e-6)
    z = outputs.load(Path(f"runs/{one['run']}/outputs/epoch-0002/test.safetensors")).logits.astype(np.float64) / 9
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert one["entropy"] == pytest.approx(-(p * np.log(p)).sum(axis=1).mean(), rel=1e-5)
    # At a constant rate a snapshot is a training of that length.
    short = ("train", "--model", "mlp:8", "--batch-size", "32", "--epochs", "2", "--lr", "0.01", "--name", "short")
    assert fierce(*short, "--device", "cpu")[0] == 0
    pair = [Path(f"runs/{one['run']}/epochs/0002.safetensors"), Path("runs/short/model.safetensors")]
    assert len({checkpoints.load(path).content_sha256 for path in pair}) == 1
    assert runs.Run(Path("runs/short")).info()["test"]["test_accuracy"] == one["accuracy"]
    # Said again, nothing is trained; the training split has soft labels of its own.
    again = json.loads(fierce(*ASKED, *MORE, "--format", "json", "--on", "train")[1])["results"][0]["values"]
    assert {e["run"] for e in again["found"]} == names
    assert len(runs.listing(Path("runs"))) == 7
    assert again["found"][0]["entropy"] != found[0]["entropy"]
    assert again["found"][0]["accuracy"] == found[0]["accuracy"]


def test_what_is_shown(fierce) -> None:
    asked = ("analyze", "batch-epochs", "--model", "mlp:8", "--batch-sizes", "32,64", "--epochs", "1,2", "--seeds", "2")
    code, out, err = fierce(*asked, "--set", "train.schedule=cosine", "--temperature", "4", "--save", "b.csv")
    assert code == 0, err
    for words in (
        "mlp:8: entropy at T=4 (nats)",
        "mlp:8: test accuracy",
        "batch 64",
        "label smoothing, α = T/20",
        "adam 0.001 cosine, on digits, 2 seeds",
        "a snapshot is no training of that length",
    ):
        assert words in out, words
    row = Path("b.csv").read_text().splitlines()[1].split(",")
    assert row[:3] == ["mlp:8", "32", "82.0" if "." in row[2] else "82"]
    assert float(row[4]) > 0, "a deviation over two seeds"


def test_larger_batches_raise_the_entropy_and_epochs_lower_it() -> None:
    from fierce_tools.experiments._workshop import Workshop
    from fierce_tools.experiments.batch_epochs import batch_epochs

    shop = Workshop(Path("runs"), {"train": {"device": "cpu", "lr": 0.01}})
    made = batch_epochs(shop, model=("mlp:32",), batch_sizes=(16, 256), epochs=(1, 8))
    h = {(e["batch"], e["epochs"]): e["entropy"] for e in made.found}
    assert h[16, 1] > h[16, 8] + 0.2
    assert h[256, 8] > h[16, 8] + 0.2
    report = made.report()
    heats = [b for b in report.blocks if isinstance(b, Heat)]
    assert heats[0].values == ((h[16, 1], h[16, 8]), (h[256, 1], h[256, 8]))
    form = [b for b in report.blocks if isinstance(b, Lines)][-1]
    line = {round(x / 20, 6): y for x, y in zip(form.series[-1].x, form.series[-1].y, strict=True)}
    # Vats' line for ten classes.
    for alpha, value in {0.2: 0.8669, 0.3: 1.1765, 0.5: 1.6769, 0.9: 2.2660}.items():
        assert line[alpha] == pytest.approx(value, abs=1e-4)
    assert form.series[0].y[8] == h[16, 1]


def test_runs_that_fail_and_what_cannot_be(fierce) -> None:
    asked = ("analyze", "batch-epochs", "--model", "mlp:8", "--epochs", "1", "--batch-sizes")
    code, _, err = fierce(*asked, "64", "--lr", "1e30")
    assert code == 4
    assert "no run could be trained" in err
    code, _, err = fierce("analyze", "batch-epochs", "--model", "mlp:8,cnn:3", "--epochs", "1", "--batch-sizes", "64")
    assert code == 2
    for more in (("0,16",), ("16", "--seeds", "0"), ("16", "--temperature", "0"), ("16", "--set", "train.epochs=3")):
        code, _, err = fierce(*asked, *more)
        assert code == 2, err
    code, _, err = fierce("analyze", "batch-epochs", "--model", "cnn", "mlp:8")
    assert (code, "--model cnn,mlp:64" in err) == (2, True)


def test_a_few_of_many() -> None:
    assert some([1, 2, 5], 3) == [1, 2, 5]
    assert some([1, 2, 5, 10, 20], 1) == [20]
    assert some([1, 2, 5, 10, 20], 2) == [1, 20]
    assert some([1, 2, 5, 10, 20], 3) == [1, 5, 20]


def test_the_table_counts_runs_that_are_missing() -> None:
    """Of three seeds one failed: 2 of 3, and mean and sd are of the others."""
    one = {"model": "m", "batch": 8, "epochs": 1, "steps": 4, "accuracy": 0.5, "curve": (1.0, 1.0), "run": "r"}
    found = tuple({**one, "seed": s, "entropy": e} for s, e in ((0, 1.0), (2, 2.0)))
    made = BatchEpochs(found, 9.0, (1, 2), 10, 100, ("Failed: seed 1.",), (), seeds=3)
    (table,) = [b for b in made.report().blocks if isinstance(b, Table)]
    assert (table.columns[-1], table.rows[0][-1]) == ("n", "2 of 3")
    assert table.rows[0][3:5] == (1.5, pytest.approx(0.5**0.5, abs=1e-4))
    (alone,) = [b for b in BatchEpochs(found[:1], 9.0, (1, 2), 10, 100, (), ()).report().blocks if isinstance(b, Table)]
    assert "n" not in alone.columns

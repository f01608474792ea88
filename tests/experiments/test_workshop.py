"""Ordinary runs of experiments: found again by what they compute, gone on with, named by what varies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fierce_tools import checkpoints, recipe, runs
from fierce_tools.errors import Interrupted, UsageError
from fierce_tools.experiments._cells import Begun, Cell, Ended, Found, Measured, Stepped
from fierce_tools.experiments._workshop import Workshop, source_of

SMALL = {"model.name": "mlp:8", "train.epochs": 2, "train.device": "cpu"}
ROOT = Path("runs")


def cell(**others: Any) -> Cell:
    varied = {key.replace("__", "."): value for key, value in others.items()}
    return Cell(recipe.resolve({}, {**SMALL, **varied}), varied)


def content(run: runs.Run) -> str:
    return checkpoints.load(run.model_path).content_sha256


def test_what_is_done_is_not_trained_again_and_equals_a_plain_training(fierce) -> None:
    heard: list[Any] = []
    shop = Workshop(ROOT, listen=heard.append)
    cells = [cell(train__lr=0.01), cell(train__lr=0.02)]
    first = shop.train(cells)
    assert [e.reused for e in first] == [False, False]
    assert [type(e) for e in heard[:2]] == [Found, Begun]
    assert sum(isinstance(e, Measured) for e in heard) == 4
    steps = [e for e in heard if isinstance(e, Stepped)]
    assert {e.steps for e in steps} == {21}
    assert heard[1].epochs == 4
    code, _, err = fierce(
        "train", "--model", "mlp:8", "--epochs", "2", "--lr", "0.02", "--device", "cpu", "--name", "alone"
    )
    assert code == 0, err
    assert content(runs.Run(ROOT / "alone")) == content(first[1].run)
    heard.clear()
    again = shop.train([*reversed(cells)])
    assert [e.reused for e in again] == [True, True]
    assert again[1].run == first[0].run
    assert heard[0] == Found(2, 2)
    assert {type(e) for e in heard[1:]} == {Ended}
    assert again[1].figures()["test_accuracy"] == first[0].run.info()["test"]["test_accuracy"]


def test_names_tell_what_varies_and_nothing_twice() -> None:
    cells = [cell(train__lr=0.01), cell(loss__name="fierce", loss__lam=0.3), cell(train__augment=("flip", "shift:2"))]
    cells += [cell(data__per_class=5), cell(data__val_fraction=0.2), cell(train__clip_norm=None)]
    names = [runs.create(ROOT, c.made, varied=c.varied).name for c in cells]
    assert names == [
        "digits-mlp-8-ce-lr0.01-s0",
        "digits-mlp-8-fierce-lam0.3-s0",
        "digits-mlp-8-ce-augment-flip-shift-2-s0",
        "digits-per-class5-mlp-8-ce-s0",
        "digits-mlp-8-ce-val_fraction0.2-s0",
        "digits-mlp-8-ce-clip_norm-None-s0",
    ]
    assert cells[2].label == "augment flip+shift:2, seed 0"


def test_a_run_without_the_snapshots_that_are_asked_for_is_another() -> None:
    shop = Workshop(ROOT)
    plain, kept = cell(), cell(train__save_at=(1,))
    (first,) = shop.train([plain])
    assert shop.find([kept]) == [None]
    (second,) = shop.train([kept])
    assert not second.reused
    assert content(first.run) == content(second.run)
    assert source_of(second.run, 1).epoch == "0001"
    assert source_of(second.run, 2).epoch is None
    assert shop.find([plain, kept]) == [second.run, second.run]
    (second.run.epochs_path / "0001.safetensors").unlink()
    assert shop.find([kept]) == [None]


def test_the_same_cell_twice_is_one_run_even_anew() -> None:
    shop = Workshop(ROOT)
    one, two = shop.train([cell(), cell()])
    assert (one.run, two.reused) == (two.run, True)
    from fierce_tools.experiments._loading import Places

    anew = replace(shop, places=Places(fresh=True)).train([cell(), cell()])
    assert [e.reused for e in anew] == [False, True]
    assert anew[0].run != one.run


def test_a_listener_stops_it_and_it_goes_on_to_the_same_weights() -> None:
    whole = Workshop(Path("whole")).train([cell(train__epochs=3)])[0].run

    def stop(event: Any) -> None:
        if isinstance(event, Stepped) and (event.epoch, event.step) == (1, 5):
            raise Interrupted("enough")

    with pytest.raises(Interrupted):
        Workshop(ROOT, listen=stop).train([cell(train__epochs=3), cell()])
    (stopped,) = runs.listing(ROOT)
    assert runs.state(stopped) == "stopped"
    heard: list[Any] = []
    ended = Workshop(ROOT, listen=heard.append).train([cell(train__epochs=3), cell()])
    assert ended[0].run == stopped
    assert heard[1].before == 1
    assert content(stopped) == content(whole)


def test_one_that_fails_is_told_of_and_the_others_go_on() -> None:
    bad, worse, good = cell(train__lr=1e30), cell(model__name="cnn", data__name="toys:spiral"), cell()
    ended = Workshop(ROOT).train([bad, worse, good])
    assert "nan" in str(ended[0].error)
    assert ended[0].figures() == {}
    assert ended[1].error is not None
    assert ended[1].run is None, "it never began, so there is no folder"
    assert ended[2].error is None
    assert len(runs.listing(ROOT)) == 2


def test_a_student_of_another_teacher_is_another() -> None:
    shop = Workshop(ROOT)
    teacher = shop.train([cell()])[0].run
    student = cell(distill__teachers=(str(teacher.model_path.absolute()),), train__seed=3)
    (first,) = shop.train([student])
    assert first.error is None
    assert shop.find([student]) == [first.run]
    other = shop.train([cell(train__seed=9)])[0].run
    teacher.model_path.write_bytes(other.model_path.read_bytes())
    assert shop.find([student]) == [None]


def test_what_an_experiment_decides_cannot_be_set() -> None:
    shop = Workshop(ROOT, settings={"train.lr": 0.5, "data.per_class": 5})
    assert shop.recipe({}).train["lr"] == 0.5
    assert shop.of_data().data["per_class"] == 5
    assert len(shop.splits.train) == 50
    with pytest.raises(UsageError, match=r"train\.lr"):
        shop.recipe({"train.lr": 0.1})

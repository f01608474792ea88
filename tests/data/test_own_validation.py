"""Data with a validation split of their own: it is used as it is, whatever is done to the labels, and earlier runs that
did not read it keep to what they were trained on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fierce_tools import arrayfile, outputs, recipe, runs
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._known import AS_THEN, as_trained
from fierce_tools.data._splits import split
from fierce_tools.data._transform import transform
from fierce_tools.errors import DataError, UsageError
from fierce_tools.training._teachers import load_soft_labels
from fierce_tools.training._transfer import restrict
from fierce_tools.training.train import dataset

TRAIN, VAL, TEST = 60, 24, 12


def made(**changes: Any) -> Dataset:
    """Four classes; an example's only pixel says which it is: training from 0, validation from 100, test from 200."""
    values: dict[str, Any] = {"name": "made", "class_names": ("a", "b", "c", "d")}
    for part, count, first in (("train", TRAIN, 0), ("val", VAL, 100), ("test", TEST, 200)):
        values[f"{part}_images"] = np.arange(first, first + count, dtype=np.float32)[:, None]
        values[f"{part}_labels"] = np.arange(count) * 7 % 4
    return Dataset(**{**values, **changes})


def without(data: Dataset) -> Dataset:
    return replace(data, val_images=None, val_labels=None, val_targets=None, val_index=None)


@pytest.mark.parametrize("fraction", [0, 0.5])
def test_it_is_the_validation_split_and_training_stays_whole(fraction: float) -> None:
    parts = split(made(), val_fraction=fraction, split_seed=3)
    assert parts.train.images[:, 0].tolist() == list(range(TRAIN))
    assert parts.val.images[:, 0].tolist() == list(range(100, 100 + VAL))
    assert parts.val.labels.tolist() == [i * 7 % 4 for i in range(VAL)]
    assert parts.val.index.tolist() == list(range(VAL)), "positions in its own arrays"
    assert (parts.train.source, parts.val.source, parts.test.source) == ("train", "val", "test")
    assert parts.get("val") is parts.val
    assert split(without(made())).val.source == "train"
    numbered = split(made(val_index=np.arange(VAL) + 50))
    assert numbered.val.index[0] == 50


def test_a_wrong_fraction_is_still_one() -> None:
    with pytest.raises(UsageError):
        split(made(), val_fraction=1)


def test_it_takes_part_in_whatever_is_done_to_labels(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"x": ["a", "c"], "y": ["b", "d"]}')
    coarse = split(transform(made(), coarse=str(tmp_path / "map.json")))
    assert coarse.val.labels.tolist() == [i * 7 % 4 % 2 for i in range(VAL)]
    assert coarse.val.targets is not None
    assert coarse.val.targets.tolist() == [i * 7 % 4 for i in range(VAL)]
    some = split(transform(made(), classes=("d", "b")))
    kept = [i for i in range(VAL) if i * 7 % 4 in (1, 3)]
    assert some.val.images[:, 0].tolist() == [100 + i for i in kept]
    assert some.val.index.tolist() == kept
    assert some.val.labels.tolist() == [int(i * 7 % 4 == 1) for i in kept]
    ages = {"train_targets": np.arange(60.0), "val_targets": np.arange(24.0) * 2.5, "test_targets": np.arange(12.0)}
    bins = split(transform(made(**ages), bins=2))
    assert bins.val.labels.tolist() == [int(2.5 * i >= 29.5) for i in range(VAL)]
    assert bins.val.targets is not None
    assert bins.val.targets.tolist() == ages["val_targets"].tolist()
    assert not transform(made(**{**ages, "val_targets": None}), bins=2).own_validation


def test_only_training_is_made_smaller_and_wrong() -> None:
    parts = split(transform(made(), per_class=8, label_noise=0.5))
    assert (len(parts.train), len(parts.val)) == (32, VAL)
    true = np.arange(VAL) * 7 % 4
    np.testing.assert_array_equal(parts.val.labels, true)
    np.testing.assert_array_equal(parts.val.targets, true)
    assert parts.val.true_labels is not None
    assert (parts.train.labels != parts.train.targets).sum() == 16


def test_true_labels_are_those_of_the_same_classes_only() -> None:
    true = {f"{part}_targets": getattr(made(), f"{part}_labels") for part in ("train", "val", "test")}
    noisy = made(**true, train_labels=np.roll(made().train_labels, 1))
    assert split(noisy).noisy
    assert not split(made(**true)).noisy, "no label is wrong"
    np.testing.assert_array_equal(split(noisy).train.true_labels, true["train_targets"])
    others: list[Dataset] = [
        made(),
        made(**{k: v.astype(float) for k, v in true.items()}),
        made(**{k: np.eye(4, dtype=int)[v] for k, v in true.items()}),
        made(**{**true, "test_targets": true["test_targets"] + 1}),
        transform(noisy, classes=("b", "a")),
        transform(made(train_targets=np.arange(60) % 4, val_targets=np.arange(24), test_targets=np.arange(12)), bins=2),
    ]
    for data in others:
        parts = split(data)
        assert parts.train.true_labels is None
        assert not parts.noisy
    made_wrong = split(transform(made(), classes=("b", "a"), label_noise=0.5))
    assert made_wrong.train.true_labels is not None
    assert set(made_wrong.train.true_labels) == {0, 1}


def held(data: Dataset, *parts: str) -> dict[str, np.ndarray]:
    return {f"{part}_{kind}": getattr(data, f"{part}_{kind}") for part in parts for kind in ("images", "labels")}


def test_a_file_holds_it_and_the_data_say_so() -> None:
    np.savez("x.npz", **held(made(), "train", "val", "test"), val_targets=np.arange(VAL))
    data = dataset(recipe.resolve({"data": {"name": "arrays:x.npz"}}))
    assert data.val_targets is not None
    assert data.notes == ("its own validation split of 24 examples is used; --val-fraction cuts nothing",)
    some = dataset(recipe.resolve({"data": {"name": "arrays:x.npz", "classes": ("0", "1")}}))
    assert "of 12 examples" in some.notes[0]


def test_known_without_it_the_data_are_those_without_it() -> None:
    data = replace(made(), notes=("x.npz: not used: mean", "its own validation split of 24 examples is used; --val-fra"
                                  "ction cuts nothing"))  # fmt: skip
    before = without(data)
    assert as_trained(data, data.fingerprint()) is data
    assert as_trained(data, None) is data
    assert as_trained(data, "0" * 64) is data, "other data altogether: whoever asks says so"
    known = as_trained(data, before.fingerprint())
    assert known.fingerprint() == before.fingerprint()
    assert known.notes == ("x.npz: not used: mean", AS_THEN)
    assert as_trained(before, data.fingerprint()) is before


EARLIER = ("--data", "arrays:x.npz", "--model", "linear", "--device", "cpu", "--val-fraction", "0.4")


def stopped(name: str, made: recipe.Recipe) -> None:
    from fierce_tools.experiments._record import options_of, prepare, record

    events = record(prepare(made), runs.create(Path("runs"), made, name), [], **options_of(made, record))
    next(events)
    events.close()


def test_a_run_from_before_is_asked_and_resumed_with_the_validation_it_had(fierce: Any) -> None:
    """Version 0.1.0 took no notice of val_… in a file: a run on the file without them is what it left."""
    np.savez("x.npz", **held(made(), "train", "test"))
    options = {
        "data": {"name": "arrays:x.npz", "val_fraction": 0.4},
        "model": {"name": "linear"},
        "train": {"epochs": 2},
    }
    for name in ("whole", "half"):
        stopped(name, recipe.resolve(options))
    assert fierce("train", "--resume", "whole")[0] == 0
    then = split(without(made()), val_fraction=0.4).val.index.tolist()
    np.savez("x.npz", **held(made(), "train", "val", "test"))

    shutil.rmtree("runs/whole/outputs")
    code, _, err = fierce("infer", "whole", "--split", "val", "--device", "cpu", "--out", "v.safetensors")
    assert code == 0, err
    assert err.strip() == f"whole: {AS_THEN}"
    assert outputs.load("v.safetensors").get("index").tolist() == then
    code, _, err = fierce("train", "--resume", "half")
    assert code == 0, err
    assert AS_THEN in err
    losses = {n: [r["val_loss"] for r in runs.Run(Path("runs") / n).metrics()] for n in ("whole", "half")}
    assert losses["half"] == losses["whole"]

    code, _, err = fierce("train", *EARLIER, "--epochs", "1", "--name", "new")
    assert code == 0, err
    assert "its own validation split of 24 examples is used" in err
    code, _, err = fierce("infer", "new", "--split", "val", "--device", "cpu", "--out", "n.safetensors")
    assert (code, err) == (0, "")
    assert outputs.load("n.safetensors").get("index").tolist() == list(range(VAL))
    np.savez("x.npz", **held(replace(made(), train_images=made().train_images + 1), "train", "val", "test"))
    code, _, err = fierce("infer", "whole", "--split", "train", "--device", "cpu")
    assert (code, "is not what whole was trained on" in err) == (3, True)


def test_what_stands_beside_a_student_from_before_has_the_validation_it_had(fierce: Any) -> None:
    np.savez("x.npz", **held(made(), "train", "test"))
    code, _, err = fierce("train", *EARLIER, "--epochs", "1", "--name", "t")
    assert code == 0, err
    chain = ("distill-chain", "--teacher", "t", "--through", "mlp:2", "--student", "linear", "--name", "c")
    how = ("--epochs", "1", "--device", "cpu", "--progress", "off")
    assert fierce("distill", "--teacher", "t", "--student", "linear", *how, "--name", "s")[0] == 0
    assert fierce(*chain, *how)[0] == 0
    shutil.rmtree("runs/c-2-linear")
    np.savez("x.npz", **held(made(), "train", "val", "test"))

    code, _, err = fierce("distill", "--resume", "s", "--baseline", "--progress", "off")
    assert code == 0, err
    code, _, err = fierce(*chain, *how)
    assert code == 0, err
    before = runs.Run(Path("runs/t")).info()["dataset_sha256"]
    for name in ("s", "s-alone", "c-1-mlp-2", "c-2-linear"):
        assert runs.Run(Path("runs") / name).info()["dataset_sha256"] == before, name


def test_patience_without_a_validation_loss_is_refused(fierce: Any) -> None:
    """A file's soft labels are of training examples: of validation there is none to wait for."""
    np.savez("x.npz", **held(made(), "train", "val", "test"))
    np.savez("soft.npz", logits=np.eye(4, dtype=np.float32)[made().train_labels] * 5.5 - 2)
    words = ("distill", "--teacher-outputs", "soft.npz", "--data", "arrays:x.npz", "--student", "linear")
    words = (*words, "--epochs", "1", "--device", "cpu")
    code, out, err = fierce(*words, "--patience", "2")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "soft.npz has soft labels of 0 of the 24 validation examples; leave --patience out" in err
    assert not Path("runs").exists()
    code, _, err = fierce(*words, "--save-best")
    assert code == 0, err
    np.savez("x.npz", **held(made(), "train", "test"))
    code, _, err = fierce(*words, "--patience", "2", "--name", "cut")
    assert code == 0, err


def test_positions_in_it_never_stand_for_training_examples() -> None:
    parts, data = split(made()), made()
    logits = np.tile(np.arange(4, dtype=np.float32) + 0.5, (TRAIN, 1))
    np.savez("soft.npz", logits=logits)
    soft = load_soft_labels("soft.npz", data, logits=None, probabilities=None)
    assert np.isfinite(soft.of(parts.train)).all()
    assert np.isnan(soft.of(parts.val)).all()
    assert np.isnan(soft.of(parts.test)).all()
    assert np.isfinite(soft.of(split(without(data), val_fraction=0.4).val)).all(), "cut from training"
    arrayfile.save_arrays(Path("set.safetensors"), {"index": np.arange(5)}, {"split": "val"})
    with pytest.raises(DataError, match="names validation examples, expected training examples"):
        restrict(parts, transfer_set="set.safetensors")
    arrayfile.save_arrays(Path("train.safetensors"), {"index": np.arange(5)}, {"split": "train"})
    assert restrict(parts, transfer_set="train.safetensors").train.index.tolist() == list(range(5))
    np.savez("none.npz", index=np.array([TRAIN + 3]))
    with pytest.raises(DataError, match="is in none of the training examples"):
        restrict(split(made(val_index=np.arange(VAL) + TRAIN)), transfer_set="none.npz")
    arrayfile.save_arrays(Path("v.safetensors"), {"logits": logits[:VAL], "index": np.arange(VAL)}, {"split": "val"})
    with pytest.raises(DataError, match="is of validation examples, expected soft labels of training examples"):
        load_soft_labels("v.safetensors", data, logits=None, probabilities=None)

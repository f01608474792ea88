"""How arrays reach an analysis: optional ones of a split that is not there are None, needed ones an error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import binding, sources
from fierce_tools.errors import DataError
from fierce_tools.experiments._ask import ask
from fierce_tools.experiments._gather import gather
from fierce_tools.experiments._loading import Places
from fierce_tools.menu import ANALYSES


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One epoch of a linear classifier on digits, with a validation split and without."""
    from fierce_tools.cli import main

    root = tmp_path_factory.mktemp("runs")
    common = ["train", "--model", "linear", "--epochs", "1", "--device", "cpu", "--progress", "off"]
    for name, fraction in (("with", "0.2"), ("without", "0")):
        with pytest.raises(SystemExit) as ended:
            main([*common, "--val-fraction", fraction, "--name", name, "--runs-dir", str(root)])
        assert ended.value.code == 0
    return {name: root / name for name in ("with", "without")}


def source(run: Path) -> sources.Source:
    (found,) = sources.locate(str(run), run.parent)
    return found


def test_optional_arrays_of_a_missing_split_are_none(runs: dict[str, Path]) -> None:
    spec = binding.read(ANALYSES, "calibration")
    assert spec.optional_arrays == ("val_logits", "val_labels")
    there = gather(spec, source(runs["with"]), "test", places=Places(device="cpu")).arrays
    assert there["val_logits"].shape == (len(there["val_labels"]), 10)
    assert len(there["val_logits"]) != len(there["logits"])
    gone = gather(spec, source(runs["without"]), "test", places=Places(device="cpu")).arrays
    assert gone["val_logits"] is None
    assert gone["val_labels"] is None
    assert gone["logits"].shape == there["logits"].shape


def test_needed_arrays_of_a_missing_split_are_an_error(runs: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="no validation split"):
        gather(binding.read(ANALYSES, "calibration"), source(runs["without"]), "val", places=Places(device="cpu"))
    needs = binding.Spec("needs", "", "", arrays=("logits", "val_logits"))
    with pytest.raises(DataError, match="no validation split"):
        gather(needs, source(runs["without"]), "test", places=Places(device="cpu"))


def test_other_errors_of_an_optional_split_are_not_swallowed(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the absence of validation makes None; data that are not those of the training stay an error."""
    from fierce_tools.experiments import _gather

    def elsewhere(*_: object, **__: object) -> None:
        raise DataError("not the same data")

    monkeypatch.setattr(_gather, "outputs_of", elsewhere)
    only = binding.Spec("only", "", "", optional_arrays=("val_logits",))
    with pytest.raises(DataError, match="not the same data"):
        gather(only, source(runs["without"]), "test", places=Places())


def test_calibration_without_validation_gives_what_needs_none(runs: dict[str, Path]) -> None:
    without, places = source(runs["without"]), Places(device="cpu")
    bare = ask("calibration", without, {"bootstrap": "10"}, places=places)
    assert (bare.values["temperature"], bare.values["after"]) == (None, None)
    note, biased = bare.report.notes
    assert "no val_logits and val_labels; --cross-fit 5" in note
    assert "biased upward" in biased
    answer = ask("calibration", without, {"cross_fit": "5", "bootstrap": "10"}, places=places)
    assert len(answer.values["fold_temperatures"]) == 5
    assert answer.values["before"] == bare.values["before"]
    json.dumps(answer.values, allow_nan=False)
    with pytest.raises(DataError, match="--cross-fit 5"):
        ask("calibration", without, {"fit_on": "val"}, places=places)
    with pytest.raises(DataError, match=r"C and k are chosen on validation .*--cross-fit 5"):
        ask("linear-probe", without, {}, places=places)
    assert ask("linear-probe", without, {"cross_fit": "3"}, places=places).values["accuracy"] > 0.5


@pytest.fixture
def other_classes(tmp_path: Path) -> str:
    """Digits cut in three new classes, as other data for the models of ten."""
    from fierce_tools.data import digits

    held = {}
    for split in ("train", "test"):
        labels = getattr(digits(), f"{split}_labels")
        held |= {f"{split}_images": getattr(digits(), f"{split}_images"), f"{split}_labels": labels % 3}
        held[f"{split}_targets"] = labels
    np.savez(tmp_path / "thirds.npz", **held, class_names=np.array(["zero", "one", "two"]))
    return f"arrays:{tmp_path / 'thirds.npz'}"


def test_features_may_be_asked_about_other_classes(runs: dict[str, Path], other_classes: str) -> None:
    places = Places(data=other_classes, device="cpu")
    own = gather(binding.read(ANALYSES, "few-shot"), source(runs["with"]), "test", places=Places(device="cpu")).arrays
    other = gather(binding.read(ANALYSES, "few-shot"), source(runs["with"]), "test", places=places).arrays
    np.testing.assert_array_equal(other["features"], own["features"])
    np.testing.assert_array_equal(other["labels"], own["labels"] % 3)
    options = {"ways": "3", "draws": "20"}
    assert ask("few-shot", source(runs["with"]), options, places=places).values["classes"] == 3
    probed = ask("linear-probe", source(runs["with"]), {"per_class": True, "neighbors": "1"}, places=places).values
    assert [row[0] for row in probed["by_class"]] == ["zero", "one", "two"], "the names are the data's"


def test_logits_may_not(runs: dict[str, Path], other_classes: str) -> None:
    """Those needed are refused; those that are optional are None, and the analysis does without."""
    places = Places(data=other_classes, device="cpu")
    for analysis in ("calibration", "projection", "mutual-information"):
        with pytest.raises(
            DataError, match=r"have 3 and 10 classes: zero, one, two; and 0, 1, .*few-shot and linear-probe"
        ):
            ask(analysis, source(runs["with"]), {}, places=places)
    spec = binding.read(ANALYSES, "coarse-regression")
    found = gather(spec, source(runs["with"]), "test", places=places).arrays
    assert found["logits"] is None
    assert found["val_logits"] is None
    assert ask("coarse-regression", source(runs["with"]), {}, places=places).values["coarse_accuracy"] is None


def test_other_classes_of_another_shape_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    labels = np.arange(40) % 3
    held = {f"{s}_{k}": v for s in ("train", "test") for k, v in (("images", np.ones((40, 5))), ("labels", labels))}
    np.savez(tmp_path / "flat.npz", **held)
    with pytest.raises(DataError, match=r"takes examples of shape") as caught:
        ask("few-shot", source(runs["with"]), {"ways": "3"}, places=Places(data=f"arrays:{tmp_path / 'flat.npz'}"))
    assert "few-shot" not in str(caught.value)


def test_a_file_gives_its_optional_arrays_or_none(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"logits": rng.normal(size=(30, 3)).astype(np.float32), "labels": np.arange(30) % 3}
    np.savez(tmp_path / "bare.npz", **arrays)
    np.savez(tmp_path / "full.npz", **arrays, val_logits=arrays["logits"] * 2, val_labels=arrays["labels"])
    spec = binding.read(ANALYSES, "calibration")
    places = Places()
    for name, there in (("bare", False), ("full", True)):
        (found,) = sources.locate(str(tmp_path / f"{name}.npz"), tmp_path)
        arrays = gather(spec, found, "test", places=places).arrays
        assert (arrays["val_logits"] is not None) == there
        assert (arrays["val_labels"] is not None) == there

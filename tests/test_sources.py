"""What a PATH stands for, and that what is kept is only ever used for the weights it was made of."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import sources
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments._ask import ask, plain
from fierce_tools.experiments._loading import Places, outputs_of
from fierce_tools.menu import ANALYSES
from fierce_tools.report import from_dict


def only(path: Path | str, root: Path = Path("runs"), **options: str) -> sources.Source:
    (source,) = sources.locate(str(path), root, **options)
    return source


def test_a_run_by_folder_name_and_file(digits_run: Path) -> None:
    by_folder, by_name = only(digits_run), only("demo", digits_run.parent)
    by_file = only(digits_run / "model.safetensors")
    assert by_folder.sha256 == by_name.sha256 == by_file.sha256
    assert {s.label for s in (by_folder, by_name, by_file)} == {"demo"}
    assert by_file.home == digits_run
    kept = sources.kept(by_file, "test", {"logits"})
    assert kept is not None
    assert kept.logits.shape == (360, 10)
    assert kept.class_names == tuple("0123456789")
    assert sources.kept(by_file, "never", {"logits"}) is None


def test_a_name_with_dots_as_trainings_make_them(digits_run: Path, tmp_path: Path) -> None:
    shutil.copytree(digits_run, tmp_path / "runs" / "digits-cnn-fierce-lam0.1-s0")
    assert only("digits-cnn-fierce-lam0.1-s0").label == "digits-cnn-fierce-lam0.1-s0"


def test_a_snapshot_knows_its_run_from_within_and_through_links(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shelf" / "a").mkdir(parents=True)
    for name in ("epochs/0001.safetensors", "model.safetensors"):
        link = tmp_path / "shelf" / "a" / Path(name).name
        link.symlink_to(digits_run / name)
        assert only(link).home.resolve() == digits_run.resolve()
    assert only(tmp_path / "shelf" / "a" / "0001.safetensors").label == "demo@0001"
    monkeypatch.chdir(digits_run / "epochs")
    assert only("0001.safetensors").home.resolve() == digits_run.resolve()
    monkeypatch.chdir(digits_run)
    assert only("model.safetensors").label == "demo"


def test_snapshots(digits_run: Path) -> None:
    found = sources.locate(str(digits_run), Path("runs"), epochs="all")
    assert [s.label for s in found] == ["demo@0001", "demo@0002", "demo@best"]
    assert only(digits_run, epochs="2").path.name == "0002.safetensors"
    assert only(digits_run / "model.safetensors", epochs="1").epoch == "0001"
    assert only(digits_run / "epochs" / "0001.safetensors").label == "demo@0001"
    assert len({s.outputs_path("test") for s in found}) == 3
    with pytest.raises(DataError, match="no snapshot '9'; there are: 0001, 0002, best"):
        sources.locate(str(digits_run), Path("runs"), epochs="9")


def test_a_bare_checkpoint_keeps_its_answers_beside_it(digits_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine.safetensors"
    shutil.copy(digits_run / "model.safetensors", copy)
    source = only(copy)
    assert source.home == tmp_path / "mine.safetensors.fierce"
    answer = ask("entropy", source, {})
    assert answer.values == ask("entropy", only(digits_run), {}).values, "made anew here, kept by the training there"
    assert (source.home / "outputs" / "test.safetensors").is_file()
    assert ask("entropy", source, {}).kept
    with pytest.raises(DataError, match="no other epochs"):
        sources.locate(str(copy), Path("runs"), epochs="all")


@pytest.mark.skipif(os.geteuid() == 0, reason="needs another user than root")
def test_a_folder_that_cannot_be_written_to(digits_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    shutil.copy(digits_run / "model.safetensors", folder / "m.safetensors")
    folder.chmod(0o500)
    assert only(folder / "m.safetensors").writable.is_relative_to(tmp_path / "cache")
    ask("entropy", only(folder / "m.safetensors"), {})


def test_the_users_cache_where_nothing_can_be_written_beside(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(digits_run / "model.safetensors", tmp_path / "m.safetensors")
    monkeypatch.setattr(os, "access", lambda *_: False)
    source = only(tmp_path / "m.safetensors")
    assert source.writable.is_relative_to(tmp_path / "cache")
    assert not ask("entropy", source, {}).kept
    assert ask("entropy", source, {}).kept


def test_a_run_on_a_shelf_that_cannot_be_written_to(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the training kept is read from the run, what is new goes to the user's cache."""
    shelf = tmp_path / "runs" / "shelf"
    shutil.copytree(digits_run, shelf, ignore=shutil.ignore_patterns("analyses"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    source = only(shelf)
    assert sources.kept(source, "test", {"logits"}) is not None
    assert not ask("entropy", source, {}).kept
    assert ask("entropy", source, {}).kept
    outputs_of(source, "train", {"logits"}, Places())
    assert sources.kept(source, "train", {"logits"}) is not None
    assert not (shelf / "analyses").exists()


def test_an_answer_that_cannot_be_kept_is_still_given(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(digits_run / "model.safetensors", tmp_path / "m.safetensors")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fierce_tools.arrayfile.save_arrays", full)
    monkeypatch.setattr("fierce_tools.files.write_json", full)
    assert ask("entropy", only(tmp_path / "m.safetensors"), {}).values["examples"] == 360


def test_fresh_reads_the_weights_again(digits_run: Path, tmp_path: Path, fierce) -> None:
    path = tmp_path / "m.safetensors"
    shutil.copy(digits_run / "model.safetensors", path)
    assert fierce("analyze", "entropy", str(path))[0] == 0
    data = bytearray(path.read_bytes())
    data[-3] ^= 255
    path.write_bytes(data)
    code, _, err = fierce("analyze", "entropy", str(path), "--fresh")
    assert (code, "not those that were saved" in err) == (3, True)


def test_kept_answers_are_those_of_the_same_weights_and_options(digits_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    shutil.copy(digits_run / "epochs" / "0001.safetensors", path)
    first = ask("entropy", only(path), {"temperatures": "1,9"})
    assert ask("entropy", only(path), {"temperatures": "1,9"}).report == first.report
    assert not ask("entropy", only(path), {"temperatures": "1,9"}, fresh=True).kept
    assert not ask("entropy", only(path), {"temperatures": "1,8"}).kept
    shutil.copy(digits_run / "epochs" / "0002.safetensors", path)
    second = ask("entropy", only(path), {"temperatures": "1,9"})
    assert not second.kept
    assert second.values != first.values, "the file has other weights now; nothing of the old ones is used"


def test_a_damaged_answer_is_made_anew(digits_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    shutil.copy(digits_run / "model.safetensors", path)
    answer = ask("entropy", only(path), {})
    (file,) = (tmp_path / "m.safetensors.fierce" / "analyses").iterdir()
    file.write_text(file.read_text()[:100])
    outputs_file = tmp_path / "m.safetensors.fierce" / "outputs" / "test.safetensors"
    outputs_file.write_bytes(outputs_file.read_bytes()[:-1])
    again = ask("entropy", only(path), {})
    assert not again.kept
    assert again.values == answer.values
    assert json.loads(file.read_text())["values"] == json.loads(json.dumps(answer.values))


def test_features_lie_apart_and_are_made_when_asked_for(digits_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    shutil.copy(digits_run / "model.safetensors", path)
    source = only(path)
    made = outputs_of(source, "val", {"features", "images"}, Places())
    assert made.get("features").shape == (143, 64)
    assert made.get("images").dtype == np.uint8
    again = sources.kept(source, "val", {"features"})
    assert again is not None
    np.testing.assert_array_equal(again.get("features"), made.features)
    assert source.outputs_path("val", "features").is_file()
    assert again.images is None


def test_other_data_must_fit_and_be_named(digits_run: Path, arrays_file: Path) -> None:
    with pytest.raises(DataError, match=r"takes examples of shape \(8, 8, 1\), "):
        outputs_of(only(digits_run), "test", {"logits"}, Places(data=f"arrays:{arrays_file}"))


def test_its_own_data_are_its_own_however_their_path_is_written(arrays_file: Path, tmp_path: Path, fierce) -> None:
    """So a validation split is the one that was cut then, by options that only its own data have."""
    words = (
        "train",
        "--data",
        f"arrays:{arrays_file}",
        "--classes",
        "1,0",
        "--epochs",
        "1",
        "--name",
        "a",
        "--device",
        "cpu",
    )
    assert fierce(*words)[0] == 0
    found = []
    here = Path("here.npz")
    here.symlink_to(arrays_file)
    for name in (arrays_file, f"../{tmp_path.name}/{arrays_file.name}", here):
        code, out, err = fierce("infer", "a", "--data", f"arrays:{name}", "--split", "val", "--out", "o.safetensors")
        assert code == 0, err
        found.append(out)
    assert found[0] == found[1] == found[2]


def test_data_that_changed_since_are_not_passed_over(arrays_file: Path, tmp_path: Path, fierce) -> None:
    code, _, err = fierce("train", "--data", f"arrays:{arrays_file}", "--epochs", "1", "--name", "a", "--device", "cpu")
    assert code == 0, err
    with np.load(arrays_file) as old:
        changed = {**old, "test_labels": 1 - old["test_labels"]}
    np.savez(arrays_file, **changed)
    code, _, err = fierce("infer", "a")
    assert code == 3
    assert "is not what a was trained on" in err
    code, out, err = fierce(
        "infer", "a", "--data", f"arrays:{arrays_file}", "--out", "o.safetensors", "--format", "json"
    )
    assert code == 0, err
    assert json.loads(out)["examples"] == 10


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.pt", "may hold pickled code"),
        ("x.npz", "does not exist"),
        ("x.safetensors", "does not exist"),
        ("nothing", "unknown run"),
    ],
)
def test_paths_that_are_nothing(tmp_path: Path, name: str, said: str) -> None:
    if name.endswith("pt"):
        (tmp_path / name).write_bytes(b"\x80")
    with pytest.raises(DataError, match=said):
        sources.locate(name, tmp_path / "runs")


def test_a_run_without_weights_says_how_to_go_on(digits_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "half"
    shutil.copytree(digits_run, copy)
    (copy / "model.safetensors").unlink()
    with pytest.raises(DataError, match="fierce train --resume"):
        sources.locate("half", tmp_path / "runs")


def test_kept_answers_are_found_newest_first(digits_run: Path, tmp_path: Path) -> None:
    shutil.copytree(digits_run, tmp_path / "runs" / "a", ignore=shutil.ignore_patterns("analyses"))
    source = only("a")
    assert sources.answers(source, "entropy") == []
    for number, temperatures in enumerate(("1,9", "1,4")):
        answer = ask("entropy", source, {"temperatures": temperatures})
        assert answer.path is not None
        os.utime(answer.path, (number, number))
    ask("soft-labels", source, {})
    found = sources.answers(source, "entropy")
    assert [a["identity"]["options"]["temperatures"] for a in found] == [[1, 4], [1, 9]]
    assert found[0]["path"] == answer.path
    assert not sources.answers(only("a", epochs="1"), "entropy"), "of other weights"
    for bad in ("{", "[]", "{}", '{"identity": 1, "report": {}}'):
        answer.path.write_text(bad)
        assert len(sources.answers(source, "entropy")) == 1


def test_every_reports_blocks_survive_being_kept(digits_run: Path, tmp_path: Path) -> None:
    """What another process reads of an answer is what was said, whatever the analysis."""
    shutil.copytree(digits_run, tmp_path / "runs" / "a", ignore=shutil.ignore_patterns("analyses"))
    source, asked = only("a"), 0
    for name in ANALYSES.names():
        options = {"bootstrap": 0} if name == "calibration" else {}
        try:
            said = ask(name, source, options).report
        except (DataError, UsageError):  # digits have no targets and no teacher was named
            continue
        asked += 1
        (kept,) = sources.answers(source, name)
        assert from_dict(kept["report"]) == from_dict(plain(said.to_dict())), name
        assert [type(b) for b in from_dict(kept["report"]).blocks] == [type(b) for b in said.blocks], name
    assert asked > len(ANALYSES.names()) / 2

"""`--save FILE` by its ending, `--images` and `--montage`, a teacher, draws: what comes with an analysis on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import arrayfile


def test_a_transfer_set_for_distillation(fierce, digits_run: Path) -> None:
    code, out, err = fierce(
        "analyze",
        "transfer-set",
        str(digits_run),
        "--per-class",
        "2",
        "--save",
        "set.safetensors",
        "--montage",
        "m.png",
        "--images",
    )
    assert code == 0, err
    arrays, document = arrayfile.load_arrays(Path("set.safetensors"))
    assert document is not None
    assert document["split"] == "train"
    assert document["analysis"] == "transfer-set"
    assert np.bincount(arrays["labels"]).tolist() == [2] * 10
    assert arrays["scores"].min() >= 0
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")
    assert "predicted" in out
    assert "▓" in out


def test_a_montage_for_each_teacher(fierce, digits_run: Path) -> None:
    teachers = (str(digits_run), str(digits_run / "epochs" / "0001.safetensors"))
    code, _, err = fierce("analyze", "transfer-set", *teachers, "--per-class", "1", "--montage", "m.png")
    assert code == 0, err
    assert sorted(p.name for p in Path().glob("*.png")) == ["m-demo.png", "m-demo@0001.png"]


def test_every_ending(fierce, digits_run: Path) -> None:
    for name in ("a.md", "a.csv", "a.json", "a.npz"):
        code, _, err = fierce("analyze", "entropy", str(digits_run), "--temperatures", "1,9", "--save", name)
        assert code == 0, err
    assert "| T | entropy (nats) |" in Path("a.md").read_text()
    rows = list(csv.reader(Path("a.csv").read_text().split("\n")))
    assert rows[0][:2] == ["T", "entropy (nats)"]
    document = json.loads(Path("a.json").read_text())
    values = document["results"][0]["values"]
    assert float(rows[1][1]) == values["mean"][0], "full precision"
    np.testing.assert_allclose(np.load("a.npz")["mean"], values["mean"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--save", "x.doc"), "nothing is saved as .doc"),
        (("--save", "x"), "nothing is saved as that"),
        (("--save", "x.npz", "--epochs", "all"), "several sources"),
        (("--images",), "names no images"),
        (("--montage", "m.png"), "names no images"),
    ],
)
def test_what_cannot_be_saved(fierce, digits_run: Path, arguments: tuple[str, ...], said: str) -> None:
    code, _, err = fierce("analyze", "entropy", str(digits_run), *arguments)
    assert (code, said in err) == (2, True), err


def test_a_teacher(fierce, digits_run: Path) -> None:
    teacher, student = str(digits_run), str(digits_run / "epochs" / "0001.safetensors")
    code, out, err = fierce("analyze", "agreement", teacher, "--teacher", teacher, "--format", "json")
    assert code == 0, err
    assert json.loads(out)["results"][0]["values"]["kl"] == pytest.approx(0, abs=1e-6)
    code, out, _ = fierce("analyze", "agreement", student, "--teacher", teacher, "--format", "json")
    assert json.loads(out)["results"][0]["values"]["kl"] > 0.1
    code, _, err = fierce("analyze", "agreement", student)
    assert code in (2, 3)
    assert "--teacher" in err


def test_draws_are_made_kept_and_used(fierce, digits_run: Path) -> None:
    arguments = (
        "analyze",
        "mutual-information",
        str(digits_run),
        "--num-draws",
        "6",
        "--per-class",
        "20",
        "--format",
        "json",
    )
    code, out, err = fierce(*arguments)
    assert code == 0, err
    values = json.loads(out)["results"][0]["values"]
    assert values["examples"] == 40
    assert json.loads(fierce(*arguments)[1])["results"][0]["values"] == values
    assert list((digits_run / "outputs").glob("train-draws-*.draws.safetensors"))
    code, _, err = fierce("analyze", "mutual-information", str(digits_run), "--num-draws", "1")
    assert (code, "expected 2 draws" in err) == (2, True)


@pytest.mark.slow
def test_an_answer_for_each_analysis(fierce, digits_run: Path) -> None:
    """Every analysis that digits can be asked answers on a finished run, as text and as JSON."""
    from fierce_tools.menu import ANALYSES

    quick = {
        "mutual-information": ("--num-draws", "4", "--per-class", "5"),
        "agreement": ("--teacher", str(digits_run)),
    }
    needs_targets = {"coarse-regression", "abundance-regression"}
    for name in ANALYSES.names():
        more = quick.get(name, ())
        code, out, err = fierce("analyze", name, str(digits_run), *more)
        if name in needs_targets:
            assert (code, "targets" in err) == (3, True), (name, err)
            continue
        assert code == 0, (name, err)
        assert out.strip(), name
        document = json.loads(fierce("analyze", name, str(digits_run), *more, "--format", "json")[1])
        assert document["results"][0]["values"], name

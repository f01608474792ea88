"""The other commands: analyze, infer, runs, list, and the manners all of them share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import outputs
from fierce_tools.menu import ANALYSES, EXPERIMENTS, LOSSES, MODELS


def test_the_second_command_of_the_readme(fierce, digits_run: Path) -> None:
    code, out, err = fierce("analyze", "entropy", str(digits_run / "model.safetensors"))
    assert code == 0, err
    for words in (
        "Soft-label entropy",
        "temperature",
        "Entropy of label-smoothing labels",
        "same as label smoothing at",
        "log C = 2.3026",
    ):
        assert words in out
    assert "\x1b[" not in out, "no colour into a pipe"


def test_several_sources_in_one_plot(fierce, digits_run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "theirs.npy", np.random.default_rng(0).normal(size=(50, 10)) * 4)
    code, out, _ = fierce(
        "analyze", "entropy", str(digits_run), "theirs.npy", "--temperatures", "1,9", "--format", "json"
    )
    assert code == 0
    document = json.loads(out)
    assert [r["source"] for r in document["results"]] == ["demo", "theirs.npy"]
    assert document["options"]["temperatures"] == [1, 9]
    assert all(len(r["values"]["mean"]) == 2 for r in document["results"])
    code, out, _ = fierce("analyze", "entropy", str(digits_run), "theirs.npy", "--temperatures", "1,9")
    assert "demo" in out
    assert "theirs.npy" in out
    assert out.count("label smoothing") >= 1


def test_snapshots_by_epoch(fierce, digits_run: Path) -> None:
    code, out, _ = fierce("analyze", "entropy", str(digits_run), "--epochs", "all", "--format", "json")
    assert code == 0
    results = json.loads(out)["results"]
    assert [r["epoch"] for r in results] == ["0001", "0002", "best"]
    assert results[0]["values"]["mean"][8] > results[1]["values"]["mean"][8], "training makes soft labels harder"


def test_each_class(fierce, digits_run: Path) -> None:
    code, out, _ = fierce("analyze", "entropy", str(digits_run), "--per-class", "--temperatures", "1:3")
    assert code == 0
    assert "Mean entropy of each class" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("entropy",), 2, "Missing argument"),
        (("entropi", "x"), 2, "entropi"),
        (("entropy", "none.npy"), 3, "does not exist"),
        (("entropy", "none"), 3, "unknown run"),
        (("entropy", "z.npy", "--temperatures", "0:3"), 2, "temperature 0"),
        (("entropy", "z.npy", "--temperatures", "a"), 2, "not a number"),
        (("entropy", "z.npy", "--per-class"), 3, "needs labels"),
        (("entropy", "z.npz", "--logits", "scores"), 3, "no array 'scores'; it holds logits [3, 4]"),
        (("entropy", "z.npy", "--epochs", "last"), 2, "--epochs is 'last'"),
        (("entropy", "z.npy", "--epochs", "²"), 2, "--epochs is '²'"),
        (("entropy", "bad.npy"), 3, "logits[1, 0] is nan"),
    ],
)
def test_what_is_wrong_is_said(fierce, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    np.save(tmp_path / "z.npy", np.full((3, 4), 0.5))
    np.savez(tmp_path / "z.npz", logits=np.full((3, 4), 0.5))
    np.save(tmp_path / "bad.npy", np.array([[0, 1], [np.nan, 0]]))
    got, out, err = fierce("analyze", *arguments)
    assert (got, said in err.replace("\n", " ")) == (code, True), err
    assert "Traceback" not in err
    assert not out


def test_infer(fierce, digits_run: Path) -> None:
    code, out, err = fierce("infer", str(digits_run), "--split", "val", "--features", "--out", "mine.safetensors")
    assert code == 0, err
    made = outputs.load("mine.safetensors")
    assert made.logits.shape == (143, 10)
    assert made.get("features").shape == (143, 64)
    assert made.get("anchors").shape == (1, 100, 64)
    assert "accuracy" in out
    code, out, _ = fierce("infer", str(digits_run), "--format", "json", "--epochs", "best", "--out", "b.safetensors")
    assert json.loads(out)["examples"] == 360
    code, _, err = fierce("infer", str(digits_run), "--out", "mine.npz")
    assert (code, "written as .safetensors" in err) == (2, True)
    code, _, err = fierce("infer", str(digits_run), "--epochs", "all")
    assert code == 2
    code, _, err = fierce("infer", "mine.safetensors")
    assert (code, "is not one checkpoint" in err) == (2, True)


def test_runs(fierce, digits_run: Path) -> None:
    root = ("--runs-dir", str(digits_run.parent))
    code, out, err = fierce("runs", *root)
    assert code == 0
    assert "demo" in out
    assert "3/3" in out
    assert "1 of 1 runs" in err
    (row,) = json.loads(fierce("runs", *root, "--format", "json")[1])
    assert row["state"] == "done"
    assert 0 < row["best"] <= 1
    assert json.loads(fierce("runs", *root, "--filter", "loss:ce", "--format", "json")[1]) == []
    assert (
        len(
            json.loads(
                fierce("runs", *root, "--filter", "loss:fierce acc>0.2 -mnist", "--sort", "-best", "--format", "json")[
                    1
                ]
            )
        )
        == 1
    )
    code, _, err = fierce("runs", *root, "--filter", "accc>0.5")
    assert (code, "did you mean 'acc'" in err) == (2, True)
    code, _, err = fierce("runs", *root, "--sort", "bset")
    assert (code, "did you mean 'best'" in err) == (2, True)
    code, out, err = fierce("runs", "--runs-dir", "nowhere")
    assert (code, "no runs in" in err) == (0, True)


def test_one_run(fierce, digits_run: Path) -> None:
    root = ("--runs-dir", str(digits_run.parent))
    code, out, _ = fierce("runs", "show", "demo", *root)
    assert code == 0
    for words in ("fierce train", "torch", 'name = "fierce"', "model.safetensors", "epochs/0001.safetensors", "done",
                  "validation not seen"):  # fmt: skip
        assert words in out.replace("-m fierce_tools", "fierce"), words
    document = json.loads(fierce("runs", "show", "demo", *root, "--format", "json")[1])
    assert document["checkpoint"]["content_sha256"]
    assert document["recipe"]["loss"]["lam"] == 0.1
    assert len(document["metrics"]) == 3
    code, _, err = fierce("runs", "show", "dmo", *root)
    assert (code, "did you mean 'demo'" in err) == (3, True)


def test_lists(fierce) -> None:
    counts = {row["name"]: row["parameters"] for row in json.loads(fierce("list", "models", "--format", "json")[1])}
    assert set(counts) == set(MODELS.names())
    assert (counts["mnist-student"], counts["mnist-small"], counts["mnist-large"]) == (20_490, 1_433_610, 2_560_906)
    assert counts["factory"] is None
    assert counts["torchvision"] == 11_181_642 - 2 * 64 * 49, "a first convolution of one channel"
    assert "2,395,210 (mlp:1200-1200)" in fierce("list", "models")[1]
    assert "11,181,642" in fierce("list", "models", "--shape", "32x32x3")[1]
    assert [row["name"] for row in json.loads(fierce("list", "losses", "--format", "json")[1])] == list(LOSSES.names())
    listed = json.loads(fierce("list", "analyses", "--format", "json")[1])
    assert [row["name"] for row in listed] == [*ANALYSES.names(), *EXPERIMENTS.names()]
    assert [row["name"] for row in listed if row["experiment"]] == list(EXPERIMENTS.names())
    assert "arrays:FILE" in fierce("list", "datasets")[1]
    assert "--lam" in fierce("list", "losses")[1]
    code, _, err = fierce("list", "models", "--shape", "big")
    assert (code, "expected HxWxC" in err) == (2, True)


def test_help_says_what_there_is(fierce) -> None:
    code, out, _ = fierce("--help")
    assert code == 0
    assert "Exit codes" in out
    out = fierce("train", "--help")[1]
    for words in ("--lam", "--alpha", "--save-at", "Loss fierce", "[default: 0.1]", "5:50:5"):
        assert words in out, words


def test_version(fierce) -> None:
    code, out, _ = fierce("--version")
    assert code == 0
    assert out.startswith("fierce-tools 0.1.0, torch 2.")


def test_a_closed_pipe_is_no_error(digits_run: Path) -> None:
    command = f"{sys.executable} -m fierce_tools analyze entropy {digits_run} | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_completion_knows_the_names() -> None:
    environment = {
        **os.environ,
        "_FIERCE_COMPLETE": "complete_bash",
        "COMP_WORDS": "fierce train --loss fi",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [Path(sys.executable).parent / "fierce"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.split() == ["fierce"]

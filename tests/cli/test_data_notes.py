"""What is to be known of data, such as pictures that were skipped, is said by every command and kept in the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from fierce_tools import runs
from fierce_tools.experiments._lab import lab
from fierce_tools.experiments._loading import Places
from fierce_tools.experiments._mutual import group_of
from fierce_tools.experiments._record import noted
from fierce_tools.sources import locate
from fierce_tools.tui import run_facts, run_words

NOTE = "x: --skip-unreadable leaves out 1 unreadable picture: a/9.png (not an image that Pillow knows, or damaged)"
SMALL = ("--epochs", "1", "--device", "cpu", "--batch-size", "8")


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[str, ...]:
    """Options that name a folder of two classes, one picture of which cannot be read."""
    root = tmp_path / "x"
    for name, value in (("a", 0), ("b", 200)):
        (root / name).mkdir(parents=True)
        for i in range(8):
            Image.new("L", (4, 4), value + i).save(root / name / f"{i}.png")
    (root / "a" / "9.png").write_bytes(b"no picture")
    return ("--data", f"folder:{root}", "--grey", "--skip-unreadable")


def test_what_was_skipped_is_kept_in_the_run_and_shown(damaged: tuple[str, ...], fierce: Callable) -> None:
    code, _, err = fierce("train", *damaged, "--model", "linear", *SMALL, "--name", "one")
    assert code == 0, err
    assert err.count(NOTE) == 1
    run = runs.Run(Path("runs/one"))
    assert run.info()["data_notes"] == [NOTE]
    code, out, _ = fierce("runs", "show", "one")
    assert code == 0
    assert NOTE in out
    chosen = cast(Any, SimpleNamespace(run=run, row={}))
    page = "\n".join(line.plain for line in run_words.facts(chosen, run_facts.read(run), 400))
    assert NOTE in page
    prepared = cast(Any, SimpleNamespace(data=SimpleNamespace(notes=())))
    assert noted(prepared, run) == {"data_notes": []}, "a note that no longer holds does not stay"


def test_without_notes_there_is_no_key(fierce: Callable) -> None:
    code, _, err = fierce("train", "--per-class", "5", "--model", "linear", *SMALL, "--name", "one")
    assert code == 0, err
    run = runs.Run(Path("runs/one"))
    assert "data_notes" not in run.info()
    run.update(data_notes="of another hand")
    assert runs.data_notes(run.info()) == []


def test_a_sweep_says_it_once_and_each_run_keeps_it(damaged: tuple[str, ...], fierce: Callable) -> None:
    options = ("--model", "linear", *SMALL, "--grid", "lr=0.1,0.2", "--progress", "off", "--format", "json")
    code, out, err = fierce("sweep", *damaged, *options)
    assert code == 0, err
    assert err.count(NOTE) == 1
    names = [name for row in json.loads(out)["sweep"]["rows"] for name in row["runs"]]
    assert [runs.Run(Path("runs") / name).info()["data_notes"] for name in names] == [[NOTE], [NOTE]]


def test_a_group_and_its_peers_keep_it(damaged: tuple[str, ...], fierce: Callable) -> None:
    code, _, err = fierce("mutual", *damaged, "--models", "linear", "mlp:4", *SMALL, "--name", "g")
    assert code == 0, err
    assert err.count(NOTE) == 1
    group = group_of(runs.Run(Path("runs/g")))
    assert [run.info()["data_notes"] for run in (group.run, *group.peers)] == [[NOTE]] * 3


def test_a_lab_says_it(damaged: tuple[str, ...], fierce: Callable) -> None:
    heard: list[str] = []
    code, _, err = fierce("train", *damaged, "--model", "linear", *SMALL, "--name", "one")
    assert code == 0, err
    teacher = locate("one", Path("runs"))[0]
    places = Places(device="cpu", say=heard.append)
    small: dict[str, Any] = {"student": "linear", "epochs": 1, "seeds": 1}
    lab([teacher, teacher], places, Path("runs"), **small)
    assert heard == [NOTE]
    heard.clear()
    lab([], places, Path("runs"), None, runs.Run(Path("runs/one")).recipe().as_dict()["data"], **small)
    assert heard == [NOTE]


def test_a_run_opens_beside_a_val_that_cannot_be_used(damaged: tuple[str, ...], fierce: Callable) -> None:
    """As runs of version 0.1.0 have it, which read no val/ beside train/ and test/."""
    root = Path(damaged[1].removeprefix("folder:"))
    classes = [root / "a", root / "b"]
    for split in ("train", "test"):
        for one in classes:
            shutil.copytree(one, root / split / one.name)
    for one in classes:
        shutil.rmtree(one)
    options = ("--model", "linear", *SMALL)
    code, _, err = fierce("train", *damaged, *options, "--name", "one")
    assert code == 0, err
    shutil.copytree(root / "test", root / "val")
    (root / "val" / "b").rename(root / "val" / "c")
    code, _, err = fierce("infer", "one", "--split", "train", "--device", "cpu")
    assert code == 0, err
    code, _, err = fierce("train", *damaged, *options, "--name", "two")
    assert code == 0, err
    why = f"{root}/val/c is of a class that {root}/train lacks"
    assert f"x: val is left aside, and validation is cut from training: {why}\n" in err
    one, two = (runs.Run(Path("runs") / name).info()["dataset_sha256"] for name in ("one", "two"))
    assert one == two

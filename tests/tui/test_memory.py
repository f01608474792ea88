from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fierce_tools import files
from fierce_tools.tui.memory import FILE, Memory


def test_what_was_said_is_there_again(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.change(lambda: memory.tags.update(a=["x", "y"]))
    memory.change(lambda: memory.notes.update(a="good", b=""))
    memory.change(lambda: memory.pins.add("b"))
    memory.change(lambda: memory.marks.update(a=memory.colour_for("a")))
    memory.change(lambda: memory.view.update(sort="best"))
    again = Memory(tmp_path)
    assert (again.tags, again.notes, again.pins) == ({"a": ["x", "y"]}, {"a": "good"}, {"b"})
    assert (again.marks, again.view) == ({"a": 0}, {"sort": "best"})
    assert list(tmp_path.iterdir()) == [tmp_path / FILE]


def test_two_at_once_keep_what_both_said(tmp_path: Path) -> None:
    one, two = Memory(tmp_path), Memory(tmp_path)
    one.change(lambda: one.tags.update(a=["x"]))
    two.change(lambda: two.tags.update(b=["y"]))
    assert Memory(tmp_path).tags == {"a": ["x"], "b": ["y"]}
    assert one.load()
    assert one.tags["b"] == ["y"]
    assert not one.load()


def test_colours_stay_with_their_runs(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    for name in "abc":
        memory.marks[name] = memory.colour_for(name)
    del memory.marks["b"]
    assert memory.colour_for("d") == 1
    assert memory.marks == {"a": 0, "c": 2}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"runs": 3, "marks": [], "view": 1}',
        '{"runs": {"a": 5, "b": {"tags": 1, "note": 2}}, "marks": {"a": -1, "b": true}}',
    ],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    memory = Memory(tmp_path)
    assert (memory.tags, memory.notes, memory.pins, memory.marks, memory.view) == ({}, {}, set(), {}, {})


def test_a_root_that_cannot_be_written_to_is_remembered_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "runs"
    memory = Memory(root)
    memory.change(lambda: memory.pins.add("a"))
    assert not root.exists(), "looking makes no folders"
    assert Memory(root).pins == {"a"}
    root.mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert Memory(root).path.is_relative_to(tmp_path / "state")


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(tmp_path)
    memory.change(lambda: memory.pins.add("a"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_json", full)
        memory.change(lambda: memory.pins.add("b"))
        assert "No space left" in str(memory.trouble)
        assert memory.pins == {"a", "b"}
    assert json.loads((tmp_path / FILE).read_text())["runs"] == {"a": {"pinned": True}}
    memory.change(lambda: None)
    assert memory.trouble is None
    assert Memory(tmp_path).pins == {"a", "b"}

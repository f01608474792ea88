"""What can be asked is what the analyses define; what was answered is found again."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest

from fierce_tools import binding, sources
from fierce_tools.experiments._ask import ask as compute
from fierce_tools.menu import ANALYSES
from fierce_tools.report import from_dict
from fierce_tools.runs import Run
from fierce_tools.tui import questions
from fierce_tools.tui.questions import ask, command, snapshots, written

OTHERS = {"int": 7, "float": 0.123456789, "str": "other", "ints": (1, 2, 3), "floats": (0.5, 1.25), "strs": ("a", "b")}


@pytest.mark.parametrize("name", ANALYSES.names())
def test_every_analysis_can_be_asked(name: str) -> None:
    """A command made from other values gives the analysis just these values."""
    question = questions.questions()[name]
    assert question.summary
    assert command(question, ["a"], None, {}) == ["analyze", name, "a", *["--images"] * question.shows_images]
    spec = binding.read(ANALYSES, name)
    for option in spec.options:
        if option.kind == "bool":
            other = not option.default
        elif option.kind == "choice":
            other = next(c for c in option.choices if c != option.default)
        else:
            other = OTHERS[option.kind]
        flags = questions.arguments([("", option)], {option.name: other})
        if option.kind == "bool":
            assert flags == [option.flag if other else option.flag.replace("--", "--no-", 1)]
        else:
            assert flags == [option.flag, written(option, other)]
            assert option.convert(flags[1]) == other, option
        assert questions.arguments([("", option)], {option.name: option.default}) == []


def test_options_beside_its_own() -> None:
    agreement = {o.name: group for group, o in questions.questions()["agreement"].options()}
    assert agreement["teacher"] == agreement["split"] == questions.DATA
    drawn = {o.name: group for group, o in questions.questions()["mutual-information"].options()}
    assert questions.DRAWS in drawn.values()
    assert questions.questions()["transfer-set"].split == "train"
    assert questions.questions()["transfer-set"].shows_images
    assert not questions.questions()["entropy"].shows_images


def test_snapshots_in_the_command(digits_run: Path) -> None:
    assert snapshots([Run(digits_run)]) == ["0001", "0002", "best", None]
    entropy = questions.questions()["entropy"]
    assert command(entropy, ["a"], "0002", {})[2:] == ["a", "--epochs", "2"]
    assert command(entropy, ["a"], "best", {})[2:] == ["a", "--epochs", "best"]


def test_an_experiment_is_asked_by_its_own_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains students, so it has their options and no split; a snapshot is given by its file."""
    shared = (binding.Option("student", "str", None, "which", optional=True),)
    monkeypatch.setattr(binding, "students", lambda spec: Mock(options=shared), raising=False)
    own = (binding.Option("classes", "ints", (), "left out"),)
    monkeypatch.setattr(binding, "read", lambda menu, name: Mock(options=own, summary="s", arrays=(), presets={}))
    monkeypatch.setattr(questions.Question, "shows_images", property(lambda self: False))
    question = questions.Question("missing-class", questions.EXPERIMENTS)
    assert [o.name for _, o in question.options()] == ["classes", "student"]
    assert command(question, ["runs/a"], "0002", {"classes": (3,), "student": "mlp:16"}) == [
        "analyze", "missing-class", "runs/a/epochs/0002.safetensors", "--classes", "3", "--student", "mlp:16",
    ]  # fmt: skip
    monkeypatch.delattr(binding, "students")
    assert [o.name for _, o in question.options()] == ["classes"], "where there are none"


def test_answers_of_several_runs_under_the_same_options(digits_run: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for name in "ab":
        shutil.copytree(digits_run, root / name, ignore=shutil.ignore_patterns("analyses"))
    shutil.copy(root / "b" / "epochs" / "0002.safetensors", root / "b" / "model.safetensors")
    chosen = [(name, Run(root / name)) for name in "ab"]
    told = ask("entropy", chosen)
    assert told.report() is None
    assert [s.label for s in told.missing] == ["a", "b"]
    sources_ = [sources.locate(str(root / name), root)[0] for name in "ab"]
    for source in sources_:
        compute("entropy", source, {"temperatures": "1,9"})
    only_b = compute("entropy", sources_[1], {"temperatures": "1,2,4"})
    told = ask("entropy", chosen)
    assert told.identity["options"]["temperatures"] == [1, 9], "what both were asked, not what is newest of one"
    assert not told.missing
    report = told.report()
    assert report is not None
    assert [s.label for s in report.blocks[0].series] == ["a", "b"]  # type: ignore[union-attr]
    alone = ask("entropy", chosen[1:])
    assert alone.report() == from_dict(only_b.report.to_dict()), "the newest of b"
    assert alone.signature() != told.signature()
    at_first = ask("entropy", chosen, "0001")
    assert [s.label for s in at_first.missing] == ["a", "b"]


def test_runs_that_cannot_be_asked_say_why(digits_run: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(digits_run, root / "half")
    (root / "half" / "model.safetensors").write_bytes(b"x" * 40)
    shutil.copytree(digits_run, root / "going")
    (root / "going" / "model.safetensors").unlink()
    said = ask("entropy", [("half", Run(root / "half")), ("going", Run(root / "going")), ("gone", Run(root / "gone"))])
    problems = [s.problem for s in said.said]
    assert "is not a whole safetensors file" in problems[0]
    assert "has no model.safetensors yet" in problems[1]
    assert problems[2] == "it was deleted"
    assert not said.missing
    assert "no snapshot '0009'" in ask("entropy", [("a", Run(digits_run))], "0009").said[0].problem

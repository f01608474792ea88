"""A study's file: what is said wrongly is named, and a form lays its changes over the right places."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from fierce_tools.errors import DataError, UsageError
from fierce_tools.study import find, load, studies

HEADER = {
    "title": "T", "source": "S", "data": "digits", "claim": "C", "expected": "E",
    "cost": {"cpu": "seconds", "gpu": "not yet measured"}, "val_fraction": 0.1, "seeds": 2,
}  # fmt: skip
STUDY: dict[str, Any] = {
    "study": HEADER,
    "common": {"data": {"name": "mnist", "val_fraction": 0.1}, "train": {"epochs": 50, "lr": 0.01}},
    "steps": {
        "hard": {"kind": "train", "model": {"name": "plain-4"}, "train": {"save_at": [1]}},
        "wide": {"kind": "train", "model": {"name": "cnn", "width": 32}},
        "student": {"kind": "distill", "distill": {"teachers": ["hard@1"]}, "model": {"name": "mlp:16"}},
        "pair": {"kind": "mutual", "mutual": {"models": ["mlp:8", "mlp:8"]}},
        "soft": {"kind": "analyze", "analysis": "entropy", "of": ["hard", "wide", "pair.1"]},
        "missing": {"kind": "analyze", "analysis": "missing-class", "of": ["wide"], "options": {"epochs": 20}},
        "side": {"kind": "compare", "of": ["hard", "student"]},
    },
    "rows": [{"name": "accuracy", "key": "hard", "from": "hard", "ours": "test_accuracy", "paper": 1, "within": 0.5}],
    "claims": [{"says": "it learns", "holds": "hard > 0.1"}],
    "plots": [{"title": "P", "x_label": "x", "y_label": "y", "points": [["a", "hard", "hard"]]}],
    "cpu": {"about": "shorter", "seeds": 1, "every": {"train": {"epochs": 5}}, "skip": ["hard"]},
    "quick": {
        "about": "digits", "seeds": 1, "replace": {"mnist": "digits", "cnn": "mlp:8"}, "every": {"train": {"epochs": 2}},
        "steps": {"wide": {"train": {"epochs": 1}}}, "options": {"epochs": 3, "lr": 0.1},
    },
}  # fmt: skip


def written(folder: Path, document: dict[str, Any], name: str = "a-study") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(document), encoding="utf-8")
    return path


def changed(**tables: Any) -> dict[str, Any]:
    return copy.deepcopy(STUDY) | tables


def test_the_full_form(tmp_path: Path) -> None:
    study = load(written(tmp_path, STUDY))
    assert (study.name, study.form, study.seeds, study.skipped) == ("a-study", "full", 2, ())
    assert study.forms == ("full", "cpu", "quick")
    hard = study.steps["hard"]
    assert hard["data"]["name"] == "mnist"
    assert hard["train"] == {"epochs": 50, "lr": 0.01, "save_at": [1]}
    assert study.rows[0].from_ == "hard"


def test_a_form_goes_above_every_training_and_one_step_above_that(tmp_path: Path) -> None:
    study = load(written(tmp_path, STUDY), "quick")
    assert study.about == "digits"
    assert study.seeds == 1
    assert study.steps["hard"]["data"]["name"] == "digits"
    assert study.steps["hard"]["train"] == {"epochs": 2, "lr": 0.01, "save_at": [1]}
    assert study.steps["wide"]["train"]["epochs"] == 1
    assert study.common["train"]["epochs"] == 2


def test_options_of_another_choice_do_not_fit_the_one_that_replaces_it(tmp_path: Path) -> None:
    assert load(written(tmp_path, STUDY), "quick").steps["wide"]["model"] == {"name": "mlp:8"}


def test_options_of_a_form_reach_the_analyses_that_know_them(tmp_path: Path) -> None:
    study = load(written(tmp_path, STUDY), "quick")
    assert study.steps["missing"]["options"] == {"epochs": 3, "lr": 0.1}
    assert study.steps["soft"].get("options", {}) == {}


def test_values_are_replaced_last(tmp_path: Path) -> None:
    study = load(written(tmp_path, STUDY), "quick", instead={"digits": "toys:age", "mlp:16": "mlp:4"})
    assert study.common["data"]["name"] == "toys:age"
    assert study.steps["hard"]["data"]["name"] == "toys:age"
    assert study.steps["student"]["model"] == {"name": "mlp:4"}
    assert study.instead == {"digits": "toys:age", "mlp:16": "mlp:4"}


def test_a_step_left_out_takes_with_it_what_needs_it(tmp_path: Path) -> None:
    study = load(written(tmp_path, STUDY), "cpu")
    assert set(study.skipped) == {"hard", "student", "side"}
    assert study.steps["soft"]["of"] == ["wide", "pair.1"]
    assert study.steps["soft"]["lost"] is True


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"stepz": {}}, "unknown table 'stepz'.*'steps'"),
        ({"study": {**HEADER, "sauce": "x"}}, "unknown key in .study.: 'sauce'.*'source'"),
        ({"study": {"title": "T"}}, "lacks source, data"),
        ({"steps": {"Hard": {"kind": "train"}}}, "no plain name"),
        ({"steps": {"hard": {"kind": "trane"}}}, "unknown kind.*'train'"),
        ({"steps": {"hard": {"kind": "train", "lss": {}}}}, "unknown section.*'loss'"),
        ({"steps": {"hard": {"kind": "train", "loss": {"name": "ce", "lam": 1}}}}, "step hard: unknown option of ce: 'lam'"),
        ({"steps": {"hard": {"kind": "train", "train": {"epochs": "many"}}}}, "epochs is 'many'"),
        ({"steps": {"hard": {"kind": "train", "distill": {}}}}, "kind train and has a .distill."),
        ({"steps": {"hard": {"kind": "distill"}}}, "kind distill and has no .distill."),
        ({"steps": {"a": {"kind": "analyze", "analysis": "entropi", "of": []}}}, "unknown analysis.*'entropy'"),
        ({"steps": {"a": {"kind": "analyze", "analysis": "entropy", "of": []}}}, "asks nothing"),
        ({"steps": {"a": {"kind": "analyze", "analysis": "entropy", "of": ["b"]}}}, "training step in a"),
        ({"steps": {"a": {"kind": "compare"}}}, "compares nothing"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_named(tmp_path: Path, tables: dict[str, Any], says: str) -> None:
    document = changed(**tables)
    if "steps" in tables:
        document |= {"rows": [], "claims": [], "plots": []}
        for form in ("cpu", "quick"):
            document.pop(form)
    with pytest.raises(UsageError, match=says) as caught:
        load(written(tmp_path, document))
    assert "a-study.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("steps", "student", "distill", "teachers"), ["hard@7"], "hard@7, which hard does not keep"),
        (("steps", "hard", "distill"), {"teachers": ["student"]}, "among those before it: 'student'"),
        (("steps", "missing", "options"), {"temperature": 3}, "unknown option of missing-class.*'temperatures'"),
        (("steps", "missing", "options"), {"t2": "x"}, "option t2 of step missing is 'x'"),
        (("steps", "soft", "split"), "tset", "unknown split.*'test'"),
        (("rows", 0, "from"), "hrd", "unknown step in row 'accuracy': 'hrd'.*'hard'"),
        (("rows", 0, "ours"), "a[", "no JMESPath"),
        (("rows", 0, "paper"), "much", "within 0.5 of nothing"),
        (("rows", 0, "colour"), "red", "unknown key in ..rows..: 'colour'"),
        (("claims", 0, "holds"), "soft > 1", "unknown key of a row in claim 'it learns': 'soft'"),
        (("claims", 0, "holds"), "hard", "no claim"),
        (("plots", 0, "points"), [["a", "hard", "x"]], "unknown key of a row in plot 'P'"),
        (("plots", 0, "lines"), [{"label": "a"}], "is no line"),
        (("quick", "evry"), {}, "unknown key in .quick.: 'evry'.*'every'"),
        (("quick", "steps"), {"hrd": {}}, "unknown step in .quick.: 'hrd'"),
        (("quick", "skip"), ["hrd"], "unknown step to skip in .quick.: 'hrd'"),
    ],
)  # fmt: skip
def test_a_word_changed_is_found(tmp_path: Path, path: tuple[Any, ...], value: Any, says: str) -> None:
    document = changed()
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UsageError, match=says):
        load(written(tmp_path, document), "quick")


@pytest.mark.parametrize("wrong", [3, "y", [1], True, {"a": 3}], ids=repr)
@pytest.mark.parametrize(
    "path",
    ["study", "study.cost", "study.seeds", "study.notes", "study.val_fraction", "study.title", "common", "common.train",
     "steps", "steps.hard", "steps.hard.model", "steps.student.distill", "steps.student.distill.teachers", "steps.soft.of",
     "steps.missing.options", "rows", "claims", "plots", "cpu", "quick", "quick.replace", "quick.every", "quick.steps",
     "quick.steps.wide", "quick.options", "cpu.skip", "cpu.seeds"],
)  # fmt: skip
def test_a_part_of_another_shape_is_said(tmp_path: Path, path: str, wrong: Any) -> None:
    """Whatever stands where something else must: a UsageError or a study, never another exception."""
    document = changed()
    place: Any = document
    *way, last = path.split(".")
    for key in way:
        place = place[key]
    fits = type(place.get(last)) is type(wrong) and not isinstance(wrong, dict | list)
    place[last] = wrong
    said = []
    for form in ("full", "cpu", "quick"):
        with contextlib.suppress(UsageError):
            load(written(tmp_path, document), form)
            said.append(form)
    assert not said or fits or isinstance(wrong, dict), "a table may be one of another kind of its own"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seeds", 0),
        ("seeds", -1),
        ("seeds", 2.7),
        ("val_fraction", 1.0),
        ("val_fraction", float("nan")),
        ("notes", "abc"),
    ],
)
def test_a_header_out_of_range(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=key):
        load(written(tmp_path, changed(study={**HEADER, key: value})))


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("hard.1", "hard is one run"),
        ("pair", "pair is 2 peers"),
        ("pair.3", "write pair.1 to pair.2"),
        ("pair.x", "peers"),
    ],
)
def test_peers_are_named_by_number(tmp_path: Path, reference: str, says: str) -> None:
    document = changed()
    document["steps"]["soft"]["of"] = [reference]
    with pytest.raises(UsageError, match=says):
        load(written(tmp_path, document))


def test_what_replaces_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"value to replace: 'digts'.*'digits'"):
        load(written(tmp_path, STUDY), "quick", instead={"digts": "mnist"})


def test_a_claim_speaks_of_a_row(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="speaks of no row"):
        load(written(tmp_path, changed(claims=[{"says": "x", "holds": "1 < 2"}])))


def test_a_broken_file_beside_studies_is_none(tmp_path: Path) -> None:
    written(tmp_path, STUDY)
    (tmp_path / "broken.toml").write_text("[study", encoding="utf-8")
    assert [p.stem for p in studies(tmp_path)] == ["a-study"]


def test_a_recipe_of_one_training_is_no_study(tmp_path: Path) -> None:
    path = written(tmp_path, {"data": {"name": "digits"}})
    with pytest.raises(UsageError, match="no study; say `fierce train"):
        load(path)
    written(tmp_path, STUDY, "b")
    assert [p.stem for p in studies(tmp_path)] == ["b"]


def test_studies_are_found_by_name_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").mkdir()
    written(tmp_path / "recipes", STUDY, "zz-mine")
    monkeypatch.chdir(tmp_path)
    assert find("zz-mine") == Path("recipes/zz-mine.toml")
    with pytest.raises(UsageError, match="did you mean 'zz-mine'"):
        find("zz-mien")
    with pytest.raises(DataError, match="does not exist"):
        load(find("nowhere.toml"))

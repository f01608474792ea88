"""Every study in recipes/: its names exist in each form, its header is whole, and its quick form gives a whole table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fierce_tools import recipe
from fierce_tools.study import Study, load, studies
from fierce_tools.study.check import made_of, once, trains_runs
from fierce_tools.study.forms import TRAINS

RECIPES = Path(__file__).parents[1] / "recipes"
STUDIES = studies(RECIPES)
every_study = pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
# Of the data a quick form may use: what scikit-learn brings, and what the project makes up.
OFFLINE = ("digits", "toys")


def forms(path: Path) -> list[Study]:
    return [load(path, form) for form in load(path).forms]


def recipes(study: Study) -> dict[str, recipe.Recipe]:
    """The recipe of each training step, with its teachers' files made up; that of an experiment's own data too."""
    found = {}
    for name, step in study.steps.items():
        if step["kind"] in TRAINS:
            teachers = [f"{ref}.safetensors" for ref in step.get("distill", {}).get("teachers", ())]
            found[name] = made_of(step, teachers, 0)
        elif once(step):
            settings = {f"data.{k}": v for k, v in study.common.get("data", {}).items()}
            settings |= {k: v for k, v in step.get("settings", {}).items() if k.startswith("data.")}
            if "data" in step:
                settings["data.name"] = step["data"]
            found[name] = recipe.resolve({}, settings)
    return found


def test_there_are_studies() -> None:
    assert STUDIES


@every_study
def test_every_name_exists_in_every_form(path: Path) -> None:
    """`load` resolves sections, options, analyses, references, keys and expressions, and raises for any that is not."""
    for study in forms(path):
        assert study.rows, study.form
        assert recipes(study) or (study.form == "cpu" and study.skipped), study.form
        used = {row.from_ for row in study.rows} | {line["from"] for plot in study.plots for line in plot.lines}
        needed = {str(r).partition("@")[0].partition(".")[0] for s in study.steps.values() for r in references(s)}
        shown = {name for name, step in study.steps.items() if step.get("figure")}
        assert set(study.steps) <= used | needed | shown, "a step that nothing needs"


def references(step: Any) -> list[Any]:
    teacher = [step["teacher"]] if "teacher" in step else []
    return [*step.get("of", ()), *step.get("distill", {}).get("teachers", ()), *teacher]


@every_study
def test_the_header_is_whole(path: Path) -> None:
    full, *others = forms(path)
    assert path.stem == path.stem.lower()
    for word in (full.title, full.source, full.data, full.claim, full.expected):
        assert len(word) > 5, word
    assert set(full.cost) == {"cpu", "gpu"}
    assert all(full.cost.values())
    assert {"full", "quick"} <= set(full.forms)
    for study in others:
        assert study.about, f"[{study.form}] does not say what differs"
        assert study.seeds >= 1
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#"), "a few words for a person who opens it"
    assert f"fierce reproduce recipes/{path.name}" in text, "its command"


@every_study
def test_the_validation_fraction_is_that_of_its_runs(path: Path) -> None:
    for study in forms(path):
        for name, made in recipes(study).items():
            assert made.data["val_fraction"] == study.val_fraction, f"step {name} of the {study.form} form"


@every_study
def test_the_quick_form_is_of_data_that_are_here(path: Path) -> None:
    quick = load(path, "quick")
    for name, made in recipes(quick).items():
        assert made.data["name"].partition(":")[0] in OFFLINE, name
    for name, step in quick.steps.items():
        assert (
            str(step.get("data", "digits") if step["kind"] == "analyze" else "digits").partition(":")[0] in OFFLINE
        ), name
        if step["kind"] == "analyze" and trains_runs(step["analysis"]):
            assert "data" in step or "data" in quick.common, name


@pytest.mark.slow
@every_study
def test_the_quick_form_gives_a_whole_table_and_trains_once(fierce, path: Path, tmp_path: Path) -> None:
    quick = load(path, "quick")
    command = ("reproduce", str(path), "--quick", "--device", "cpu", "--out", "out", "--format", "json")
    code, out, err = fierce(*command)
    assert code == 0, err
    document = json.loads(out)
    assert not [name for name, step in document["steps"].items() if step["error"]]
    for row, line in zip(quick.rows, document["rows"], strict=True):
        if row.from_ in quick.steps and not quick.steps[row.from_].get("lost"):
            assert line["n"] >= 1, f"{row.name}: {line['why']}"
            assert line["mean"] is not None
    measured = {line["key"] for line in document["rows"] if line["n"]}
    for line in document["claims"]:
        judged = line["verdict"] != "not yet measured"
        assert judged == (set(keys(line["holds"])) <= measured), line["says"]
    assert (tmp_path / "out" / f"{path.stem}-quick.md").is_file()
    left = trained(tmp_path)
    assert left
    code, again, err = fierce(*command)
    assert code == 0, err
    assert trained(tmp_path) == left, "the second call trained"
    assert [r["ours"] for r in json.loads(again)["rows"]] == [r["ours"] for r in document["rows"]]


def keys(holds: str) -> tuple[str, ...]:
    from fierce_tools.study.claims import names

    return names(holds)


def trained(folder: Path) -> dict[str, int]:
    """When every checkpoint was written, and how many students each ledger holds."""
    found = {str(p): p.stat().st_mtime_ns for p in folder.glob("runs/*/**/*.safetensors") if "outputs" not in p.parts}
    return found | {str(p): len(p.read_bytes()) for p in folder.glob("runs/.experiments/*")}

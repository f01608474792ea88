"""What recipes/README.md says of the results is what the results say, and its example of a study is one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fierce_tools.cli.saving import markdown
from fierce_tools.experiments._verdicts import judged_again
from fierce_tools.study import load, studies

RECIPES = Path(__file__).parents[1] / "recipes"
README = (RECIPES / "README.md").read_text(encoding="utf-8")
RESULTS = sorted((RECIPES / "results").glob("*.json"))
LINE = re.compile(
    r"^\| (?:`([\w-]+)`|all) \| .*?\| (\d+) \+ (\d+) \| (\d+) \| (\d+) \+ (\d+) \| (\d+) \| (\d+) \| (.*?) \| (?:.*\((results/[\w-]+\.md)\) )?\|$",
    re.MULTILINE,
)
TESTED, COUNTED = "tested", "counted"
VERDICTS = (
    ("holds", TESTED), ("holds", COUNTED), ("unclear", None), ("does not hold", TESTED), ("does not hold", COUNTED),
    ("one seed", None), ("not yet measured", None),
)  # fmt: skip


def study_of(path: Path) -> str:
    return str(json.loads(path.read_text(encoding="utf-8"))["study"])


def counts(document: dict) -> list[int]:
    said = [(claim["verdict"], claim["how"]) for claim in document["claims"]]
    return [said.count(verdict) for verdict in VERDICTS]


def test_every_study_is_in_the_table_or_said_to_be_unmeasured() -> None:
    names = [path.stem for path in studies(RECIPES)]
    listed = [found[0] for found in LINE.findall(README) if found[0]]
    assert listed == sorted({study_of(path) for path in RESULTS})
    (rest,) = re.findall(r"^.*not yet measured: (.*)\.$", README, re.MULTILINE)
    assert sorted([*listed, *re.findall(r"`([\w-]+)`", rest)]) == sorted(names)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_the_table_counts_what_came_out(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    (line,) = [found for found in LINE.findall(README) if found[0] == study_of(path)]
    assert [int(n) for n in line[1:8]] == counts(document)
    n, fixed = document["seeds"], document["seeds_fixed"]
    assert line[8] == f"{document['form']}, {n if n >= fixed else f'{n} of {fixed}'}"
    assert (RECIPES / line[9]).is_file()


def test_the_last_line_adds_them_up() -> None:
    (line,) = [found for found in LINE.findall(README) if not found[0]]
    every = [counts(json.loads(path.read_text(encoding="utf-8"))) for path in RESULTS]
    assert [int(n) for n in line[1:8]] == [sum(column) for column in zip(*every, strict=True)]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_kept_results_are_judged_as_it_is_done_now(path: Path) -> None:
    """Nobody edits a verdict: the document and its table are what judging its figures gives."""
    document = json.loads(path.read_text(encoding="utf-8"))
    study = load(RECIPES / f"{study_of(path)}.toml", document["form"])
    made = judged_again(study, document, str(path))
    assert json.loads(json.dumps(made.as_dict())) == document
    assert path.with_suffix(".md").read_text(encoding="utf-8") == markdown(made.report())
    assert study.seeds == document["seeds_fixed"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_are_of_the_study_as_it_is(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    study = load(RECIPES / f"{study_of(path)}.toml", document["form"])
    assert document["form_about"] == (study.about or None)
    assert [row["key"] for row in document["rows"]] == [row.key for row in study.rows]
    assert [claim["holds"] for claim in document["claims"]] == [claim.holds for claim in study.claims]
    for word in ("command", "device", "versions", "date", "seeds", "time"):
        assert document["made"][word]
    text = path.read_text(encoding="utf-8")
    assert "/tmp" not in text
    assert "/home" not in text


def test_the_example_of_a_study_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "mine.toml"
    path.write_text(example, encoding="utf-8")
    for form in load(path).forms:
        assert load(path, form).steps

"""A row that finds nothing: told of, unless its step says that some of its rows are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomli_w

from fierce_tools.errors import DataError
from fierce_tools.experiments._study import Performed
from fierce_tools.experiments._verdicts import judged, judged_again
from fierce_tools.report import Table
from fierce_tools.study import Study, load

HEADER = {
    "title": "T", "source": "S", "data": "digits", "claim": "C", "expected": "E",
    "cost": {"cpu": "seconds", "gpu": "not yet measured"}, "val_fraction": 0.1, "seeds": 1,
}  # fmt: skip


@pytest.mark.parametrize("ours", ["found[?batch==`64`].entropy", "avg(found[?batch==`64`].entropy)"])
@pytest.mark.parametrize("lost", [True, False])
def test_rows_that_a_form_leaves_out(tmp_path: Path, ours: str, lost: bool) -> None:
    step = {"kind": "analyze", "analysis": "batch-epochs", "options": {"batch_sizes": [16]}} | (
        {"lost": True} if lost else {}
    )
    rows = [{"name": "n", "key": "k", "from": "grid", "ours": ours}]
    path = tmp_path / "a.toml"
    path.write_text(tomli_w.dumps({"study": HEADER, "steps": {"grid": step}, "rows": rows}), encoding="utf-8")
    made = judged(load(path), {"grid": Performed(({"found": [{"batch": 16, "entropy": 1.0}]},))}, {}, 1)
    assert made.lines[0].ours == ()
    assert bool(made.lines[0].why) is not lost


def study(tmp_path: Path, claims: list[dict[str, str]], seeds: int = 2, within: float | None = None) -> Study:
    """A study of two trainings `a` and `b`, whose figure is x."""
    rows = [{"name": f"figure of {k}", "key": k, "from": k, "ours": "x", "paper": 2} for k in "ab"]
    if within is not None:
        rows = [{**row, "within": within} for row in rows]
    document = {
        "study": {**HEADER, "seeds": seeds}, "steps": {k: {"kind": "train"} for k in "ab"}, "rows": rows, "claims": claims,
    }  # fmt: skip
    path = tmp_path / "a.toml"
    path.write_text(tomli_w.dumps(document), encoding="utf-8")
    return load(path)


def steps(**values: list[float]) -> dict[str, Performed]:
    return {k: Performed(tuple({"x": x} for x in v), seconds=1.0) for k, v in values.items()}


CLAIMS = [
    {"says": "b is larger", "holds": "a < b", "paper": "2 < 4"},
    {"says": "b is large", "holds": "b > 3 and a < 9"},
]


def test_tables_say_n_interval_and_adjusted_p(tmp_path: Path) -> None:
    made = judged(study(tmp_path, CLAIMS), steps(a=[1.0, 3.0], b=[2.0, 8.0]), {"seeds": "0, 1"}, 2)
    figures, claims = (b for b in made.report().blocks if isinstance(b, Table))
    assert figures.columns == ("key", "figure", "paper", "ours", "n")
    assert figures.rows[0] == ("a", "figure of a", 2, "2 ± 1.4", 2)
    assert claims.columns == ("claim", "comparison", "gap", "95 %", "n", "p, Holm", "verdict")
    # Gaps 1 and 5: mean 3, standard error 2, t(1) 1.5, p = 1 - 2 arctan(1.5) / π = .374.
    assert claims.rows[0] == (
        "1. b is larger (paper: 2 < 4)",
        "a < b",
        "3 ± 2.8",
        "-22.41 … 28.41",
        2,
        ".37",
        "unclear",
    )
    assert claims.rows[1][0] == "2. b is large"
    assert [row[5] for row in claims.rows[2:]] == ["in 1 of 2 seeds", "in 2 of 2 seeds"]
    assert [row[6] for row in claims.rows[1:]] == ["unclear", "unclear", "holds, counted"]
    assert made.planned() == []


@pytest.mark.parametrize(
    ("claim", "b", "verdict", "how"),
    [("a < b", [300.0, 300.5], "holds", "tested"), ("b > 7 and a < b", [300.0, 300.5], "holds", "counted"),
     ("b < 7 and a < b", [300.0, 300.5], "does not hold", "counted"), ("b < 7 and a > b", [300.0, 300.5], "does not hold", "tested"),
     ("a < b", [0.0, 9.0], "unclear", None)],
)  # fmt: skip
def test_a_verdict_says_whether_it_was_counted(
    tmp_path: Path, claim: str, b: list[float], verdict: str, how: str
) -> None:
    made = judged(study(tmp_path, [{"says": "s", "holds": claim}]), steps(a=[1.0, 1.1], b=b), {"seeds": "0, 1"}, 2)
    (found,) = made.as_dict()["claims"]
    assert (found["verdict"], found["how"]) == (verdict, how)


def test_one_seed_has_a_column_of_its_own_and_no_verdict(tmp_path: Path) -> None:
    made = judged(study(tmp_path, CLAIMS, within=0.5), steps(a=[1.0], b=[2.0]), {"seeds": "0"}, 1)
    figures, claims = (b for b in made.report().blocks if isinstance(b, Table))
    assert claims.columns == ("claim", "comparison", "gap", "n", "one seed")
    assert [row[-1] for row in claims.rows] == ["as claimed", "not as claimed", "not as claimed", "as claimed"]
    assert [row[-1] for row in figures.rows] == ["not within ±0.5", "within ±0.5"]
    assert {row[4] for row in figures.rows} == {"1 of 2"}
    assert made.planned() == ["1 seed, where the study's file fixes 2 beforehand: its verdicts are provisional."]
    assert [claim["verdict"] for claim in made.as_dict()["claims"]] == ["one seed"] * 2


@pytest.mark.parametrize(
    ("b", "verdict"),
    [([1.9, 2.1], "holds (±0.2, in 2 of 2 seeds)"), ([2.0, 3.0], "unclear (±0.2, in 1 of 2 seeds)"),
     ([1.0, 3.0], "does not hold (±0.2, in 0 of 2 seeds)")],
)  # fmt: skip
def test_a_tolerance_is_counted_over_seeds(tmp_path: Path, b: list[float], verdict: str) -> None:
    made = judged(study(tmp_path, [], within=0.2), steps(a=[2.0, 2.0], b=b), {"seeds": "0, 1"}, 2)
    assert made.lines[1].verdict == verdict


def test_a_kept_result_is_judged_again_as_it_was(tmp_path: Path) -> None:
    of = study(tmp_path, CLAIMS)
    made = judged(of, steps(a=[1.0, 3.0], b=[2.0, 8.0]), {"seeds": "0, 1"}, 2)
    document = json.loads(json.dumps(made.as_dict()))
    again = judged_again(of, document, "a.json")
    assert again.as_dict() == document
    assert again.report() == made.report()
    with pytest.raises(DataError, match="other rows or claims"):
        judged_again(study(tmp_path, CLAIMS[:1]), document, "a.json")
    with pytest.raises(DataError, match="of the study else"):
        judged_again(of, {**document, "study": "else"}, "a.json")
    for bad in ([1.0, float("nan")], ["1", 2.0], [1.0, float("inf")], [1.0, 10**400]):
        rows = [{**document["rows"][0], "ours": bad}, document["rows"][1]]
        with pytest.raises(DataError, match=r"not a (?:finite number|result)"):
            judged_again(of, {**document, "rows": rows}, "a.json")
    twice = [document["rows"][0], *document["rows"]]
    with pytest.raises(DataError, match="other rows or claims"):
        judged_again(of, {**document, "rows": twice}, "a.json")
    raw = judged_again(of, {**document, "made": {**document["made"], "where": "\x1b[31mred"}}, "a.json")
    assert raw.about["where"] == "\N{REPLACEMENT CHARACTER}[31mred"
    for key in ("rows", "claims", "steps", "made"):
        with pytest.raises(DataError, match="not a result"):
            judged_again(of, {k: v for k, v in document.items() if k != key}, "a.json")

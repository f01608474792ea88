"""Every statement of what was measured, here and in recipes/README.md, names the rows and claims it rests on."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from fierce_tools.study.claims import names

ROOT = Path(__file__).parents[1]
README = (ROOT / "recipes" / "README.md").read_text(encoding="utf-8")
RESULTS = {d["study"]: d for d in (json.loads(p.read_text("utf-8")) for p in (ROOT / "recipes/results").glob("*.json"))}
SECTION = README.partition("## In plain words\n")[2].partition("\n## ")[0]
PARAGRAPHS = [" ".join(p.split()) for p in SECTION.strip().split("\n\n")][1:]  # the first says how they are written
HEAD = re.compile(r"\*\*(.+?)\*\* \(`([\w-]+)`: (.+?)\)\. (.*)")
GROUP = re.compile(r"\(([^()]*`[^()]*)\)")
CODE = re.compile(r"`([^`]+)`")
NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)")
VERDICT = re.compile(r"#(\d+) (.+)")


def parts(paragraph: str) -> tuple[str, str, str]:
    """The study, what stands beside its name, and the statements."""
    found = HEAD.fullmatch(paragraph)
    assert found, f"a paragraph begins **Title** (`study`: data; seeds). {paragraph[:60]}"
    return found[2], found[3], found[4]


def statements(text: str) -> list[str]:
    """Sentences; those of one statement stay together where a full stop is a number's."""
    hidden = GROUP.sub(lambda m: m[0].replace(".", "\0"), text)
    return [s.replace("\0", ".") for s in re.split(r"(?<=\.) (?=[A-Z])", hidden) if s.strip()]


def study_paragraphs() -> list[Any]:
    return [pytest.param(*parts(paragraph), id=parts(paragraph)[0]) for paragraph in PARAGRAPHS]


def test_every_measured_study_has_one_paragraph() -> None:
    assert sorted(parts(p)[0] for p in PARAGRAPHS) == sorted(RESULTS)


@pytest.mark.parametrize(("study", "about", "text"), study_paragraphs())
def test_the_paragraph_says_how_many_seeds(study: str, about: str, text: str) -> None:
    n, fixed = RESULTS[study]["seeds"], RESULTS[study]["seeds_fixed"]
    assert re.search(r"(?:^|; )(\d+ of \d+ seeds|\d+ seeds|one seed)$", about), about
    assert about.endswith(f"{n} of {fixed} seeds" if n < fixed else "one seed" if n == 1 else f" {n} seeds")


@pytest.mark.parametrize(("study", "about", "text"), study_paragraphs())
def test_every_statement_names_what_it_rests_on(study: str, about: str, text: str) -> None:
    for statement in statements(text):
        assert CODE.search(statement), f"{study}: rests on nothing: {statement}"


@pytest.mark.parametrize(("study", "about", "text"), study_paragraphs())
def test_numbers_and_verdicts_are_the_tables(study: str, about: str, text: str) -> None:
    groups = GROUP.findall(text)
    assert groups
    for group in groups:
        check_group(RESULTS[study], group)


@pytest.mark.parametrize(("study", "about", "text"), study_paragraphs())
def test_no_result_stands_outside_of_the_brackets(study: str, about: str, text: str) -> None:
    """Numbers in the text itself are settings: a temperature, a size, a count; results have their row beside them."""
    outside = GROUP.sub("", text)
    assert "%" not in re.sub(r"For 95 % with|from 30 to 70 % of the hard", "", outside)
    for found in re.finditer(r"\d*\.\d+", outside):
        before = outside[max(0, found.start() - 14) : found.start()]
        assert re.search(r"(?:T = |α = |of |by |and |, |within |p ≈ )$", before), f"{study}: {before}{found[0]}"


CAREFUL = re.compile(
    r"in every seed|\bopen\b|not(?:hing)? (?:is )?decided|undecided|decided against|do not decide|None is shown", re.IGNORECASE
)  # fmt: skip


@pytest.mark.parametrize(("study", "about", "text"), study_paragraphs())
def test_what_is_undecided_is_said_to_be_seen_or_open(study: str, about: str, text: str) -> None:
    """A statement with an undecided claim says `in every seed`, or that it is open."""
    for statement in statements(text):
        if any(v[2] == "unclear" for v in claims_of(statement)):
            assert CAREFUL.search(statement), f"{study}: {statement}"


@pytest.mark.parametrize(("study", "about", "text"), study_paragraphs())
def test_a_claim_speaks_of_what_the_statement_does(study: str, about: str, text: str) -> None:
    """Where a statement names rows, each of its claims is of one of them."""
    for statement in statements(text):
        keys = {code for code in CODE.findall(statement) if not code.startswith("#")}
        for found in claims_of(statement):
            claim = RESULTS[study]["claims"][int(found[1]) - 1]
            for group in GROUP.findall(statement):
                own = {code for code in CODE.findall(group) if not code.startswith("#")}
                if f"#{found[1]} " in group and own:
                    assert keys & set(names(claim["holds"])), f"{study}: claim {found[1]} is of {claim['holds']}"


@pytest.mark.parametrize(("study", "about", "text"), study_paragraphs())
def test_what_was_seen_in_every_seed_was(study: str, about: str, text: str) -> None:
    """Each comparison of its claims, and of two rows side by side, goes one way in all seeds."""
    rows = {row["key"]: row["ours"] for row in RESULTS[study]["rows"]}
    for statement in statements(text):
        if "in every seed" not in statement:
            continue
        for found in claims_of(statement):
            for gap in RESULTS[study]["claims"][int(found[1]) - 1]["gaps"]:
                signs = {value > 0 for value in gap["by"]}
                opened = re.search(rf"open \((?:`#\d+ unclear`, )*`#{found[1]} unclear`", statement)
                assert len(signs) == 1 or opened, f"{study}, claim {found[1]}: {gap['comparison']} {gap['by']}"
        for group in GROUP.findall(statement):
            keys = [code for code in CODE.findall(group) if not code.startswith("#")]
            if len(keys) == 2 and "worse in the mean" not in statement:
                one, two = (rows[key] for key in keys)
                assert len({a > b for a, b in zip(one, two, strict=True)}) == 1, f"{study}: {keys} in {statement}"


def claims_of(statement: str) -> list[re.Match[str]]:
    return [v for v in map(VERDICT.fullmatch, CODE.findall(statement)) if v]


FRONT = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = re.compile(r"\(([^()]*`(?:#\d+ [^`]+|[a-z]+(?:_[a-z0-9]+)+)`)\)")
MEASURED = FRONT.partition("## Measured\n")[2].partition("\n## ")[0]


def test_the_first_page_says_what_its_study_says() -> None:
    rows = {row["key"]: row for row in RESULTS["digits"]["rows"]}
    assert RESULTS["digits"]["seeds"] == 5
    assert RESULTS["digits"]["claims"][2]["verdict"] == "holds"
    front = " ".join(FRONT.split())
    values = (f"{rows[key]['mean']:.3f}" for key in ("h_ls", "h_fierce", "h_ce"))
    assert "{} of 2.303 nats, against {} (FIERCE) and {} (cross-entropy); five seeds, claim 3".format(*values) in front
    shares = (f"{rows[key]['mean']:.0f}" for key in ("m_hard", "m_control"))
    assert "teacher does ({} %), a student of smoothed labels does not ({} %)".format(*shares) in front
    groups = [
        g for g in (" ".join(m[1].split()) for m in REFERENCE.finditer(FRONT))
        if any(c.startswith("#") or c in rows for c in CODE.findall(g))
    ]  # fmt: skip
    assert len(groups) >= 8
    for group in groups:
        check_group(RESULTS["digits"], group)


def test_the_first_page_names_a_claim_for_every_statement_of_what_was_measured() -> None:
    text = " ".join(MEASURED.partition("`make bench`")[0].rpartition("|\n")[2].split())
    assert statements(text)
    for statement in statements(text):
        assert VERDICT.fullmatch(CODE.findall(statement)[-1]), statement
        assert CAREFUL.search(statement) or all(v[2] != "unclear" for v in claims_of(statement)), statement


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("cross-entropy", "ce"),
        ("label smoothing .1", "ls"),
        ("confidence penalty .1", "penalty"),
        ("FIERCE .1", "fierce"),
    ],
)
def test_the_table_of_the_first_page_is_the_study(name: str, key: str) -> None:
    rows = {row["key"]: row for row in RESULTS["digits"]["rows"]}
    (line,) = [line for line in MEASURED.splitlines() if line.startswith(f"| {name} |")]
    for cell, letter in zip(line.strip("| ").split(" | ")[1:], "aehf", strict=True):
        mean, sd = cell.split(" ± ")
        row = rows[f"{letter}_{key}"]
        assert close(mean, row["mean"]), f"{cell} of {row}"
        assert close(sd, row["sd"]), f"{cell} of {row}"


def check_group(document: dict[str, Any], group: str) -> None:
    """`numbers, paper numbers: keys; claims`: as many numbers as keys, each a row's mean, sd, seeds or paper's figure."""
    rows = {row["key"]: row for row in document["rows"]}
    codes = CODE.findall(group)
    keys = [c for c in codes if not c.startswith("#")]
    claims = [VERDICT.fullmatch(c) for c in codes if c.startswith("#")]
    for claim in claims:
        assert claim, group
        found = document["claims"][int(claim[1]) - 1]
        said = found["verdict"] + (", counted" if found["how"] == "counted" else "")
        assert claim[2] == said, f"claim {claim[1]} of {document['study']}: {said}"
    for key in keys:
        assert rows[key]["n"] == document["seeds"], f"{key} of {document['study']} is not measured"
    words = CODE.sub("", group)
    ours, _, papers = words.partition("paper ")
    ours = re.sub(r"^(?:at \d+|NC1|ECE|errors|T\*|γ):? ?|of 10,000|· 10⁻³", "", ours)
    values = NUMBER.findall(ours)
    if ours.startswith("seeds "):
        assert [*map(close, values, rows[keys[0]]["ours"])] == [True] * document["seeds"], group
    elif ours.startswith("by "):
        assert claims[0]
        gap = document["claims"][int(claims[0][1]) - 1]["gaps"][0]
        assert [*map(close, values, map(abs, gap["by"]))] == [True] * document["seeds"], group
    elif "±" in ours:
        assert close(values[0], rows[keys[0]]["mean"])
        assert close(values[1], rows[keys[0]]["sd"])
    else:
        assert len(values) in (0, len(keys)), f"as many numbers as rows: {group}"
        for value, key in zip(values, keys, strict=False):
            assert close(value, rows[key]["mean"]), f"{value} is not {rows[key]['mean']} of {key}"
    theirs = NUMBER.findall(papers)
    assert len(theirs) in (0, len(keys)), f"as many of the paper's numbers as rows: {group}"
    for value, key in zip(theirs, keys, strict=False):
        assert close(value, float(rows[key]["paper"])), f"the paper's {value} is not {rows[key]['paper']} of {key}"


def close(text: str, value: float) -> bool:
    """Whether a number as it is printed is that value, rounded to its own digits."""
    plain = text.replace(",", "")
    decimals = len(plain.partition(".")[2])
    return math.isclose(float(plain), value, abs_tol=0.5 * 10**-decimals + 1e-9, rel_tol=0)


@pytest.mark.parametrize(
    ("group", "fits"),
    [("88.8 %: `a`", True), ("88.7 %: `a`", False), ("89, 1: `a`, `b`", True), ("89: `a`, `b`", False),
     ("seeds 88, 91: `a`", False), ("seeds 88.0, 89.6: `a`", True), ("89, paper 97: `a`", True), ("89, paper 96: `a`", False),
     ("`#1 holds`", True), ("`#1 unclear`", False), ("by 1.2, 3.4: `#1 holds`", True), ("by 1.3, 3.4: `#1 holds`", False),
     ("88.8 ± 1.1: `a`", True), ("88.8 ± 1.2: `a`", False), ("1: `c`", False), ("`#2 holds, counted`", True), ("`#2 holds`", False)],
)  # fmt: skip
def test_the_check_itself(group: str, fits: bool) -> None:
    rows = [
        {"key": "a", "ours": [88.0, 89.6], "mean": 88.8, "sd": 1.131, "paper": 97.4, "n": 2},
        {"key": "b", "ours": [1.0, 1.0], "mean": 1.0, "sd": 0.0, "paper": None, "n": 2},
        {"key": "c", "ours": [], "mean": None, "sd": None, "paper": None, "n": 0},
    ]
    claims = [
        {"verdict": "holds", "how": "tested", "gaps": [{"by": [-1.2, -3.4]}]},
        {"verdict": "holds", "how": "counted", "gaps": [{"by": [1.0, 1.0]}]},
    ]
    document = {"study": "s", "rows": rows, "claims": claims, "seeds": 2}
    if fits:
        check_group(document, group)
    else:
        with pytest.raises(AssertionError):
            check_group(document, group)

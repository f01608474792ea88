from __future__ import annotations

import time
from typing import Any

import pytest

from fierce_tools.errors import UsageError
from fierce_tools.tui import cells, listing


def row(name: str, **more: Any) -> dict[str, Any]:
    base = {
        "name": name, "loss": "ce", "model": "cnn", "dataset": "digits", "seed": 0, "epoch": 8, "epochs": 8,
        "best": 0.9, "last": 0.8, "ece": 0.05, "entropy": 2.0, "state": "done", "modified": time.time() - 9000,
        "tags": [], "note": None, "teacher": None, "error": None, "path": f"/runs/{name}",
    }  # fmt: skip
    return base | more


ROWS = [
    row("a", best=0.7, last=0.65, tags=["keep"]),
    row("b", best=0.95, last=0.9, loss="fierce", modified=time.time() - 500),
    row("c", teacher="big", best=None, last=None, state="running", modified=time.time() - 5000),
]


def names(**options: Any) -> list[str]:
    return [line.name for line in listing.arrange(ROWS, **options)]


def test_order() -> None:
    assert names() == ["c", "b", "a"], "what trains first, then the youngest"
    assert names(reverse=True) == ["a", "b", "c"]
    assert names(sort="best") == ["b", "a", "c"], "the best first, without a value last"
    assert names(sort="best", reverse=True) == ["a", "b", "c"]
    assert names(sort="ece") == ["a", "b", "c"]
    assert names(sort="loss") == ["a", "c", "b"]
    assert names(sort="tags") == ["a", "b", "c"]
    assert names(sort="best", pins=frozenset({"c"})) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abc"), ("acc>0.85", "b"), ("best>0.6 -loss:fierce", "a"), ("tag:keep | loss:fierce", "ab"),
        ("state:running", "c"), ("age<2000", "b"), ("nothing", ""), ("-tag:keep", "bc"), ("teacher:b", "c"), ("digits", "abc"),
    ],
)  # fmt: skip
def test_filters(text: str, found: str) -> None:
    assert sorted(names(wanted=listing.parse(text))) == list(found)


def test_a_wrong_filter_is_named() -> None:
    with pytest.raises(UsageError, match="unknown column 'los'"):
        listing.parse("los:ce")
    assert "did you mean 'loss'" in str(listing.problem_of("los:ce"))
    assert "not a number" in str(listing.problem_of("best>high"))
    assert listing.problem_of("best>0.5") is None


def test_seeds_fold_to_mean_and_deviation() -> None:
    rows = [
        row("x-s0", last=0.8, ece=None, epoch=7), row("x-s1", seed=1, last=0.9, ece=0.1, tags=["t"]), row("y"),
    ]  # fmt: skip
    folded, alone = listing.arrange(rows, group=lambda name: name[0], sort="name")
    assert (folded.name, folded.members, folded.key) == ("x ×2", ("x-s0", "x-s1"), "x-s0")
    assert folded.row["last"] == pytest.approx(0.85)
    assert folded.spread["last"] == pytest.approx(0.0707106781)
    assert "ece" not in folded.spread
    assert (folded.row["state"], folded.row["epoch"], folded.row["tags"]) == ("done", 7, ["t"])
    assert (folded.stem, folded.count, folded.left_out) == ("x", "2", {})
    assert (alone.name, alone.spread, alone.count) == ("y", {}, "")


def test_what_is_no_seed_of_its_own_is_in_no_figure() -> None:
    rows = [
        row("x-s2", seed=2, best=None, epoch=1, state="running", modified=time.time()),
        row("a-copy-of-x-s0", best=0.1, started="2026-01-01T10:00:00+00:00"),
        row("x-s0", best=0.8, started="2026-01-01T10:00:00+00:00"),
        row("x-s0-again", best=0.1, started="2026-01-02T10:00:00+00:00"),
        row("x-s1", seed=1, best=0.9, epoch=6, started="2026-01-01T11:00:00+00:00"),
        row("x-s1-failed", seed=1, best=0.1, epoch=2, state="failed"),
        row("x", seed=None, best=0.1),
    ]
    rows[1]["started"] = "2026-01-01T10:00:01+00:00"  # the older one counts, whatever their names
    lines = listing.arrange(rows, group=lambda name: "x", sort="name")
    alone, folded = sorted(lines, key=lambda line: len(line.members))
    assert (alone.name, alone.row["best"]) == ("x", 0.1), "without a seed it is no seed of anything"
    assert folded.name == "x ×2 of 3"
    assert folded.counted == ("x-s0", "x-s1")
    assert set(folded.members) == {r["name"] for r in rows} - {"x"}, "all of them are marked and pinned"
    assert folded.left_out == {
        "a-copy-of-x-s0": "seed 0 counts once, as x-s0",
        "x-s0-again": "seed 0 counts once, as x-s0",
        "x-s1-failed": "it failed",
        "x-s2": "it is running",
    }
    assert folded.row["best"] == pytest.approx(0.85)
    assert folded.spread["best"] == pytest.approx(0.05 * 2**0.5)
    assert (folded.row["state"], folded.row["epoch"]) == ("running", 6)


def test_where_no_seed_is_done_there_is_no_mean() -> None:
    rows = [
        row("x-s0", state="running", epoch=4), row("x-s1", seed=1, state="running", epoch=3),
        row("x-s1-f", seed=1, state="failed", epoch=1), row("y-s0", state="running"),
    ]  # fmt: skip
    folded, alone = listing.arrange(rows, group=lambda name: name[0], sort="name")
    assert (folded.name, folded.counted, folded.spread) == ("x ×0 of 2", (), {})
    assert [folded.row[key] for key in listing.AVERAGED] == [None] * 4
    assert folded.row["epoch"] == 3, "how far the seeds are that train"
    assert (alone.name, alone.row["best"]) == ("y-s0", 0.9), "a single run has its own"


def test_groups_whose_runs_are_named_alike_are_numbered_the_oldest_first() -> None:
    data = {"ce-s0": "old", "ce-s1": "new", "ce-s2": "old", "ce-s3": "new", "ls-s0": "ls", "ls-s1": "ls", "ce": "ce"}
    rows = [row(name, seed=seed, modified=9.0 - seed, best=0.1 * seed) for seed, name in enumerate(data)]
    starts = dict(zip(data, range(10), strict=False))
    rows = [{**r, "started": f"2026-01-0{starts[r['name']] + 1}"} for r in rows]
    lines = {line.name: line for line in listing.arrange(rows, group=data.__getitem__)}
    assert {name: line.members for name, line in lines.items()} == {
        "ce (1) ×2": ("ce-s0", "ce-s2"), "ce (2) ×2": ("ce-s1", "ce-s3"), "ls ×2": ("ls-s0", "ls-s1"), "ce": ("ce",),
    }  # fmt: skip
    line = lines["ce (2) ×2"]
    assert (line.row["name"], line.stem, line.count) == ("ce (2) ×2", "ce (2)", "2")
    assert line.row["best"] == pytest.approx((0.1 + 0.3) / 2)


def test_a_number_is_not_another_group_s_name() -> None:
    groups = {"ce-s0": "a", "ce-s1": "b", "ce-s2": "a", "ce-s3": "b", "ce (1)-s0": "c", "ce (1)-s1": "c"}
    rows = [row(name, seed=seed, started=f"2026-01-0{seed + 1}") for seed, name in enumerate(groups)]
    named = [line.name for line in listing.arrange(rows, group=groups.__getitem__, sort="name")]
    assert named == ["ce (1) ×2", "ce (2) ×2", "ce (3) ×2"]


def test_a_filter_does_not_rename_what_it_leaves_of_a_group() -> None:
    rows = [
        row(f"ce-s{seed}", seed=seed, started=f"2026-01-0{seed + 1}", dataset="new" if seed % 2 else "old")
        for seed in range(6)
    ]
    group = {r["name"]: r["dataset"] for r in rows}.__getitem__
    whole = listing.folded(rows, group)
    for text, expected in (
        ("dataset:new", {"ce (2) ×3": ("ce-s1", "ce-s3", "ce-s5")}),
        ("seed>1 dataset:new", {"ce (2) ×2": ("ce-s3", "ce-s5")}),
        ("name:s5", {"ce-s5": ("ce-s5",)}),
        (
            "name:s4 | name:s2 | dataset:new",
            {"ce (1) ×2": ("ce-s2", "ce-s4"), "ce (2) ×3": ("ce-s1", "ce-s3", "ce-s5")},
        ),
    ):
        for known in (None, whole):
            lines = listing.arrange(rows, wanted=listing.parse(text), group=group, whole=known)
            assert {line.name: line.members for line in lines} == expected


def test_what_is_a_number() -> None:
    assert [listing.number(v) for v in (1, 0.5, True, None, "2", [])] == [1, 0.5, None, None, None, None]


@pytest.mark.parametrize(
    ("names", "stem"),
    [
        (("ce-s0", "ce-s1"), "ce"), (("ce-s1", "ce-s10"), "ce"), (("ce-seed1", "ce-seed2"), "ce"), (("a", "b"), "a"),
        (("cnn-dml-s0-1-cnn", "cnn-dml-s1-1-cnn"), "cnn-dml-1-cnn"), (("d-s9-2-cnn", "d-s10-2-cnn"), "d-2-cnn"),
        (("ce-s10", "ce-s20"), "ce"), (("s0", "s1"), "s"),
    ],
)  # fmt: skip
def test_the_name_of_several(names: tuple[str, ...], stem: str) -> None:
    rows = [row(name, seed=seed) for seed, name in enumerate(names)]
    (line,) = listing.arrange(rows, group=lambda name: "")
    assert line.name == f"{stem} ×2"


def test_cells() -> None:
    line = row("a", last=None, teacher="big + small")
    spread = {"best": 0.012}
    shown = {key: cells.cell(key, line, spread, folded=True) for key in ("best", "last", "epoch", "state", "age")}
    assert shown == {"best": "0.9000±.0120", "last": "–      ", "epoch": "8/8", "state": "✓ done", "age": "2h"}
    assert cells.cell("last", line) == "–"
    assert (cells.cell("teacher", line), cells.cell("teacher", row("b"))) == ("big + small", "")
    assert [cells.age(s) for s in (0, 59, 60, 3600, 86400 * 3)] == ["0s", "59s", "1m", "1h", "3d"]
    assert [cells.fit("abc", n) for n in (0, 1, 2, 3, 4)] == ["", "…", "a…", "abc", "abc "]


def test_how_many_count_stays_where_a_name_is_cut() -> None:
    assert cells.name("digits-cnn-ce", "2 of 3", 30) == f"{'digits-cnn-ce ×2 of 3':30}"
    assert cells.name("digits-cnn-ce", "2 of 3", 14) == "digit… ×2 of 3"
    assert cells.name("digits-cnn-ce", "", 8) == "digits-…"
    for width in range(1, 30):
        assert len(cells.name("digits-cnn-ce", "2 of 3", width)) == width


def test_columns_leave_by_their_need() -> None:
    wanted = {"name": 30, "state": 9, "epoch": 5, "best": 6, "last": 6, "ece": 6, "note": 20, "age": 3}
    assert list(cells.columns_for(200, wanted)) == list(wanted)
    narrow = cells.columns_for(60, wanted)
    assert "note" not in narrow
    assert {"name", "best", "last"} <= set(narrow)
    for width in range(5, 120):
        found = cells.columns_for(width, wanted)
        assert sum(found.values()) + 2 * (len(found) - 1) <= max(width, 1)
        assert found["name"] >= min(10, width)

"""Folded seeds in the dashboard: what counts in their means, what does not, and that a person can see why."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import drive, make, rows, settled, text_of

from fierce_tools import runs, seeds
from fierce_tools.tui import listing
from fierce_tools.tui.app import Dashboard
from fierce_tools.tui.charts import Charts
from fierce_tools.tui.compare import ComparePane, means
from fierce_tools.tui.curves import Curves
from fierce_tools.tui.run_page import RunPage
from fierce_tools.tui.store import Entry, Store

MUTUAL = """
[mutual]
models = ["cnn", "cnn"]
method = "dml"
"""
DATA = "d" * 64
STARTS = (0.5, 0.6, 0.65)


def many(root: Path) -> Path:
    """Three seeds of one recipe, a copy of one, a failed and a running run of it; two seeds of a group of two peers."""
    for seed, start in enumerate(STARTS):
        made = make(
            root, f"ce-s{seed}", rows(8, start=start), seed=seed, dataset_sha256=DATA, started=f"2026-0{seed + 1}"
        )
        assert made.exists()
    shutil.copytree(root / "ce-s1", root / "a-copy-of-ce-s1")
    make(root, "ce-s0-2", rows(2, start=0.1), dataset_sha256=DATA, state="failed", error="loss became nan")
    make(root, "ce-s3", rows(3, start=0.2), seed=3, dataset_sha256=DATA, state="running")
    for seed in range(2):
        name = f"cnn-cnn-dml-s{seed}"
        peers = [f"{name}-{n}-cnn" for n in (1, 2)]
        for number, one in enumerate([name, *peers]):
            said: dict[str, Any] = {"peers": peers} if not number else {"group": name, "peer": number}
            path = make(
                root, one, rows(8, start=0.3 + 0.1 * number + 0.05 * seed), seed=seed, dataset_sha256=DATA, **said
            )
            with open(path / "recipe.toml", "a") as file:
                file.write(MUTUAL)
    return root


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    return many(tmp_path / "runs")


def accuracy(start: float) -> float:
    return float(rows(8, start=start)[-1]["val_accuracy"])


def test_peers_are_apart_and_a_group_s_folder_is_alone(root: Path) -> None:
    store = Store(root)
    store.scan()
    while store.busy:
        store.work(1.0)
    groups = {name: entry.group() for name, entry in store.entries.items()}
    assert groups["cnn-cnn-dml-s0-1-cnn"] == groups["cnn-cnn-dml-s1-1-cnn"]
    assert groups["cnn-cnn-dml-s0-2-cnn"] == groups["cnn-cnn-dml-s1-2-cnn"]
    assert len(set(groups.values())) == 5, "the recipe, either peer, and each folder of peers"


def test_the_table_of_folded_seeds(root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u")
        await settled(app, pilot)
        lines = {line.name: line for line in app.home.lines}
        assert {name: line.members for name, line in lines.items()} == {
            "ce ×3 of 4": ("ce-s0", "ce-s1", "ce-s2", "ce-s0-2", "a-copy-of-ce-s1", "ce-s3"),
            "cnn-cnn-dml-1-cnn ×2": ("cnn-cnn-dml-s0-1-cnn", "cnn-cnn-dml-s1-1-cnn"),
            "cnn-cnn-dml-2-cnn ×2": ("cnn-cnn-dml-s0-2-cnn", "cnn-cnn-dml-s1-2-cnn"),
            "cnn-cnn-dml-s0": ("cnn-cnn-dml-s0",),
            "cnn-cnn-dml-s1": ("cnn-cnn-dml-s1",),
        }
        ce = lines["ce ×3 of 4"]
        expected = seeds.mean_sd(map(accuracy, STARTS))
        assert (ce.row["last"], ce.spread["last"]) == (expected.mean, expected.sd)
        assert (ce.row["state"], ce.row["epoch"]) == ("running", 8)
        peer = lines["cnn-cnn-dml-2-cnn ×2"]
        assert peer.row["last"] == pytest.approx((accuracy(0.5) + accuracy(0.55)) / 2)
        text = text_of(app)
        assert "ce ×3 of 4" in text
        assert next(n.message for n in app._notifications).startswith("3 runs do not count in the means over seeds")
        await pilot.press("space")
        marked = set(app.home.marked())
        assert marked == set(app.home.lines[0].members), "work is done on all of them"

    drive(root, body, (160, 35))


def test_a_row_says_who_is_left_out_and_why(root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u", "slash", *"name:ce-s", "enter", "g", "enter")
        await settled(app, pilot)
        assert isinstance(app.screen, RunPage)
        await app.workers.wait_for_complete()
        await pilot.pause()
        text = text_of(app)
        for part in (
            "ce: mean ± sd over 3 of 4 seeds", "✓ ce-s0  ", "– ce-s0-2", "it failed", "– a-copy-of-ce-s1",
            "seed 1 counts once, as ce-s1", "– ce-s3", "it is running",
        ):  # fmt: skip
            assert part in text, part

    drive(root, body)


def test_a_band_is_of_those_that_count_and_the_running_one_is_beside_it(root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u")
        await settled(app, pilot)
        pane = app.home.pane
        assert isinstance(pane, Curves)
        beside, mean = pane.plot("val_accuracy").curves
        assert (beside.label, beside.thin, len(beside.x)) == ("ce-s3", True, 3)
        for epoch in range(8):
            own = seeds.mean_sd(rows(8, start=start)[epoch]["val_accuracy"] for start in STARTS)
            assert mean.high is not None
            assert mean.y[epoch] == pytest.approx(own.mean)
            assert mean.high[epoch] - mean.y[epoch] == pytest.approx(own.sd or 0.0)
        assert "ce 3 of 4" in text_of(app).splitlines()[-2], "the legend"
        sheet = pane.sheet()
        assert sheet is not None
        assert {row[0] for row in sheet.rows} == {"ce-s3", "ce ×3 of 4"}
        await pilot.press("z")
        table = app.home.sheet()
        assert table is not None
        values = dict(zip(table.columns, table.rows[0], strict=True))
        assert (values["seeds"], values["last sd"]) == ("3 of 4", app.home.lines[0].spread["last"])

    drive(root, body)


def test_seeds_that_all_train_have_no_mean_and_their_own_curves(tmp_path: Path, root: Path) -> None:
    for seed in range(2):
        make(tmp_path / "live", f"x-s{seed}", rows(2 + seed), seed=seed, state="running")

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u")
        await settled(app, pilot)
        (line,) = app.home.lines
        assert (line.name, line.row["last"], line.row["epoch"]) == ("x ×0 of 2", None, 2)
        pane = app.home.pane
        assert isinstance(pane, Charts)
        assert [(c.label, c.thin) for c in pane.plot("val_loss").curves] == [("x-s0", True), ("x-s1", True)]
        await pilot.press("tab", "left", "plus", "escape", "y", "e")
        # One ends: it counts from the next look on.
        info = tmp_path / "live" / "x-s0" / "run.json"
        info.write_text(json.dumps(json.loads(info.read_text()) | {"state": "done"}))
        os.utime(info, (time.time() + 5,) * 2)
        await pilot.press("escape")
        app.home.look()
        await settled(app, pilot)
        assert app.home.lines[0].name == "x ×1 of 2"
        assert [c.thin for c in pane.plot("val_loss").curves] == [True, False]
        assert runs.summary(runs.Run(tmp_path / "live" / "x-s0"))["last"] == app.home.lines[0].row["last"]

    drive(tmp_path / "live", body)


def test_means_of_the_comparison_by_hand() -> None:
    epochs = [
        [{"val_accuracy": 0.9, "val_ece": 0.1}, {"val_accuracy": 0.8, "val_ece": 0.2}],
        [{"val_accuracy": 0.6, "val_ece": 0.3}, {"val_accuracy": 0.7, "val_ece": None}],
    ]
    table = means([("a ×2", epochs), ("b ×1 of 2", epochs[:1]), ("c ×0 of 2", [])])
    assert table.columns == ("figure", "a ×2", "b ×1 of 2", "c ×0 of 2")
    assert {row[0]: row[1:] for row in table.rows} == {
        "accuracy, best epoch": ("0.8 ± 0.14", 0.9, None),
        "accuracy, last": ("0.75 ± 0.071", 0.8, None),
        "ECE, best epoch": (0.1, 0.1, None),
        "ECE, last": (0.2, 0.2, None),
    }


def test_the_comparison_of_folded_seeds(root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u", "space", "space", "c")
        await settled(app, pilot)
        pane = app.home.pane
        assert isinstance(pane, ComparePane)
        text = text_of(app)
        while "Not in the mean" not in text:  # below
            before = text
            await pilot.press("pagedown")
            text = text_of(app)
            assert text != before
        assert "ce-s0-2: it failed" in text

    drive(root, body, (120, 60))


def chosen(app: Dashboard) -> list[tuple[str, list[str]]]:
    return [(c.label, [m.run.name for m in c.members]) for c in app.home.chosen()]


@pytest.mark.parametrize("text", ["seed>0", "name:s1", "name:s0", "nothing-fits"])
def test_a_filter_leaves_a_marked_recipe_one_mean(tmp_path: Path, root: Path, text: str) -> None:
    live = tmp_path / "three"
    for seed in range(3):
        make(live, f"ce-s{seed}", rows(8, start=STARTS[seed]), seed=seed)

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u", "space")
        await settled(app, pilot)
        whole = [("ce ×3", ["ce-s0", "ce-s1", "ce-s2"])]
        assert chosen(app) == whole
        app.home.set_filter(text)
        await settled(app, pilot)
        assert chosen(app) == whole
        pane = app.home.pane
        assert isinstance(pane, Curves)
        (mean,) = pane.plot("val_accuracy").curves
        assert mean.y[-1] == pytest.approx(seeds.mean_sd(map(accuracy, STARTS)).mean)
        assert all(app.home.store.entries[name].history is not None for name in whole[0][1]), "read, though hidden"

    drive(live, body)


def test_what_is_under_the_cursor_is_the_whole_recipe_too(root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u")
        app.home.table.do_bottom()
        await settled(app, pilot)
        assert app.home.store.entries["ce-s0"].history is None
        app.home.set_filter("name:ce-s seed>0 state:done")
        await settled(app, pilot)
        assert [line.name for line in app.home.lines] == ["ce ×2"], "the table shows what fits"
        before = chosen(app)
        assert [label for label, _ in before] == ["ce ×3 of 4"]
        assert all(m.history.rows for m in app.home.chosen()[0].members), "read, though hidden"
        await pilot.press("space")
        assert app.home.marked() == ["a-copy-of-ce-s1", "ce-s1", "ce-s2"]
        assert chosen(app) == before, "a mark changes no mean"

    drive(root, body)


def test_marked_runs_that_are_no_seeds_of_anything_are_all_chosen(tmp_path: Path, root: Path) -> None:
    live = tmp_path / "alone"
    for name in ("x", "y"):
        path = make(live, name, rows(2)) / "recipe.toml"
        path.write_text(path.read_text().replace("seed = 0\n", ""))

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u", "space", "space")
        assert app.home.group("x") == app.home.group("y")
        assert app.home.row("x")["seed"] is None
        assert sorted(chosen(app)) == [("x", []), ("y", [])]

    drive(live, body)


def test_two_recipes_of_one_name_are_two_columns_and_two_curves(tmp_path: Path, root: Path) -> None:
    live = tmp_path / "twice"
    for seed in range(4):
        data = {"dataset_sha256": "ab"[seed // 2] * 64}
        make(live, f"ce-s{seed}", rows(8, start=0.3 + 0.1 * seed), seed=seed, started=f"2026-0{seed + 1}", **data)

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("u", "space", "space")
        await settled(app, pilot)
        pane = app.home.pane
        assert isinstance(pane, Curves)
        assert {c.label for c in pane.plot("val_accuracy").curves} == {"ce (1) ×2", "ce (2) ×2"}
        legend = text_of(app).splitlines()[-2]
        assert "ce (1) n=2" in legend
        assert "ce (2) n=2" in legend
        await pilot.press("c")
        await settled(app, pilot)
        compared = app.home.pane
        assert isinstance(compared, ComparePane)
        text = text_of(app)
        assert "ce (1) ×2" in text
        (head,) = [line for line in text.splitlines() if "ce (1) ×2" in line and "ce (2) ×2" in line]
        assert "figure" in head

    drive(live, body, (160, 60))


def test_marks_hidden_by_a_filter_fold_nothing_of_their_own(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = tmp_path / "lots"
    for number in range(24):
        make(live, f"r{number // 2}-s{number % 2}", rows(2), epochs=2 + number // 2, seed=number % 2)
    calls = {"folded": 0, "group": 0}
    fold, group = listing.folded, Entry.group

    def folds(*args: Any) -> list[listing.Line]:
        calls["folded"] += 1
        return fold(*args)

    def groups(self: Entry) -> str:
        calls["group"] += 1
        return group(self)

    monkeypatch.setattr(listing, "folded", folds)
    monkeypatch.setattr(Entry, "group", groups)

    async def body(app: Dashboard, pilot: Any) -> None:
        home = app.home
        await pilot.press("u")
        home.set_filter("name:r0-")
        await settled(app, pilot)

        def cost(of: Callable[[], Any]) -> dict[str, int]:
            calls.update(folded=0, group=0)
            of()
            return dict(calls)

        bare = cost(home.rearrange)
        assert bare["folded"] == 2, "all of them for the tabs, and those that fit for the table"
        home.memory.marks.update(dict.fromkeys(home.store.entries, 0))
        assert len(home.chosen()) == 12
        assert cost(home.rearrange) == bare, "marks cost no folding"
        assert cost(home.choose) == cost(home.chosen) == {"folded": 0, "group": 0}
        home.set_filter("")
        assert cost(home.rearrange)["folded"] == 1

    drive(live, body)

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from driving import make, rows

from fierce_tools import runs
from fierce_tools.tui.store import Store


def opened(root: Path) -> Store:
    store = Store(root)
    store.scan()
    while store.busy:
        store.work(1.0)
    return store


def again(store: Store) -> set[str]:
    store.scan()
    store.begin_round()
    changed = set()
    while store.busy:
        changed |= store.work(1.0)
    return changed


def test_rows_are_those_of_fierce_runs(runs_root: Path) -> None:
    store = opened(runs_root)
    assert store.loading == 0
    for run in runs.listing(runs_root):
        said = runs.summary(run)
        mine = dict(store.entries[run.name].row)
        assert mine.pop("age") == pytest.approx(said.pop("age"), abs=2)
        assert mine == said
    assert again(store) == set()


def test_growth_ends_and_new_runs_are_seen(runs_root: Path) -> None:
    store = opened(runs_root)
    live = runs.Run(runs_root / "fierce-live")
    live.append({"epoch": 4, "val_accuracy": 0.5})
    assert again(store) == {"fierce-live"}
    row = store.entries["fierce-live"].row
    assert (row["epoch"], row["last"], row["best"]) == (4, 0.5, runs.summary(live)["best"])
    live.update(state="done")
    make(runs_root, "new", rows(1))
    (runs_root / "no-run").mkdir()
    shutil.rmtree(runs_root / "ce-s0")
    added, gone = store.scan()
    assert (added, gone) == ({"new"}, {"ce-s0"})
    assert again(store) == {"fierce-live", "new"}
    assert store.entries["fierce-live"].row["state"] == "done"
    assert store.entries["new"].row["epoch"] == 1


def test_a_resume_that_went_back_forgets_what_came_after(runs_root: Path) -> None:
    store = opened(runs_root)
    run = runs.Run(runs_root / "ce-s0")
    store.watch(["ce-s0"])
    again(store)
    best = store.entries["ce-s0"].row["best"]
    run.keep_metrics(2)
    again(store)
    entry = store.entries["ce-s0"]
    assert entry.row["epoch"] == 2
    assert entry.row["best"] < best
    assert entry.history is not None
    assert entry.history.column("epoch").tolist() == [1, 2]


def test_a_running_process_that_is_gone_is_stale_without_any_file_changing(runs_root: Path) -> None:
    store = opened(runs_root)
    assert store.entries["fierce-live"].row["state"] == "running"
    info = runs_root / "fierce-live" / "run.json"
    document = json.loads(info.read_text()) | {"host": "elsewhere"}
    info.write_text(json.dumps(document))
    again(store)
    assert store.entries["fierce-live"].row["state"] == "running"
    old = time.time() - 2 * runs.QUIET_SECONDS
    for file in info.parent.iterdir():
        os.utime(file, (old, old))
    assert "fierce-live" in again(store)
    assert store.entries["fierce-live"].row["state"] == "stale"


def test_histories_are_kept_for_the_watched_alone(runs_root: Path) -> None:
    store = opened(runs_root)
    store.watch(["smooth-nan", "nobody"])
    again(store)
    history = store.entries["smooth-nan"].history
    assert history is not None
    np.testing.assert_allclose(history.column("val_loss"), [2.2, 1.1, np.nan, 0.55, 0.44])
    assert np.isnan(history.column("nothing")).all()
    assert "val_ece" in history.names()
    version = history.version
    again(store)
    assert history.version == version
    store.watch(["ce-s0"])
    assert store.entries["smooth-nan"].history is None


def test_seeds_are_of_a_group_and_other_recipes_are_not(runs_root: Path) -> None:
    entries = opened(runs_root).entries
    groups = {name: entry.group() for name, entry in entries.items()}
    assert groups["ce-s0"] == groups["ce-s1"] == groups["ce-s2"]
    assert len(set(groups.values())) == 5


def test_what_is_saved_and_where_it_is_computed_folds_and_other_data_do_not(tmp_path: Path) -> None:
    for seed, more in enumerate(("", 'device = "cpu"\nsave_at = [1]\n', "save_best = true\n", "lr = 0.002\n")):
        path = make(tmp_path, f"s{seed}", rows(2), seed=seed)
        written = (path / "recipe.toml").read_text()
        kept = written.replace("lr = 0.001\n", "") if "lr" in more else written
        (path / "recipe.toml").write_text(kept + more)
    make(tmp_path, "here", rows(2), seed=8, dataset_sha256="a" * 64)
    make(tmp_path, "there", rows(2), seed=9, dataset_sha256="b" * 64)
    groups = {name: entry.group() for name, entry in opened(tmp_path).entries.items()}
    assert groups["s0"] == groups["s1"] == groups["s2"] != groups["s3"]
    assert len({groups[name] for name in ("s0", "here", "there")}) == 3


def test_reading_goes_in_slices(runs_root: Path) -> None:
    store = Store(runs_root)
    store.scan()
    assert store.loading == 7
    store.work(0.0)
    assert store.loading == 6
    assert next(iter(store.entries)) in {"fierce-live"}, "the newest first"


def test_no_folder_and_a_folder_that_is_none(tmp_path: Path) -> None:
    store = opened(tmp_path / "none")
    assert (store.entries, store.problem) == ({}, None)
    (tmp_path / "file").write_text("")
    assert "file" in str(opened(tmp_path / "file").problem)


def test_everything_is_read_anew(runs_root: Path) -> None:
    store = opened(runs_root)
    store.watch(["ce-s0"])
    again(store)
    store.reread()
    again(store)
    history = store.entries["ce-s0"].history
    assert history is not None
    assert len(history.rows) == 8
    assert store.entries["ce-s0"].row["best"] == 0.9413

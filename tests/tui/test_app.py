from __future__ import annotations

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from driving import assert_screen, drive, look, make, rows, settled, text_of
from waiting import until

from fierce_tools import files, runs
from fierce_tools.tui.app import Dashboard
from fierce_tools.tui.help import Help, markdown
from fierce_tools.tui.prompt import Confirm
from fierce_tools.tui.settings import Settings

SIZES = [(120, 35), (80, 24), (60, 20), (20, 6)]


def toasts(app: Dashboard) -> str:
    return "\n".join(f"{n.title} {n.message}" for n in app._notifications)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_the_first_sight(runs_root: Path, size: tuple[int, int]) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        assert_screen(app, f"first-{size[0]}x{size[1]}")

    drive(runs_root, body, size)


@pytest.mark.parametrize("size", SIZES[:3], ids=lambda s: f"{s[0]}x{s[1]}")
def test_marked_folded_and_filtered(runs_root: Path, size: tuple[int, int]) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("space", "space", "u", "slash", *"loss:ce|fierce", "enter", "right", "right")
        await settled(app, pilot)
        assert_screen(app, f"marked-{size[0]}x{size[1]}")

    drive(runs_root, body, size)


def test_without_colours_marked_runs_have_letters(runs_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("space", "space", "z", "tab")
        await settled(app, pilot)
        assert_screen(app, "no-color-80x24")

    drive(runs_root, body, (80, 24))


@pytest.mark.parametrize("metrics", [[], [{"epoch": 1}], rows(4, lost=(1, 2, 3, 4)), [{"val_loss": 1e999}, {"a": "b"}]])
def test_odd_runs_alone(tmp_path: Path, metrics: list[dict[str, Any]]) -> None:
    make(tmp_path / "runs", "odd", metrics)

    async def body(app: Dashboard, pilot: Any) -> None:
        for key in ("y", "x", "x", "left", "right", "z", "plus", "e"):
            await pilot.press(key)
        assert "odd" in text_of(app) or "write to" in text_of(app)

    drive(tmp_path / "runs", body, (80, 24))


def test_resizing_down_and_up_again(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        before = text_of(app)
        for size in ((20, 6), (41, 11), (300, 80), (120, 35)):
            await pilot.resize_terminal(*size)
            await settled(app, pilot)
        assert text_of(app) == before

    drive(runs_root, body)


def test_no_runs_and_then_one(tmp_path: Path) -> None:
    root = tmp_path / "runs"

    async def body(app: Dashboard, pilot: Any) -> None:
        assert "no runs in" in text_of(app)
        await pilot.press("space", "enter", "s", "u", "t", "n", "p", "M", "G", "left", "e", "escape")
        make(root, "first", rows(2))
        await look(app, pilot)
        assert "first" in text_of(app)

    drive(root, body)


def test_the_filter_works_while_it_is_typed(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("slash", *"best>0.9 los:ce")
        assert "unknown column 'los'" in text_of(app)
        await pilot.press("enter")
        assert "filter" in text_of(app), "a wrong filter is not taken"
        await pilot.press(*["backspace"] * 7, "enter")
        assert "5 of 7" in text_of(app)
        await pilot.press("escape")
        assert "7 runs" in text_of(app)
        await pilot.press("slash", *"nothing")
        assert "no run fits" in text_of(app)
        await pilot.press("escape")
        assert app.home.lines[0].name == "fierce-live", "left as it was"

    drive(runs_root, body)


def test_sorting_keeps_the_cursor_on_its_run(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("down", "down")
        line = app.home.table.current
        assert line is not None
        seen = set()
        for _ in app.home.table.columns:
            await pilot.press("s")
            seen.add(app.home.sort)
            assert app.home.table.current is not None
            assert app.home.table.current.key == line.key
        assert seen == set(app.home.table.columns)
        order = [x.key for x in app.home.lines]
        await pilot.press("S")
        assert [x.key for x in app.home.lines] != order
        await pilot.click("#runs", offset=(5, 0))
        assert app.home.sort == "name"
        await pilot.press("G")
        assert app.home.table.cursor == 6
        await pilot.press("g", "j", "j", "k")
        assert app.home.table.cursor == 1

    drive(runs_root, body)


def test_marks_tags_notes_and_pins_are_there_next_time_and_runs_stay_as_they_are(runs_root: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in runs_root.rglob("*") if p.parent != runs_root}

    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("slash", *"student", "enter")
        await pilot.press("t", *"thesis good", "enter", "n", *"ask again", "enter", "p", "space", "escape")
        await pilot.press("slash", *"tag:thesis", "enter")
        assert [line.name for line in app.home.lines] == ["student"]
        await pilot.press("s", "y", "plus", "z")

    drive(runs_root, body, (200, 35))
    assert {p: p.stat().st_mtime_ns for p in runs_root.rglob("*") if p.parent != runs_root} == before

    async def again(app: Dashboard, pilot: Any) -> None:
        first = app.home.lines[0]
        assert (first.name, first.row["tags"], first.row["note"]) == (
            "student",
            ["paper", "thesis", "good"],
            "ask again",
        )
        assert app.memory.marks == {"student": 0}
        assert (app.home.sort, app.home.zoom) == ("name", "runs")
        assert {"log": True, "ema": 0.3}.items() <= app.memory.view.items()
        screen = text_of(app)
        assert "paper thesis good" in screen
        assert "ce-s0" in screen.split("student")[1].split("\n")[0], "who taught it"

    drive(runs_root, again, (200, 35))


def test_a_run_that_is_deleted_while_it_is_watched(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("space")
        shutil.rmtree(runs_root / "fierce-live")
        await look(app, pilot)
        assert "fierce-live" not in text_of(app)
        assert "marked" not in text_of(app).split("\n")[0]
        shutil.rmtree(runs_root)
        await look(app, pilot)
        assert "no runs in" in text_of(app)
        await pilot.press("space", "enter", "e", "escape")

    drive(runs_root, body)


def test_a_live_run_grows_on_the_screen(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("space")
        pane: Any = app.home.pane
        assert len(pane.chosen[0].history.rows) == 3
        runs.Run(runs_root / "fierce-live").append({"epoch": 4, "val_accuracy": 0.1234, "new_metric": 1.0})
        with open(runs_root / "fierce-live" / "metrics.jsonl", "a") as file:
            file.write('{"epoch": 5, "val_acc')
        await look(app, pilot)
        assert "4/8" in text_of(app)
        assert "0.1234" in text_of(app)
        assert "new_metric" in pane.metrics
        await pilot.press("P")
        runs.Run(runs_root / "fierce-live").append({"x": 1})
        await look(app, pilot)
        assert "paused" in text_of(app)
        assert len(pane.chosen[0].history.rows) == 4

    drive(runs_root, body)


def test_an_unreadable_folder_and_a_fault_of_our_own_are_toasts(
    runs_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("out of wits")

        with monkeypatch.context() as patched:
            patched.setattr(app.store, "begin_round", fail)
            app.home.look()
            app.home.look()
            await pilot.pause()
        assert toasts(app).count("RuntimeError: out of wits") == 1
        await look(app, pilot)
        assert "7 runs" in text_of(app)

        async def work() -> None:
            raise ValueError("a worker's fault")

        app.run_worker(work(), exit_on_error=False)
        await pilot.pause()
        assert "ValueError: a worker's fault" in toasts(app)

    assert drive(runs_root, body).return_code in (None, 0)


def test_a_full_disk_is_a_toast(runs_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def body(app: Dashboard, pilot: Any) -> None:
        monkeypatch.setattr(files, "write_json", full)
        monkeypatch.setattr(files, "write_text", full)
        await pilot.press("p", "space", "f12")
        await look(app, pilot)
        assert "not remembered: No space left on device" in toasts(app)
        assert "no picture: No space left" in toasts(app)
        await pilot.press("e", "enter")
        assert "No space left" in text_of(app)

    drive(runs_root, body)


def test_export_of_what_is_on_the_screen(runs_root: Path, tmp_path: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("slash", *"seed:0 loss:ce", "enter", "e", "enter")
        await pilot.press("space", "tab", "e", *["backspace"] * 4, *".json", "enter", "w", "f12")
        await pilot.pause()
        assert app.clipboard.startswith("run,epoch,val_accuracy")

    drive(runs_root, body)
    lines = (tmp_path / "runs.csv").read_text().splitlines()
    assert lines[0].startswith("name,state,epoch,best,last")
    assert len(lines) == 1 + 2
    values = json.loads((tmp_path / "curves.json").read_text())
    assert values[0]["run"] == "ce-s0"
    assert values[-1]["val_accuracy"] == rows(8)[-1]["val_accuracy"]
    picture = (tmp_path / "fierce.svg").read_text()
    assert "<svg" in picture
    assert "cdnjs" not in picture, "it can be looked at anywhere"


def test_nothing_is_exported_where_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()

    async def body(app: Dashboard, pilot: Any) -> None:
        for tab in ("1", "7", "8"):
            await pilot.press(tab, "e")
            await pilot.pause()
            assert app.screen is app.home, tab

    drive(tmp_path / "runs", body)


def test_ages_grow_although_no_file_changes(runs_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("slash", *"ce-s2", "enter")
        await settled(app, pilot)
        assert " 5h" in text_of(app)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 4 * 3600)
        await look(app, pilot)
        assert " 9h" in text_of(app)

    drive(runs_root, body)


def test_help_is_the_table_of_keys(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("question_mark")
        assert_screen(app, "help-80x24")
        page = app.screen
        assert isinstance(page, Help)
        text = page.text(300).plain
        for command in app.commands.values():
            if not command.id.startswith("tab_"):
                assert command.help in text
        assert "ignored" in text
        assert "ema is 3" in text
        await pilot.press("q")
        assert app.screen is app.home

    drive(runs_root, body, (80, 24), Settings(problems=("ema is 3",)))
    assert markdown().count("\n") > 30
    assert all(line.count("|") - line.count("\\|") == 3 for line in markdown().splitlines())


def test_the_palette_finds_commands(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("ctrl+p", *"seeds")
        await until(lambda: any("seeds" in row for row in text_of(app).splitlines()[4:]), lambda: text_of(app))
        await pilot.press("enter")
        await until(lambda: app.home.fold, lambda: text_of(app))

    drive(runs_root, body)


def test_other_keys(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        assert "o sort" in text_of(app)
        await pilot.press("s")
        assert app.home.sort == "age"
        await pilot.press("o")
        assert app.home.sort != "age"
        await pilot.press("f5")
        assert app.home.fold

    drive(runs_root, body, (160, 35), Settings(keys={"sort": ("o",), "fold": ("f5",)}))


class Busy:
    """A board on which a job runs."""

    ended = False

    def running(self) -> int:
        return 1

    def line(self) -> str:
        return "job: entropy 40 %"

    def end_all(self) -> None:
        self.ended = True


def test_quitting_asks_while_a_job_runs(runs_root: Path) -> None:
    board = Busy()

    async def body(app: Dashboard, pilot: Any) -> None:
        app.board = board
        await look(app, pilot)
        assert "job: entropy 40 %" in text_of(app).splitlines()[-1]
        await pilot.press("q")
        assert isinstance(app.screen, Confirm)
        await pilot.press("n")
        assert app.screen is app.home
        assert not board.ended
        await pilot.press("q", "y")
        await pilot.pause()

    drive(runs_root, body)
    assert board.ended


def test_light_and_dark_have_colours_of_their_own(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        assert not app.dark
        light = app.colour(0)
        app.theme = "fierce-dark"
        await pilot.pause()
        assert app.colour(0) != light

    drive(runs_root, body, settings=Settings(theme="light"))


@pytest.mark.slow
def test_every_key_in_every_order(runs_root: Path) -> None:
    """Whatever is pressed, nothing breaks."""
    import random

    async def body(app: Dashboard, pilot: Any) -> None:
        keys = [k for c in app.commands.values() for k in c.keys if c.id not in ("quit", "export", "picture")]
        draws = random.Random(0)
        for key in draws.choices(keys, k=150):
            await pilot.press(key)
        await asyncio.sleep(0)

    drive(runs_root, body, (90, 26))

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from driving import drive, make, rows, settled, text_of

from fierce_tools import runs
from fierce_tools.tui.app import Dashboard
from fierce_tools.tui.curves import Curves


def curves(app: Dashboard) -> Curves:
    pane = app.home.pane
    assert isinstance(pane, Curves)
    return pane


def test_without_marks_the_run_under_the_cursor_is_drawn(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        pane = curves(app)
        first = pane.chosen[0].label
        await pilot.press("down")
        assert len(pane.chosen) == 1
        assert pane.chosen[0].label != first
        await pilot.press("space", "up", "up", "space")
        await settled(app, pilot)
        assert len(pane.chosen) == 2
        assert len({c.colour for c in pane.chosen}) == 2
        await pilot.press("M")
        assert not app.memory.marks
        await pilot.press("M")
        await settled(app, pilot)
        assert len(pane.chosen) == 7

    drive(runs_root, body)


def test_colours_stay_when_others_are_unmarked(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        pane = curves(app)
        await pilot.press("space", "space", "space")
        await settled(app, pilot)
        before = {c.label: c.colour for c in pane.chosen}
        await pilot.press("g", "space")
        await settled(app, pilot)
        after = {c.label: c.colour for c in pane.chosen}
        assert len(after) == 2
        assert after.items() <= before.items()
        shown = app.home.table.marks
        assert {shown[name][0] for name in after} == set(after.values()), "the table shows the same"

    drive(runs_root, body)


def test_seeds_are_one_line_with_a_band(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        pane = curves(app)
        await pilot.press("u", "slash", *"ce-s", "enter", "space")
        await settled(app, pilot)
        (chosen,) = pane.chosen
        assert chosen.label == "ce ×3"
        assert len(chosen.members) == 3
        curve = pane.curve(chosen, "val_accuracy")
        values = np.array(
            [[row["val_accuracy"] for row in runs.Run(runs_root / f"ce-s{s}").metrics()] for s in range(3)]
        )
        np.testing.assert_allclose(curve.y, values.mean(axis=0))
        assert curve.high is not None
        np.testing.assert_allclose(curve.high - curve.y, values.std(axis=0, ddof=1))
        await pilot.press("u")
        await settled(app, pilot)
        assert len(pane.chosen) == 3

    drive(runs_root, body)


def test_the_cursor_goes_in_step_on_every_chart(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        pane = curves(app)
        await pilot.press("slash", *"student", "enter", "right", "right", "right")
        await settled(app, pilot)
        assert pane.cursor == 3.0
        values = rows(8, start=0.8)[2]
        screen = text_of(app)
        for key in ("val_accuracy", "val_loss", "train_loss"):
            assert f"{values[key]:.4f}" in screen
        await pilot.press("left")
        assert pane.cursor == 2.0
        await pilot.press("x")
        assert (pane.axis, pane.cursor) == ("step", None)
        await pilot.press("left")
        assert pane.cursor == 160
        await pilot.press("escape")
        assert pane.cursor is None

    drive(runs_root, body)


def test_gaps_are_counted(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        await pilot.press("slash", *"smooth-nan", "enter")
        await settled(app, pilot)
        assert "val_accuracy  1 gap" in text_of(app)
        assert curves(app).plot("val_ece").note == ""

    drive(runs_root, body)


def test_smoothing_log_axis_and_metrics_by_key(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        pane = curves(app)
        head = lambda: text_of(app).splitlines()[0]  # noqa: E731
        assert "raw · x=epoch" in head()
        await pilot.press("plus", "plus", "plus", "y", "x", "x")
        assert "ema .8 · log · x=time" in head()
        await pilot.press("0")
        assert "raw" in head()
        assert pane.plot("val_loss").log_y
        await pilot.press("f", *"loss -train", "enter")
        assert pane.metrics == ["val_loss"]
        await pilot.press("f", *["backspace"] * 20, *"none", "escape")
        assert pane.metrics == ["val_loss"], "left as it was"

    drive(runs_root, body)


def test_paging_and_one_chart_alone(runs_root: Path) -> None:
    async def body(app: Dashboard, pilot: Any) -> None:
        pane = curves(app)
        assert pane.grid == (2, 1)
        await pilot.press("right_square_bracket")
        assert pane.selected == 2
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert pane.selected == 0
        await pilot.press("tab", "down", "enter")
        assert pane.single
        assert "val_loss" in text_of(app)
        assert "val_accuracy" not in text_of(app)
        await pilot.press("right_square_bracket")
        assert "train_loss" in text_of(app)
        await pilot.press("escape")
        assert not pane.single
        await pilot.press("escape")
        assert app.home.table.has_focus
        await pilot.press("tab", "z")
        await settled(app, pilot)
        assert pane.size.width == 70
        assert pane.grid[0] == 2

    drive(runs_root, body, (70, 28))


def test_a_run_that_went_back_in_the_same_file_is_two_lines(tmp_path: Path) -> None:
    make(tmp_path / "runs", "back", [*rows(5), *rows(4)[2:]])

    async def body(app: Dashboard, pilot: Any) -> None:
        from fierce_tools.tui import series

        curve = curves(app).curve(curves(app).chosen[0], "val_loss")
        assert series.pieces(curve.x, curve.y) == [slice(0, 5), slice(5, 7)]

    drive(tmp_path / "runs", body)

"""The dashboard says of a run whose features are all the same that they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from driving import drive, text_of
from waiting import until

from fierce_tools import runs
from fierce_tools.tui import run_facts
from fierce_tools.tui.app import Dashboard
from fierce_tools.tui.compare import figures
from fierce_tools.tui.curves import Curves


def dead(run: runs.Run) -> None:
    rows = [{**row, "val_feature_entropy": 0.0} for row in run.metrics()]
    run.metrics_path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_beside_its_figures() -> None:
    rows = {n: [{"epoch": 1, "val_accuracy": 0.5, "val_feature_entropy": v}] for n, v in {"a": 0.0, "b": 4.5}.items()}
    assert ("feature entropy (bits), last", "0 (constant)", 4.5) in figures(rows).rows


def test_on_its_page_and_in_its_curve(runs_root: Path) -> None:
    run = next(r for r in runs.listing(runs_root) if "ce-s" in r.name)
    assert not run_facts.read(run).problems
    dead(run)
    assert ["the features are constant" in problem for problem in run_facts.read(run).problems] == [True]

    async def body(app: Dashboard, pilot: Any) -> None:
        pane = app.home.pane
        assert isinstance(pane, Curves)
        await pilot.press("M")
        await until(lambda: pane.chosen and "val_feature_entropy" in pane.metrics, pilot)
        assert pane.plot("val_feature_entropy").note.startswith("constant features")
        assert "constant" not in pane.plot("val_nll").note
        assert text_of(app)

    drive(runs_root, body)

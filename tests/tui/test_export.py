from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from fierce_tools.errors import UsageError
from fierce_tools.tui import export
from fierce_tools.tui.panes import Sheet

SHEET = Sheet("runs", ("name", "best"), (("a, b", 0.5), ('c"', None)))


def test_both_kinds_hold_the_same(tmp_path: Path) -> None:
    export.save(tmp_path / "a.csv", SHEET)
    export.save(tmp_path / "a.json", SHEET)
    assert list(csv.reader(io.StringIO((tmp_path / "a.csv").read_text()))) == [
        ["name", "best"],
        ["a, b", "0.5"],
        ['c"', ""],
    ]
    assert json.loads((tmp_path / "a.json").read_text()) == [
        {"name": "a, b", "best": 0.5},
        {"name": 'c"', "best": None},
    ]


def test_nothing_is_overwritten_and_no_other_ending_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        export.save(tmp_path / "a.csv", SHEET)
    with pytest.raises(UsageError, match="neither"):
        export.save(tmp_path / "a.txt", SHEET)
    Path("runs.csv").write_text("")
    assert export.free("runs", ".csv") == Path("runs-2.csv")

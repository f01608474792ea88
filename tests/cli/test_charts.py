"""Charts, heats and bars as text: within their width, told apart without colour, nothing over the data."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from fierce_tools.cli import plot, text
from fierce_tools.drawn import heat
from fierce_tools.report import Bars, Heat, Lines, Points, Report, Series

CODES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def series(count: int, points: int = 30) -> tuple[Series, ...]:
    xs = tuple(float(x) for x in range(points))
    return tuple(Series(f"series {i}", xs, tuple(i + x / 10 for x in xs)) for i in range(count))


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("count", [1, 3, 9, 70])
@pytest.mark.parametrize("kind", [Lines, Points])
def test_every_line_is_as_wide_as_was_asked(kind: type, count: int, color: bool) -> None:
    lines = plot.draw(kind("Title", "x", "y", series(count)), 70, 20, color=color).split("\n")
    assert {len(CODES.sub("", line)) for line in lines} == {70}
    assert len(lines) == 20
    assert any(CODES.search(line) for line in lines) == color


@pytest.mark.parametrize("kind", [Lines, Points])
def test_without_colour_every_series_has_its_own_sign(kind: type) -> None:
    drawn = plot.draw(kind("T", "X", "Y", series(3)), 80, 20, color=False).split("\n")
    assert drawn[-1].split("   ")[1:4] == ["o series 0", "x series 1", "+ series 2"]
    body = "\n".join(line.partition("┤")[2] or line.partition("│")[2] for line in drawn[1:-3])
    for sign in "ox+":
        assert body.count(sign) >= 5


def test_a_single_point_is_seen_and_has_the_colour_of_its_line() -> None:
    curve, other = series(2)
    block = Lines("T", "x", "y", (curve, Series("best", (3.0,), (0.3,)), other))
    assert plot.POINT in plot.draw(block, 80, 20, color=True)
    assert plot._hues(block) == [plot.COLORS[0], plot.COLORS[0], plot.COLORS[1]]
    assert (
        plot.draw(block, 80, 20, color=False).split("\n")[1:-3]
        != plot.draw(Lines("T", "x", "y", (curve, other)), 80, 20, color=False).split("\n")[1:-3]
    )


def test_many_series_are_counted_when_their_names_do_not_fit() -> None:
    drawn = plot.draw(Lines("T", "x", "y", series(60)), 60, 20, color=False).split("\n")
    shown = sum(line.count("series") for line in drawn)
    assert drawn[-1].strip() == f"and {60 - shown} more"


def test_gaps_and_nothing() -> None:
    nothing = Lines("Nothing", "x", "y", (Series("a", (1.0, 2.0), (None, math.nan)),))
    assert plot.draw(nothing, 40, 12, color=False) == "Nothing: nothing finite to draw".ljust(40)
    one = Series("a", (0.0, 1.0, 2.0, 3.0), (1.0, None, 2.0, math.inf))
    assert plot.pieces(one, log_x=False, log_y=False) == [([0.0], [1.0]), ([2.0], [2.0])]
    assert plot.pieces(one, log_x=True, log_y=False) == [([2.0], [2.0])]


def test_charts_of_unlike_heights_stand_side_by_side() -> None:
    assert plot.beside(["ab\ncd", "x"], (2, 1)).split("\n") == ["ab  x", "cd"]


def matrix(rows: int, columns: int, names: str = "class {}") -> Heat:
    values = np.random.default_rng(0).random((rows, columns))
    label = lambda n: tuple(names.format(i) for i in range(n))  # noqa: E731
    return Heat("Matrix", label(rows), label(columns), tuple(map(tuple, values.tolist())))


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 3), (10, 10), (4, 12), (30, 30), (5, 100), (100, 100)])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_heats_fit(rows: int, columns: int, width: int, color: bool) -> None:
    lines = heat.draw(matrix(rows, columns, "a rather long name {}"), width, color=color)
    assert max(line.cell_len for line in lines) <= width
    assert lines[0].plain == "Matrix"


def test_a_heat_that_fits_shows_its_numbers() -> None:
    block = Heat("Counts", ("cat", "dog"), ("cat", "dog"), ((812, 3), (None, 40)))
    assert [line.plain.split() for line in heat.draw(block, 80, color=False)[1:]] == [
        ["cat", "dog"],
        ["cat", "812", "3"],
        ["dog", "–", "40"],
    ]
    long = Heat("M", ("x",) * 2, ("a" * 40, "b" * 40), ((1, 2), (3, 4)))
    shown = [line.plain for line in heat.draw(long, 60, color=False)]
    assert shown[1].split() == ["1", "2"]
    assert "".join(shown).replace(" ", "").endswith(f"columns:1{'a' * 40},2{'b' * 40}")


def test_small_numbers_are_counted_in_a_power_of_ten() -> None:
    tiny = Heat("Tiny", ("a",), ("b", "c"), ((2.5e-7, 1e-8),))
    assert [line.plain.split() for line in heat.draw(tiny, 80, color=False)[2:]] == [
        ["a", "250", "10"],
        ["times", "1e-9"],
    ]
    assert heat.cells(Heat("", ("a",), ("b", "c"), ((0.5, 0.25),))) == ([["0.50", "0.25"]], "")
    # Shares keep their two decimals where one of them is whole.
    assert heat.cells(Heat("", ("a",), ("b", "c"), ((1.0, 0.25),))) == ([["1.00", "0.25"]], "")


def test_shades_grow_with_the_value_and_stripes_hold_every_cell() -> None:
    rising = Heat("Rising", ("r",), tuple(map(str, range(200))), (tuple(range(200)),))
    lines = [line.plain for line in heat.draw(rising, 60, color=False)]
    cells = "".join(line[2:] for line in lines if line.startswith("r "))
    assert len(cells) == 200
    assert [heat.SHADES.index(c) for c in cells] == sorted(heat.SHADES.index(c) for c in cells)
    assert {*cells} == {*heat.SHADES}
    assert lines[-1] == "0   ░░▒▒▓▓██ 199"


def test_missing_cells_have_a_sign_of_their_own() -> None:
    values = tuple(None if i == 3 else math.nan if i == 4 else 1.0 * i for i in range(100))
    lines = [
        line.plain for line in heat.draw(Heat("H", ("r",), tuple(map(str, range(100))), (values,)), 80, color=False)
    ]
    assert sum(line.count(heat.MISSING) for line in lines if line.startswith("r ")) == 2
    assert lines[-1].endswith("× none")


def test_coloured_cells_go_from_dark_to_light() -> None:
    line = heat.draw(Heat("H", ("r",), ("a", "b"), ((0, 1),)), 80, color=True)[2]
    grounds = [span.style.bgcolor.triplet for span in line.spans if span.style.bgcolor]
    assert [tuple(g) for g in grounds] == [heat.RAMP[0], heat.RAMP[-1]]


def test_reports_with_heats_and_bars_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = Bars("Shares", ("cat", "dog", "none"), (0.5, -1.0, None), "share")
    text.print_report(Report("", (matrix(12, 40), bars)))
    out = capsys.readouterr().out
    assert max(map(len, out.split("\n"))) <= 80
    assert "Matrix" in out
    rows = {line.split()[0]: line for line in out.split("\n") if line.split()[:1] and line.split()[0] in bars.labels}
    assert rows["dog"].count("█") == 2 * rows["cat"].count("█") == 50
    assert "█" not in rows["none"]
    monkeypatch.delenv("COLUMNS")
    text.print_report(Report("", (matrix(12, 40),)))
    longest = max(map(len, capsys.readouterr().out.split("\n")))
    assert longest > 300, "a pipe gets whole rows of numbers"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_heats_stand_side_by_side_where_there_is_room(width: int) -> None:
    blocks = [matrix(4, 5, "c{}"), matrix(3, 5, "c{}"), matrix(4, 30, "c{}"), matrix(2, 2, "c{}")]
    drawn = [heat.draw(block, width, color=False) for block in blocks]
    lines = heat.beside(drawn, width)
    assert max(line.cell_len for line in lines) <= width
    shown = "\n".join(line.plain for line in lines)
    for one in drawn:
        for line in one:
            assert line.plain.rstrip() in shown
    alone = sum(map(len, drawn)) + len(drawn) - 1
    assert len(lines) < alone
    # Two small ones share their lines, in their order.
    first = heat.beside(drawn[:2], width)
    assert len(first) == len(drawn[0])
    assert first[1].plain.startswith(drawn[0][1].plain)
    assert first[1].plain.endswith(drawn[1][1].plain.rstrip())

from __future__ import annotations

import numpy as np
import pytest
from rich.segment import Segment

from fierce_tools.tui.chart import Ink, Plot, draw
from fierce_tools.tui.raster import Raster
from fierce_tools.tui.series import Curve

NAN = float("nan")


def curve(x: list[float], y: list[float], **more: object) -> Curve:
    return Curve("a", "#56b4e9", "a", np.array(x, dtype=float), np.array(y, dtype=float), **more)  # type: ignore[arg-type]


def text(rows: list[list[Segment]]) -> list[str]:
    return ["".join(s.text for s in row) for row in rows]


def dots(rows: list[str]) -> int:
    return sum(bin(ord(c) - 0x2800).count("1") for row in rows for c in row if 0x2800 < ord(c) < 0x2900)


def test_a_line_on_the_raster() -> None:
    raster = Raster(3, 1)
    raster.line(np.array([0.0, 5.0]), np.array([3.0, 0.0]), 0)
    assert raster.text(0) == "⡠⠔⠊"
    assert raster.owner.tolist() == [[0, 0, 0]]
    raster.paint(np.array([-1, 6, 0]), np.array([0, 0, 4]), 1)
    assert raster.text(0) == "⡠⠔⠊", "what is outside is left out"


def test_what_is_bold_covers_what_is_faint() -> None:
    raster = Raster(2, 1)
    raster.paint(np.array([0, 2]), np.array([0, 0]), 0, rank=1)
    raster.paint(np.array([1]), np.array([3]), 1, rank=2)
    assert raster.text(0) == "⢀⠁"
    raster.paint(np.array([0]), np.array([0]), 0, rank=1)
    assert raster.text(0) == "⢀⠁"


def test_a_chart_by_eye() -> None:
    rows = text(draw(Plot("loss", (curve([1, 2, 3, 4], [4, 2, 1, 1]),), "epoch"), 32, 7, Ink()))
    assert rows == [
        " loss                         1 ",
        "      4┤⠢⣀                      ",
        "       │  ⠑⠤⡀                   ",
        "       │    ⠈⠒⢄                 ",
        "      2┤       ⠉⠒⠢⢄⣀            ",
        "       │            ⠉⠑⠢⠤⠤⠤⠤⠤⠤⠤⠤ ",
        " epoch  1      2       3      4 ",
    ]


@pytest.mark.parametrize("size", [(80, 20), (34, 8), (12, 4), (5, 3), (1, 1)])
@pytest.mark.parametrize(
    "y", [[], [1.0], [NAN, NAN], [1.0, NAN, 2.0], [np.inf, 1.0, -np.inf], [0.0, -1.0, 5.0], [1e-300, 1e300, 0.0]]
)
@pytest.mark.parametrize("log", [False, True])
def test_any_values_in_any_room(size: tuple[int, int], y: list[float], log: bool) -> None:
    plot = Plot("metric", (curve(list(range(len(y))), y),), "step", log_y=log, weight=0.6, cursor=1.0, note="2 gaps")
    rows = draw(plot, *size, Ink(letters=True))
    assert len(rows) == size[1]
    assert {len(row) for row in text(rows)} == {size[0]}
    assert all(s.style is not None for row in rows for s in row), "without a style NO_COLOR crashes"


def test_a_gap_is_a_gap() -> None:
    x = list(range(9))
    whole = text(draw(Plot("a", (curve(x, [1.0] * 9),)), 60, 8, Ink()))
    gappy = text(draw(Plot("a", (curve(x, [1.0] * 3 + [NAN] * 3 + [1.0] * 3),)), 60, 8, Ink()))
    assert 0.4 < dots(gappy) / dots(whole) < 0.6


def test_raw_points_stay_faint_under_the_smoothed_line() -> None:
    y = [float(n % 2) for n in range(30)]
    rows = draw(Plot("a", (curve(list(range(30)), y),), weight=0.9), 60, 12, Ink())
    colours = {
        s.style.color.name for row in rows[1:-1] for s in row[1:] if s.style and s.style.color and s.text.strip()
    }
    assert "#56b4e9" in colours
    assert len(colours) == 2, "the line and its raw points"


def test_the_cursor_stands_on_its_value() -> None:
    plot = Plot("a", (curve([1, 2, 3], [10, 20, 30]),), "epoch", cursor=2.0)
    rows = text(draw(plot, 48, 12, Ink()))
    assert rows[0].endswith("  20 ")
    columns = {row.index("│", 9) for row in rows[1:-1] if "│" in row[9:]}
    assert columns == {8 + 19}


def test_a_band_is_a_veil_around_its_mean() -> None:
    x, y = np.arange(5.0), np.zeros(5)
    band = Curve("a", "#56b4e9", "a", x, y, y - 1, y + 1)
    assert dots(text(draw(Plot("a", (band,)), 60, 12, Ink()))) > 300


def test_a_smoothed_line_stays_in_its_band() -> None:
    x, y = np.arange(20.0), np.linspace(0, 1, 20)
    band = Curve("a", "#56b4e9", "a", x, y, y - 0.02, y + 0.02)
    rows = draw(Plot("a", (band,), weight=0.9), 60, 30, Ink())
    bold = {(n, i) for n, row in enumerate(rows[1:-1]) for i, c in enumerate(_owners(row)) if c == "#56b4e9"}
    faint = {
        (n, i) for n, row in enumerate(rows[1:-1]) for i, c in enumerate(_owners(row)) if c not in ("#56b4e9", None)
    }
    near = {(n + a, i + b) for n, i in bold for a in (-3, -2, -1, 0, 1, 2, 3) for b in (-1, 0, 1)}
    assert faint
    assert faint <= near


def _owners(row: list[Segment]) -> list[str | None]:
    found: list[str | None] = []
    for s in row[1:]:
        name = s.style.color.name if s.style and s.style.color else None
        found += [name if 0x2800 < ord(c) < 0x2900 else None for c in s.text]
    return found

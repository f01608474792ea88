"""Screens as SVG: nothing is fetched, text stays where it was, signs of charts and images are shapes."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.text import Text

from fierce_tools.drawn.svg import HEIGHT, WIDTH, standalone


def drawn(*lines: str) -> tuple[str, str]:
    console = Console(record=True, width=20, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text(line))
    svg = console.export_svg(title="t")
    return svg, standalone(svg)


def boxes(svg: str) -> list[tuple[float, ...]]:
    found = re.findall(r"M([\d.]+),([\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+z", svg)
    return [tuple(map(float, box)) for box in found]


def test_nothing_is_fetched_and_letters_keep_their_place() -> None:
    before, after = drawn("val <acc> & more", "second")
    assert "cdnjs" in before
    assert "url(http" not in after.replace('"', "")
    assert "Fira" not in after
    pieces = re.compile(r'x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"[^>]*>([^<]*)</text>')
    assert pieces.findall(after) == pieces.findall(before)
    assert "clip-path" not in after.split("</defs>")[1].replace("clip-terminal", "").partition("matrix")[2]


@pytest.mark.parametrize(
    ("sign", "area"),
    [("▀", 0.5), ("▄", 0.5), ("█", 1.0), ("▌", 0.5), ("▁", 0.125), ("▆", 0.75)],
)
def test_a_block_fills_its_part_of_the_cell(sign: str, area: float) -> None:
    ((_, _, width, height),) = boxes(drawn(sign)[1])
    assert width * (height - 0.25) == pytest.approx(area * WIDTH * HEIGHT, rel=0.01)
    assert f">{sign}<" not in drawn(sign)[1]


def test_dots_are_where_unicode_has_them() -> None:
    first, last = boxes(drawn("⠁")[1]), boxes(drawn("⢀")[1])
    assert len(first) == len(last) == 1
    assert last[0][0] - first[0][0] == pytest.approx(WIDTH / 2, abs=0.1)
    assert last[0][1] - first[0][1] == pytest.approx(HEIGHT * 3 / 4, abs=0.1)
    full = boxes(drawn("⣿")[1])
    assert len({box[:2] for box in full}) == 8
    assert len(boxes(drawn("⠀")[1])) == 0


def test_letters_beside_shapes_stay() -> None:
    _, svg = drawn("0.5┤ x")
    assert ">0.5&#160;&#160;x" in svg
    assert len(boxes(svg)) == 3

"""Blocks of a report at 80 and 120 columns: text by hand, charts and images on a screen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult

from fierce_tools.report import Bars, Heat, Images, Lines, Points, Report, Scalars, Series, Table
from fierce_tools.tui import tables
from fierce_tools.tui.blocks import ReportView
from fierce_tools.tui.figure import Figure, colours
from fierce_tools.tui.images import Gallery, Large

GREY = "#8a93a8"
RED, BLUE = "#ff0000", "#0000ff"
LINES = Lines(
    "Entropy", "T", "nats", (Series("a", (1, 2, 3), (0.1, None, 0.3)), Series("b", (1, 2, 3), (0.3, 0.2, 0.1)))
)
CLOUD = Points(
    "Training",
    "along",
    "across",
    (Series("cat", (0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5)), Series("dog", (5, 4), (0, 1))),
)
WIDE = Table("Wide", ("name", *(f"column {n}" for n in range(12))), (("x", *range(12)), ("y", *[None] * 12)))
REPORT = Report(
    "all",
    (
        Scalars("Numbers", {"T*": 1.25, "ECE": None}, {"T*": "nats"}),
        WIDE,
        LINES,
        CLOUD,
        Bars("Bars", ("one", "two"), (1.0, 0.5), "nats"),
        Heat("Heat", ("r", "s"), ("c", "d"), ((1.0, 2.0), (3.0, None))),
        Images("Pictures", (4, 2), ("label 4, predicted 9, 2.1 nats", "label 2, predicted 2, 1.9 nats")),
    ),
    ("A note at the end.",),
)


def plain(lines: Any) -> list[str]:
    return [line.plain.rstrip() for line in lines]


def test_a_table_by_hand() -> None:
    block = Table("T", ("class", "mean"), (("cat", 0.123456), ("a dog", None)))
    assert plain(tables.table(block, 40)) == ["T", "class    mean", "cat    0.1235", "a dog       –", ""]


@pytest.mark.parametrize("width", [30, 65, 80, 120])
def test_wide_tables_are_folded_and_lose_nothing(width: int) -> None:
    lines = plain(tables.table(WIDE, width))
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert [w for w in words if w.isdecimal()].count("11") >= 1
    assert words.count("–") == 12
    assert sum(line.startswith("x") for line in lines) == (
        1 if width == 120 else sum(line.startswith("y") for line in lines)
    )


def test_numbers_bars_and_long_tables() -> None:
    assert plain(tables.scalars(Scalars("S", {"T*": 1.5, "ECE": 0.25}, {"T*": "nats"}), 30)) == [
        "S", "T*    1.5 nats", "ECE  0.25", "",
    ]  # fmt: skip
    assert plain(tables.bars(Bars("B", ("one", "two"), (1.0, 0.5), "nats"), 20, "red")) == [
        "B  nats", "one    1  ██████████", "two  0.5  █████", "",
    ]  # fmt: skip
    long = Table("", ("n",), tuple((n,) for n in range(tables.ROWS + 3)))
    assert plain(tables.table(long, 40))[-1] == "and 3 rows more: export them with e"


def test_colours_of_sources_and_references() -> None:
    hues = {"d-ce": RED, "d-ce-1": BLUE}
    curve = Lines("", "", "", tuple(Series(n, (0, 1), (0, 1)) for n in ("d-ce", "reference", "d-ce-1 all")))
    assert colours(curve, hues, True) == [RED, GREY, BLUE]
    several = Lines("", "", "", tuple(Series(n, (0, 1), (0, 1)) for n in ("d-ce before", "d-ce after", "perfect")))
    first, second, third = colours(several, hues, True)
    assert first != second == RED, "what is said last of a source has its colour, what was before is paler"
    assert third == GREY
    each = Lines("", "", "", tuple(Series(f"d-ce class {n}", (0, 1), (1, n)) for n in range(4)))
    assert len(set(colours(each, hues, True))) == 4, "more than two are told apart"
    alone = Lines("", "", "", (Series("perfect", (0, 0.5, 1), (0, 0.5, 1)), Series("before", (0, 1), (1, 0))))
    assert colours(alone, {"x": RED}, True) == [GREY, RED]
    optimum = Lines("", "", "", (Series("NLL", (0, 1), (1, 0)), Series("at T*", (1,), (0,))))
    assert len(set(colours(optimum, {}, True))) == 1, "a point has the colour of its line"
    assert colours(optimum, {"x": RED}, True)[0] == RED


class Shown(App[None]):
    def __init__(self, report: Report, hues: dict[str, str] | None = None) -> None:
        super().__init__()
        self.report, self.hues = report, hues

    def compose(self) -> ComposeResult:
        yield ReportView(first="Training")

    async def on_mount(self) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 1), dtype=np.uint8)
        await self.query_one(ReportView).show(self.report, self.hues, lambda _: list(pixels))
        self.query_one(ReportView).focus()


def on_screen(body: Callable[[Shown, Any], Awaitable[None]], size: tuple[int, int], report: Report = REPORT) -> None:
    async def run() -> None:
        app = Shown(report)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await body(app, pilot)

    asyncio.run(run())


def text_of(app: App[None]) -> str:
    return "\n".join("".join(s.text for s in strip).rstrip() for strip in app.screen._compositor.render_strips())


@pytest.mark.parametrize("size", [(120, 150), (80, 150)])
def test_every_kind_of_block_is_seen(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    async def body(app: Shown, pilot: Any) -> None:
        text = text_of(app)
        for word in ("Training", "Entropy (nats)", "Numbers", "Wide", "Bars", "Heat", "Pictures", "▀▀▀▀", "label 4",
                     "predicted 9", "2.1 nats", "━ a", "━ b", "● cat", "A note at the end.", "T*   1.25 nats"):  # fmt: skip
            assert word in text, word
        assert text.index("Training") < text.index("Entropy (nats)") < text.index("Numbers"), "what is looked at first"
        figures = list(app.query(Figure))
        beside = figures[0].region.y == figures[1].region.y
        assert beside == (size[0] == 120)

    on_screen(body, size)


def test_without_colour_images_are_shades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def body(app: Shown, pilot: Any) -> None:
        text = text_of(app)
        assert "▀" not in text
        assert "▒" in text

    on_screen(body, (80, 150))


def test_series_are_hidden_wherever_they_are_drawn() -> None:
    async def body(app: Shown, pilot: Any) -> None:
        view = app.query_one(ReportView)
        assert view.labels() == ["cat", "dog", "a", "b"]
        view.do_right()
        assert view.at_label == "cat", "arrows walk over images first"
        report = Report("x", (CLOUD, CLOUD, LINES))
        await view.show(report)
        view.do_right()
        assert view.at_label == "dog"
        view.do_mark()
        await pilot.pause()
        plots = [figure.plot() for figure in app.query(Figure)]
        assert [[c.label for c in p.curves] for p in plots] == [["cat"], ["cat"], ["a", "b"]]
        assert plots[0].note == "1 hidden"
        assert text_of(app).count("○ dog") == 2
        for _ in range(3):
            view.do_right()
            view.do_mark()
        assert not view.hidden, "all of them again where none would be left"

    on_screen(body, (80, 60))


def test_images_are_walked_over_and_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    async def body(app: Shown, pilot: Any) -> None:
        view, gallery = app.query_one(ReportView), app.query_one(Gallery)
        assert gallery.lit
        view.do_right()
        assert gallery.at == 1
        view.do_open()
        await pilot.pause()
        assert isinstance(app.screen, Large)
        text = text_of(app)
        assert "label 2, predicted 2, 1.9 nats" in text
        assert "2 of 2" in text
        assert max(line.count("▀") for line in text.split("\n")) == 32, "8 pixels as four times so many cells"
        app.screen.do_left()
        await pilot.pause()
        assert "1 of 2" in text_of(app)

    on_screen(body, (80, 24))


def test_a_report_of_nothing() -> None:
    async def body(app: Shown, pilot: Any) -> None:
        await app.query_one(ReportView).show(None)
        await pilot.pause()
        assert text_of(app).strip() == ""

    empty = Report(
        "e",
        (
            Lines("l", "", "", (Series("a", (1.0,), (None,)),)),
            Table("t", ("a",), ()),
            Scalars("s", {}),
            Bars("b", (), ()),
        ),
    )
    on_screen(body, (80, 24), empty)

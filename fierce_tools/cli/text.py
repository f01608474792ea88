"""A Report as text on stdout, and the other things commands print."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fierce_tools.cli import plot
from fierce_tools.drawn.cells import bar, show
from fierce_tools.report import Bars, Block, Cell, Heat, Images, Lines, Points, Report, Scalars, Table

SIDE_BY_SIDE = 100
HEIGHT = 18


def width() -> int:
    """Columns to print in: the terminal's, else COLUMNS, else 100."""
    return max(40, shutil.get_terminal_size((100, 30)).columns)


def colored() -> bool:
    """Whether stdout takes colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def say(message: str) -> None:
    """Talk, on stderr."""
    print(message, file=sys.stderr)


def once() -> Callable[[str], None]:
    """Talk that says each line once."""
    said: set[str] = set()

    def tell(message: str) -> None:
        if message not in said:
            said.add(message)
            say(message)

    return tell


def print_report(report: Report) -> None:
    """Every block of a report; consecutive charts side by side where there is room."""
    charts: list[Lines | Points] = []
    heats: list[Heat] = []
    for block in (*report.blocks, None):
        if heats and not isinstance(block, Heat):
            _print_heats(heats)
            heats = []
        if isinstance(block, Lines | Points):
            charts.append(block)
            continue
        if charts:
            _print_charts(charts)
            charts = []
        if isinstance(block, Heat):
            heats.append(block)
        elif block is not None:
            _print_block(block)
    for note in report.notes:
        print(note)


def _print_charts(charts: Sequence[Lines | Points]) -> None:
    columns = width()
    clouds = all(isinstance(chart, Points) for chart in charts)
    if columns >= SIDE_BY_SIDE and (len(charts) == 2 or (clouds and len(charts) > 1)):
        # Clouds compare only at the same size; a curve gets the room beside what explains it.
        left = int((columns - 2) * (0.5 if clouds else 0.6))
        for start in range(0, len(charts), 2):
            sizes = (left, columns - 2 - left)
            drawn = [
                plot.draw(c, w, HEIGHT, color=colored()) for c, w in zip(charts[start : start + 2], sizes, strict=False)
            ]
            print(plot.beside(drawn, sizes))
    else:
        for chart in charts:
            print(plot.draw(chart, min(columns, 110), HEIGHT, color=colored()))
    print()


def _print_block(block: Block) -> None:
    if isinstance(block, Scalars):
        rows = [(name, value, block.units.get(name, "")) for name, value in block.values.items()]
        print_table(block.title, ("", "", ""), rows)
    elif isinstance(block, Table):
        print_table(block.title, block.columns, block.rows)
    elif isinstance(block, Bars):
        _print_bars(block)
    elif isinstance(block, Images):
        print_table(block.title, ("index", ""), list(zip(block.index, block.captions, strict=True)))


def _print_bars(block: Bars) -> None:
    finite = [abs(v) for v in block.values if v is not None and math.isfinite(v)]
    top = max(finite, default=0.0)
    taken = max(map(len, block.labels), default=0) + max([len(block.unit), *(len(show(v)) for v in block.values)]) + 8
    room = max(10, min(50, width() - taken))
    rows = [(n, v, bar(v, top, room)) for n, v in zip(block.labels, block.values, strict=True)]
    print_table(block.title, ("", block.unit, ""), rows)


def _print_heats(blocks: Sequence[Heat]) -> None:
    """Matrices, as many beside one another as there is room for."""
    from rich.console import Console

    from fierce_tools.drawn import heat

    if not _folding():
        for block in blocks:
            rows = [(n, *row) for n, row in zip(block.rows, block.values, strict=True)]
            print_table(block.title, ("", *block.columns), rows)
        return
    plain = not colored()
    console = Console(file=sys.stdout, width=width(), no_color=plain, highlight=False, force_terminal=not plain)
    drawn = [heat.draw(block, width(), color=not plain) for block in blocks]
    for line in heat.beside(drawn, width()):
        console.print(line, no_wrap=True)
    print()


def _folding() -> bool:
    """Whether lines must fit: a pipe gets whole ones, since cut cells could not be searched or pasted."""
    return sys.stdout.isatty() or bool(os.environ.get("COLUMNS"))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Columns of cells, numbers to the right; as wide as its contents, at most the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    cells = [tuple(row) for row in rows]
    table = RichTable(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )
    table.show_header = any(columns)
    for number, column in enumerate(columns):
        numeric = any(isinstance(row[number], int | float) for row in cells)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(show(value)) for value in row))
    plain = not colored()
    wide = width() if _folding() else 10_000
    console = Console(
        file=sys.stdout, width=wide, no_color=plain, highlight=False, force_terminal=not plain, legacy_windows=False
    )
    console.print(table)


def facts(values: Mapping[str, Any]) -> None:
    """Names and values, a line each."""
    wide = max((len(k) for k in values), default=0)
    for key, value in values.items():
        print(f"{key:<{wide}}  {value}")

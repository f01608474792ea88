"""Tables, named values, bars and matrices as lines of text that fit a width."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from fierce_tools.drawn import heat
from fierce_tools.drawn.cells import bar, show
from fierce_tools.report import Bars, Cell, Heat, Scalars, Table

GAP = 2
# A cell of text longer than this is cut where the table would else be folded.
LONGEST = 40
# Rows beyond these are counted, not drawn: a report is read, a file is searched.
ROWS = 400


def table(block: Table, width: int, *, right: bool = False) -> list[Text]:
    """A table under its title, numbers to the right; columns that do not fit go below, beside the first one again.

    `right` puts all columns but the first to the right, whatever is in them.
    """
    shown = [tuple(show(c) for c in row) for row in block.rows[:ROWS]]
    numeric = [any(isinstance(r[n], int | float) for r in block.rows[:ROWS]) for n in range(len(block.columns))]
    if right:
        numeric = [False, *(True for _ in block.columns[1:])]
    cut = [tuple(c if len(c) <= LONGEST else c[: LONGEST - 1] + "…" for c in row) for row in shown]
    heads = _folded_heads(block.columns, cut)
    sizes = [
        max([*(len(part) for part in head), *(len(row[n]) for row in cut)], default=0) for n, head in enumerate(heads)
    ]
    lines = [Text(block.title, "bold")] if block.title else []
    # Sources in front of keys: as many columns as are text stand again in every stripe, where there is room.
    keys = next((n for n, number in enumerate(numeric) if number), 1) or 1
    if sum(sizes[:keys]) + GAP * keys > width * 0.6:
        keys = 1
    for stripe in _stripes(sizes, keys, width):
        lines += _stripe(heads, cut, sizes, numeric, stripe, width)
    if len(block.rows) > ROWS:
        lines.append(Text(f"and {len(block.rows) - ROWS} rows more: export them with e", "dim"))
    return lines


def _folded_heads(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Each head in the lines it takes to be hardly wider than what is under it."""
    folded = []
    for number, column in enumerate(columns):
        room = max([8, *(len(row[number]) for row in rows)])
        lines = [""]
        for word in column.split():
            if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
                lines.append(word)
            else:
                lines[-1] = f"{lines[-1]} {word}".strip()
        folded.append(lines)
    deep = max(map(len, folded), default=1)
    return [[""] * (deep - len(lines)) + lines for lines in folded]


def _stripes(sizes: Sequence[int], keys: int, width: int) -> list[list[int]]:
    stripes: list[list[int]] = [[*range(min(keys, len(sizes)))]]
    used = left = sum(sizes[:keys]) + GAP * (keys - 1)
    for number in range(keys, len(sizes)):
        if used + GAP + sizes[number] > width and len(stripes[-1]) > keys:
            stripes.append([*range(keys)])
            used = left
        stripes[-1].append(number)
        used += GAP + sizes[number]
    return stripes


def _stripe(
    heads: Sequence[Sequence[str]],
    rows: Sequence[Sequence[str]],
    sizes: Sequence[int],
    numeric: Sequence[bool],
    stripe: Sequence[int],
    width: int,
) -> list[Text]:
    def line(cells: Sequence[str]) -> str:
        parts = [c.rjust(sizes[n]) if numeric[n] else c.ljust(sizes[n]) for n, c in zip(stripe, cells, strict=True)]
        return (" " * GAP).join(parts).rstrip()[:width]

    lines = [Text(line([heads[n][deep] for n in stripe]), "dim") for deep in range(len(heads[0]) if heads else 0)]
    if not any(part.plain.strip() for part in lines):
        lines = []
    return [*lines, *(Text(line([row[n] for n in stripe])) for row in rows), Text()]


def scalars(block: Scalars, width: int) -> list[Text]:
    """Named values with their units, in as many columns as fit."""
    entries = [(name, show(value), block.units.get(name, "")) for name, value in block.values.items()]
    names, values = max((len(e[0]) for e in entries), default=0), max((len(e[1]) for e in entries), default=0)
    units = max((len(e[2]) for e in entries), default=0)
    wide = names + GAP + values + 1 + units
    across = max(1, min((width + 4) // (wide + 4), math.ceil(len(entries) / 4)))
    deep = math.ceil(len(entries) / across)
    lines = [Text(block.title, "bold")] if block.title else []
    for row in range(deep):
        line = Text()
        for name, value, unit in entries[row::deep]:
            line.append(" " * 4 if line.plain else "")
            line.append(name.ljust(names + GAP), "dim").append(value.rjust(values))
            line.append(" " + unit.ljust(units), "dim")
        lines.append(line[:width])
    return [*lines, Text()]


def bars(block: Bars, width: int, colour: str) -> list[Text]:
    """A bar for each label, its value beside it."""
    top = max((abs(v) for v in block.values if v is not None and math.isfinite(v)), default=0.0)
    values = [show(v) for v in block.values]
    left, number = max(map(len, block.labels), default=0), max(map(len, values), default=0)
    left = min(left, max(width // 3, 8))
    room = max(width - left - number - 2 * GAP, 4)
    head = Text(block.title, "bold").append(f"  {block.unit}" if block.unit else "", "dim")
    lines = [head]
    for label, value, text in zip(block.labels, block.values, values, strict=True):
        cut = label if len(label) <= left else label[: left - 1] + "…"
        line = Text(cut.ljust(left + GAP)).append(text.rjust(number) + " " * GAP)
        lines.append(line.append(bar(value, top, room), colour))
    return [*lines, Text()]


def matrix(block: Heat, width: int, *, color: bool) -> list[Text]:
    """A matrix as numbers on shades where they fit, else as shades."""
    return [*heat.draw(block, width, color=color), Text()]


def sheet(blocks: Sequence[object]) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]] | None:
    """The first table of a report, else its named values, as columns and rows; None where it has neither."""
    found = next((b for b in blocks if isinstance(b, Table)), None)
    if found is not None:
        return found.columns, found.rows
    named = next((b for b in blocks if isinstance(b, Scalars)), None)
    if named is None:
        return None
    return ("name", "value", "unit"), tuple((k, v, named.units.get(k, "")) for k, v in named.values.items())

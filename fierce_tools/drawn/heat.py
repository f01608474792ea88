"""A matrix as text: numbers where they fit, else shades, folded into stripes of columns where even those do not."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from fierce_tools.report import Heat

SHADES = " ░▒▓█"
MISSING = "×"
# Row names longer than this are cut: the cells matter more.
LONGEST = 16
# Columns between two matrices side by side.
GAP = 4
# Viridis: even steps of lightness, told apart with any colour vision.
RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def draw(block: Heat, width: int, *, color: bool) -> list[Text]:
    """Lines of at most `width` columns."""
    finite = [v for row in block.values for v in row if v is not None and math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    title = [Text(block.title, style="bold")]
    numbers = _numbers(block, width, low, high, color)
    return title + (numbers if numbers is not None else _shades(block, width, low, high, color))


def beside(drawn: Sequence[list[Text]], width: int) -> list[Text]:
    """Drawn matrices in rows of as many as `width` columns hold, an empty line between two rows."""
    rows: list[list[list[Text]]] = []
    left = 0
    for one in drawn:
        wide = max(line.cell_len for line in one) + GAP
        if not rows or wide > left + GAP:
            rows.append([])
            left = width
        rows[-1].append(one)
        left -= wide
    lines: list[Text] = []
    for row in rows:
        if lines:
            lines.append(Text())
        wides = [max(line.cell_len for line in one) + GAP for one in row]
        for number in range(max(map(len, row))):
            line = Text()
            for one, wide in zip(row, wides, strict=True):
                part = one[number] if number < len(one) else Text()
                line.append_text(part).append(" " * (wide - part.cell_len))
            line.rstrip()
            lines.append(line)
    return lines


def _numbers(block: Heat, width: int, low: float, high: float, color: bool) -> list[Text] | None:
    shown, scale = cells(block)
    wide = max((len(c) for row in shown for c in row), default=1)
    for heads in (block.columns, _numbered(block.columns)):
        names = _row_names(block, heads)
        room = max(wide, *map(len, heads)) + 2
        if max(map(len, names)) + room * len(heads) <= width:
            break
    else:
        return None
    left = max(map(len, names))
    lines = [Text(" " * left + "".join(h.rjust(room) for h in heads))]
    for name, row, texts in zip(names, block.values, shown, strict=True):
        line = Text(name.ljust(left))
        for value, cell in zip(row, texts, strict=True):
            # One column of ground between cells, so that neighbours of one shade stay apart.
            line.append(" ").append(cell.rjust(room - 1), _style(value, low, high, color))
        lines.append(line)
    return lines + _keys(block, heads, width) + ([Text(f"times {scale}")] if scale else [])


def _shades(block: Heat, width: int, low: float, high: float, color: bool) -> list[Text]:
    heads = _numbered(block.columns)
    names = _row_names(block, heads)
    left = max(map(len, names)) + 1
    room = 2 if left + 2 * len(heads) <= width else 1
    stripe = max(1, (width - left) // room)
    lines: list[Text] = []
    for start in range(0, len(heads), stripe):
        lines.append(Text(" " * left + _ruler(start, min(stripe, len(heads) - start), room)))
        for name, row in zip(names, block.values, strict=True):
            line = Text(name.ljust(left))
            for value in row[start : start + stripe]:
                line.append(_shade(value, low, high, color) * room, _style(value, low, high, color))
            lines.append(line)
    scale = Text(f"{low:.4g} ")
    for step in range(len(SHADES)):
        value = low + (high - low) * step / (len(SHADES) - 1)
        scale.append(_shade(value, low, high, color) * 2, _style(value, low, high, color))
    scale.append(f" {high:.4g}")
    if any(v is None or not math.isfinite(v) for row in block.values for v in row):
        scale.append(f"   {MISSING} none")
    return [*lines, *_keys(block, heads, width), scale]


def cells(block: Heat) -> tuple[list[list[str]], str]:
    """Every value as a few characters, and the power of ten they are counted in, where there is one."""
    finite = [v for row in block.values for v in row if v is not None and math.isfinite(v)]
    top, span = max(map(abs, finite), default=0.0), max(finite, default=0.0) - min(finite, default=0.0)
    whole = all(v is None or (math.isfinite(v) and v == int(v)) for row in block.values for v in row)
    power = 0 if whole or top == 0 or 0.01 <= top < 1e5 else 3 * math.floor(math.log10(top) / 3)
    # Two digits of the largest, and where all are nearly the same, so many, up to three, that they are told apart.
    digits = [max(0, 2 - math.ceil(math.log10(top / 10**power)))] if top > 0 else [0]
    digits += [min(3, 1 - math.floor(math.log10(span / 10**power)))] if span > 0 else []
    decimals = 0 if whole else max(digits)
    written = [
        ["–" if v is None or not math.isfinite(v) else f"{v / 10**power:.{decimals}f}" for v in row]
        for row in block.values
    ]
    return written, f"1e{power}" if power else ""


def _numbered(columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(n) for n in range(1, len(columns) + 1))


def _row_names(block: Heat, heads: Sequence[str]) -> list[str]:
    """The rows' names, with their numbers where those stand for the columns of the same names."""
    names = [n if len(n) <= LONGEST else n[: LONGEST - 1] + "…" for n in block.rows]
    if tuple(heads) == tuple(block.columns) or block.rows != block.columns:
        return names
    digits = len(str(len(names)))
    return [f"{n:>{digits}} {name}" for n, name in enumerate(names, 1)]


def _keys(block: Heat, heads: Sequence[str], width: int) -> list[Text]:
    """What numbered columns stand for, unless the rows say so already."""
    if tuple(heads) == tuple(block.columns) or block.rows == block.columns:
        return []
    listed = Text("columns: " + ", ".join(f"{n} {name}" for n, name in zip(heads, block.columns, strict=True)))
    return list(listed.wrap(Console(width=width), width))


def _ruler(start: int, count: int, room: int) -> str:
    """Column numbers over cells `room` wide: each that fits, from the first on."""
    line = [" "] * (count * room)
    free = 0
    for number in range(start + 1, start + count + 1):
        text, at = str(number), (number - start - 1) * room
        if at >= free and at + len(text) <= len(line) and (number == start + 1 or room > len(text) or number % 5 == 0):
            line[at : at + len(text)] = text
            free = at + len(text) + 1
    return "".join(line)


def _share(value: float | None, low: float, high: float) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return (value - low) / (high - low) if high > low else 0.0


def _shade(value: float | None, low: float, high: float, color: bool) -> str:
    share = _share(value, low, high)
    if share is None:
        return MISSING
    return " " if color else SHADES[min(int(share * len(SHADES)), len(SHADES) - 1)]


def _style(value: float | None, low: float, high: float, color: bool) -> Style:
    share = _share(value, low, high)
    if share is None or not color:
        return Style()
    place = share * (len(RAMP) - 1)
    first = min(int(place), len(RAMP) - 2)
    ground = [round(a + (b - a) * (place - first)) for a, b in zip(RAMP[first], RAMP[first + 1], strict=True)]
    ink = "white" if share < 0.5 else "black"
    return Style(color=ink, bgcolor=Color.from_rgb(*ground))

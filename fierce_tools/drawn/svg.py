"""Screens as SVG that look alike everywhere: nothing is fetched, and no font decides how charts and images look."""

from __future__ import annotations

import html
import re

FONTS = 'ui-monospace, "DejaVu Sans Mono", "Cascadia Mono", Menlo, Consolas, monospace'
# A cell of rich's SVG, and how far its top is above the line of letters, in pixels.
WIDTH, HEIGHT, ABOVE = 12.2, 24.4, 18.5
DOT = 4.8
THIN = 1.4
SEAM = 0.25

_EIGHTHS = "▏▎▍▌▋▊▉█"
_LOWER = "▁▂▃▄▅▆▇"
# What of a cell is filled: left, top, width, height as shares of it.
BLOCKS = {
    "▀": (0.0, 0.0, 1.0, 0.5),
    **{sign: (0.0, 0.0, n / 8, 1.0) for n, sign in enumerate(_EIGHTHS, 1)},
    **{sign: (0.0, 1 - n / 8, 1.0, n / 8) for n, sign in enumerate(_LOWER, 1)},
}
# Which of up, down, left, right a line goes from the middle.
LINES = {"│": "ud", "─": "lr", "┤": "udl", "├": "udr", "┬": "dlr", "┴": "ulr", "┼": "udlr"}
BRAILLE = range(0x2801, 0x2900)
# The bits of a braille sign by column and row.
BITS = ((0, 1, 2, 6), (3, 4, 5, 7))

_FACE = re.compile(r"\s*@font-face \{.*?\n\s*\}", re.DOTALL)
_CLIP = re.compile(r'\s*<clipPath id="[\w-]+-line-\d+">.*?</clipPath>', re.DOTALL)
_TEXT = re.compile(
    r'<text class="([\w-]+)" x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)" clip-path="[^"]*">([^<]*)</text>'
)


def standalone(svg: str) -> str:
    """rich's SVG of a terminal without its font from the network; blocks, lines and braille dots become shapes.

    Every piece of text keeps its place and its length, so that columns stand in line in any monospace font.
    """
    svg = _CLIP.sub("", _FACE.sub("", svg)).replace("Fira Code, monospace", FONTS)
    return _TEXT.sub(_piece, svg)


def _piece(match: re.Match[str]) -> str:
    style, x, y, length, escaped = match.groups()
    left, top = float(x), float(y) - ABOVE
    letters, shapes = [], []
    for sign in html.unescape(escaped):
        found = _shape(sign, left, top)
        letters.append("\u00a0" if found else sign)
        shapes += found
        left += WIDTH
    path = f'<path class="{style}" d="{"".join(_joined(shapes))}" shape-rendering="crispEdges"/>' if shapes else ""
    text = "".join(letters)
    if not text.strip("\u00a0 "):
        return path
    kept = html.escape(text).replace("\u00a0", "&#160;")
    return f'{path}<text class="{style}" x="{x}" y="{y}" textLength="{length}">{kept}</text>'


Box = tuple[float, float, float, float]


def _shape(sign: str, left: float, top: float) -> list[Box]:
    """The boxes (left, top, width, height) in pixels that make a sign; none for a letter."""
    if sign in BLOCKS:
        x, y, width, height = BLOCKS[sign]
        return [(left + x * WIDTH, top + y * HEIGHT, width * WIDTH, height * HEIGHT + SEAM)]
    if sign in LINES:
        middle, across = left + (WIDTH - THIN) / 2, top + (HEIGHT - THIN) / 2
        ends = {
            "u": (middle, top, THIN, HEIGHT / 2),
            "d": (middle, top + HEIGHT / 2, THIN, HEIGHT / 2 + SEAM),
            "l": (left, across, WIDTH / 2, THIN),
            "r": (left + WIDTH / 2, across, WIDTH / 2, THIN),
        }
        return [ends[way] for way in LINES[sign]]
    if ord(sign) in BRAILLE:
        pitch = WIDTH / 2
        return [
            (left + column * pitch, top + row * pitch, DOT, DOT)
            for row in range(4)
            for column in range(2)
            if ord(sign) >> BITS[column][row] & 1
        ]
    return []


def _joined(boxes: list[Box]) -> list[str]:
    """Path commands; boxes that follow one another in a row become one."""
    made: list[Box] = []
    last: dict[tuple[float, float], int] = {}
    for left, top, width, height in boxes:
        row = (round(top, 1), height)
        before = last.get(row)
        if before is not None and left - (made[before][0] + made[before][2]) < WIDTH / 2 - DOT + 0.01:
            start = made[before][0]
            made[before] = (start, top, left + width - start, height)
        else:
            last[row] = len(made)
            made.append((left, top, width, height))
    exact = (tuple(round(value, 2) for value in box) for box in made)
    return [f"M{x:g},{y:g}h{w:g}v{h:g}h-{w:g}z" for x, y, w, h in exact]

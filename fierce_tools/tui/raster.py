"""Dots of braille: two columns and four rows of them in a cell."""

from __future__ import annotations

import numpy as np

# Bit of the dot at [row, column] of a cell.
BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
BLANK = 0x2800


class Raster:
    """Dots on `width` × `height` cells. What has a higher rank covers in its cells what has a lower one."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.bits = np.zeros((height, width), dtype=np.uint8)
        self.owner = np.full((height, width), -1, dtype=np.int32)
        self.rank = np.zeros((height, width), dtype=np.int8)

    @property
    def dots(self) -> tuple[int, int]:
        """Columns and rows of dots."""
        return 2 * self.width, 4 * self.height

    def paint(self, x: np.ndarray, y: np.ndarray, owner: int, rank: int = 2) -> None:
        """Set dots (i64 [n]; row 0 is on top); those outside are left out."""
        columns, rows = self.dots
        inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
        x, y = x[inside], y[inside]
        cell_y, cell_x = y >> 2, x >> 1
        seen = self.rank[cell_y, cell_x] <= rank
        x, y, cell_y, cell_x = x[seen], y[seen], cell_y[seen], cell_x[seen]
        under = self.rank[cell_y, cell_x] < rank
        self.bits[cell_y[under], cell_x[under]] = 0
        np.bitwise_or.at(self.bits, (cell_y, cell_x), BITS[y & 3, x & 1])
        self.owner[cell_y, cell_x] = owner
        self.rank[cell_y, cell_x] = rank

    def line(self, x: np.ndarray, y: np.ndarray, owner: int, rank: int = 2) -> None:
        """Join points (f64 [n], in dots) by straight lines; a single point is a dot."""
        if len(x) == 1:
            self.paint(np.round(x).astype(np.int64), np.round(y).astype(np.int64), owner, rank)
            return
        steps = np.maximum(np.ceil(np.maximum(np.abs(np.diff(x)), np.abs(np.diff(y)))), 1).astype(np.int64) + 1
        segment = np.repeat(np.arange(len(steps)), steps)
        start = np.repeat(np.cumsum(steps) - steps, steps)
        part = (np.arange(len(segment)) - start) / (steps[segment] - 1)
        xs = x[segment] + part * np.diff(x)[segment]
        ys = y[segment] + part * np.diff(y)[segment]
        self.paint(np.round(xs).astype(np.int64), np.round(ys).astype(np.int64), owner, rank)

    def fill(self, x: np.ndarray, low: np.ndarray, high: np.ndarray, owner: int) -> None:
        """A sparse veil between two lines over the same rising x (f64 [n], in dots; high is further up)."""
        columns = np.arange(max(0, int(np.ceil(x[0]))), min(self.dots[0] - 1, int(np.floor(x[-1]))) + 1)
        if not len(columns):
            return
        top, bottom = np.round(np.interp(columns, x, high)), np.round(np.interp(columns, x, low))
        rows = np.arange(self.dots[1])[:, None]
        inside = (rows >= top) & (rows <= bottom) & ((rows + columns) % 2 == 0)
        found_y, found_x = np.nonzero(inside)
        self.paint(columns[found_x], found_y, owner, rank=1)

    def text(self, row: int) -> str:
        """A row of cells as characters."""
        return (self.bits[row].astype(np.uint32) + BLANK).tobytes().decode("utf-32-le").replace(chr(BLANK), " ")

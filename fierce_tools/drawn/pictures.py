"""Images for a terminal: two pixels to a cell, as half blocks, or shades of grey where there is no colour."""

from __future__ import annotations

import numpy as np

# Smaller images are enlarged to about this many columns, larger ones reduced to the second.
LEAST, MOST = 14, 32
SHADES = " ░▒▓█"
HALF = "▀"

Pixel = tuple[int, int, int]


def resize(image: np.ndarray, least: int = LEAST, most: int = MOST) -> np.ndarray:
    """A u8 image [H, W, c] at a size to be seen: whole multiples up, means of whole blocks down; rows come out even."""
    height, wide = image.shape[:2]
    if wide < least:
        factor = round(least / wide) or 1
        image = image.repeat(factor, axis=0).repeat(factor, axis=1)
    elif wide > most:
        step = -(-wide // most)
        cut = image[: height // step * step, : wide // step * step].astype(np.float32)
        blocks = cut.reshape(height // step, step, wide // step, step, -1)
        image = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    return image if len(image) % 2 == 0 else np.concatenate([image, image[-1:]])


def pairs(image: np.ndarray) -> list[list[tuple[Pixel, Pixel]]]:
    """Rows of cells, each the colours of its upper and its lower half, of a u8 image [H, W, 1 or 3] with H even."""
    rgb = np.broadcast_to(image, (*image.shape[:2], 3)) if image.shape[2] == 1 else image
    return [
        [((a[0], a[1], a[2]), (b[0], b[1], b[2])) for a, b in zip(top, bottom, strict=True)]
        for top, bottom in zip(rgb[0::2].tolist(), rgb[1::2].tolist(), strict=True)
    ]


def shades(image: np.ndarray) -> list[str]:
    """Rows of cells in five shades of grey, for a u8 image [H, W, 1 or 3] with H even."""
    grey = image.astype(np.float32).mean(axis=2)
    cells = (grey[0::2] + grey[1::2]) / 2
    steps = np.minimum((cells / 256 * len(SHADES)).astype(int), len(SHADES) - 1)
    return ["".join(SHADES[v] for v in row) for row in steps]

"""Images in a terminal as half blocks, two pixels to a cell, and as one PNG."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fierce_tools import sources
from fierce_tools.cli import text
from fierce_tools.drawn.pictures import HALF, pairs, resize, shades
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Images, Report

if TYPE_CHECKING:
    from fierce_tools.experiments._loading import Places
    from fierce_tools.sources import Source


def grid(images: np.ndarray, captions: Sequence[str], width: int, *, color: bool) -> str:
    """Images u8 [N, H, W, c] side by side in `width` columns, each over its caption."""
    scaled = np.stack([resize(image) for image in images])
    wide = scaled.shape[2]
    across = max(1, (width + 2) // (wide + 2))
    rows: list[str] = []
    for start in range(0, len(scaled), across):
        drawn = [half_blocks(image, color=color) for image in scaled[start : start + across]]
        named = [textwrap.wrap(c, wide)[:3] or [""] for c in captions[start : start + across]]
        deep = max(len(lines) for lines in named)
        texts = [[line.ljust(wide) for line in [*lines, *[""] * (deep - len(lines))]] for lines in named]
        rows += ["  ".join(parts) for parts in zip(*drawn, strict=True)]
        rows += ["  ".join(parts).rstrip() for parts in zip(*texts, strict=True)]
        rows.append("")
    return "\n".join(rows).rstrip("\n")


def half_blocks(image: np.ndarray, *, color: bool) -> list[str]:
    """Rows of cells for a u8 image [H, W, 1 or 3] with an even number of rows; shades of grey where colour is off."""
    if not color:
        return shades(image)
    rows = []
    for row in pairs(image):
        cells = [f"\x1b[38;2;{a[0]};{a[1]};{a[2]}m\x1b[48;2;{b[0]};{b[1]};{b[2]}m{HALF}" for a, b in row]
        rows.append("".join(cells) + "\x1b[0m")
    return rows


def write_montage(images: Sequence[np.ndarray] | np.ndarray, captions: Sequence[str], path: Path) -> None:
    """Write images u8 [H, W, c] of one size with their captions to one PNG, ten in a row, whole or not at all."""
    from PIL import Image, ImageDraw

    from fierce_tools.files import replacing

    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: a montage is a PNG", "name it FILE.png")
    height, wide = images[0].shape[:2]
    factor = max(1, round(112 / wide))
    cell_w, cell_h = max(wide * factor, 100) + 12, height * factor + 46
    across = max(1, min(len(images), 10))
    down = -(-len(images) // across)
    sheet = Image.new("RGB", (across * cell_w + 12, down * cell_h + 12), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = 12 + number % across * cell_w, 12 + number // across * cell_h
        picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
        sheet.paste(picture.resize((wide * factor, height * factor), Image.Resampling.NEAREST).convert("RGB"), (x, y))
        lines = textwrap.wrap(caption, max(8, (cell_w - 12) // 6))[:3]
        pen.text((x, y + height * factor + 2), "\n".join(lines), fill="black", spacing=1)
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def show(
    source: Source,
    report: Report,
    split: str,
    places: Places,
    *,
    show: bool,
    montage: Path | None,
    kept: Path | None = None,
) -> None:
    """The images a report names, looked up in their split: in the terminal, as one PNG, or both.

    They are kept in the file `kept`, and read from there the next time. Raises DataError where the source has none.
    """
    blocks = [block for block in report.blocks if isinstance(block, Images) and block.index]
    if not blocks:
        raise UsageError("this answer names no images", "leave --images and --montage out")
    if not source.checkpoint:
        raise DataError(f"{source.path} is a file of arrays: its images are not known", "ask a run or a checkpoint")
    wanted = list(dict.fromkeys(i for block in blocks for i in block.index))
    found = sources.kept_images(kept, source.sha256) if kept is not None and not places.fresh else None
    if found is None or not set(wanted) <= set(found):
        from fierce_tools.experiments._loading import images_of

        found = images_of(source, split, wanted, places)
        if kept is not None:
            with contextlib.suppress(OSError):
                sources.keep_images(kept, source.sha256, found)
    for block in blocks:
        chosen = np.stack([found[i] for i in block.index])
        if show:
            print(f"\n{source.label}: {block.title}\n")
            print(grid(chosen, block.captions, text.width(), color=text.colored()))
        if montage is not None:
            several = f"{montage.stem}-{blocks.index(block) + 1}"
            montage_to = montage if len(blocks) == 1 else montage.with_stem(several)
            write_montage(chosen, block.captions, montage_to)
            text.say(f"written: {montage_to}")

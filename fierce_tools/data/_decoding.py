"""Many pictures into one array, by several threads, with word of what was done to them."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from fierce_tools.data._depth import TooDeep
from fierce_tools.data._listing import MANY, count, names, shown
from fierce_tools.data._pictures import Picture, Unreadable, read
from fierce_tools.errors import DataError

THREADS = 8
# A largest value of 16 bits below which a picture is all but black, as 12 bits kept in 16 are.
DARK = 4096
# What Pillow logs of a file is not printed, unless somebody asks for it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass
class Decoded:
    """Pixels u8 [M, H, W, 1 or 3] of the files `rows` i64 [M]; how many were turned, composed, scaled and so on."""

    images: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    unreadable: list[str] = field(default_factory=list)
    turned: int = 0
    composed: int = 0
    blank: int = 0
    several: int = 0
    deep: int = 0
    peak: int = 0
    cut_before: int = 0

    def add(self, picture: Picture) -> None:
        """Count what was done to a picture."""
        for name in ("turned", "composed", "blank", "several", "cut_before"):
            setattr(self, name, getattr(self, name) + getattr(picture, name))
        if picture.peak is not None:
            self.deep += 1
            self.peak = max(self.peak, picture.peak)

    def lines(self, background: str) -> list[str]:
        """One line of how the pictures were read, and one of those left out; none where there is nothing to say."""
        blank = f"; {self.blank:,} wholly transparent" if self.blank else ""
        dark = ": dark; save them in their full range" if self.peak < DARK else ""
        done = [
            f"{n:,} {how}"
            for n, how in (
                (self.turned, "turned by EXIF orientation"),
                (self.composed, f"with transparency composed on {background} (--background{blank})"),
                (self.several, "as the first of several frames or pages"),
                (self.deep, f"scaled from more bits to 8 (v · 255 / 65535, the largest v {self.peak:,}{dark})"),
            )
            if n
        ]
        lines = [f"read: {', '.join(done)}"] if done else []
        if self.unreadable:
            what = count(len(self.unreadable), "unreadable picture")
            lines.append(f"--skip-unreadable leaves out {what}: {names(self.unreadable, MANY)}")
        return lines


def decode(
    files: Sequence[str],
    root: Path,
    every: Decoded,
    *,
    size: int | None,
    grey: bool,
    background: tuple[int, int, int],
    skip: bool,
) -> None:
    """Every picture that can be read, in order, into `every`, which counts until an error too.

    Paths in messages are from `root`. Raises DataError where one has more bits than can be scaled or is of another size
    than the first, where none can be read, and without `skip` where any cannot.
    """
    first_turned = False
    unreadable: list[str] = []
    deep: list[str] = []
    kept: list[int] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")
        for row, got in enumerate(pool.map(partial(_tried, size=size, grey=grey, background=background), files)):
            if not isinstance(got, Picture):
                problems = deep if isinstance(got, TooDeep) else unreadable
                problems.append(f"{shown(os.path.relpath(files[row], root))} ({shown(str(got))})")
                continue
            every.add(got)
            if not kept:
                every.images, first_turned = np.empty((len(files), *got.pixels.shape), np.uint8), got.turned
            elif got.pixels.shape != every.images.shape[1:]:
                pool.shutdown(wait=False, cancel_futures=True)
                first = _size(files[kept[0]], every.images[0], first_turned)
                raise DataError(
                    f"{_size(files[row], got.pixels, got.turned)}, {first}",
                    "make them one size, or train with --image-size 64 or another side",
                )
            every.images[len(kept)] = got.pixels
            kept.append(row)
    if deep:
        raise DataError(
            f"{len(deep):,} of {count(len(files), 'picture')} in {shown(root)} "
            f"{'has' if len(deep) == 1 else 'have'} more than 8 bits a channel: {names(deep, MANY)}",
            "save them with 8 bits a channel, scaled as you mean it",
        )
    if unreadable and not (kept and skip):
        raise DataError(
            f"{len(unreadable):,} of {count(len(files), 'picture')} in {shown(root)} cannot be read: "
            f"{names(unreadable, MANY)}",
            "repair or remove them" + (", or train with --skip-unreadable" if kept else ""),
        )
    every.images, every.rows, every.unreadable = every.images[: len(kept)], np.array(kept, np.int64), unreadable


def _tried(file: str, *, size: int | None, grey: bool, background: tuple[int, int, int]) -> Picture | Exception:
    try:
        return read(file, size, grey, background)
    except (Unreadable, TooDeep) as error:
        return error


def _size(file: str, pixels: np.ndarray, turned: bool) -> str:
    how = " (turned by its EXIF orientation)" if turned else ""
    return f"{shown(file)} is {pixels.shape[1]}×{pixels.shape[0]}{how}"

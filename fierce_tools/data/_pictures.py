"""One picture as 8-bit pixels, as a viewer shows it: upright, composed on a colour, scaled to 8 bits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fierce_tools.data._depth import TooDeep, depth, rawmode, scale
from fierce_tools.errors import UsageError

# Endings of pictures that version 0.1.0 read.
EARLIER = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Pillow opens these, and they are no pictures, or only other programs draw them.
_OTHERS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF", "WMF"}
COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128)}
_ORIENTATION = 0x0112


class Unreadable(Exception):
    """A file that cannot be read as a picture; it says why."""


@dataclass(frozen=True)
class Picture:
    """Pixels u8 [H, W, 1 or 3], and what was done for them."""

    pixels: np.ndarray
    # Turned or mirrored as its EXIF orientation says.
    turned: bool = False
    # Some of it is transparent; all of it is.
    composed: bool = False
    blank: bool = False
    # The first of several frames or pages.
    several: bool = False
    # Of more than 8 bits: its largest value, of 65535; whether 0.1.0 cut it to its high bytes.
    peak: int | None = None
    cut_before: bool = False


@cache
def formats() -> tuple[str, ...]:
    """The formats of pictures that this Pillow opens, the common ones first."""
    from PIL import Image

    Image.preinit()
    Image.init()
    return tuple(name for name in Image.ID if name not in _OTHERS)


@cache
def endings() -> frozenset[str]:
    """The endings of pictures, in lower case, such as .png."""
    from PIL import Image

    known = {*formats(), "MPO"}  # opened as JPEG is
    return frozenset(EARLIER) | {ending for ending, name in Image.registered_extensions().items() if name in known}


def colour(name: str) -> tuple[int, int, int]:
    """`white`, `black`, `grey` or `#rrggbb` as red, green, blue. Raises UsageError."""
    if name in COLOURS:
        return COLOURS[name]
    if not re.fullmatch("#[0-9a-fA-F]{6}", name):
        raise UsageError(f"--background is {name!r}, expected white, black, grey or #rrggbb", "such as #7f7f7f")
    red, green, blue = bytes.fromhex(name[1:])
    return red, green, blue


def read(file: str, size: int | None, grey: bool, background: tuple[int, int, int]) -> Picture:
    """Read a picture; with `size`, its shorter side is scaled to it and the middle is kept.

    Raises Unreadable for a damaged file, TooDeep for more bits than can be scaled.
    """
    from PIL import Image, ImageOps

    peak, kind = None, ""
    try:
        with Image.open(file, formats=formats()) as image:
            kind = depth(file, image)
            if kind:
                made, peak = scale(file, image, kind)
            else:
                made = _with_right_key(image)
            flat, composed, blank = _flat(made, grey, background)
            # Asked after decoding, where Pillow turns TIFF itself; PNG may have it behind its pixels.
            turn = _turn(image)
            several = _several(image)
        if turn is not None:
            flat = flat.transpose(turn)
        if size is not None and flat.size != (size, size):
            flat = ImageOps.fit(flat, (size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(flat).reshape(flat.height, flat.width, -1)
    except (TooDeep, MemoryError):
        raise
    except Exception as error:  # Pillow raises whatever its decoders do
        raise Unreadable(_reason(error)) from None
    return Picture(pixels, turn is not None, composed, blank, several, peak, kind == "colour")


def _with_right_key(image: Any) -> Any:
    """The decoded image; a transparent grey of a PNG with 2 or 4 bits is written in those, its pixels in 8."""
    step = {"L;2": 85, "L;4": 17}.get(rawmode(image)) if image.format == "PNG" else None
    image.load()
    if step and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= step
    return image


def _flat(image: Any, grey: bool, background: tuple[int, int, int]) -> tuple[Any, bool, bool]:
    """An image of mode RGB or L, whether any of it was transparent, and whether all was."""
    from PIL import Image

    mode = "L" if grey else "RGB"
    if not image.has_transparency_data:
        return image.convert(mode), False, False
    alpha_too = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    alpha = alpha_too.getchannel("A")
    low, high = alpha.getextrema()
    if low == 255:
        return image.convert(mode), False, False
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(alpha_too, mask=alpha)
    return canvas.convert(mode), True, high == 0


def _turn(image: Any) -> Any:
    """How its EXIF orientation turns it, as Pillow names it; None for upright. What EXIF is broken says nothing."""
    from PIL import Image

    turns = Image.Transpose
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # EXIF's reader raises whatever it meets
        return None
    return {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)


def _several(image: Any) -> bool:
    """Whether there are more frames or pages; the layers of a PSD are none."""
    try:
        return image.format != "PSD" and bool(getattr(image, "is_animated", False))
    except Exception:  # a second frame that is damaged is not read
        return False


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows, or damaged"
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than Pillow reads"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words.rstrip(".") or type(error).__name__

"""Pictures of more than 8 bits a channel: found out by what their file says, and scaled to 8 bits or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Tags of a TIFF file.
_BITS, _PHOTOMETRIC, _PLANES = 258, 262, 284
# The other byte of each 16-bit value, as Pillow names the unpacking of it.
_OTHER_BYTE = {";16B": ";16L", ";16L": ";16B"}
_NATIVE = ";16L" if np.little_endian else ";16B"
_AT_LEAST_16 = "16 bits a channel, which Pillow reads as 8"


class TooDeep(Exception):
    """More than 8 bits a channel, and no one way to scale them; it says which."""


def rawmode(image: Any) -> str:
    """How the file has its pixels, in Pillow's words; "" where Pillow does not tell."""
    arguments = image.tile[0][3] if image.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def depth(file: str, image: Any) -> str:
    """How an opened picture that is not yet decoded is to be scaled: `grey`, `colour`, `scaled` by Pillow, else "".

    Pillow's mode tells of 16 bits of grey alone: those of colour it reads as their high bytes. Raises TooDeep.
    """
    kind, mode, raw = str(image.format), image.mode, rawmode(image)
    if mode == "F":
        raise TooDeep("floating-point numbers")
    if mode.startswith("I"):
        return _grey_depth(image, kind, mode, raw)
    if kind == "PNG" and raw.endswith(";16B"):
        return "colour"
    if kind == "TIFF" and np.max(image.tag_v2.get(_BITS, 1)) > 8:
        if image.tag_v2.get(_PLANES, 1) == 1 and raw.partition(";")[0] in ("RGB", "RGBX", "RGBA", "CMYK"):
            return "colour"
        raise TooDeep(_AT_LEAST_16)
    if kind == "SGI" and (";16" in raw or image.tile[0][0] == "SGI16"):
        raise TooDeep(_AT_LEAST_16)
    if kind == "DDS" and image.tile and image.tile[0][0] == "bcn" and image.tile[0][3][0] == 6:
        raise TooDeep("floating-point numbers (BC6H)")
    if kind == "JPEG2000" and (bits := _bits_of_jpeg2000(file)) > 8:
        raise TooDeep(f"{bits} bits a channel, which Pillow reads as 8")
    if kind == "PPM" and isinstance(image.tile[0][3], tuple) and image.tile[0][3][-1] > 255:
        return "scaled"
    return "scaled" if kind == "AVIF" and _deep_avif(file) else ""


def _grey_depth(image: Any, kind: str, mode: str, raw: str) -> str:
    if mode == "I" and not (kind == "PPM" or (kind == "PNG" and raw == "I;16B")):
        raise TooDeep("signed or 32-bit numbers")
    if kind not in ("PNG", "PPM", "TIFF", "JPEG2000"):
        raise TooDeep(f"16 bits of {kind}")
    if kind == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0:
        raise TooDeep("16 bits of which 0 is white")
    return "grey"


def scale(file: str, image: Any, kind: str) -> tuple[Any, int]:
    """The picture in 8 bits a channel, v · 255 / 65535 rounded, and its largest value v; `kind` is as depth() says.

    A key of transparency becomes an alpha channel. 12 bits that the file declares to be 12 are taken to 16 first.
    """
    from PIL import Image

    if kind == "scaled":
        image.load()
        return image, 257 * max(int(high) for _, high in _extrema(image))
    key = image.info.get("transparency")
    if kind == "grey":
        declared_12 = rawmode(image) == "I;12"
        values = np.asarray(image)[..., None].astype(np.int64)
        if declared_12:
            values = (values * 65535 + 2047) // 4095
    else:
        values = _both_bytes(file, image)
    if key is not None:
        alpha = (values != np.atleast_1d(key)).any(axis=2, keepdims=True)
        values = np.concatenate([values, alpha * 65535], axis=2)
    mode = "CMYK" if image.mode == "CMYK" else {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[values.shape[2]]
    shown = values[..., : -1 if mode.endswith("A") else None]
    eight = ((values + 128) // 257).astype(np.uint8)
    return Image.frombytes(mode, eight.shape[1::-1], eight.tobytes()), int(shown.max())


def _both_bytes(file: str, image: Any) -> np.ndarray:
    """Values i64 [H, W, c] of 16 bits: Pillow reads their high bytes, and of the swapped file the low ones."""
    from PIL import Image

    if rawmode(image) == "LA;16B":  # as four channels of 8 bits
        (tile,) = image.tile
        image.tile = [tile._replace(args="RGBA")]
        pairs = np.asarray(image).astype(np.int64)
        return np.stack([pairs[..., 0] * 256 + pairs[..., 1], pairs[..., 2] * 256 + pairs[..., 3]], axis=2)
    with Image.open(file, formats=[str(image.format)]) as other:
        other.tile = [tile._replace(args=_swapped(tile.args)) for tile in other.tile]
        high, low = np.asarray(image), np.asarray(other)
    return high.astype(np.int64) * 256 + low


def _swapped(arguments: Any) -> Any:
    if isinstance(arguments, tuple):
        return (_swapped(arguments[0]), *arguments[1:])
    order = _NATIVE if arguments[-4:] == ";16N" else arguments[-4:]
    return arguments[:-4] + _OTHER_BYTE[order]


def _extrema(image: Any) -> list[tuple[float, float]]:
    bands = image.split()
    return [band.getextrema() for band in (bands[:-1] if image.mode.endswith("A") else bands)]


def _bits_of_jpeg2000(file: str) -> int:
    """The most bits of a component, as the marker SIZ has them (ISO/IEC 15444-1, A.5.1); 0 where there is none."""
    content = Path(file).read_bytes()
    at = content.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return 0
    components = int.from_bytes(content[at + 40 : at + 42], "big")
    return max(((b & 0x7F) + 1 for b in content[at + 42 : at + 42 + 3 * components : 3]), default=0)


def _deep_avif(file: str) -> bool:
    """Whether its AV1 configuration says high_bitdepth (AV1 in ISOBMFF, 2.3.3)."""
    content = Path(file).read_bytes()
    at = content.find(b"av1C")
    return at >= 0 and len(content) > at + 6 and bool(content[at + 6] & 0x40)

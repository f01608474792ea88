"""Pictures written byte by byte, from their formats' specifications: what Pillow reads and cannot write."""

from __future__ import annotations

import struct
import zlib

import numpy as np

GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6


def png(values: np.ndarray, kind: int, bits: int = 16, key: tuple[int, ...] = ()) -> bytes:
    """PNG of values [H, W, c] (W3C, 2003); those of 2 and 4 bits must fill their bytes."""
    high, wide, channels = values.shape
    if bits < 8:
        each = 8 // bits
        weights = 1 << bits * np.arange(each)[::-1]
        rows = (values.reshape(high, -1, each) * weights).sum(axis=2).astype(np.uint8)
    else:
        rows = values.reshape(high, wide * channels).astype(f">u{bits // 8}")

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, bits, kind, 0, 0, 0))
    transparent = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    return b"\x89PNG\r\n\x1a\n" + head + transparent + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def tiff(
    values: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    packed: bool = False,
    extra: int | None = None,
    planes: int = 1,
    bits: int = 16,
    signed: bool = False,
) -> bytes:
    """TIFF 6.0 of values [H, W, c] in one strip; `extra` says what the last channel is, `packed` deflates."""
    high, wide, channels = values.shape
    if bits == 12:
        pairs = values.reshape(high, wide // 2, 2).astype(np.int64)
        three = [pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255]
        body = np.stack(three, axis=2).astype(np.uint8).tobytes()
    else:
        ordered = values if planes == 1 else values.transpose(2, 0, 1)
        body = ordered.astype(f"{order}u{bits // 8}").tobytes()
    body = zlib.compress(body) if packed else body
    tags = {
        256: [wide],
        257: [high],
        258: [bits] * channels,
        259: [8 if packed else 1],
        262: [photometric],
        273: [0],
        277: [channels],
        278: [high],
        279: [len(body)],
        284: [planes],
    }
    if extra is not None:
        tags[338] = [extra]
    if signed:
        tags[339] = [2]
    count, outside = len(tags), b""
    behind = 8 + 2 + 12 * count + 4
    longer = {tag: value for tag, value in tags.items() if len(value) > 2}
    tags[273] = [behind + sum(2 * len(value) for value in longer.values())]
    entries = b""
    for tag, value in tags.items():
        packed_value = struct.pack(f"{order}{len(value)}H", *value)
        if tag in longer:
            field = struct.pack(f"{order}I", behind + len(outside))
            outside += packed_value
        else:
            field = packed_value.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, 3, len(value)) + field
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, 8)
    return head + struct.pack(f"{order}H", count) + entries + struct.pack(f"{order}I", 0) + outside + body

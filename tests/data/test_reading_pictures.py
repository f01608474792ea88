"""One picture as pixels: upright, on a colour, in 8 bits, as computed by hand."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from written import COLOUR, COLOUR_ALPHA, GREY, GREY_ALPHA, png, tiff

from fierce_tools.data import _pictures
from fierce_tools.data._depth import TooDeep
from fierce_tools.data._pictures import Picture, Unreadable, colour, endings
from fierce_tools.errors import UsageError

RNG = np.random.default_rng(0)
WHITE = (255, 255, 255)


def read(content: bytes, name: str = "x.png", grey: bool = False, background: tuple[int, int, int] = WHITE) -> Picture:
    Path(name).write_bytes(content)
    return _pictures.read(name, None, grey, background)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def bc6h() -> bytes:
    """One block of a texture of half floats: DDS with its DX10 header, DXGI_FORMAT_BC6H_UF16."""
    head = struct.pack("<4s7I44x", b"DDS ", 124, 0x1007, 4, 4, 16, 0, 0)
    pixels = struct.pack("<2I4s5I", 32, 4, b"DX10", 0, 0, 0, 0, 0)
    return head + pixels + bytes(20) + struct.pack("<5I", 95, 3, 0, 1, 0) + bytes(16)


# Orientation

UPRIGHT = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
# How a camera that is held otherwise stores the upright picture (EXIF 2.32, table 6).
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: UPRIGHT.transpose(1, 0, 2)[::-1],
    7: UPRIGHT.transpose(1, 0, 2)[::-1, ::-1],
    8: UPRIGHT.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_picture_is_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {}
    picture = read(saved(Image.fromarray(np.ascontiguousarray(STORED[orientation])), kind, exif=exif, **lossless))
    np.testing.assert_array_equal(picture.pixels, UPRIGHT)
    assert picture.turned == (orientation != 1 and kind != "TIFF")  # which Pillow itself turned before, too


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xff", b"Exif\0\0nonsense"])
def test_broken_exif_leaves_a_picture_as_it_is(exif: bytes) -> None:
    picture = read(saved(Image.fromarray(UPRIGHT), "PNG", exif=exif))
    np.testing.assert_array_equal(picture.pixels, UPRIGHT)
    assert not picture.turned


# Transparency


def composed(pixels: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.floor(pixels * share + np.array(background) * (1 - share) + 0.5)


@pytest.mark.parametrize("background", [WHITE, (0, 0, 0), (10, 200, 30)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La"])
def test_transparency_is_composed_on_the_background(mode: str, background: tuple[int, int, int]) -> None:
    channels = {"RGBA": 4}.get(mode, 2)
    values = RNG.integers(0, 256, (5, 4, channels), dtype=np.uint8)
    values[0] = 255  # opaque
    values[1, :, -1] = 0
    if mode == "La":  # premultiplied, as TIFF's associated alpha is
        values[..., 0] = values[..., 0] // 255 * values[..., 1]
    image = Image.frombytes("LA" if mode == "La" else mode, (4, 5), values.tobytes())
    seen = values[..., :-1]
    if mode == "PA":
        palette = RNG.integers(0, 256, (256, 3), dtype=np.uint8)
        image.putpalette(palette.tobytes())
        seen = palette[values[..., 0]]
    content = tiff(values, 1, bits=8, extra=1) if mode == "La" else saved(image, "TIFF")
    picture = read(content, background=background)
    if mode == "La":
        seen = np.where(values[..., 1:] == 0, 0, values[..., :1] // np.maximum(values[..., 1:], 1) * 255)
    want = np.broadcast_to(composed(seen, values[..., -1], background), (5, 4, 3))
    assert np.abs(picture.pixels - want).max() <= 1
    assert picture.composed
    assert not picture.blank


def test_opaque_pixels_are_exactly_what_they_are_and_clear_ones_the_background() -> None:
    values = RNG.integers(0, 256, (16, 16, 4), dtype=np.uint8)
    values[..., 3] = np.where(np.indices((16, 16)).sum(axis=0) % 2, 255, 0)
    picture = read(saved(Image.fromarray(values), "PNG"), background=(1, 2, 3))
    np.testing.assert_array_equal(picture.pixels, np.where(values[..., 3:], values[..., :3], (1, 2, 3)))
    values[..., 3] = 255
    picture = read(saved(Image.fromarray(values), "PNG"))
    np.testing.assert_array_equal(picture.pixels, values[..., :3])
    assert not picture.composed
    values[..., 3] = 0
    assert read(saved(Image.fromarray(values), "PNG")).blank


def test_grey_is_of_the_composed_picture() -> None:
    values = np.zeros((2, 2, 4), np.uint8)
    values[0, :, 3] = 255
    assert read(saved(Image.fromarray(values), "PNG"), grey=True).pixels[..., 0].tolist() == [[0, 0], [255, 255]]


@pytest.mark.parametrize("transparency", [3, bytes([255] * 3 + [0] + [255] * 12)])
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_is_the_background(kind: str, transparency: int | bytes) -> None:
    if kind == "GIF" and isinstance(transparency, bytes):
        transparency = 3
    numbers = RNG.integers(0, 16, (8, 8), dtype=np.uint8)
    palette = RNG.integers(0, 255, (16, 3), dtype=np.uint8)
    image = Image.frombytes("P", (8, 8), numbers.tobytes())
    image.putpalette(palette.tobytes())
    picture = read(saved(image, kind, transparency=transparency))
    np.testing.assert_array_equal(picture.pixels, np.where((numbers == 3)[..., None], 255, palette[numbers]))
    assert picture.composed


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_key_of_grey_is_transparent_at_every_depth(bits: int) -> None:
    levels = 1 << bits
    numbers = RNG.integers(0, levels, (3, 8, 1))
    numbers[0, 0] = levels - 2
    picture = read(png(numbers, GREY, bits, key=(levels - 2,)), background=(7, 8, 9))
    grey = np.repeat(numbers * (255 // (levels - 1)), 3, axis=2)
    np.testing.assert_array_equal(picture.pixels, np.where(numbers == levels - 2, (7, 8, 9), grey))
    assert picture.composed


def test_a_key_of_colour_is_transparent() -> None:
    numbers = RNG.integers(0, 2, (8, 8, 3)) * 200
    picture = read(png(numbers, COLOUR, 8, key=(200, 0, 200)))
    key = (numbers == (200, 0, 200)).all(axis=2, keepdims=True)
    assert key.any()
    np.testing.assert_array_equal(picture.pixels, np.where(key, 255, numbers))


@pytest.mark.parametrize("wrong", ["", "red", "#12345", "#1234567", "#12345g", "White", "#123456 "])
def test_a_background_is_one_of_three_names_or_of_all_colours(wrong: str) -> None:
    with pytest.raises(UsageError, match="expected white, black, grey or #rrggbb"):
        colour(wrong)


def test_backgrounds() -> None:
    assert [colour(name) for name in ("white", "black", "grey", "#0aFf10")] == [
        WHITE, (0, 0, 0), (128, 128, 128), (10, 255, 16),
    ]  # fmt: skip


# More than 8 bits


def scaled(values: np.ndarray) -> np.ndarray:
    return np.floor(values * 255 / 65535 + 0.5)


@pytest.mark.parametrize(("kind", "channels"), [(GREY, 1), (COLOUR, 3), (GREY_ALPHA, 2), (COLOUR_ALPHA, 4)])
def test_a_png_of_16_bits_is_scaled(kind: int, channels: int) -> None:
    values = RNG.integers(0, 65536, (7, 5, channels))
    values[0] = 65535
    opaque = channels in (2, 4)
    if opaque:
        values[..., -1] = 65535
    picture = read(png(values, kind))
    np.testing.assert_array_equal(
        picture.pixels, np.broadcast_to(scaled(values[..., : 3 if channels > 2 else 1]), (7, 5, 3))
    )
    assert picture.peak == 65535
    assert not picture.composed
    assert picture.cut_before == (channels > 1)
    if opaque:
        values[1, :, -1] = 0
        clear = read(png(values, kind))
        assert (clear.pixels[1] == 255).all()
        np.testing.assert_array_equal(clear.pixels[2:], picture.pixels[2:])


@pytest.mark.parametrize(("kind", "key"), [(GREY, (40001,)), (COLOUR, (40001, 40001, 40001))])
def test_a_key_of_16_bits_is_transparent_to_the_last_bit(kind: int, key: tuple[int, ...]) -> None:
    values = np.full((2, 2, len(key)), 40000)
    values[0] = 40001
    picture = read(png(values, kind, key=key))
    assert picture.pixels[..., 0].tolist() == [[255, 255], [156, 156]]
    assert picture.peak == 40001


@pytest.mark.parametrize(("order", "packed"), [*itertools.product("<>", (False, True))])
@pytest.mark.parametrize(
    ("channels", "photometric", "extra"), [(1, 1, None), (3, 2, None), (4, 2, 0), (4, 2, 2), (4, 5, None)]
)
def test_a_tiff_of_16_bits_is_scaled(
    order: str, packed: bool, channels: int, photometric: int, extra: int | None
) -> None:
    values = RNG.integers(0, 65536, (5, 6, channels))
    picture = read(tiff(values, photometric, order=order, packed=packed, extra=extra), "x.tif")
    eight = scaled(values)
    if photometric == 5:
        eight = np.asarray(Image.frombytes("CMYK", (6, 5), eight.astype(np.uint8).tobytes()).convert("RGB"))
    elif extra == 2:
        eight = composed(eight[..., :3], eight[..., 3], WHITE)
    assert np.abs(picture.pixels - np.broadcast_to(eight[..., : min(channels, 3)], (5, 6, 3))).max() <= (extra == 2)
    assert picture.peak == values[..., : 3 if extra is not None else None].max()


def test_12_bits_are_scaled_by_what_the_file_says() -> None:
    values = RNG.integers(0, 4096, (4, 6, 1))
    values[0, 0] = 4095
    declared = read(tiff(values, 1, bits=12), "x.tif")
    np.testing.assert_array_equal(declared.pixels[..., :1], np.floor(values * 255 / 4095 + 0.5))
    assert declared.peak == 65535
    kept_in_16 = read(png(values, GREY))
    assert kept_in_16.pixels.max() == 16
    assert kept_in_16.peak == 4095, "of which the dataset says that it is dark"


@pytest.mark.parametrize(("maxval", "magic"), [(65535, b"P5"), (1000, b"P5"), (65535, b"P6"), (1000, b"P6")])
def test_a_pgm_or_ppm_is_scaled_by_its_maxval(maxval: int, magic: bytes) -> None:
    channels = 1 if magic == b"P5" else 3
    values = RNG.integers(0, maxval + 1, (3, 4, channels))
    picture = read(magic + b"\n4 3\n%d\n" % maxval + values.astype(">u2").tobytes(), "x.ppm")
    assert np.abs(picture.pixels[..., :channels] - values * 255 / maxval).max() <= 0.51
    assert abs(picture.peak - values.max() * 65535 / maxval) <= 257


def test_a_grey_jpeg_2000_of_16_bits_is_scaled() -> None:
    values = RNG.integers(0, 65536, (8, 8), dtype=np.uint16)
    picture = read(saved(Image.fromarray(values), "JPEG2000"), "x.jp2")
    np.testing.assert_array_equal(picture.pixels[..., 0], scaled(values.astype(int)))


@pytest.mark.parametrize("ending", ["jp2", "j2k"])
def test_a_coloured_jpeg_2000_of_more_than_8_bits_is_refused(ending: str) -> None:
    content = saved(Image.fromarray(UPRIGHT), "JPEG2000", no_jp2=ending == "j2k")
    np.testing.assert_array_equal(read(content, f"x.{ending}").pixels, UPRIGHT)
    at = content.index(b"\xff\x4f\xff\x51") + 42  # each component's bits less 1, and its steps
    assert content[at : at + 9] == bytes([7, 1, 1] * 3)
    with pytest.raises(TooDeep, match="12 bits a channel"):
        read(content[:at] + bytes([11, 1, 1] * 3) + content[at + 9 :], f"x.{ending}")


def test_an_avif_of_10_bits_is_counted() -> None:
    content = bytearray(saved(Image.fromarray(UPRIGHT), "AVIF", quality=100))
    assert read(bytes(content), "x.avif").peak is None
    content[content.index(b"av1C") + 6] |= 0x40
    at = content.index(b"pixi") + 9
    content[at : at + 3] = bytes([10] * 3)
    picture = read(bytes(content), "x.avif")
    assert picture.peak == 257 * int(picture.pixels.max())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved(Image.new("I", (4, 4)), "TIFF"), "32-bit"),
        (saved(Image.new("F", (4, 4)), "TIFF"), "floating-point"),
        (b"Pf\n2 2\n-1.0\n" + bytes(16), "floating-point"),
        (tiff(np.zeros((2, 2, 1), int), 1, signed=True), "signed"),
        (tiff(np.zeros((2, 2, 1), int), 0), "0 is white"),
        (tiff(np.zeros((2, 2, 3), int), 2, planes=2), "16 bits a channel"),
        (tiff(np.zeros((2, 2, 3), int), 2, planes=2, packed=True), "16 bits a channel"),
        (tiff(np.zeros((2, 2, 4), int), 2, extra=1), "16 bits a channel"),
        (saved(Image.new("RGB", (4, 4)), "SGI", bpc=2), "16 bits a channel"),
        (bc6h(), "BC6H"),
    ],
)
def test_bits_that_cannot_be_scaled_are_refused(content: bytes, said: str) -> None:
    with pytest.raises(TooDeep, match=said):
        read(content)


# Whatever Pillow reads


@pytest.mark.parametrize(
    "kind", ["BMP", "DIB", "GIF", "ICO", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF"]
)
def test_every_lossless_format_is_read(kind: str) -> None:
    picture = read(saved(Image.new("RGB", (16, 16), (9, 99, 199)), kind), f"x.{kind.lower()}")
    assert (picture.pixels == (9, 99, 199)).all()
    assert not picture.several


def test_endings_are_those_of_pictures() -> None:
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".gif",
        ".tif",
        ".bmp",
        ".ppm",
        ".tga",
        ".jp2",
        ".avif",
        ".mpo",
    } <= endings()
    assert not {".pdf", ".ps", ".eps", ".mpg", ".h5", ".grib", ".fits", ".txt", ".npz", ""} & endings()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_of_several_frames_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), (shade, shade, shade)) for shade in (0, 255, 0)]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    picture = read(saved(frames[0], kind, save_all=True, append_images=frames[1:], **lossless))
    assert (picture.pixels == 0).all()
    assert picture.several
    assert not read(saved(frames[0], kind, **lossless)).several


def test_the_layers_of_a_psd_are_no_frames() -> None:
    layer = struct.pack(">4iH", 0, 0, 0, 0, 0) + b"8BIMnorm" + bytes(4) + struct.pack(">I", 0)
    layers = struct.pack(">h", 2) + layer * 2
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 4, 6, 8, 3) + bytes(8)
    section = struct.pack(">II", len(layers) + 4, len(layers)) + layers
    picture = read(head + section + bytes(2) + UPRIGHT.transpose(2, 0, 1).tobytes(), "x.psd")
    np.testing.assert_array_equal(picture.pixels, UPRIGHT)
    assert not picture.several


def test_what_only_other_programs_draw_is_not_opened() -> None:
    with pytest.raises(Unreadable, match="not an image that Pillow knows"):
        read(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n")


def test_too_many_pixels_are_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(Unreadable, match="more pixels than Pillow reads"):
        read(saved(Image.new("L", (5, 5)), "PNG"))

"""Images as half blocks and as one PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fierce_tools.cli import pictures
from fierce_tools.errors import UsageError


def test_half_blocks_by_hand() -> None:
    image = np.array([[[255], [0]], [[0], [255]]], np.uint8)
    (row,) = pictures.half_blocks(image, color=True)
    assert row == "\x1b[38;2;255;255;255m\x1b[48;2;0;0;0m▀\x1b[38;2;0;0;0m\x1b[48;2;255;255;255m▀\x1b[0m"
    shaded = pictures.half_blocks(np.array([[[0], [255]], [[0], [255]]], np.uint8), color=False)
    assert shaded == [" █"]


@pytest.mark.parametrize(
    ("size", "cells"),
    [((8, 8), (16, 16)), ((28, 28), (28, 28)), ((32, 32), (32, 32)), ((224, 224), (32, 32)), ((9, 15), (10, 15))],
)
def test_sizes(size: tuple[int, int], cells: tuple[int, int]) -> None:
    assert pictures.resize(np.zeros((*size, 3), np.uint8)).shape[:2] == cells


def test_reducing_takes_means() -> None:
    image = np.zeros((64, 64, 1), np.uint8)
    image[0::2] = 200
    assert np.unique(pictures.resize(image)).tolist() == [100]


@pytest.mark.parametrize("width", [20, 60, 100])
def test_a_grid_fits_its_width(width: int) -> None:
    images = np.random.default_rng(0).integers(0, 255, (7, 8, 8, 1), dtype=np.uint8)
    rows = pictures.grid(images, [f"label {i}, predicted 3, 2.234 nats" for i in range(7)], width, color=False).split(
        "\n"
    )
    assert max(len(r) for r in rows) <= max(width, 16)
    assert sum(r.count("label") for r in rows) == 7


def test_a_montage(tmp_path: Path) -> None:
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 255, (12, 28, 28, 3), dtype=np.uint8)
    pictures.write_montage(images, [f"label {i}" for i in range(12)], tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[2] == 3
    np.testing.assert_array_equal(pixels[12 : 12 + 112 : 4, 12 : 12 + 112 : 4], images[0])
    with pytest.raises(UsageError):
        pictures.write_montage(images, [""] * 12, tmp_path / "m.jpg")

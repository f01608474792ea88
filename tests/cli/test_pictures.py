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


def test_shown_images_are_kept_with_their_answer(digits_run: Path, tmp_path: Path, fierce, monkeypatch) -> None:
    import shutil

    from fierce_tools import sources
    from fierce_tools.experiments import _loading

    shutil.copytree(digits_run, tmp_path / "runs" / "a")
    command = ("analyze", "transfer-set", "a", "--per-class", "1", "--images")
    code, first, err = fierce(*command)
    assert code == 0, err
    (source,) = sources.locate("a", tmp_path / "runs")
    answer = sources.answers(source, "transfer-set")[0]  # the newest: the run may have been asked before
    images = sources.kept_images(sources.images_path(answer["path"]), source.sha256)
    assert images is not None
    assert set(images) == set(answer["report"]["blocks"][-1]["index"])
    assert images[answer["values"]["index"][0]].shape == (8, 8, 1)
    assert sources.kept_images(sources.images_path(answer["path"]), "other weights") is None
    monkeypatch.setattr(_loading, "_infer", lambda *_: 1 / 0)
    assert fierce(*command)[1] == first, "read from what was kept"

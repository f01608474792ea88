"""Images at a size to be seen, and as cells."""

from __future__ import annotations

import numpy as np
import pytest

from fierce_tools.drawn.pictures import pairs, resize, shades


@pytest.mark.parametrize(
    ("size", "cells"),
    [((8, 8), (16, 16)), ((28, 28), (28, 28)), ((32, 32), (32, 32)), ((224, 224), (32, 32)), ((9, 15), (10, 15))],
)
def test_sizes(size: tuple[int, int], cells: tuple[int, int]) -> None:
    assert resize(np.zeros((*size, 3), np.uint8)).shape[:2] == cells


def test_reducing_takes_means() -> None:
    image = np.zeros((64, 64, 1), np.uint8)
    image[0::2] = 200
    assert np.unique(resize(image)).tolist() == [100]


def test_cells_by_hand() -> None:
    grey = np.array([[[255], [0]], [[0], [255]]], np.uint8)
    white, black = (255, 255, 255), (0, 0, 0)
    assert pairs(grey) == [[(white, black), (black, white)]]
    assert pairs(np.array([[[1, 2, 3]], [[4, 5, 6]]], np.uint8)) == [[((1, 2, 3), (4, 5, 6))]]
    assert shades(np.array([[[0], [255]], [[0], [255]]], np.uint8)) == [" █"]

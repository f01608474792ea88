"""Draws under augmentation: a sample that is fair, and logits of the model they are of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fierce_tools.data import digits
from fierce_tools.data._splits import Splits, split
from fierce_tools.errors import DataError, UsageError
from fierce_tools.models import cnn
from fierce_tools.training.batches import measure
from fierce_tools.training.draws import draw
from fierce_tools.training.infer import infer


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(digits())


def test_the_draws_are_the_models(splits: Splits) -> None:
    torch.manual_seed(0)
    model, scale = cnn((8, 8, 1), 10).train(), measure(splits.train.images, "standard")
    made = draw(model, splits.train, scale, splits.class_names, num_draws=40, per_class=3, draw_seed=1)
    assert model.training
    assert made.draws is not None
    assert made.draws.shape == (40, 30, 10)
    assert np.bincount(made.get("labels")).tolist() == [3] * 10
    position = {int(i): row for row, i in enumerate(splits.train.index)}
    rows = [position[int(i)] for i in made.get("index")]
    whole = infer(model, splits.train, scale, splits.class_names)
    np.testing.assert_allclose(made.logits, whole.logits[rows], atol=1e-5)
    unmoved = np.abs(made.draws - made.logits).max(axis=2).min(axis=0)
    assert np.median(unmoved) < 1e-5, "one of the nine shifts is none at all"
    assert made.draws.std(axis=0).mean() > 0
    again = draw(model, splits.train, scale, splits.class_names, num_draws=40, per_class=3, draw_seed=1)
    np.testing.assert_array_equal(made.draws, again.draws)


def test_what_cannot_be_drawn(splits: Splits) -> None:
    model, scale = cnn((8, 8, 1), 10), measure(splits.train.images, "standard")
    for options in ({"num_draws": 1}, {"shift": 8}, {"shift": 0}, {"per_class": 0}, {"shift": -1}):
        with pytest.raises(UsageError):
            draw(model, splits.test, scale, splits.class_names, **options)
    from dataclasses import replace

    with pytest.raises(DataError, match="need images"):
        draw(model, replace(splits.test, images=np.zeros((360, 4), np.float32)), scale, splits.class_names)

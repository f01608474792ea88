"""The same examples seen many times under augmentation: what a model's logits do when its input is shifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import torch

from fierce_tools.data._splits import Split
from fierce_tools.errors import DataError, UsageError
from fierce_tools.models._classifier import Classifier
from fierce_tools.outputs import Outputs
from fierce_tools.training.augment import Augment
from fierce_tools.training.batches import Examples, Normalization
from fierce_tools.training.infer import BATCH, exact, infer


@torch.no_grad()
def draw(
    model: Classifier,
    split: Split,
    normalization: Normalization,
    class_names: tuple[str, ...],
    *,
    num_draws: Annotated[int, "draws of each example under augmentation, 2 or more"] = 51,
    per_class: Annotated[int, "examples drawn of each class, at most"] = 300,
    shift: Annotated[int | None, "pixels an image is shifted by at most; none: a fourteenth of its height"] = None,
    flip: Annotated[bool, "also mirror left and right at random"] = False,
    draw_seed: Annotated[int, "seed of the sample and of the augmentation"] = 0,
) -> Outputs:
    """Outputs of a sample of the split with `draws` f32 [L, n, C], its logits under random shifts and flips.

    The examples are a seeded draw from each class; logits, labels and index are those of the sample, unshifted.
    Always float32 and eval mode. Raises DataError where the data are vectors, UsageError for fewer than 2 draws or
    nothing to vary.
    """
    if split.images.ndim != 4:
        raise DataError(
            "draws under augmentation need images, the data are vectors", "give `draws` in a file of arrays"
        )
    height = split.images.shape[1]
    most = max(1, round(height / 14)) if shift is None else shift
    if num_draws < 2 or per_class < 1 or not 0 <= most < height or (most == 0 and not flip):
        raise UsageError(
            f"--num-draws {num_draws} --per-class {per_class} --shift {most}",
            f"expected 2 draws, 1 example, a shift of 1 to {height - 1} (0 with --flip)",
        )
    rows = _sample(split.labels, per_class, np.random.default_rng(draw_seed))
    sample = Split(split.images[rows], split.labels[rows], split.index[rows])
    base = infer(model, sample, normalization, class_names)
    device = next(model.parameters()).device
    moves = Augment(shift=most, flip=flip)
    generator = torch.Generator().manual_seed(draw_seed)
    training = model.training
    model.eval()
    draws = np.empty((num_draws, len(rows), len(class_names)), np.float32)
    with exact(device):
        for number in range(num_draws):
            moved = moves.move(torch.from_numpy(sample.images), generator)
            view = Examples(replace(sample, images=moved.numpy()), normalization, device)
            draws[number] = torch.cat([model(b.inputs).cpu() for b in view.in_order(BATCH)]).numpy()
    model.train(training)
    return replace(base, draws=draws)


def _sample(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    parts = [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)]
    return np.sort(np.concatenate(parts))

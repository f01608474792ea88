"""How tight the classes' clusters are in feature space, without a matrix of D×D."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fierce_tools.analysis._features import all_the_same
from fierce_tools.analysis._soft import BLOCK

# Means that differ by less than this share of their size differ by rounding.
ROUNDING = 1e-10


@dataclass(frozen=True)
class Collapse:
    """Within/between ratio and neural collapse: the smaller the tighter, 0 where a class is a point of a simplex.

    `ratio`: mean over classes of the mean squared distance to the class mean, over the mean squared distance of the
    class means to their mean. `nc1`: trace(Σ_W Σ_B†)/C. `nc2_norms`: deviation over mean of the centred class means'
    lengths; `nc2_angles`: mean |cos + 1/(C-1)| between them. `nc3`: ‖W/‖W‖ - M/‖M‖‖, Frobenius, of the templates and
    the centred class means. None where the class means coincide, as where all features are the same up to rounding.
    Source: Papyan, Han, Donoho 2020.
    """

    ratio: float | None
    nc1: float | None
    nc2_norms: float | None
    nc2_angles: float | None
    nc3: float | None


def collapse(features: np.ndarray, labels: np.ndarray, head_weight: np.ndarray | None = None) -> Collapse:
    """The Collapse of features [N, D], labels [N] and head_weight [C, D]; each class that occurs weighs the same."""
    if all_the_same(features):
        return Collapse(None, None, None, None, None)
    kinds = np.unique(labels)
    members = [np.flatnonzero(labels == kind) for kind in kinds]
    means = np.zeros((len(kinds), features.shape[1]))
    for number, rows in enumerate(members):
        for block in _blocks(features, rows):
            means[number] += block.sum(axis=0, dtype=np.float64)
        means[number] /= len(rows)
    centred = means - means.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1)
    between = float(np.square(lengths).mean())
    # The centred means span what Σ_B† sees: at most C - 1 directions, whatever D.
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    seen = singular[: len(kinds) - 1] > ROUNDING * np.linalg.norm(means)
    singular, directions = singular[: len(seen)][seen], directions[: len(seen)][seen]
    spread, along = np.zeros(len(kinds)), np.zeros((len(kinds), len(singular)))
    for number, rows in enumerate(members):
        for block in _blocks(features, rows):
            offset = block - means[number]
            spread[number] += np.square(offset).sum()
            along[number] += np.square(offset @ directions.T).sum(axis=0)
        spread[number] /= len(rows)
        along[number] /= len(rows)
    if not len(singular):
        return Collapse(None, None, None, None, None)
    cosines = centred @ centred.T / np.maximum(np.outer(lengths, lengths), np.finfo(np.float64).tiny)
    others = ~np.eye(len(kinds), dtype=bool)
    nc3 = None
    if head_weight is not None:
        templates = head_weight[kinds].astype(np.float64)
        size = float(np.linalg.norm(templates))
        nc3 = float(np.linalg.norm(templates / size - centred / np.linalg.norm(centred))) if size else None
    return Collapse(
        ratio=float(spread.mean()) / between,
        nc1=float((along.mean(axis=0) / np.square(singular)).sum()),
        nc2_norms=float(lengths.std() / lengths.mean()),
        nc2_angles=float(np.abs(cosines[others] + 1 / (len(kinds) - 1)).mean()),
        nc3=nc3,
    )


def _blocks(features: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Those rows of features, a cacheful at a time."""
    size = max(1, BLOCK // features.shape[1])
    for start in range(0, len(rows), size):
        yield features[rows[start : start + size]]

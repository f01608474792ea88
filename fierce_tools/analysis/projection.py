"""The plane through three classes' templates, where label smoothing shows as tight clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from fierce_tools.analysis._collapse import Collapse, collapse
from fierce_tools.analysis._features import (
    all_the_same,
    check_features,
    check_labels,
    check_seed,
    row_blocks,
    same_note,
)
from fierce_tools.analysis._soft import probabilities
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import Points, Report, Series, Table

# Raised when an answer changes: those that were kept before are not given again.
REVISION = 2

# Above this many classes the matrix of their overlaps is no longer worth its memory.
MOST_COMPARED = 2000


@dataclass(frozen=True)
class Projection:
    """Coordinates in the plane of three templates, and the clusters' tightness, on training and on the split asked for.

    `templates` [3, 2] are the templates' own coordinates; `points` and `train_points` hold, for each of `classes`, the
    drawn examples' [n, 2]. The plane's ratio is the within/between ratio of those three classes in the plane, of all
    their examples; Collapse is of all classes in the whole feature space. `constant`, `train_constant`: every feature
    vector of that split is the same, and there are no clusters.
    """

    classes: tuple[int, ...]
    names: tuple[str, ...]
    templates: np.ndarray
    points: tuple[np.ndarray, ...]
    train_points: tuple[np.ndarray, ...]
    plane_ratio: float | None
    train_plane_ratio: float | None
    collapse: Collapse
    train_collapse: Collapse
    examples: int = 0
    train_examples: int = 0
    constant: bool = False
    train_constant: bool = False

    def report(self) -> Report:
        """Both splits' points on the same axes, and a row of figures for each."""
        shown = np.concatenate([self.templates, *self.points, *self.train_points])
        (low_x, low_y), (high_x, high_y) = shown.min(axis=0).tolist(), shown.max(axis=0).tolist()
        dx, dy = 0.05 * (high_x - low_x), 0.05 * (high_y - low_y)
        ranges = (low_x - dx, high_x + dx), (low_y - dy, high_y + dy)
        charts = [
            Points(title, "along w1 - w0", "across", (*self._clouds(points), *self._templates()), *ranges)
            for title, points in (("Training", self.train_points), ("This split", self.points))
        ]
        heads = ("examples of", "within/between", "in the plane", "NC1", "NC2 lengths", "NC2 angles", "NC3")
        rows = tuple(
            (name, c.ratio, plane, c.nc1, c.nc2_norms, c.nc2_angles, c.nc3)
            for name, plane, c in (
                ("training", self.train_plane_ratio, self.train_collapse),
                ("this split", self.plane_ratio, self.collapse),
            )
        )
        same = [
            same_note(count, "there are no clusters to measure", f"feature vectors of {where}")
            for where, count, constant in (
                ("training", self.train_examples, self.train_constant),
                ("this split", self.examples, self.constant),
            )
            if constant
        ]
        notes = (
            "The plane holds the three templates (head weight and bias; features with a 1), w0 at the origin.",
            "Within/between: squared distance to the class mean over that of class means to their mean, all classes.",
            "NC1-NC3 are 0 at full neural collapse: points, at equal lengths and angles, along the templates.",
            *same,
        )
        return Report(
            "Penultimate features in the plane of three templates",
            (*charts, Table("Tightness of the clusters", heads, rows)),
            notes,
        )

    def _clouds(self, points: Sequence[np.ndarray]) -> tuple[Series, ...]:
        return tuple(
            Series(name, tuple(xy[:, 0].tolist()), tuple(xy[:, 1].tolist()))
            for name, xy in zip(self.names, points, strict=True)
        )

    def _templates(self) -> tuple[Series, ...]:
        return (Series("templates", tuple(self.templates[:, 0].tolist()), tuple(self.templates[:, 1].tolist())),)


def projection(
    features: np.ndarray,
    labels: np.ndarray,
    head_weight: np.ndarray,
    head_bias: np.ndarray,
    train_features: np.ndarray,
    train_labels: np.ndarray,
    class_names: tuple[str, ...] | None = None,
    *,
    classes: Annotated[
        tuple[str, ...] | None, "three classes by name or number; none: the three that overlap most on training"
    ] = None,
    points: Annotated[int, "most examples of a class that are drawn, 1 or more"] = 200,
    seed: Annotated[int, "seed of which examples are drawn"] = 0,
) -> Projection:
    """Features of three classes in the plane through their templates, training and a split side by side.

    With x = (features, 1) and w_c = (head_weight[c], head_bias[c]), coordinates are (x - w0)·basis, the basis from
    Gram-Schmidt of w1 - w0 and w2 - w0, so that distances between the templates are the true ones. Beside it the
    within/between ratio and neural collapse NC1 to NC3 over all classes. features [N, D], labels [N], head_weight
    [C, D], head_bias [C]. Overlap, a fraction: the mean probability that either's examples give the other class.
    Raises UsageError for classes that are not three different ones, DataError for arrays not finite or that do not fit,
    a class without examples, or templates on one line. Source: Müller, Kornblith, Hinton 2019; Papyan et al. 2020.
    """
    if points < 1:
        raise UsageError(f"--points is {points}, expected 1 or more", "for example --points 200")
    check_seed(seed)
    check_features("head_weight", head_weight)
    check_features("head_bias", head_bias[:, None] if head_bias.ndim == 1 else head_bias, rows=len(head_weight))
    names = class_names or tuple(map(str, range(len(head_weight))))
    for prefix, array, truth in (("train_", train_features, train_labels), ("", features, labels)):
        check_features(f"{prefix}features", array, like=("head_weight", head_weight))
        check_labels(f"{prefix}labels", truth, len(array), len(head_weight))
    if len(head_weight) < 3:
        raise DataError(f"the head has {len(head_weight)} classes", "the plane needs three")
    chosen = _named(classes, names) if classes else _overlapping(train_features, train_labels, head_weight, head_bias)
    weight, bias = head_weight[list(chosen)].astype(np.float64), head_bias[list(chosen)].astype(np.float64)
    origin, basis = template_plane(weight, bias)
    rng = np.random.default_rng(seed)

    def placed(array: np.ndarray, truth: np.ndarray, where: str) -> tuple[list[np.ndarray], float | None]:
        rows = [np.flatnonzero(truth == c) for c in chosen]
        missing = [names[c] for c, r in zip(chosen, rows, strict=True) if not len(r)]
        if missing:
            raise DataError(f"{where} has no examples of class {missing[0]}", "choose others with --classes")
        xy = [coordinates(array[r], origin, basis) for r in rows]
        same = all_the_same(array[np.concatenate(rows)])  # then what differs in the plane is rounding
        ratio = None if same else collapse(np.concatenate(xy), np.repeat(np.arange(3), [len(r) for r in rows])).ratio
        return [p[np.sort(rng.permutation(len(p))[:points])] for p in xy], ratio

    train_shown, train_ratio = placed(train_features, train_labels, "training")
    shown, ratio = placed(features, labels, "this split")
    return Projection(
        classes=chosen,
        names=tuple(names[c] for c in chosen),
        templates=(np.hstack([weight, bias[:, None]]) - origin) @ basis,
        points=tuple(shown),
        train_points=tuple(train_shown),
        plane_ratio=ratio,
        train_plane_ratio=train_ratio,
        collapse=collapse(features, labels, head_weight),
        train_collapse=collapse(train_features, train_labels, head_weight),
        examples=len(features),
        train_examples=len(train_features),
        constant=all_the_same(features),
        train_constant=all_the_same(train_features),
    )


def template_plane(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origin [D+1] and orthonormal basis [D+1, 2] of the plane through three templates, weight [3, D] and bias [3].

    Raises DataError for templates on one line.
    """
    templates = np.hstack([weight, bias[:, None]]).astype(np.float64)
    first, second = templates[1] - templates[0], templates[2] - templates[0]
    length = float(np.linalg.norm(first))
    along = first / length if length else first
    across = second - (second @ along) * along
    height = float(np.linalg.norm(across))
    if height <= 1e-6 * max(length, float(np.linalg.norm(second))):
        raise DataError("the three templates lie on one line, through which there is no one plane", "choose others")
    # Once more: what the first pass leaves along the first direction is rounding.
    across -= (across @ along) * along
    return templates[0], np.stack([along, across / np.linalg.norm(across)], axis=1)


def coordinates(features: np.ndarray, origin: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(x - origin)·basis [N, 2] of features [N, D] with a 1 behind them."""
    out = np.empty((len(features), basis.shape[1]))
    shift = basis[-1] - origin @ basis
    for part in row_blocks(features):
        out[part] = features[part] @ basis[:-1] + shift
    return out


def _named(classes: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """Class numbers of three names or numbers. Raises UsageError."""
    found = []
    for word in classes:
        if word in names:
            found.append(list(names).index(word))
        elif word.isdigit() and int(word) < len(names):
            found.append(int(word))
        else:
            raise UsageError(f"no class is called {word!r}", f"they are {', '.join(names[:20])}")
    if len(set(found)) != 3:
        raise UsageError(f"--classes is {','.join(classes)}, expected three different ones", "such as --classes 0,1,2")
    return tuple(found)


def _overlapping(features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> tuple[int, ...]:
    """The pair of classes whose soft labels overlap most, and the third that overlaps both most; ties to the lower."""
    classes = len(weight)
    if classes > MOST_COMPARED:
        raise UsageError(f"{classes} classes are too many to compare", "name three with --classes")
    total = np.zeros((classes, classes))
    for part in row_blocks(features):
        p = probabilities(features[part] @ weight.T + bias)
        total += np.eye(classes, dtype=p.dtype)[labels[part]].T @ p
    total /= np.maximum(np.bincount(labels, minlength=classes), 1)[:, None]
    overlap = total + total.T
    absent = np.bincount(labels, minlength=classes) == 0
    overlap[absent] = overlap[:, absent] = -1
    np.fill_diagonal(overlap, -1)
    first, second = np.unravel_index(overlap.argmax(), overlap.shape)
    both = overlap[first] + overlap[second]
    both[[first, second]] = -3
    return tuple(sorted((int(first), int(second), int(both.argmax()))))

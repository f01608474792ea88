"""What can be done to any dataset once it is loaded, as options of every recipe's data section."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fierce_tools.data._altered import Altered
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._labels import bin_targets, coarsen, only
from fierce_tools.errors import UsageError


def transform(
    data: Dataset,
    *,
    coarse: Annotated[
        str | None, "train on coarse classes and keep the fine labels as targets: odd-even, animal-vehicle, "
        "superclasses, or a JSON file {class: coarse class}"
    ] = None,
    bins: Annotated[int | None, "labels from the target, cut at quantiles of the training examples"] = None,
    classes: Annotated[tuple[str, ...], "only these classes, by name or number; one number: the first so many"] = (),
    per_class: Annotated[int | None, "at most so many training examples of each class"] = None,
    imbalance: Annotated[float, "long tail: training examples of the first class over those of the last"] = 1.0,
    label_noise: Annotated[float, "share of each class's training labels made wrong, the true ones kept as targets"]
    = 0.0,
    noise_kind: Annotated[
        Literal["symmetric", "pairwise"], "wrong labels are any other class, each as likely, or the next one"
    ] = "symmetric",
    draw_seed: Annotated[int, "seed of what --per-class, --imbalance and --label-noise draw"] = 0,
) -> Dataset:  # fmt: skip
    """The dataset with other labels, and with word of how its training split is altered once validation is cut off.

    In this order, each on what the one before has made: coarse classes or bins, then `classes` of those; and when the
    dataset is split, on the training split alone, per_class, imbalance, label_noise. Targets [N] are the fine labels
    under `coarse`, else the dataset's own, else under `label_noise` the true labels (of every split, where validation's
    and test's are true anyway). Raises UsageError for options out of range or that do not fit the data.
    """
    if coarse is not None and bins is not None:
        raise UsageError("--coarse and --bins both make the labels", "say one of them")
    altered = Altered(per_class, float(imbalance), float(label_noise), noise_kind, draw_seed)
    if coarse is not None:
        data = coarsen(data, coarse)
    if bins is not None:
        data = bin_targets(data, bins)
    if classes:
        data = only(data, classes)
    return replace(data, altered=altered) if altered else data

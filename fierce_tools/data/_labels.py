"""Other labels for the same examples: coarse classes, bins of a continuous target, some of the classes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import ranges
from fierce_tools.data._dataset import NOUNS, Dataset
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import DATASETS, literal, unknown


def coarsen(data: Dataset, which: str) -> Dataset:
    """Coarse labels by a map, declared as `COARSE` in a dataset's file, or of a JSON file; targets are the fine labels.

    Coarse classes go in the order of the map. Raises UsageError for a name that is no map for these classes, DataError
    for a file that is missing, no such map, or leaves a class out.
    """
    is_file = which.endswith(".json")
    names = _from_file(which) if is_file else _named(which, data)
    numbers = {str(i): name for i, name in enumerate(data.class_names)}
    of = {fine if fine in data.class_names else numbers.get(fine, fine): coarse for fine, coarse in names.items()}
    absent = [name for name in data.class_names if name not in of]
    strange = [fine for fine in of if fine not in data.class_names] if is_file else []
    if absent or strange:
        what = f"has no coarse class for {absent[0]!r}" if absent else f"names {strange[0]!r}, which is no class"
        raise DataError(f"{which} {what} of {data.name}", f"its classes are {_some(data.class_names)}")
    coarse = tuple(dict.fromkeys(name for fine, name in of.items() if fine in data.class_names))
    if len(coarse) < 2:
        raise DataError(f"{which} makes one class of all those of {data.name}", "a classifier needs at least 2")
    lookup = np.array([coarse.index(of[name]) for name in data.class_names], np.int64)
    fine = {split: getattr(data, f"{split}_labels") for split in data.splits}
    changes: dict[str, Any] = {
        **{f"{split}_labels": lookup[labels] for split, labels in fine.items()},
        **{f"{split}_targets": labels for split, labels in fine.items()},
    }
    return replace(data, class_names=coarse, relabelled=True, **changes)


def by_name(data: Dataset, options: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """The options of a recipe for other data, with classes by their names: numbers are of the data it was written for.

    `known` are the classes of its model. Raises DataError for a map of coarse classes that goes by numbers.
    """
    made, which = dict(options), options.get("coarse")
    if isinstance(which, str) and which.endswith(".json"):
        strange = [fine for fine in _from_file(which) if fine not in data.class_names]
        if strange:
            raise DataError(
                f"{which} names {strange[0]!r}, which is not a class of {data.name}",
                "in a map that is to hold for other data, too, name classes by their names",
            )
    if made.get("classes"):
        coarse = which is not None or made.get("bins") is not None
        made["classes"] = known if coarse or set(known) <= set(data.class_names) else ()
    return made


def maps() -> dict[str, dict[str, dict[str, str]]]:
    """Every named map, by its name and the dataset that declares it: {fine class: coarse class}."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for dataset in DATASETS.names():
        for name, groups in (literal(DATASETS.source(dataset), "COARSE") or {}).items():
            found.setdefault(name, {})[dataset] = _by_fine(groups)
    return found


def _named(name: str, data: Dataset) -> Mapping[str, str]:
    """The map of that name that covers the data's classes, whoever declares it: arrays may have the same ones."""
    known = maps()
    fitting = {n: m for n, by in known.items() for m in by.values() if set(data.class_names) <= set(m)}
    if name in fitting:
        return fitting[name]
    if name in known:
        raise UsageError(
            f"--coarse {name} is for the classes of {', '.join(known[name])}; those of {data.name} are "
            f"{_some(data.class_names)}",
            "give a JSON file {class: coarse class}",
        )
    error = unknown("coarse classes", name, tuple(fitting))
    rest = f"{error.hint}, or give a JSON file" if fitting else "give a JSON file"
    raise UsageError(f"{error.message} for {data.name}", f"{rest} {{class: coarse class}}")


def _from_file(file: str) -> Mapping[str, str]:
    path = Path(os.path.expanduser(file))
    try:
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except FileNotFoundError:
        raise DataError(f"{path.absolute()} does not exist", "check --coarse") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no readable JSON: {error}", "write {class: coarse class}") from None
    try:
        return _by_fine(document)
    except (TypeError, ValueError, AttributeError):
        raise DataError(
            f"{path} is no map of classes",
            'write {"cat": "animal", "car": "vehicle"} or {"animal": ["cat"], "vehicle": ["car"]}',
        ) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands there twice")
    return dict(pairs)


def _by_fine(document: Any) -> dict[str, str]:
    """{fine: coarse} of that, or of {coarse: [fine, …]}. Raises ValueError or TypeError for anything else."""
    if all(isinstance(value, str) for value in document.values()):
        return dict(document)
    if not all(isinstance(value, list | tuple) for value in document.values()):
        raise TypeError
    fine = [(str(one), coarse) for coarse, several in document.items() for one in several]
    if len(dict(fine)) < len(fine):
        raise ValueError
    return dict(fine)


def bin_targets(data: Dataset, bins: int) -> Dataset:
    """Labels from the target [N], cut at quantiles of the training examples; the targets stay.

    Raises UsageError for fewer than 2 bins or a target that is not one number an example, DataError where it takes too
    few values for so many bins.
    """
    if bins < 2:
        raise UsageError(f"--bins is {bins}, expected 2 or more", "for example --bins 2")
    if data.own_validation and (data.val_targets is None or data.val_targets.ndim != 1):
        held = "no targets" if data.val_targets is None else f"targets {list(data.val_targets.shape)}"
        data = data.without_validation(f"its own validation split has {held} to cut, and is not used with --bins")
    targets = {split: getattr(data, f"{split}_targets") for split in data.splits}
    for split, values in targets.items():
        if values is None or values.ndim != 1:
            held = "none" if values is None else f"targets {list(values.shape)}"
            where = "" if split == "train" else f" for its {NOUNS[split]} examples"
            raise UsageError(
                f"--bins cuts one number for each example, {data.name} has {held}{where}", "leave --bins out"
            )
    train = targets["train"]
    try:
        if bins > len(train):
            raise ValueError(f"{len(train)} training examples do not fill {bins} bins")
        edges, names = edges_of(train, bins)
    except ValueError as error:
        raise DataError(f"{data.name}: {error}", "use fewer --bins") from None
    labels: dict[str, Any] = {f"{split}_labels": numbered(values, edges) for split, values in targets.items()}
    return replace(data, class_names=names, relabelled=True, **labels)


def binned(train: np.ndarray, test: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Labels i64 of training and test values [N], cut at quantiles of training's, and the names of the bins.

    Raises ValueError where a bin has no training example.
    """
    edges, names = edges_of(train, bins)
    return numbered(train, edges), numbered(test, edges), names


def numbered(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin i64 of each of the values [N]: bin k holds edge_k ≤ value < edge_{k+1}."""
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def edges_of(train: np.ndarray, bins: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Quantiles of training values [N] that cut them into bins, and the names of these.

    Raises ValueError where a bin has no training example.
    """
    edges = np.quantile(train.astype(np.float64), np.arange(1, bins) / bins)
    if not np.bincount(numbered(train, edges), minlength=bins).all():
        raise ValueError(f"{len(np.unique(train))} different targets cannot be cut into {bins} bins at their quantiles")
    digits = next(d for d in range(3, 18) if d == 17 or len({f"{e:.{d}g}" for e in edges}) == len(edges))
    shown = [f"{edge:.{digits}g}" for edge in edges]
    return edges, (f"< {shown[0]}", *(f"{a} to {b}" for a, b in pairwise(shown)), f"≥ {shown[-1]}")


def only(data: Dataset, wanted: tuple[str, ...]) -> Dataset:
    """The examples of some classes, labels renumbered in the order asked for; one number N stands for the first N.

    A class goes by its name, else by its number; `2:5` is a range of numbers. `index` keeps the original positions.
    Raises UsageError for a class that does not exist, is asked for twice, or fewer than 2.
    """
    chosen = _numbers(data, wanted)
    if len(set(chosen)) < len(chosen):
        twice = next(c for c in chosen if chosen.count(c) > 1)
        raise UsageError(f"--classes names {data.class_names[twice]!r} twice", "name each class once")
    if len(chosen) < 2:
        raise UsageError(f"--classes leaves {len(chosen)} class", "a classifier needs at least 2")
    lookup = np.full(data.classes, -1, np.int64)
    lookup[chosen] = np.arange(len(chosen))
    if data.val_labels is not None and not (lookup[data.val_labels] >= 0).any():
        data = data.without_validation("its own validation split has no example of these --classes, and is not used")
    changes: dict[str, Any] = {"class_names": tuple(data.class_names[c] for c in chosen), "relabelled": True}
    for split in data.splits:
        images, labels, targets, index = (
            getattr(data, f"{split}_{kind}") for kind in ("images", "labels", "targets", "index")
        )
        rows = np.flatnonzero(lookup[labels] >= 0)
        changes[f"{split}_images"] = images[rows]
        changes[f"{split}_labels"] = lookup[labels[rows]]
        changes[f"{split}_targets"] = None if targets is None else targets[rows]
        changes[f"{split}_index"] = rows if index is None else index[rows]
    return replace(data, **changes)


def _numbers(data: Dataset, wanted: tuple[str, ...]) -> list[int]:
    if len(wanted) == 1 and wanted[0].isdecimal():
        count = int(wanted[0])
        if not 2 <= count <= data.classes:
            raise UsageError(f"--classes is {count}, {data.name} has {data.classes}", "name several, or the first N")
        return list(range(count))
    chosen: list[int] = []
    for word in wanted:
        if word in data.class_names:
            chosen.append(data.class_names.index(word))
            continue
        try:
            numbers = ranges.parse(word)
        except UsageError:
            raise unknown(f"class of {data.name}:", word, data.class_names) from None
        wrong = [n for n in numbers if n not in range(data.classes)]
        if wrong:
            raise UsageError(f"--classes holds {wrong[0]}, {data.name} has classes 0 to {data.classes - 1}")
        chosen += [int(n) for n in numbers]
    return chosen


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")

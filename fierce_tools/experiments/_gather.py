"""Bring the arrays an analysis names: from a file, from what was kept beside a checkpoint, or made now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from fierce_tools import arrayfile, binding, outputs, sources
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import DATASETS
from fierce_tools.menu import split as choice
from fierce_tools.outputs import Outputs
from fierce_tools.recipe import Recipe, resolve
from fierce_tools.sources import Source

# What holds for other data than those trained on.
KEPT = ("val_fraction", "split_seed", "coarse", "bins", "classes")
if TYPE_CHECKING:
    import numpy as np

    from fierce_tools.checkpoints import Checkpoint
    from fierce_tools.data._splits import Splits

    Load = Callable[[], tuple[Checkpoint, Splits]]

PREFIXES = ("train_", "val_")
# What speaks of the classes a model was trained for, and of no others.
OF_CLASSES = ("logits", "head_weight", "head_bias", "draws")
TEACHER = "teacher_"


@dataclass(frozen=True)
class Places:
    """Where the data lie and where to compute: `data` replaces the recipe's dataset, `data_root` only its folder.

    `factory` is the one function that may be imported to make a model (package.module:function); `fresh` leaves aside
    what was kept; `say` is told what a person should know of the data.
    """

    data: str | None = None
    data_root: str | None = None
    download: bool = False
    device: str = "auto"
    factory: str | None = None
    fresh: bool = False
    say: Callable[[str], None] = lambda line: None


def gather(
    spec: binding.Spec,
    source: Source,
    split: str,
    *,
    logits_key: str | None = None,
    probabilities_key: str | None = None,
    teacher: Source | None = None,
    draws: Mapping[str, Any] | None = None,
    places: Places | None = None,
    fresh: bool = False,
) -> dict[str, Any]:
    """The arrays that an analysis names, each from its split; None for an optional one that is not to be had.

    Those with the prefix `teacher_` are the teacher's, on the same split; `draws` are the options of their making.
    An analysis that needs neither logits nor head may ask features about data with other classes than the model's.
    Raises DataError for an array that the analysis needs.
    """
    where = replace(places or Places(), fresh=fresh)
    own = replace(spec, arrays=_others(spec.arrays), optional_arrays=_others(spec.optional_arrays))
    if source.checkpoint:
        arrays = _own(own, source, split, draws or {}, where)
    else:
        loaded = outputs.load(source.path, logits_key=logits_key, probabilities_key=probabilities_key)
        arrays = _from_file(own, source, loaded)
    taught = tuple(p for p in (*spec.arrays, *spec.optional_arrays) if p.startswith(TEACHER))
    if teacher is None:
        if set(taught) & set(spec.arrays):
            raise UsageError(f"{spec.name} compares with a teacher", "say which with --teacher PATH")
        return arrays | dict.fromkeys(taught)
    names = {p.removeprefix(TEACHER) for p in taught}
    made = outputs_of(teacher, split, names, where) if teacher.checkpoint else outputs.load(teacher.path)
    return arrays | {p: getattr(made, p.removeprefix(TEACHER)) for p in taught}


def _others(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith(TEACHER))


def _own(spec: binding.Spec, source: Source, split: str, draws: Mapping[str, Any], places: Places) -> dict[str, Any]:
    by_split: dict[str, set[str]] = {}
    for parameter in (*spec.arrays, *spec.optional_arrays):
        where, name = _parts(parameter, split)
        by_split.setdefault(where, set()).add(name)
    needed = {_parts(parameter, split)[0] for parameter in spec.arrays}
    any_classes = not {_parts(parameter, split)[1] for parameter in spec.arrays} & set(OF_CLASSES)
    load = cache(lambda: with_data(source, places, any_classes=any_classes))  # once, for all splits
    found = {
        where: drawn(source, where, draws, places)
        if "draws" in names
        else _of_split(source, where, names, places, where in needed, load)
        for where, names in by_split.items()
    }
    arrays: dict[str, Any] = {}
    for parameter in (*spec.arrays, *spec.optional_arrays):
        where, name = _parts(parameter, split)
        made = found[where]
        if parameter in spec.optional_arrays:
            arrays[parameter] = None if made is None or _foreign(made, name) else getattr(made, name)
        else:
            assert made is not None
            arrays[parameter] = made.get(name, source=f"{source.label} ({where})")
    return arrays


def _foreign(made: Outputs, name: str) -> bool:
    """Whether an array is about other classes than the labels beside it."""
    return name in OF_CLASSES and made.class_names is not None and len(made.class_names) != made.logits.shape[1]


def _of_split(source: Source, split: str, names: set[str], places: Places, needed: bool, load: Load) -> Outputs | None:
    from fierce_tools.data._splits import NoValidation

    try:
        return outputs_of(source, split, names, places, load=load)
    except NoValidation:
        if needed:
            raise
        return None


def _from_file(spec: binding.Spec, source: Source, loaded: Outputs) -> dict[str, Any]:
    own = {p for p in (*spec.arrays, *spec.optional_arrays) if not p.startswith(PREFIXES)}
    others = {p for p in (*spec.arrays, *spec.optional_arrays) if p.startswith(PREFIXES)}
    raw = outputs.read_arrays(source.path)[0] if others else {}
    arrays: dict[str, Any] = {
        p: getattr(loaded, p) if p in spec.optional_arrays else loaded.get(p, source=str(source.path)) for p in own
    }
    for parameter in others:
        if parameter not in raw and parameter in spec.arrays:
            raise DataError(
                f"{source.path} has no array {parameter!r}, which {spec.name} needs; it holds {', '.join(sorted(raw))}",
                "add it to the file, or ask a fierce checkpoint",
            )
        arrays[parameter] = raw.get(parameter)
    return arrays


def _parts(parameter: str, split: str) -> tuple[str, str]:
    for prefix in PREFIXES:
        if parameter.startswith(prefix):
            return prefix[:-1], parameter.removeprefix(prefix)
    return split, parameter


def outputs_of(
    source: Source, split: str, wanted: set[str], places: Places, *, fresh: bool = False, load: Load | None = None
) -> Outputs:
    """A checkpoint's outputs on a split: those that were kept, or made now and kept.

    `load` brings the checkpoint and its data, else with_data does. Where the data's classes are others than the
    model's, class names are the data's. Raises DataError where the data are missing, or are not those it was trained
    on.
    """
    if not (fresh or places.fresh) and "images" not in wanted and places.data is None:
        found = sources.kept(source, split, wanted)
        if found is not None:
            return found
    made = _infer(split, wanted, load or (lambda: with_data(source, places)))
    if places.data is None:
        with contextlib.suppress(OSError):  # an answer that cannot be kept is still an answer
            sources.keep(source, split, replace(made, images=None))
    return made


def images_of(source: Source, split: str, wanted: Sequence[int], places: Places) -> dict[int, np.ndarray]:
    """Images u8 [H, W, c] of a split by their index in the original file. Raises DataError where there are none."""
    found = outputs_of(source, split, {"index", "images"}, places)
    pixels = found.get("images", source=f"{source.label} ({split})")
    position = {int(i): row for row, i in enumerate(found.get("index"))}
    return {i: pixels[position[i]] for i in wanted}


def with_data(source: Source, places: Places, *, any_classes: bool = False) -> tuple[Checkpoint, Splits]:
    """A checkpoint and the data it was trained on, or others, cut as they were. Raises DataError where they differ.

    Other data need as many classes as the model has, unless `any_classes`.
    """
    from fierce_tools import checkpoints
    from fierce_tools.data._known import as_trained
    from fierce_tools.data._splits import split as cut
    from fierce_tools.training.train import dataset, pick_device

    checkpoint = checkpoints.load(source.path, pick_device(places.device), trusted=places.factory)
    if places.data is None and not checkpoint.document["dataset_sha256"]:
        raise DataError(f"{source.label} was imported without its data", "say which with --data NAME")
    classes = len(checkpoint.class_names)
    own = places.data in (None, checkpoint.recipe.data["name"])
    recipe = checkpoint.recipe if own else _other(checkpoint.recipe, str(places.data))
    takes = {o.name for o in binding.read(DATASETS, recipe.data["name"]).options}
    here = {"data_root": places.data_root, "download": places.download or None}
    recipe = recipe.with_data(**{k: v for k, v in here.items() if k in takes and v is not None})
    found = dataset(recipe, classes=None if own else classes)
    data = as_trained(found, checkpoint.document["dataset_sha256"]) if own else found
    if data is not found:
        places.say(f"{source.label}: {data.notes[-1]}")
    shape, others = tuple(checkpoint.document["input_shape"]), data.classes != classes
    if data.shape != shape or (others and (own or not any_classes)):
        alone = "; of other classes its features alone can be asked, as few-shot and linear-probe do"
        raise DataError(
            f"{source.label} takes examples of shape {shape} in {classes} classes, {data.name} has {data.shape} in "
            f"{data.classes}",
            f"give the --data it was trained for{alone if data.shape == shape else ''}",
        )
    if places.data is None and data.fingerprint() != checkpoint.document["dataset_sha256"]:
        raise DataError(
            f"{data.name} as found here is not what {source.label} was trained on (fingerprint "
            f"{data.fingerprint()[:12]}…, expected {checkpoint.document['dataset_sha256'][:12]}…)",
            f"to ask it about these data all the same, say --data {data.name}",
        )
    return checkpoint, cut(data, val_fraction=recipe.data["val_fraction"], split_seed=recipe.data["split_seed"])


def _other(made: Recipe, data: str) -> Recipe:
    """The recipe with other data, cut and labelled alike, training left whole; those of one kind are read alike too."""
    kinds = [choice(name)[0] for name in (data, made.data["name"])]
    own = {o.name for o in binding.read(DATASETS, data).options} if kinds[0] == kinds[1] else set()
    kept = {k: v for k, v in made.as_dict()["data"].items() if k in own | set(KEPT)}
    return resolve({**made.as_dict(), "data": {"name": data, **kept}})


def _infer(split: str, wanted: set[str], load: Load) -> Outputs:
    from fierce_tools.training.batches import Normalization
    from fierce_tools.training.infer import infer

    checkpoint, splits = load()
    examples = splits.get(split)
    own = len(splits.class_names) == len(checkpoint.class_names)
    made = infer(
        checkpoint.model,
        examples,
        Normalization(checkpoint.mean, checkpoint.std),
        checkpoint.class_names if own else splits.class_names,
        anchors=checkpoint.anchors,
        features="features" in wanted,
    )
    made = replace(made, document={"split": split})
    return replace(made, images=examples.images) if "images" in wanted and examples.images.ndim == 4 else made


def drawn(source: Source, split: str, options: Mapping[str, Any], places: Places) -> Outputs:
    """Outputs of a sample of a split with `draws` [L, n, C]: those that were kept for these options, or made now."""
    from fierce_tools.training.batches import Normalization
    from fierce_tools.training.draws import draw

    name = f"{split}-draws-{arrayfile.name_of(options)}"
    found = sources.kept(source, name, {"logits", "draws"}) if places.data is None and not places.fresh else None
    if found is not None:
        return found
    checkpoint, splits = with_data(source, places)
    normalization = Normalization(checkpoint.mean, checkpoint.std)
    made = draw(checkpoint.model, splits.get(split), normalization, checkpoint.class_names, **options)
    if places.data is None:
        with contextlib.suppress(OSError):
            sources.keep(source, name, made)
    return made

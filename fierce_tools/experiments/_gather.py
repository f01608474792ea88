"""Bring the arrays an analysis names: from a file, from what was kept beside a checkpoint, or made now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fierce_tools import arrayfile, binding, files, outputs, scores, sources
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import DATASETS
from fierce_tools.menu import split as choice
from fierce_tools.outputs import Keys, Outputs
from fierce_tools.recipe import Recipe, resolve
from fierce_tools.same import Columns, match_classes, match_examples
from fierce_tools.sources import Source

# What holds for other data than those trained on.
KEPT = ("val_fraction", "split_seed", "coarse", "bins", "classes")
if TYPE_CHECKING:
    import numpy as np

    from fierce_tools.checkpoints import Checkpoint
    from fierce_tools.data._dataset import Dataset
    from fierce_tools.data._splits import Splits

    Load = Callable[[], "Loaded"]

PREFIXES = ("train_", "val_")
# What speaks of the classes a model was trained for, and of no others.
OF_CLASSES = ("logits", "head_weight", "head_bias", "draws")
TEACHER, TEACHER_FLAGS = "teacher_", "--teacher-"
# In the document of outputs whose labels are of classes that the model does not know.
FOREIGN = "other_classes"


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


@dataclass(frozen=True)
class Loaded:
    """A checkpoint and the data it is asked about, in the data's own classes.

    `columns` are where those lie among the model's, None where the model knows others; `fingerprint` is the data's.
    """

    checkpoint: Checkpoint
    splits: Splits
    columns: Columns | None
    fingerprint: str

    def matched(self, made: Outputs, split: str) -> Outputs:
        """Outputs on the split with labels that are numbers of the model's classes, and what is known of the data."""
        document = {**made.document, "dataset_sha256": self.fingerprint, "split": split}
        if self.columns is None:
            return replace(made, class_names=self.splits.class_names, document={**document, FOREIGN: True})
        assert made.labels is not None
        labels, notes = self.columns.lifted(made.labels), (self.columns.note,) if self.columns.note else ()
        return replace(made, labels=labels, class_names=self.columns.others, document=document, notes=notes)


@dataclass(frozen=True)
class Gathered:
    """The arrays of an analysis by parameter, and notes on how they were brought together."""

    arrays: dict[str, Any]
    notes: tuple[str, ...] = ()


def gather(
    spec: binding.Spec,
    source: Source,
    split: str,
    *,
    keys: Keys | None = None,
    teacher: Source | None = None,
    teacher_keys: Keys | None = None,
    draws: Mapping[str, Any] | None = None,
    places: Places | None = None,
    fresh: bool = False,
) -> Gathered:
    """The arrays that an analysis names, each from its split; None for an optional one that is not to be had.

    Those with the prefix `teacher_` are the teacher's, of the same examples and in the model's classes; `draws` are the
    options of their making. `keys` say which arrays of a file are meant. An analysis that needs neither logits nor head
    may ask features about data with other classes than the model's. Raises DataError for an array that the analysis
    needs, and for a teacher of other classes or examples.
    """
    where = replace(places or Places(), fresh=fresh)
    own = replace(spec, arrays=_others(spec.arrays), optional_arrays=_others(spec.optional_arrays))
    keys = keys or Keys()
    if source.checkpoint:
        refuse_keys(keys, source)
        arrays, made = _own(own, source, split, draws or {}, where)
        if keys.labels_key is not None:
            made = relabelled(made, keys.labels_key)
            arrays |= {"labels": made.labels} if "labels" in arrays else {}
    else:
        made = outputs.load(source.path, **vars(keys))
        arrays = _from_file(own, source, made, keys)
    taught = tuple(p for p in (*spec.arrays, *spec.optional_arrays) if p.startswith(TEACHER))
    if teacher is None:
        if set(taught) & set(spec.arrays):
            raise UsageError(f"{spec.name} compares with a teacher", "say which with --teacher PATH")
        return Gathered(arrays | dict.fromkeys(taught), made.notes)
    if not taught:
        raise UsageError(f"{spec.name} compares with no teacher", "leave --teacher out")
    told, notes = _teacher(teacher, teacher_keys or Keys(), split, taught, where, source.label, made)
    return Gathered(arrays | told, tuple(dict.fromkeys((*made.notes, *notes))))


def _teacher(
    teacher: Source, keys: Keys, split: str, taught: Sequence[str], places: Places, label: str, made: Outputs
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A teacher's arrays beside outputs that were `made`, its classes matched to theirs; and notes on how."""
    names = {p.removeprefix(TEACHER) for p in taught}
    if teacher.checkpoint:
        refuse_keys(keys, teacher, TEACHER_FLAGS)
        said = outputs_of(teacher, split, names, places)
    else:
        said = outputs.load(teacher.path, **vars(keys), flags=TEACHER_FLAGS)
    what, other = label, f"teacher {teacher.label}"
    hint = "ask both on the same split of the same data"
    columns = match_classes(names_of(made), names_of(said), what=what, other=other, hint=hint)
    lifted = None if made.labels is None else columns.lifted(made.labels)
    pairing = match_examples(replace(made, labels=lifted), said, what=what, other=other)
    if not pairing.paired:
        raise DataError(f"{what} and {other} are not of the same examples: {pairing.reason}", hint)
    found = {p: getattr(said, p.removeprefix(TEACHER)) for p in taught}
    found = {p: a if a is None or p != f"{TEACHER}logits" else columns.of(a) for p, a in found.items()}
    return found, tuple(note for note in (*said.notes, columns.note, pairing.note) if note)


def names_of(made: Outputs) -> tuple[str, ...]:
    """The names of the classes, or their numbers."""
    return made.class_names or tuple(str(c) for c in range(made.logits.shape[1]))


def refuse_keys(keys: Keys, source: Source, flags: str = "--") -> None:
    """Raises UsageError for options that name arrays of a file, which a checkpoint is not."""
    named = [n for n in keys.named() if n != "labels" or not str(keys.labels_key).endswith(".npy")]
    if named:
        raise UsageError(
            f"{flags}{named[0]} names an array of a file, and {source.label} is a checkpoint",
            "leave it out, or write its outputs to a file with `fierce infer`"
            + (", or give --labels FILE.npy" if named[0] == "labels" else ""),
        )


def relabelled(made: Outputs, file: str) -> Outputs:
    """The same outputs with the labels of a FILE.npy, one for each row."""
    rows, classes = made.logits.shape
    labels, note = scores.labels(file, {}, file, rows, classes)
    notes = (f"Labels are those of {file}.", *([note] if note else ()))
    return outputs.validate(replace(made, labels=labels, notes=(*made.notes, *notes)), source=file)


def _others(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not name.startswith(TEACHER))


def _own(
    spec: binding.Spec, source: Source, split: str, draws: Mapping[str, Any], places: Places
) -> tuple[dict[str, Any], Outputs]:
    """A checkpoint's arrays by parameter, and its outputs on the split."""
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
    return arrays, next(made for where in (split, *found) if (made := found.get(where)) is not None)


def _foreign(made: Outputs, name: str) -> bool:
    """Whether an array is about other classes than the labels beside it."""
    return name in OF_CLASSES and bool(made.document.get(FOREIGN))


def _of_split(source: Source, split: str, names: set[str], places: Places, needed: bool, load: Load) -> Outputs | None:
    from fierce_tools.data._splits import NoValidation

    try:
        return outputs_of(source, split, names, places, load=load)
    except NoValidation:
        if needed:
            raise
        return None


def _from_file(spec: binding.Spec, source: Source, loaded: Outputs, keys: Keys) -> dict[str, Any]:
    own = {p for p in (*spec.arrays, *spec.optional_arrays) if not p.startswith(PREFIXES)}
    others = {p for p in (*spec.arrays, *spec.optional_arrays) if p.startswith(PREFIXES)}
    raw: dict[str, Any] = {}
    for prefix in PREFIXES:
        names = {p.removeprefix(prefix) for p in others if p.startswith(prefix)}
        if names:
            made = outputs.load_split(source.path, prefix, names, **vars(keys))
            raw |= {prefix + name: array for name, array in made.items()}
    arrays: dict[str, Any] = {
        p: getattr(loaded, p) if p in spec.optional_arrays else loaded.get(p, source=str(source.path)) for p in own
    }
    for parameter in others:
        if parameter not in raw and parameter in spec.arrays:
            raise DataError(
                f"{source.path} has no array {parameter!r}, which {spec.name} needs; it holds {', '.join(loaded.held)}",
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

    `load` brings the checkpoint and its data, else with_data does. Labels of other data are numbers of the model's
    classes; where the model knows none of them, labels and class names are the data's. Raises DataError
    where the data are missing, or are not those it was trained on.
    """
    if not (fresh or places.fresh) and "images" not in wanted and places.data is None:
        found = sources.kept(source, split, wanted)
        if found is not None:
            return replace(found, document={**found.document, **of_data(source)})
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


@cache
def _dataset_sha256(path: str, sha256: str) -> str:
    document = files.read_header(Path(path))[1] or {}
    return str(document.get("dataset_sha256") or "")


def of_data(source: Source) -> dict[str, str]:
    """The fingerprint of the data that a checkpoint was trained on, as outputs have it in their document."""
    found = _dataset_sha256(str(source.path), source.sha256)
    return {"dataset_sha256": found} if found else {}


def with_data(source: Source, places: Places, *, any_classes: bool = False) -> Loaded:
    """A checkpoint and the data it was trained on, or others, cut as they were. Raises DataError where they differ.

    The model must know the classes of other data by name, unless `any_classes`.
    """
    from fierce_tools import checkpoints
    from fierce_tools.data._known import as_trained
    from fierce_tools.data._splits import split as cut
    from fierce_tools.training.train import dataset, pick_device

    checkpoint = checkpoints.load(source.path, pick_device(places.device), trusted=places.factory)
    if places.data is None and not checkpoint.document["dataset_sha256"]:
        raise DataError(f"{source.label} was imported without its data", "say which with --data NAME")
    own = places.data in (None, checkpoint.recipe.data["name"])
    recipe = checkpoint.recipe if own else _other(checkpoint.recipe, str(places.data))
    takes = {o.name for o in binding.read(DATASETS, recipe.data["name"]).options}
    here = {"data_root": places.data_root, "download": places.download or None}
    recipe = recipe.with_data(**{k: v for k, v in here.items() if k in takes and v is not None})
    found = dataset(recipe, known=None if own else checkpoint.class_names)
    data = as_trained(found, checkpoint.document["dataset_sha256"]) if own else found
    if data is not found:
        places.say(f"{source.label}: {data.notes[-1]}")
    for note in data.notes if places.data is not None else ():
        places.say(note)
    shape = tuple(checkpoint.document["input_shape"])
    if data.shape != shape:
        raise DataError(
            f"{source.label} takes examples of shape {shape}, {data.name} has {data.shape}",
            "give the --data it was trained for",
        )
    columns = _columns(data, checkpoint, source.label, optional=any_classes and not own)
    fingerprint = data.fingerprint()
    if places.data is None and fingerprint != checkpoint.document["dataset_sha256"]:
        why = f"; {data.read_otherwise}" if data.read_otherwise else ""
        raise DataError(
            f"{data.name} as found here is not what {source.label} was trained on (fingerprint "
            f"{fingerprint[:12]}…, expected {checkpoint.document['dataset_sha256'][:12]}…){why}",
            f"to ask it about these data all the same, say --data {data.name}",
        )
    splits = cut(data, val_fraction=recipe.data["val_fraction"], split_seed=recipe.data["split_seed"])
    return Loaded(checkpoint, splits, columns, fingerprint)


def _columns(data: Dataset, checkpoint: Checkpoint, label: str, *, optional: bool) -> Columns | None:
    """Where the data's classes are among the model's; None, if that is `optional`, where they are others."""
    hint = "give the --data it was trained for; of other classes its features alone can be asked, as few-shot and "
    try:
        return match_classes(
            data.class_names, checkpoint.class_names, what=data.name, other=label, hint=f"{hint}linear-probe do"
        )
    except DataError:
        if optional:
            return None
        raise


def _other(made: Recipe, data: str) -> Recipe:
    """The recipe with other data, cut and labelled alike, training left whole; those of one kind are read alike too."""
    kinds = [choice(name)[0] for name in (data, made.data["name"])]
    own = {o.name for o in binding.read(DATASETS, data).options} if kinds[0] == kinds[1] else set()
    kept = {k: v for k, v in made.as_dict()["data"].items() if k in own | set(KEPT)}
    return resolve({**made.as_dict(), "data": {"name": data, **kept}})


def _infer(split: str, wanted: set[str], load: Load) -> Outputs:
    from fierce_tools.training.batches import Normalization
    from fierce_tools.training.infer import infer

    loaded = load()
    checkpoint, examples = loaded.checkpoint, loaded.splits.get(split)
    made = infer(
        checkpoint.model,
        examples,
        Normalization(checkpoint.mean, checkpoint.std),
        checkpoint.class_names,
        anchors=checkpoint.anchors,
        features="features" in wanted,
    )
    made = loaded.matched(made, split)
    return replace(made, images=examples.images) if "images" in wanted and examples.images.ndim == 4 else made


def drawn(source: Source, split: str, options: Mapping[str, Any], places: Places) -> Outputs:
    """Outputs of a sample of a split with `draws` [L, n, C]: those that were kept for these options, or made now."""
    from fierce_tools.training.batches import Normalization
    from fierce_tools.training.draws import draw

    name = f"{split}-draws-{arrayfile.name_of(options)}"
    found = sources.kept(source, name, {"logits", "draws"}) if places.data is None and not places.fresh else None
    if found is not None:
        return found
    loaded = with_data(source, places)
    checkpoint = loaded.checkpoint
    normalization = Normalization(checkpoint.mean, checkpoint.std)
    examples = loaded.splits.get(split)
    made = loaded.matched(draw(checkpoint.model, examples, normalization, checkpoint.class_names, **options), split)
    if places.data is None:
        with contextlib.suppress(OSError):
            sources.keep(source, name, made)
    return made

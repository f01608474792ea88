"""Bring the arrays an analysis names: from a file, from what was kept beside a checkpoint, or made now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from fierce_tools import binding, files, outputs, scores
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments._loading import FOREIGN, Places, drawn, outputs_of, with_data
from fierce_tools.outputs import Keys, Outputs
from fierce_tools.same import match_classes, match_examples, names_classes
from fierce_tools.sources import Source

if TYPE_CHECKING:
    from fierce_tools.experiments._loading import Load

PREFIXES = ("train_", "val_")
# What speaks of the classes a model was trained for, and of no others.
OF_CLASSES = ("logits", "head_weight", "head_bias", "draws")
TEACHER, TEACHER_FLAGS = "teacher_", "--teacher-"


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
    keys = keys_of(source, keys or Keys())
    notes: tuple[str, ...] = ()
    if source.checkpoint:
        arrays, made = _own(own, source, split, draws or {}, where)
        if keys.labels_key is not None:
            if "labels" not in arrays:
                raise UsageError(f"{spec.name} takes no labels of the split it is asked about", "leave --labels out")
            other = relabelled(made, keys.labels_key, where)
            arrays, notes = {**arrays, "labels": other.labels}, other.notes
    else:
        made = outputs.load(source.path, **keys.asked())
        arrays = _from_file(own, source, made, keys)
    taught = tuple(p for p in (*spec.arrays, *spec.optional_arrays) if p.startswith(TEACHER))
    if teacher is None:
        if set(taught) & set(spec.arrays):
            raise UsageError(f"{spec.name} compares with a teacher", "say which with --teacher PATH")
        return Gathered(arrays | dict.fromkeys(taught), tuple(dict.fromkeys((*made.notes, *notes))))
    if not taught:
        raise UsageError(f"{spec.name} compares with no teacher", "leave --teacher out")
    told, how = _teacher(teacher, teacher_keys or Keys(), split, taught, where, source.label, made)
    return Gathered(arrays | told, tuple(dict.fromkeys((*made.notes, *notes, *how))))


def _teacher(
    teacher: Source, keys: Keys, split: str, taught: Sequence[str], places: Places, label: str, made: Outputs
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A teacher's arrays beside outputs that were `made`, its classes matched to theirs; and notes on how."""
    names = {p.removeprefix(TEACHER) for p in taught}
    if teacher.checkpoint:
        _refuse_keys(keys, teacher, TEACHER_FLAGS)
        said = outputs_of(teacher, split, names, places)
    else:
        said = outputs.load(teacher.path, **keys.asked(), flags=TEACHER_FLAGS)
    what, other = label, f"teacher {teacher.label}"
    hint = "ask both on the same split of the same data"
    columns = match_classes(
        names_of(made), names_of(said), what=what, other=other, hint=hint, trusted=both_named(made, said)
    )
    lifted = None if made.labels is None else columns.lifted(made.labels)
    pairing = match_examples(replace(made, labels=lifted), said, what=what, other=other)
    if not pairing.paired:
        raise DataError(f"{what} and {other} are not of the same examples: {pairing.reason}", hint)
    found = {p: getattr(said, p.removeprefix(TEACHER)) for p in taught}
    found = {p: a if a is None or p != f"{TEACHER}logits" else columns.of(a) for p, a in found.items()}
    return found, tuple(note for note in (*said.notes, columns.note, pairing.note) if note)


def both_named(*made: Outputs) -> bool:
    """Whether outputs are all of data that name their classes, as far as they say of which."""
    sections = [o.document.get("data") for o in made]
    return all(isinstance(s, Mapping) and names_classes(s.get("name")) for s in sections)


def names_of(made: Outputs) -> tuple[str, ...]:
    """The names of the classes, or their numbers."""
    return made.class_names or tuple(str(c) for c in range(made.logits.shape[1]))


def keys_of(source: Source, keys: Keys) -> Keys:
    """The names of arrays that are a source's. Raises UsageError for those of files where it is a checkpoint.

    Beside foreign files, checkpoints and outputs that fierce wrote go by their own names; labels of a file are theirs.
    """
    if keys.foreign and not is_foreign(source):
        labels = keys.labels_key if str(keys.labels_key).endswith(".npy") else None
        return Keys(labels_key=labels)
    if source.checkpoint:
        _refuse_keys(keys, source)
    return keys


def is_foreign(source: Source) -> bool:
    """Whether a source is a file of arrays that was not written by fierce."""
    if source.checkpoint or source.path.suffix != ".safetensors":
        return not source.checkpoint
    return (files.read_header(source.path)[1] or {}).get("format") != "outputs"


def beside(found: Sequence[Source], keys: Keys) -> Keys:
    """Names of arrays for several sources: of foreign files alone, where there are such and others."""
    foreign = [is_foreign(source) for source in found] if keys.named() and len(found) > 1 else []
    return replace(keys, foreign=any(foreign) and not all(foreign))


def _refuse_keys(keys: Keys, source: Source, flags: str = "--") -> None:
    """Raises UsageError for options that name arrays of a file, which a checkpoint is not."""
    named = [n for n in keys.named() if n != "labels" or not str(keys.labels_key).endswith(".npy")]
    if named:
        raise UsageError(
            f"{flags}{named[0]} names an array of a file, and {source.label} is a checkpoint",
            "leave it out, or write its outputs to a file with `fierce infer`"
            + (", or give --labels FILE.npy" if named[0] == "labels" else ""),
        )


def relabelled(made: Outputs, file: str, places: Places) -> Outputs:
    """The same outputs with the labels of a FILE.npy, one for each row. Raises UsageError beside other data."""
    if places.data is not None:
        raise UsageError("--labels with --data: other data bring their labels", "leave one of them out")
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
            made = outputs.load_split(source.path, prefix, names, loaded.logits.shape[1], **keys.asked())
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

"""Checkpoints as teachers of an experiment's students: what each says of the same data, in the data's classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fierce_tools import same
from fierce_tools.data._splits import Splits
from fierce_tools.errors import DataError
from fierce_tools.experiments._loading import Loaded, Places, outputs_of, with_data
from fierce_tools.experiments._trainings import seed_of
from fierce_tools.sources import Source


@dataclass(frozen=True)
class Teacher:
    """A checkpoint as a teacher: its logits f32 [N, C] on training, validation (or None) and test examples.

    `columns` are where the data's classes lie among its own, empty where they are the same in the same order. `recipe`
    is the label of those that differ in their seed alone, with --teacher-seeds.
    """

    label: str
    sha256: str
    train: np.ndarray
    val: np.ndarray | None
    test: np.ndarray
    source: Source
    columns: tuple[int, ...] = ()
    recipe: str | None = None

    @cached_property
    def named(self) -> dict[str, Any]:
        """What an experiment's entries say of the teacher of a student."""
        seed = seed_of(self.source)
        return {"teacher": self.label, "recipe": self.recipe, "teacher_seed": seed}


# What they say where there is none.
UNTAUGHT: Mapping[str, Any] = {"teacher": None, "recipe": None, "teacher_seed": None}


def taught(
    found: Sequence[Source], places: Places
) -> tuple[tuple[Teacher, ...], Splits, dict[str, dict[str, Any]], tuple[str, ...]]:
    """The teachers in the classes of the data, the data, their recipe, and how classes were matched.

    Raises DataError where they were trained on different data, or know other classes.
    """
    teachers: list[Teacher] = []
    notes: list[str] = []
    unnamed: list[tuple[str, Sequence[str]]] = []
    first: Splits | None = None
    prints = ""
    document: dict[str, dict[str, Any]] = {}
    for source in found:
        if not source.checkpoint:
            raise DataError(f"{source.label} is a file of arrays, a teacher is a checkpoint", "name a run")
        loaded = with_data(source, places)
        splits, columns = loaded.splits, loaded.columns
        assert columns is not None
        notes += [columns.note] if columns.note else []
        if first is None:
            first, prints = splits, loaded.fingerprint
            for note in loaded.notes if places.data is None else ():  # of other data they are said already
                places.say(note)
            document = (
                {"data": {"name": places.data}} if places.data else {"data": loaded.checkpoint.recipe.as_dict()["data"]}
            )
        elif prints != loaded.fingerprint or not _same(first, splits):
            raise DataError(
                f"{source.label} and {found[0].label} were trained on different data, or cut differently",
                "ask them one at a time",
            )
        moved = tuple(columns.number.tolist()) if columns.moves else ()
        unnamed += [(source.label, columns.others)] if columns.by_position else []
        parts = [part for part in ("train", "val", "test") if len(getattr(splits, part))]
        said = {part: columns.of(_logits(source, part, places, loaded)) for part in parts}
        teachers.append(
            Teacher(source.label, source.sha256, said["train"], said.get("val"), said["test"], source, moved)
        )
    assert first is not None
    if unnamed:
        same.refuse_conflicts(str(places.data), unnamed, "add class_names to the data")
    return tuple(teachers), first, document, tuple(dict.fromkeys(notes))


def _logits(source: Source, split: str, places: Places, loaded: Loaded) -> np.ndarray:
    """What a teacher says of a split of data that were read already."""
    return outputs_of(source, split, {"logits"}, places, load=lambda: loaded).logits


def _same(one: Splits, other: Splits) -> bool:
    """Whether the same data are cut alike."""
    pairs = [(getattr(one, k), getattr(other, k)) for k in ("train", "val", "test")]
    return one.class_names == other.class_names and all(
        np.array_equal(a.index, b.index) and np.array_equal(a.labels, b.labels) for a, b in pairs
    )

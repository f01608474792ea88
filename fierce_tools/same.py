"""The same classes? The same examples? The same training? One answer for whatever sets two things side by side."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fierce_tools import recipe
from fierce_tools.errors import DataError, FierceError
from fierce_tools.recipe import MENUS, PLACES

if TYPE_CHECKING:  # commands that only compare recipes start without numpy
    import numpy as np

    from fierce_tools.outputs import Outputs

# Options of [train] that say what is kept along the way, and where it is computed.
SAVING = ("save_at", "save_every", "save_best")
# Options of a recipe, by section, that are of no weight for what a training computes.
IDLE: Mapping[str, tuple[str, ...]] = {"data": PLACES, "train": ("device", *SAVING)}
# Options of [data] that make other data of those that are loaded, and which have no weight where those are the same.
MAKING = ("coarse", "bins", "classes", "per_class", "imbalance", "label_noise")
FOLLOWING = ("noise_kind", "draw_seed", "val_fraction", "split_seed")
# Names of a list of classes that a message shows.
SHOWN = 12


@dataclass(frozen=True)
class Columns:
    """Where classes are found among others: `number` i64 [C] is the position of each; `note` says what was done,
    `by_position` that one side names no classes.

    `others` are their names; where these name nothing, those of the classes that were looked for.
    """

    number: np.ndarray
    others: tuple[str, ...]
    note: str | None = None
    by_position: bool = False

    @property
    def moves(self) -> bool:
        """Whether anything lies elsewhere, or there are more of the others."""
        return self.number.tolist() != [*range(len(self.others))]

    def of(self, scores: np.ndarray) -> np.ndarray:
        """The columns [..., C] of scores [..., others]."""
        return scores[..., self.number] if self.moves else scores

    def lifted(self, labels: np.ndarray) -> np.ndarray:
        """Labels of these classes as numbers of the others."""
        return self.number[labels] if self.moves else labels


def match_classes(
    names: Sequence[str],
    others: Sequence[str],
    *,
    what: str,
    other: str,
    hint: str = "",
    subset: bool = True,
    trusted: bool = False,
) -> Columns:
    """Find each class of `what` among those of `other`, by name.

    Names that are no more than the numbers 0 to C-1 name nothing: beside others they go by their position, which is
    noted. With `subset`, `other` may know more classes; numbers name them where they are `trusted`, as those of
    data sets with a name of their own are. Raises DataError, with both lists, where a class is not found.
    """
    import numpy as np

    names, others, theirs = as_text(names), as_text(others), tuple(others)
    if names == others:
        return Columns(np.arange(len(names)), theirs)
    plain = [not trusted and numbered(n) for n in (names, others)]
    if any(plain) and len(names) == len(others) and set(names) != set(others):
        unnamed = what if plain[0] else other
        note = f"{unnamed} names no classes: they are taken in the order of {other if plain[0] else what}."
        return Columns(np.arange(len(names)), names if plain[1] else theirs, note, by_position=True)
    known = {name: number for number, name in enumerate(others)}
    absent = [name for name in names if name not in known]
    twice = len(known) < len(others) or len(set(names)) < len(names)
    if absent or twice or (len(names) < len(others) and (not subset or all(plain))):
        counts = f"{len(names)} and {len(others)} classes" if len(names) != len(others) else "classes of other names"
        raise DataError(f"{what} and {other} have {counts}: {listed(names)}; and {listed(others)}", hint)
    number = np.array([known[name] for name in names], np.int64)
    if len(names) < len(others):
        note = f"{what} has {len(names)} of the {len(others)} classes of {other}, matched by name: {listed(names)}."
    else:
        note = f"{what} and {other} have the same classes in another order; they are matched by name."
    return Columns(number, theirs, note)


def as_text(names: Sequence[str]) -> tuple[str, ...]:
    """Class names, those among them that version 0.1.0 took from bytes, such as b'cat', as text."""
    return tuple(_decoded(name) if name[:2] in ("b'", 'b"') else name for name in names)


def _decoded(name: str) -> str:
    try:
        found = ast.literal_eval(name)
        return found.decode() if isinstance(found, bytes) else name
    except (ValueError, SyntaxError):
        return name


def refuse_conflicts(what: str, found: Sequence[tuple[str, Sequence[str]]], hint: str) -> None:
    """Raises DataError where classes that go by position are known in different orders, by label in `found`."""
    (first, names), *others = found
    other = next(((label, more) for label, more in others if tuple(more) != tuple(names)), None)
    if other is not None:
        raise DataError(
            f"{what} names no classes, and {first} and {other[0]} know theirs in different orders: {listed(names)}; "
            f"and {listed(other[1])}",
            hint,
        )


def names_classes(data: Any) -> bool:
    """Whether data of that name in a recipe name their classes, be it by numbers: sets with a name of their own do."""
    return isinstance(data, str) and ":" not in data


def numbered(names: Sequence[str]) -> bool:
    """Whether names are no more than the numbers 0 to C-1, as they are made where nobody names the classes."""
    return tuple(names) == tuple(str(n) for n in range(len(names)))


def listed(names: Sequence[str]) -> str:
    """The first names of a list, for a message."""
    return ", ".join(names[:SHOWN]) + (f", … ({len(names)})" if len(names) > SHOWN else "")


@dataclass(frozen=True)
class Pairing:
    """Whether two sets of rows are of the same examples in the same order: `reason` why not, `note` how it is known."""

    paired: bool
    reason: str = ""
    note: str | None = None


def match_examples(one: Outputs, two: Outputs, *, what: str, other: str) -> Pairing:
    """Whether the rows of two outputs are the same examples.

    They are if `index` and the data's fingerprint agree, and labels do where both have them. Where neither side has
    an index, as many rows with equal labels are paired by their position; files that do not name their data, and those
    of the same data under other options, are paired by index; all three are noted. Labels are compared as numbers:
    match classes first.
    """
    import numpy as np

    if len(one.logits) != len(two.logits):
        return Pairing(False, f"{what} has {len(one.logits)} rows, {other} {len(two.logits)}")
    indexed = [o.index is not None for o in (one, two)]
    if indexed[0] != indexed[1]:
        unsaid = what if not indexed[0] else other
        return Pairing(
            False,
            f"{unsaid} has no array `index` that says which examples its rows are (np.arange(N) where they are all of "
            "the split's, in its order)",
        )
    prints = [o.document.get("dataset_sha256") for o in (one, two)]
    differ = all(prints) and prints[0] != prints[1]
    if differ and not same_source(one.document, two.document):
        return Pairing(False, f"{what} and {other} are of different data (fingerprints {_short(prints)})")
    splits = [o.document.get("split") for o in (one, two)]
    if all(splits) and splits[0] != splits[1]:
        return Pairing(False, f"{what} is of the {splits[0]} split, {other} of {splits[1]}")
    if indexed[0] and not np.array_equal(one.index, two.index):  # type: ignore[arg-type]
        why = "their `index` differs"
        if np.array_equal(np.sort(one.index), np.sort(two.index)):  # type: ignore[arg-type]
            why = "their `index` is in another order: sort the rows by it"
        return Pairing(False, f"{what} and {other} are of other examples: {why}")
    if one.labels is not None and two.labels is not None and not np.array_equal(one.labels, two.labels):
        others = int((one.labels != two.labels).sum())
        return Pairing(False, f"{others} of {len(one.labels)} labels of {what} and {other} differ")
    if not indexed[0]:
        return Pairing(True, note=f"{what} and {other}: rows paired by position; neither says which examples they are.")
    if differ:
        why = "options made other training examples or labels of the same data"
        return Pairing(True, note=f"{what} and {other}: rows paired by index; {why}.")
    if not all(prints):
        unsaid = what if not prints[0] else other
        return Pairing(True, note=f"{what} and {other}: rows paired by index; {unsaid} does not say of which data.")
    return Pairing(True)


def same_source(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """Whether two documents are of the same data as they were loaded, before options made others of them.

    They say so by `source_sha256`; one that has none by `dataset_sha256` where its section `data` of a recipe makes
    nothing of them. Else sets with a name of their own, which are the original or refused, go by it and their options.
    """
    sources = [_source(d) for d in (one, two)]
    if all(sources):
        return sources[0] == sources[1]
    sections = [d.get("data") for d in (one, two)]
    if not all(isinstance(s, Mapping) and ":" not in str(s.get("name", ":")) for s in sections):
        return False
    aside = (*PLACES, *MAKING, *FOLLOWING)
    first, second = (
        {k: v for k, v in {**_defaults("data", str(s["name"])), **s}.items() if k not in aside}  # type: ignore[index,dict-item]
        for s in sections
    )
    return first == second


def _source(document: Mapping[str, Any]) -> str | None:
    section, found = document.get("data"), document.get("source_sha256")
    if found is None and isinstance(section, Mapping):
        usual = _defaults("data", None)
        made = any(section.get(k, usual.get(k)) not in (usual.get(k), [*()], None) for k in MAKING)
        found = None if made else document.get("dataset_sha256")
    return None if found is None else str(found)


def _short(prints: Sequence[Any]) -> str:
    return " and ".join(f"{str(p)[:12]}…" for p in prints)


def training(document: Mapping[str, Any], *, seed: bool = True) -> str:
    """What a recipe's document computes, as text: equal for two trainings that differ only where IDLE says.

    Options that an older recipe does not know have their defaults. Without `seed`, the seed of training is left out.
    """
    kept: dict[str, Any] = {}
    for section, values in document.items():
        if not isinstance(values, Mapping):
            kept[section] = values
            continue
        chosen = str(values["name"]) if "name" in values and section in MENUS else None
        whole = {**_defaults(section, chosen), **values}
        kept[section] = {k: v for k, v in whole.items() if v is not None and not idle(f"{section}.{k}", seed=not seed)}
    return json.dumps(kept, sort_keys=True, default=str)


def taught(said: Mapping[str, Any]) -> str:
    """Who taught a student and with which examples, by content: what a run or a checkpoint says of it, as text."""
    found = [said.get(kind) for kind in ("teachers", "transfer_set")]
    each = [value if isinstance(value, list) else [value] for value in found]
    return json.dumps([[v.get("sha256") for v in values if isinstance(v, Mapping)] for values in each])


@cache
def _defaults(section: str, chosen: str | None) -> dict[str, Any]:
    try:
        options = recipe.spec(section, chosen).options
    except (FierceError, LookupError):  # a choice of another version
        return {}
    return {o.name: float(o.default) if o.kind == "float" and o.default is not None else o.default for o in options}


def idle(key: str, *, seed: bool = False) -> bool:
    """Whether an option SECTION.OPTION is of no weight for what a training computes; with `seed`, or its seed."""
    section, _, name = key.partition(".")
    return name in IDLE.get(section, ()) or (seed and key == "train.seed")

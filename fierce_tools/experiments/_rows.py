"""Sources in rows: seeds of one recipe share one, and say which of them count."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fierce_tools import checkpoints, same, seeds
from fierce_tools.errors import UsageError
from fierce_tools.experiments._trainings import peer_of, seed_of, training_of, unfinished
from fierce_tools.menu import unknown
from fierce_tools.runs import Run
from fierce_tools.seeds import Training
from fierce_tools.sources import Source


@dataclass(frozen=True)
class Members:
    """The sources of one row that count, with their seeds in the same order, None where it is not known.

    `one` says whether they are of one identity, so that they differ in their seed alone; `planned` is how many there
    would be with those that are missing, and `left_out` why the others do not count, by label.
    """

    sources: tuple[Source, ...]
    seeds: tuple[int | None, ...]
    one: bool
    planned: int
    left_out: Mapping[str, str]


def grouped(sources: Sequence[Source], group_by: str) -> dict[str, list[Source]]:
    """Sources by row label: what their recipes differ in, seeds and places aside, or the values of one option.

    Raises UsageError for an option that a source has not.
    """
    recipes = {s.path: _flat(s) for s in sources}
    if group_by != "seed":
        groups: dict[str, list[Source]] = {}
        for s in sources:
            if group_by not in recipes[s.path]:
                raise _lacks(s, group_by, recipes)
            groups.setdefault(f"{group_by} {recipes[s.path][group_by]}", []).append(s)
        return groups
    by_key: dict[str, list[Source]] = {}
    for s in sources:
        by_key.setdefault(training_of(s).identity, []).append(s)
    varying = [k for k in dict.fromkeys(k for r in recipes.values() for k in r) if _differs(k, list(recipes.values()))]
    found: dict[str, list[Source]] = {}
    for members in by_key.values():
        own = recipes[members[0].path]
        words = [str(own[k]) if k.endswith(".name") else _said(k, own[k]) for k in varying if k in own]
        label = ", ".join(words) if len(members) > 1 and words else _stem(members)
        names = itertools.chain((label, members[0].label), (f"{label} ({n})" for n in itertools.count(2)))
        found[next(name for name in names if name not in found)] = members
    return found


def _said(key: str, value: Any) -> str:
    """An option and its value; of files their names, or the runs they lie in."""
    if isinstance(value, list | tuple):
        value = "+".join(Path(v).parent.name or str(v) if "/" in str(v) else str(v) for v in value)
    return f"{key.rpartition('.')[2]} {value}"


def _stem(members: Sequence[Source]) -> str:
    """The name of the first without its seed; that of one alone as it is."""
    name, seed = members[0].label, seed_of(members[0])
    if len(members) == 1 or seed is None:
        return name
    run, at, epoch = name.partition("@")
    return (re.sub(rf"[-_.](?:s|seed)?{seed}$", "", run) or run) + at + epoch


def _lacks(source: Source, group_by: str, recipes: Mapping[Path, Mapping[str, Any]]) -> UsageError:
    own = recipes[source.path]
    known = tuple(dict.fromkeys(k for r in recipes.values() for k in r))
    if group_by not in known:
        return unknown(f"option to group by in {source.label}:", group_by, ("seed", *known))
    section = group_by.partition(".")[0]
    what = (
        f"its {section} is {own[f'{section}.name']}" if f"{section}.name" in own else f"its recipe has no [{section}]"
    )
    what = what if source.checkpoint else "it is a file of arrays"
    return UsageError(f"{source.label} has no {group_by} to group by ({what})", "leave it out, or group by seed")


def rows(sources: Sequence[Source], group_by: str, missing: Sequence[Run] = ()) -> tuple[dict[str, Members], list[Run]]:
    """Who counts in each row of `grouped`, and which of the `missing` runs, that have no weights to ask, fit no row.

    Sources of one label go by their paths. Raises UsageError like `grouped`.
    """
    many = Counter(s.label for s in sources)
    sources = [replace(s, label=str(s.path)) if many[s.label] > 1 else s for s in sources]
    found: dict[str, Members] = {}
    strange = [*missing]
    for label, several in grouped(sources, group_by).items():
        by_label = {s.label: s for s in several}
        trainings = [training_of(s) for s in several]
        if not any(t.state == seeds.FINISHED for t in trainings):  # weights are all that can be asked
            trainings = [replace(t, state=seeds.FINISHED) for t in trainings]
        groups = seeds.grouped(trainings)
        planned = sum(g.planned for g in groups)
        left_out = {name: reason for g in groups for name, reason in g.left_out.items()}
        if len(groups) == 1 and several[0].checkpoint:
            lost = {run.path: t for run in strange if (t := _fits(run, several[0])) is not None}
            taken = Counter([*by_label, *(t.name for t in lost.values())])
            others = [replace(t, identity=groups[0].identity, name=t.name if taken[t.name] == 1 else str(path))
                      for path, t in lost.items()]  # fmt: skip
            (whole,) = seeds.grouped([*trainings, *others])
            planned, left_out = whole.planned, dict(whole.left_out)
            strange = [run for run in strange if run.path not in lost]
        counted = [t for g in groups for t in g.counted]
        who, numbers = tuple(by_label[t.name] for t in counted), tuple(t.seed for t in counted)
        found[label] = Members(who, numbers, len(groups) == 1, planned, left_out)
    return found, strange


def _fits(run: Run, source: Source) -> Training | None:
    """A run without weights as a seed of a checkpoint's recipe; None where it is of another."""
    document = checkpoints.read_document(source.path)
    if document.get("origin") or peer_of(run) != peer_of(source.run):
        return None
    return unfinished(run, document)


def _differs(key: str, recipes: list[dict[str, Any]]) -> bool:
    """Whether an option tells rows apart: its value differs among recipes that made the same choice in its section."""
    if same.idle(key, seed=True):
        return False
    name = f"{key.partition('.')[0]}.name"
    values: dict[Any, set[str]] = {}
    for r in recipes:
        if key in r:
            values.setdefault(None if key == name else r.get(name), set()).add(str(r[key]))
    return any(len(v) > 1 for v in values.values())


def _flat(source: Source) -> dict[str, Any]:
    if not source.checkpoint:
        return {}
    document = checkpoints.read_document(source.path)
    flat = {f"{s}.{k}": v for s, table in document["recipe"].items() for k, v in table.items()}
    if source.epoch is None:
        return flat
    return flat | {"epoch": document["epoch"] if source.epoch.isdecimal() else source.epoch}

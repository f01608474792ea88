"""Which runs are shown, in which order: filter, sort, pins, folded seeds. Pure: no screen, no files."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fierce_tools import query, runs
from fierce_tools.errors import UsageError
from fierce_tools.menu import unknown

Query = tuple[tuple[query.Term, ...], ...]
COLUMNS = (
    "name", "state", "epoch", "best", "last", "ece", "entropy", "loss", "model", "dataset", "seed", "teacher", "tags",
    "note", "age",
)  # fmt: skip
KEYS = (*COLUMNS, "epochs", "tag", "acc", "accuracy", "error", "path")
# Shown from their largest value down when they are first sorted by.
LARGEST_FIRST = ("best", "last", "epoch")
AVERAGED = ("best", "last", "ece", "entropy")


@dataclass(frozen=True)
class Line:
    """One line of the table; `members` are the names of its runs, more than one where seeds are folded."""

    name: str
    row: Mapping[str, Any]
    members: tuple[str, ...]
    spread: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from every other line."""
        return self.members[0]


def parse(text: str) -> Query:
    """A filter. Raises UsageError for a comparison with no number, and for a column there is not."""
    parsed = query.parse(text)
    for term in (t for terms in parsed for t in terms):
        if term.key and term.key not in KEYS:
            raise unknown("column", term.key, KEYS)
    return parsed


def problem_of(text: str) -> str | None:
    """What is wrong with a filter, in one line."""
    try:
        parse(text)
    except UsageError as error:
        return str(error).replace("\n", " ")
    return None


def arrange(
    rows: Sequence[Mapping[str, Any]],
    *,
    wanted: Query = (),
    sort: str = "age",
    reverse: bool = False,
    pins: frozenset[str] = frozenset(),
    group: Callable[[str], str] | None = None,
) -> list[Line]:
    """The lines to show. Pinned runs come first, those without a value last; `group` folds runs of the same group."""
    everything = not any(wanted)
    if any(term.key == "age" for terms in wanted for term in terms):
        rows = [{**row, "age": time.time() - row["modified"]} for row in rows]
    kept = [row for row in rows if everything or query.matches(wanted, runs.searchable(row))]
    lines = _folded(kept, group) if group is not None else [Line(row["name"], row, (row["name"],)) for row in kept]
    lines.sort(key=lambda line: line.name)
    there = [line for line in lines if _key(line, sort) is not None]
    there.sort(key=lambda line: _key(line, sort), reverse=reverse != (sort in LARGEST_FIRST))
    ordered = there + [line for line in lines if _key(line, sort) is None]
    if pins:
        ordered.sort(key=lambda line: pins.isdisjoint(line.members))
    return ordered


def _key(line: Line, sort: str) -> Any:
    value = line.row.get(sort)
    if sort == "age":
        # Runs that train now keep their places instead of overtaking one another at every write.
        return -math.inf if line.row["state"] == "running" else -line.row["modified"]
    if sort == "tags":
        return ", ".join(map(str, value)) if value else None
    if sort in ("name", "state", "loss", "model", "dataset", "teacher", "note"):
        return str(value).lower() if value else None
    return value if isinstance(value, int | float) else None


def _folded(rows: Sequence[Mapping[str, Any]], group: Callable[[str], str]) -> list[Line]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(group(row["name"]), []).append(row)
    return [_fold(members) for members in groups.values()]


def _fold(members: list[Mapping[str, Any]]) -> Line:
    """Mean and standard deviation (n - 1) of the figures; the youngest age; the state of whichever still trains."""
    members = sorted(members, key=lambda row: (row["seed"] is None, row["seed"], row["name"]))
    names = tuple(row["name"] for row in members)
    first = members[0]
    if len(members) == 1:
        return Line(first["name"], first, names)
    values = {k: [row[k] for row in members if row[k] is not None] for k in AVERAGED}
    states = [row["state"] for row in members]
    row = {
        **first,
        **{k: statistics.fmean(v) if v else None for k, v in values.items()},
        "name": f"{_stem(names)} ×{len(members)}",
        "seed": None,
        "epoch": min(row["epoch"] for row in members),
        "modified": max(row["modified"] for row in members),
        "state": next((s for s in ("running", "failed", "stale", "stopped") if s in states), states[0]),
        "tags": list(dict.fromkeys(tag for row in members for tag in row["tags"])),
    }
    return Line(row["name"], row, names, {k: statistics.stdev(v) for k, v in values.items() if len(v) > 1})


def _stem(names: Sequence[str]) -> str:
    """What names have in common from their start, without the -s of -s0."""
    shortest = min(names, key=len)
    length = next((i for i, c in enumerate(shortest) if any(n[i] != c for n in names)), len(shortest))
    return shortest[:length].rstrip("-_.").removesuffix("-s").removesuffix("-seed") or names[0]

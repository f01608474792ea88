"""Which runs are shown, in which order: filter, sort, pins, folded seeds. Pure: no screen, no files."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from fierce_tools import query, runs, seeds
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
# The end of a name that several seeds share: the s of s0 and s1, s1 of s10 and s11.
SEED = re.compile(r"[-_.]+(s|seed)\d*$|[-_.]+$")


@dataclass(frozen=True)
class Line:
    """One line of the table; `members` are the names of its runs, more than one where seeds are folded.

    The figures of folded seeds are means over those that count, `spread` their standard deviations (n - 1). `left_out`
    has the reason for each of the others; `count` is 3, or 2 of 3, and empty for a single run.
    """

    name: str
    row: Mapping[str, Any]
    members: tuple[str, ...]
    spread: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    count: str = ""

    @property
    def key(self) -> str:
        """What tells it from every other line."""
        return self.members[0]

    @property
    def counted(self) -> tuple[str, ...]:
        """The runs that its figures are of."""
        return tuple(name for name in self.members if name not in self.left_out)

    @property
    def stem(self) -> str:
        """Its name without how many count."""
        return self.name.removesuffix(f" ×{self.count}") if self.count else self.name


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
    whole: Sequence[Line] | None = None,
) -> list[Line]:
    """The lines to show. Pinned runs come first, those without a value last; `group` folds runs of the same group.

    `whole` is `folded` of all rows where that is known; what a filter leaves of a group is named as all of it.
    """
    everything = not any(wanted)
    if any(term.key == "age" for terms in wanted for term in terms):
        rows = [{**row, "age": time.time() - row["modified"]} for row in rows]
    kept = [row for row in rows if everything or query.matches(wanted, runs.searchable(row))]
    if group is None:
        lines = [Line(row["name"], row, (row["name"],)) for row in kept]
    else:
        whole = folded(rows, group) if whole is None else whole
        lines = [*whole] if everything else _left(whole, kept, group)
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


def folded(
    rows: Sequence[Mapping[str, Any]], group: Callable[[str], str], whole: Mapping[str, Line] | None = None
) -> list[Line]:
    """A line for the trainings of each group, which differ only in their seed; of one seed the oldest counts.

    Groups whose runs are named alike are numbered. `whole` has the lines by member that names are taken from instead.
    """
    ordered = sorted(rows, key=_age)
    by_name = {row["name"]: row for row in ordered}
    trainings = [seeds.Training(name, _seed(row), group(name), row["state"]) for name, row in by_name.items()]
    lines = [_fold(found, by_name) for found in seeds.grouped(trainings)]
    if whole is not None:
        return [_renamed(line, whole[line.key].stem) for line in lines]
    return _numbered(lines)


def _left(whole: Sequence[Line], kept: Sequence[Mapping[str, Any]], group: Callable[[str], str]) -> list[Line]:
    """What a filter leaves of folded seeds: groups that all fit stay as they are, others are folded anew."""
    fit = {row["name"] for row in kept}
    lines = [line for line in whole if fit.issuperset(line.members)]
    fit.difference_update(name for line in lines for name in line.members)
    return lines + folded([row for row in kept if row["name"] in fit], group, by_member(whole))


def by_member(lines: Iterable[Line]) -> dict[str, Line]:
    """The line of each run."""
    return {name: line for line in lines for name in line.members}


def _numbered(lines: Sequence[Line]) -> list[Line]:
    """The same lines, those of several runs with distinct stems: x (1), x (2)."""
    often = Counter(line.stem for line in lines if line.count)
    taken, numbers = set(often), Counter[str]()
    named = []
    for line in lines:
        stem = line.stem
        if line.count and often[line.stem] > 1:
            while stem in taken:
                numbers[line.stem] += 1
                stem = f"{line.stem} ({numbers[line.stem]})"
            taken.add(stem)
        named.append(_renamed(line, stem))
    return named


def _renamed(line: Line, stem: str) -> Line:
    if not line.count or stem == line.stem:
        return line
    name = f"{stem} ×{line.count}"
    return replace(line, name=name, row={**line.row, "name": name})


def _age(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Older runs first; a copy began when the other did, and its files, or at least its name, come after."""
    started = row.get("started")
    return (not started, str(started), row["modified"], len(row["name"]), row["name"])


def _seed(row: Mapping[str, Any]) -> int | None:
    seed = row["seed"]
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def _fold(found: seeds.Group, by_name: Mapping[str, Mapping[str, Any]]) -> Line:
    """Figures and epoch of the seeds that count; the youngest age; the state of whichever still trains."""
    counted = tuple(one.name for one in found.counted)
    others = sorted(found.left_out, key=lambda name: (_seed(by_name[name]) or 0, name))
    names = (*counted, *others)
    first = by_name[names[0]]
    if len(names) == 1:
        return Line(first["name"], first, names)
    rows = [by_name[name] for name in names]
    figures = {key: _mean(tuple(number(by_name[name][key]) for name in counted)) for key in AVERAGED}
    states = [row["state"] for row in rows]
    # Where none counts yet, how far those are that train.
    train = [row for row in rows if row["state"] == "running"]
    count = str(seeds.Mean(None, None, len(counted), found.planned).count)
    row = {
        **first,
        **{key: figure.mean for key, figure in figures.items()},
        "name": f"{_stem(counted if len(counted) > 1 else names)} ×{count}",
        "seed": None,
        "epoch": min(row["epoch"] for row in [by_name[name] for name in counted] or train or rows),
        "modified": max(row["modified"] for row in rows),
        "state": next((s for s in ("running", "failed", "stale", "stopped") if s in states), states[0]),
        "tags": list(dict.fromkeys(tag for row in rows for tag in row["tags"])),
    }
    spread = {key: figure.sd for key, figure in figures.items() if figure.sd is not None}
    return Line(row["name"], row, names, spread, {name: found.left_out[name] for name in others}, count)


@lru_cache(1 << 15)
def _mean(values: tuple[float | None, ...]) -> seeds.Mean:
    """Kept: of thousands of groups few change between two looks at the files."""
    return seeds.mean_sd(values)


def number(value: Any) -> float | None:
    """A value that is a number, else None."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _stem(names: Sequence[str]) -> str:
    """What names have in common from their start, without the -s of -s0, and what follows their seeds alike."""
    shortest = min(names, key=len)
    length = next((i for i, c in enumerate(shortest) if any(n[i] != c for n in names)), len(shortest))
    start = SEED.sub("", shortest[:length])
    rests = [name[length:] for name in names]
    least = min(rests, key=len)
    same_end = next((i for i, c in enumerate(reversed(least)) if any(r[-1 - i] != c for r in rests)), len(least))
    _, dash, end = least[len(least) - same_end :].partition("-")
    return f"{start}{dash}{end}" if start else names[0]

"""Students of several teachers of one recipe: figures pooled over both, the teachers' spread apart from theirs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fierce_tools.analysis._components import Components, components
from fierce_tools.experiments._seeds import SD, four
from fierce_tools.report import Cell, Table
from fierce_tools.seeds import Mean, by_seed, mean_sd

# What reports say of the columns.
NOTE = (
    "Means over teachers of each one's mean over its students. sd teachers: standard deviation between teachers of one "
    "recipe, without the students' part; sd students: between students of one teacher. Bands: ± the standard deviation "
    "of the teachers' means."
)
OVER = "The interval covers at least 95 %, for other teachers of the recipe and students of other seeds."
WIDE = "An interval from 0 to 1 says nothing: take more teachers (--teacher-seeds) or students (--seeds)."
SINGLE = (
    "One student of each teacher: sd teachers and sd students cannot be told apart, and the intervals are of students "
    "of that seed; see --seeds."
)

Entries = Iterable[Mapping[str, Any]]


def spread(entries: Entries, key: str) -> Components:
    """The components of entries with a `teacher` and a `seed`, a value for each student: the mean of its entries."""
    by: dict[str, dict[Any, list[float | None]]] = {}
    for entry in entries:
        by.setdefault(entry["teacher"], {}).setdefault(entry["seed"], []).append(entry[key])
    every = sorted({seed for own in by.values() for seed in own})
    of_seeds = [[mean_sd(own.get(seed, ())).mean for seed in every] for own in by.values()]
    return components(of_seeds, paired=sum(len(own) for own in by.values()) > len(every))


def over_teachers(entries: Entries, key: str) -> Mean:
    """Mean over teachers of each one's mean over its students, and the standard deviation of these means."""
    found = spread(entries, key)
    return Mean(found.mean, found.sd_means, found.teachers, found.teachers)


def folded(pooled: bool) -> Callable[[Entries, str], Mean]:
    """How entries become a mean and its band: over teachers, or over the seeds of one teacher's students."""
    return over_teachers if pooled else by_seed


def pool(found: Entries, axes: Sequence[str], figures: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """For each `recipe`, condition and figure: mean, spreads, interval, and how many teachers and students of each.

    Empty where no entry has a recipe. `students` is the smallest number of a teacher.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in found:
        if entry["recipe"] is not None:
            groups.setdefault(tuple(entry[k] for k in ("recipe", *axes)), []).append(entry)
    return tuple(
        {**dict(zip(("recipe", *axes), key, strict=True)), "figure": figure, **as_values(spread(members, figure))}
        for key, members in groups.items() for figure in figures
    )  # fmt: skip


def as_values(found: Components) -> dict[str, Any]:
    """Components as an entry of a result has them."""
    return {
        "mean": found.mean, "sd_teachers": found.sd_teachers, "sd_students": found.sd_students,
        "sd_means": found.sd_means, "teachers": found.teachers, "students": min(found.students, default=0),
        "low": found.low, "high": found.high,
    }  # fmt: skip


def table(
    title: str,
    rows: Iterable[Mapping[str, Any]],
    figure: str,
    name: str,
    axes: Mapping[str, str],
    more: Sequence[tuple[tuple[Cell, ...], Mean]] = (),
) -> Table:
    """A table of one figure with both spreads.

    `axes` are heads by field, `more` rows of students without a teacher.
    """
    own = [row for row in rows if row["figure"] == figure]
    counts = [count(row["teachers"], row["students"]) for row in own]
    alike = len(set(counts)) == 1
    heads = (
        "recipe",
        *axes.values(),
        name,
        "sd teachers",
        "sd students",
        f"95 % over {'teachers' if all(row['students'] == 1 for row in own) else 'both'}",
        *(() if alike else "n"),
    )
    lines: list[tuple[Cell, ...]] = []
    for row, many in zip(own, counts, strict=True):
        lines.append((row["recipe"], *(row[k] for k in axes), *cells(row), *(() if alike else (many,))))
    for about, mean in more:
        lines.append((*about, four(mean.mean), None, four(mean.sd), None, *(() if alike else (None,))))
    return Table(f"{title}, {counts[0]}" if alike else title, heads, tuple(lines))


def bounds(figure: str) -> tuple[float, float]:
    """What a figure can be: shares 0 to 1, a divergence 0 or more, a bias anything."""
    return {"kl": (0.0, math.inf), "bias": (-math.inf, math.inf)}.get(figure, (0.0, 1.0))


def cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    """Mean, both standard deviations and the interval of an entry of `pool` for a table."""
    least, most = bounds(row["figure"])  # few teachers reach further than there is
    ends = None if row["low"] is None else (max(row["low"], least), min(row["high"], most))
    interval = None if ends is None else f"{ends[0]:.4f} … {ends[1]:.4f}"
    return four(row["mean"]), four(row["sd_teachers"]), four(row["sd_students"]), interval


def count(teachers: int, students: int) -> str:
    """How many there are of both, in words."""
    return f"{teachers} teacher{'' if teachers == 1 else 's'} × {students} student{'' if students == 1 else 's'}"


def notes(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """What a report says of its standard deviations."""
    if not rows:
        return (SD,)
    single = all(row["students"] == 1 for row in rows)
    shares = [row for row in rows if bounds(row["figure"]) == (0.0, 1.0) and row["low"] is not None]
    wide = any(row["low"] <= 0 and row["high"] >= 1 for row in shares)
    return NOTE, SINGLE if single else OVER, *((WIDE,) if wide else ())

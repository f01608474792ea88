"""Which trainings are seeds of one recipe, and the mean ± standard deviation over them.

A mean over seeds is over distinct seeds of finished runs of one identity. Copies of a run, a second run of the same
seed, the folder of a group of peers, and runs that failed or still train do not count; two peers of one group are two
trainings, not two seeds of one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fierce_tools import same

# States of a run whose figures are final.
FINISHED = "done"


@dataclass(frozen=True)
class Training:
    """What was trained: its name, seed, `identity` (equal for trainings that differ in their seed alone), and state.

    `weights` is the content hash of what came of it, empty where it is not known.
    """

    name: str
    seed: int | None
    identity: str
    state: str = FINISHED
    weights: str = ""


@dataclass(frozen=True)
class Group:
    """Trainings of one identity: those that count, one for each seed, in the order of their seeds.

    `left_out` has the reason for each of the others by name; `planned` is the number of distinct seeds among all.
    """

    identity: str
    counted: tuple[Training, ...]
    left_out: Mapping[str, str]
    planned: int


@dataclass(frozen=True)
class Mean:
    """Mean and sample standard deviation (n - 1) of `n` values out of `planned`, each None where it cannot be had."""

    mean: float | None
    sd: float | None
    n: int
    planned: int

    @property
    def count(self) -> int | str:
        """How many values there are: 3, or 2 of 3."""
        return self.n if self.n >= self.planned else f"{self.n} of {self.planned}"


def identity(
    recipe: Mapping[str, Any], *, data: str | None, taught: Mapping[str, Any], peer: int | None = None, more: str = ""
) -> str:
    """What was trained but for its seed: recipe, data by their fingerprint, teachers by content, place among peers."""
    return f"{same.training(recipe, seed=False)} {data} {same.taught(taught)} peer {peer} {more}"


def grouped(trainings: Iterable[Training]) -> list[Group]:
    """The trainings by identity, in the order of their first appearance.

    Of several with one seed a finished one counts, the first of them. Without a known seed every one is alone.
    """
    by_identity: dict[str, list[Training]] = {}
    for number, one in enumerate(trainings):
        key = one.identity if one.seed is not None else f"{one.identity} {number}"
        by_identity.setdefault(key, []).append(one)
    return [_group(members) for members in by_identity.values()]


def _group(members: Sequence[Training]) -> Group:
    first: dict[int | None, Training] = {}
    left_out: dict[str, str] = {}
    for one in members:
        if one.state != FINISHED:
            left_out[one.name] = f"it is {one.state}" if one.state != "failed" else "it failed"
        elif one.seed not in first:
            first[one.seed] = one
        else:
            other = first[one.seed]
            copied = one.weights and one.weights == other.weights
            left_out[one.name] = (
                f"a copy of {other.name}, of the same weights"
                if copied
                else f"seed {one.seed} counts once, as {other.name}"
            )
    counted = tuple(sorted(first.values(), key=lambda t: (t.seed is None, t.seed or 0)))
    return Group(members[0].identity, counted, left_out, len({one.seed for one in members}))


def mean_sd(values: Iterable[float | None], planned: int | None = None) -> Mean:
    """Mean and standard deviation over seeds, a value for each; None and NaN are seeds without a value.

    `planned` is the number of seeds there should be, at least as many as there are values.
    """
    given = [*values]
    known = [float(v) for v in given if v is not None and not math.isnan(v)]
    finite = all(map(math.isfinite, known))
    mean = (math.fsum(known) if finite else sum(known)) / len(known) if known else None
    sd = statistics.stdev(known) if len(known) > 1 and finite else None
    return Mean(mean, sd, len(known), max(planned or 0, len(given)))


def by_seed(entries: Iterable[Mapping[str, Any]], key: str) -> Mean:
    """`mean_sd` of entries with a `seed`: over seeds, of each seed's own mean."""
    values: dict[Any, list[float]] = {}
    for entry in entries:
        known = values.setdefault(entry["seed"], [])
        known += [] if entry[key] is None else [entry[key]]
    return mean_sd(mean_sd(v).mean for v in values.values())


def show(values: Iterable[float | None]) -> float | str | None:
    """`mean ± sd` for a table's cell, the value of one, None of none."""
    found = mean_sd(values)
    return found.mean if found.mean is None or found.sd is None else f"{found.mean:.4g} ± {found.sd:.2g}"

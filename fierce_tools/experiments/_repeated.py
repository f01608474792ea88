"""Teachers of one recipe and other seeds: those among the finished runs, and new ones where these are too few."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fierce_tools import checkpoints, recipe, run_names, runs, sources
from fierce_tools.errors import DataError, FierceError, TrainingError, UsageError
from fierce_tools.experiments._cells import Cell
from fierce_tools.experiments._loading import Places, with_data
from fierce_tools.experiments._trainings import identity_of, seed_of
from fierce_tools.sources import Source


@dataclass(frozen=True)
class Repeated:
    """Checkpoints that differ in their seed alone, those that were named first; the label is the first one's."""

    label: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class _Recipe:
    """One recipe: the checkpoints named, the finished runs to reuse, and the runs to train."""

    named: tuple[Source, ...]
    found: tuple[Source, ...]
    cells: tuple[Cell, ...]


def repeated(
    named: Sequence[Source],
    count: int,
    root: Path,
    places: Places,
    listen: Callable[[Any], None],
    command: Sequence[str] = ("fierce",),
) -> list[Repeated]:
    """`count` teachers of the recipe of each checkpoint, with seeds of their own.

    Checkpoints of one recipe are taken together. Finished runs in `root` of the same identity (seeds.identity) come
    next, by their seeds; what is missing is trained as ordinary runs with the smallest seeds that are not there. Raises
    UsageError for what has no recipe to repeat, and where a run keeps no such snapshot; TrainingError where a teacher
    cannot be trained, Interrupted on Ctrl-C.
    """
    if count < 1:
        raise UsageError(f"--teacher-seeds is {count}, expected 1 or more", "for example --teacher-seeds 3")
    if not named:
        raise UsageError("--teacher-seeds repeats the training of checkpoints, and none is named", "name one or more")
    by: dict[str, list[Source]] = {}
    for source in named:
        _check(source)
        by.setdefault(identity_of(source), []).append(source)
    there = _finished(root) if any(len(members) < count for members in by.values()) else {}
    planned = [_plan(_distinct(members, places), count, there, places) for members in by.values()]
    trained = iter(_train([(r.named[0], cell) for r in planned for cell in r.cells], root, places, listen, command))
    labels = {source.label for r in planned for source in r.named}
    done = []
    for r in planned:
        others = [*r.found, *itertools.islice(trained, len(r.cells))]
        renamed = [replace(s, label=str(s.path)) if s.label in labels else s for s in others]
        labels |= {s.label for s in renamed}
        done.append(Repeated(r.named[0].label, (*r.named, *renamed)))
    return done


def _check(source: Source) -> None:
    why = ""
    if not source.checkpoint:
        raise DataError(f"{source.label} is a file of arrays, a teacher is a checkpoint", "name a run")
    document = checkpoints.read_document(source.path)
    if document.get("origin"):
        why = "it was imported, and nothing says how it was trained"
    elif document["recipe"].get("mutual") or (source.run is not None and "group" in source.run.info()):
        why = "it is one peer of a group, and peers are trained together"
    elif seed_of(source) is None:
        why = "its recipe has no seed"
    if why:
        what = f"--teacher-seeds cannot repeat {source.label}"
        raise UsageError(f"{what}: {why}", "leave out --teacher-seeds, or the checkpoint")


def _distinct(members: Sequence[Source], places: Places) -> dict[int, Source]:
    """By seed, in the order they were named; of several with one seed the first."""
    found: dict[int, Source] = {}
    for source in members:
        seed = _seed(source)
        if seed in found:
            places.say(f"{source.label} is left out: seed {seed} of its recipe counts once, as {found[seed].label}.")
        found.setdefault(seed, source)
    return found


def _finished(root: Path) -> dict[str, list[Source]]:
    """Finished runs by their identity, in the order of their seeds."""
    found: dict[str, list[Source]] = {}
    for run in runs.listing(root):
        info = run.info()
        if info.get("state") != "done" or "peers" in info or "group" in info:
            continue
        with contextlib.suppress(FierceError, OSError):  # not one of ours, or of a newer version
            (source,) = sources.locate(str(run.path), root)
            if seed_of(source) is not None:
                found.setdefault(identity_of(source), []).append(source)
    return {identity: sorted(members, key=_seed) for identity, members in found.items()}


def _plan(named: dict[int, Source], count: int, there: dict[str, list[Source]], places: Places) -> _Recipe:
    first = next(iter(named.values()))
    if len(named) > count:
        raise UsageError(
            f"--teacher-seeds is {count}, and {len(named)} seeds of the recipe of {first.label} are named",
            f"say --teacher-seeds {len(named)}",
        )
    found: dict[int, Source] = {}
    without: list[Source] = []  # finished, and without that snapshot
    for source in there.get(identity_of(first, whole=True), []):
        seed = _seed(source)
        if seed in named or seed in found:
            continue
        try:
            found[seed] = _snapshot(source, first.epoch)
        except DataError:
            without.append(source)
    taken = [*found.values()][: count - len(named)]
    lacking = count - len(named) - len(taken)
    if lacking and without:
        raise UsageError(
            f"run {without[0].label} is of the recipe of {first.label} and keeps no snapshot {first.epoch}",
            f"train it with {'--save-best' if first.epoch == 'best' else f'--save-at {int(str(first.epoch))}'}",
        )
    if not lacking:
        return _Recipe((*named.values(),), tuple(taken), ())
    with_data(first, replace(places, data=None))  # raises where its data are not what they were
    seeds = itertools.islice((s for s in itertools.count() if s not in named and s not in found), lacking)
    return _Recipe((*named.values(),), tuple(taken), tuple(_cell(first, seed, places) for seed in seeds))


def _cell(source: Source, seed: int, places: Places) -> Cell:
    """The same training with another seed; it keeps the same snapshots."""
    made = recipe.resolve(checkpoints.read_document(source.path)["recipe"])
    here = {"data_root": places.data_root, "download": places.download or None}
    made = made.with_data(**{k: v for k, v in here.items() if k in made.data and v is not None})
    made = replace(made, train={**made.train, "seed": seed, "device": places.device})
    stem = source.label.partition("@")[0] if source.run is not None else source.path.stem
    plain = run_names.as_name(re.sub(rf"-s{_seed(source)}$", "", stem)).lstrip(".+=-")
    return Cell(made, stem=plain or "teacher")


def _train(
    wanted: Sequence[tuple[Source, Cell]],
    root: Path,
    places: Places,
    listen: Callable[[Any], None],
    command: Sequence[str],
) -> list[Source]:
    """The cells as checkpoints, each at the snapshot of the one it repeats."""
    from fierce_tools.experiments._workshop import Workshop

    if not wanted:
        return []
    # Finished teachers are not trained again: --fresh is of students.
    where = replace(places, fresh=False, data=None)
    workshop = Workshop(root, places=where, listen=listen, command=tuple(command))
    found = []
    for (first, _), end in zip(wanted, workshop.train([cell for _, cell in wanted]), strict=True):
        if end.error is not None or end.run is None:
            raise TrainingError(f"teacher {end.cell.label}: {end.error}", "its students cannot be trained")
        (whole,) = sources.locate(str(end.run.path), root)
        source = _snapshot(whole, first.epoch)
        if identity_of(source) != identity_of(first):
            raise DataError(
                f"run {whole.label} was trained on other data or by other teachers than {first.label}",
                "these changed since; train its recipe anew",
            )
        found.append(source)
    return found


def _snapshot(source: Source, epoch: str | None) -> Source:
    """The same run after that epoch. Raises DataError where it keeps no such snapshot."""
    if epoch is None:
        return source
    assert source.run is not None
    return sources.locate(str(source.run.path), source.run.path.parent, epochs=epoch)[0]


def _seed(source: Source) -> int:
    seed = seed_of(source)
    assert seed is not None
    return seed

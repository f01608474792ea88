"""Whether teachers are one seed or several, in words for a report's note."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fierce_tools.experiments._trainings import identity_of, seed_of
from fierce_tools.sources import Source

# Teachers that are named one by one.
NAMED = 6


def same_training(sources: Sequence[Source]) -> list[list[Source]]:
    """Checkpoints in groups whose recipes differ in the seed alone."""
    found: dict[str, list[Source]] = {}
    for source in sources:
        found.setdefault(identity_of(source), []).append(source)
    return [*found.values()]


def pooled_note(recipes: Mapping[str, Sequence[Source]], students: int) -> str:
    """How many teachers of each recipe there are by its label, of which seeds, and how many students of each."""
    each = f"{students} student{'' if students == 1 else 's'} of each"
    parts = []
    for label, members in recipes.items():
        own = seeds([s for m in members if (s := seed_of(m)) is not None])
        parts.append(f"{label}: {len(members)} teachers of one recipe ({own})" if len(members) > 1
                     else f"{label}: one teacher ({own})")  # fmt: skip
    return f"Teachers: {'; '.join(parts)}, {each}."


def note(teachers: Sequence[Source]) -> str:
    """How many seeds of each recipe the teachers are, and that a standard deviation knows nothing of theirs."""
    alone = "sd is over the students' seeds alone"
    groups = same_training(teachers)
    seeds = [seed_of(s) for s in teachers]
    if len(groups) == len(teachers) and len(set(seeds)) == 1:
        each = " each" if len(teachers) > 1 else ""
        what = f"one checkpoint{each}, of unknown seed" if seeds[0] is None else f"one seed{each} (seed {seeds[0]})"
        return f"Teacher{'s' if each else ''}: {what}; {alone}."
    return f"Teachers: {'; '.join(map(_told, _shortened(groups)))}; {alone}, for each teacher."


def seeds(numbers: Sequence[int]) -> str:
    """Seeds in words: seed 0, or seeds 0, 1, 2."""
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _shortened(groups: Sequence[Sequence[Source]]) -> list[tuple[str, int, list[int]]]:
    """Of each group its name, members and different seeds; recipes of one checkpoint together where there are many."""
    found = [(_names(g), len(g), sorted({s for m in g if (s := seed_of(m)) is not None})) for g in groups]
    single = [part for part in found if part[1] == 1]
    if len(single) <= NAMED:
        return found
    together = sorted({s for _, _, own in single for s in own})
    return [part for part in found if part[1] > 1] + [(f"{len(single)} recipes", 1, together)]


def _names(group: Sequence[Source]) -> str:
    more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
    return ", ".join(s.label for s in group[:NAMED]) + more


def _told(part: tuple[str, int, list[int]]) -> str:
    name, members, own = part
    if not own:
        return f"{name}: {'one checkpoint' if members == 1 else f'{members} checkpoints'}, of unknown seed"
    if members == 1:
        return f"{name}: one seed{' each' if len(own) > 1 else ''} ({seeds(own)})"
    many = f"{len(own)} seeds" if len(own) > 1 else f"{members} checkpoints of one seed"
    return f"{name}: {many} of one recipe ({seeds(own)})"

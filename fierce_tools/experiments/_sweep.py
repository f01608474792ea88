"""A grid of trainings: every combination of values, with several seeds, each an ordinary run; mean ± sd over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fierce_tools import ranges, recipe
from fierce_tools.binding import Option
from fierce_tools.errors import UsageError
from fierce_tools.experiments._cells import Cell, Ended, short, word
from fierce_tools.experiments._seeds import band
from fierce_tools.experiments._workshop import Workshop
from fierce_tools.menu import unknown
from fierce_tools.recipe import MENUS, Recipe
from fierce_tools.report import Block, Lines, Report, Table
from fierce_tools.seeds import Mean, mean_sd, show

SECTIONS = (*recipe.SECTIONS, "distill")
FIGURES = {
    "accuracy": "accuracy",
    "ece": "ECE",
    "nll": "NLL (nats)",
    "entropy_t1": "H(T=1)",
    "entropy_t9": "H(T=9)",
}
SPLITS = {"val": "Validation", "test": "Test"}
# More cells and more lines than these are no grid and no chart that a person would look at.
MOST_CELLS = 10_000
MOST_LINES = 8


@dataclass(frozen=True)
class Row:
    """One combination of values: runs that are done, how many were asked for, and figures, None where one failed.

    `means` are mean and standard deviation (n - 1) of each figure over the seeds, None where there are too few.
    """

    values: Mapping[str, Any]
    runs: tuple[str, ...]
    asked: int
    figures: Mapping[str, tuple[float | None, ...]]
    means: Mapping[str, tuple[float | None, float | None]]

    def mean(self, figure: str) -> Mean:
        """Mean and standard deviation of one, out of the seeds that were asked for."""
        return mean_sd(self.figures[figure], self.asked)


@dataclass(frozen=True)
class Sweep:
    """Rows of a grid; accuracies and ECE are fractions, NLL and entropies (at T 1 and 9) nats, by split and figure."""

    grid: Mapping[str, tuple[Any, ...]]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    failed: tuple[str, ...]

    def report(self) -> Report:
        """A table for each split, and test accuracy against the first number that varies."""
        blocks: list[Block] = []
        for split, title in SPLITS.items():
            keys = [k for k in FIGURES if any(v is not None for r in self.rows for v in r.figures[f"{split}_{k}"])]
            if keys:
                heads = (*map(short, self.grid), "n", *(FIGURES[k] for k in keys))
                lines = []
                for row in self.rows:
                    figures = (show(row.figures[f"{split}_{k}"]) for k in keys)
                    lines.append((*map(_cell, row.values.values()), row.mean("test_accuracy").count, *figures))
                blocks.append(Table(title, heads, tuple(lines)))
        chart = self._chart()
        if chart is not None:
            blocks.append(chart)
        words = f"Mean ± standard deviation over {len(self.seeds)} seeds" if len(self.seeds) > 1 else "One seed"
        return Report("Sweep", tuple(blocks), (f"{words}; entropies in nats.", *self.failed))

    def _chart(self) -> Lines | None:
        axis = next((k for k, v in self.grid.items() if len(v) > 2 and all(_is_number(x) for x in v)), None)
        if axis is None or not any(v is not None for r in self.rows for v in r.figures["test_accuracy"]):
            return None
        by: dict[str, list[tuple[float, Mean]]] = {}
        for row in self.rows:
            label = ", ".join(f"{short(k)} {word(v)}" for k, v in row.values.items() if k != axis)
            by.setdefault(label, []).append((float(row.values[axis]), row.mean("test_accuracy")))
        if len(by) > MOST_LINES:
            return None
        series = []
        for label, points in by.items():
            points.sort(key=lambda point: point[0])
            series.append(band(label or "test accuracy", [at for at, _ in points], [mean for _, mean in points]))
        values = [float(v) for v in self.grid[axis]]
        far = min(values) > 0 and max(values) / min(values) >= 20
        return Lines(f"Test accuracy against {short(axis)}", short(axis), "accuracy", tuple(series), log_x=far)


def parse(settings: Sequence[str], find: Callable[[str], str]) -> dict[str, tuple[str, ...]]:
    """`--grid KEY=VALUES` as SECTION.OPTION and what was written; `find` gives the section of an option named alone.

    Raises UsageError for what is no assignment, a key that is said twice, or the seed, which has an option of its own.
    """
    found: dict[str, tuple[str, ...]] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals or not key or not text:
            raise UsageError(f"--grid {setting!r} is no assignment of values", "write --grid loss.lam=0,0.1,0.3,1")
        key = key.replace("-", "_")
        key = f"{key}.name" if key in MENUS else key if "." in key else f"{find(key)}.{key}"
        if key in found:
            raise UsageError(f"--grid names {key} twice", "write all its values with commas")
        if key == "train.seed":
            raise UsageError("--grid train.seed: seeds are no row of their own", "say --seeds 5")
        found[key] = tuple(part.strip() for part in text.split(","))
    return found


def values_of(key: str, parts: Sequence[str], chosen: Sequence[str]) -> tuple[Any, ...]:
    """The values a key goes through, without repetition, as its option takes them.

    `chosen` are the choices of its section, whose options it is looked for in first. Raises UsageError.
    """
    section, _, name = key.partition(".")
    if section not in SECTIONS:
        raise unknown("section in --grid:", section, SECTIONS)
    if name in ("name", "preset"):
        return tuple(dict.fromkeys(parts))
    option = _option(section, name, chosen)
    found: list[Any] = []
    for part in parts:
        if option.kind in ("int", "float") and not (option.optional and part == "none"):
            found += [option.convert(number, where=f"--grid {key}") for number in ranges.parse(part)]
        elif option.kind in ("ints", "floats", "strs"):
            words = [] if part == "none" else part.split("+")
            found.append(option.convert(",".join(words), where=f"--grid {key}") if words else ())
        else:
            found.append(option.convert(part, where=f"--grid {key}"))
    return tuple(dict.fromkeys(found))


def cells(
    grid: Mapping[str, tuple[Any, ...]], seeds: Sequence[int], make: Callable[[dict[str, Any]], Recipe]
) -> list[Cell]:
    """Every combination of the grid with every seed; `make` gives the recipe of overrides by SECTION.OPTION.

    Raises UsageError where a combination cannot be, and says which.
    """
    count = len(seeds)
    for values in grid.values():
        count *= len(values)
    if count > MOST_CELLS:
        raise UsageError(f"this grid has {count:,} cells", f"take fewer values; at most {MOST_CELLS:,}")
    found = []
    for combination in itertools.product(*grid.values()):
        varied = dict(zip(grid, combination, strict=True))
        for seed in seeds:
            try:
                found.append(Cell(make({**varied, "train.seed": seed}), varied))
            except UsageError as error:
                where = ", ".join(f"{k}={word(v)}" for k, v in varied.items())
                raise UsageError(f"with {where}: {error.message}" if where else error.message, error.hint) from None
    return found


def sweep(workshop: Workshop, grid: Mapping[str, tuple[Any, ...]], planned: Sequence[Cell]) -> Sweep:
    """Train the cells and gather their figures; those that fail are told of in `failed`."""
    ended = workshop.train(planned)
    rows: dict[tuple[Any, ...], list[Ended]] = {}
    for end in ended:
        rows.setdefault(tuple(end.cell.varied.values()), []).append(end)
    made = []
    for members in rows.values():
        figures = [end.figures() for end in members]
        names = [f"{split}_{key}" for split in SPLITS for key in FIGURES]
        runs = tuple(end.run.name for end in members if end.run is not None and end.error is None)
        by_name = {name: tuple(f.get(name) for f in figures) for name in names}
        means = {name: (found.mean, found.sd) for name, values in by_name.items() for found in (mean_sd(values),)}
        made.append(Row(members[0].cell.varied, runs, len(members), by_name, means))
    failed = tuple(f"Failed: {end.cell.label}: {end.error}." for end in ended if end.error is not None)
    return Sweep(grid, tuple(dict.fromkeys(cell.seed for cell in planned)), tuple(made), failed)


def _option(section: str, name: str, chosen: Sequence[str]) -> Option:
    for choice in chosen:
        try:
            return recipe.spec(section, choice if section in MENUS else None).option(name)
        except UsageError:
            continue
    owned = [option for where, _, option in recipe.owners(name, (section,)) if where == section]
    if owned:
        return owned[0]
    first = chosen[0] if chosen and section in MENUS else None
    return recipe.spec(section, first).option(name)  # says which there are


def _cell(value: Any) -> Any:
    return value if _is_number(value) else word(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""A study's own charts, and how its expressions are looked up in what its steps gave."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import jmespath

from fierce_tools import seeds
from fierce_tools.errors import UsageError
from fierce_tools.experiments._study import Performed
from fierce_tools.report import Lines, Points, Series
from fierce_tools.study.document import Plot

MOST_KEYS = 24


def chart(plot: Plot, figures: Mapping[str, Sequence[float]], steps: Mapping[str, Performed]) -> Points | Lines | None:
    """A study's own chart of means over seeds, of rows' figures by key; None where nothing of it was measured.

    Raises UsageError where expressions give no numbers, or not as many of each.
    """
    means = {key: statistics.fmean(ours) for key, ours in figures.items() if ours}
    points = tuple(Series(label, (means[x],), (means[y],)) for label, x, y in plot.points if x in means and y in means)
    if points:
        return Points(plot.title, plot.x_label, plot.y_label, points)
    series = []
    for line in plot.lines:
        step = steps.get(line["from"])
        if step is None or step.error:
            continue
        where = f"plot {plot.title!r}"
        xs = [numbers_of(search(line["x"], value, where)) for value in step.values]
        ys = [numbers_of(search(line["y"], value, where)) for value in step.values]
        numbers = all(isinstance(v, int | float) for column in (*xs, *ys) for v in column)
        if not (xs[0] and numbers and len({len(column) for column in (*xs, *ys)}) == 1):
            what = f"{where}: {line['x']} and {line['y']} are not as many numbers of each in what {line['from']} gives"
            raise UsageError(f"{what}: {keys_of(step.values[0])}")
        x, y = (tuple(map(statistics.fmean, zip(*several, strict=True))) for several in (xs, ys))
        series.append(Series(line["label"], x, y, *_band(ys)))
    if not series:
        return None
    return Lines(plot.title, plot.x_label, plot.y_label, tuple(series), plot.log_x, plot.log_y)


def _band(ys: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[float, ...]] | tuple[()]:
    """Mean - sd and mean + sd at every x, where there are several seeds."""
    if len(ys) < 2:
        return ()
    columns = [(found.mean or 0.0, found.sd or 0.0) for found in map(seeds.mean_sd, zip(*ys, strict=True))]
    return tuple(m - sd for m, sd in columns), tuple(m + sd for m, sd in columns)


def search(expression: str, value: Any, where: str) -> Any:
    """What a JMESPath expression finds in a step's values. Raises UsageError where it cannot be asked."""
    try:
        return jmespath.search(expression, value)
    except (jmespath.exceptions.JMESPathError, ValueError, TypeError, AttributeError) as error:
        first = str(error).partition("\n")[0]
        raise UsageError(f"{where}: {expression}: {first}", "mend the expression") from None


def numbers_of(value: Any) -> list[Any]:
    """A value, or those of nested lists, as one list."""
    return [part for item in value for part in numbers_of(item)] if isinstance(value, list) else [value]


def keys_of(value: Any, depth: int = 2) -> str:
    """What there is to be found in values, in a few words; what several have alike is said once."""
    if isinstance(value, list) and value:
        return f"{len(value)} × {keys_of(value[0], depth)}"
    if not isinstance(value, Mapping):
        return type(value).__name__
    nested = [isinstance(v, Mapping | list) and depth > 0 for v in value.values()]
    inner = {
        str(k): f"{{{keys_of(v, depth - 1)}}}" if n else "" for (k, v), n in zip(value.items(), nested, strict=True)
    }
    if len(inner) > 1 and len(set(inner.values())) == 1 and all(nested):
        return f"{', '.join(inner)}, each {next(iter(inner.values()))}"
    said = [k + v for k, v in inner.items()]
    return ", ".join(said[:MOST_KEYS]) + (", …" if len(said) > MOST_KEYS else "")

"""What `fierce compare` shows: rows of figures as mean ± sd over seeds, and differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fierce_tools import seeds
from fierce_tools.analysis._over_seeds import Estimate
from fierce_tools.experiments._differences import DEBIASED, OF_MODELS
from fierce_tools.report import Cell, Report, Table

# Key, title, and the analysis with the path to its value; those without one come from the outputs themselves.
FIGURES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "accuracy": ("accuracy", "", ()),
    "nll": ("NLL (nats)", "", ()),
    "ece": ("ECE", "", ()),
    "entropy": ("entropy at T (nats)", "", ()),
    "tstar": ("T*", "calibration", ("temperature",)),
    "ece-tstar": ("ECE at T*", "calibration", ("after", "ece")),
    "gamma": ("γ", "smoothness", ("gamma",)),
    "stability": ("S", "stability", ("stability",)),
    "tightness": ("within/between", "projection", ("train_collapse", "ratio")),
    "probe": ("probe accuracy", "linear-probe", ("accuracy",)),
    "mi": ("MI (nats)", "mutual-information", ("nats",)),
}
# Titles of what is compared, in order.
COMPARED = {
    name: words
    for key, (title, _, _) in FIGURES.items()
    for name, words in ((key, title), *(((DEBIASED, f"{title}, debiased"),) if key == "ece" else ()))
}
PAGES = {
    "Predictions": ("accuracy", "nll", "ece", "tstar", "ece-tstar", "entropy"),
    "Soft labels and features": ("gamma", "stability", "tightness", "probe", "mi"),
}


@dataclass(frozen=True)
class Row:
    """A group of models: its label, those that count, and their figures in the same order, None where there is none.

    `seeds` are theirs, None where one is not known; `planned` is how many there would be with those that are missing,
    `left_out` why others do not count, by name, and `one` whether all are of one recipe but for the seed.
    """

    label: str
    members: tuple[str, ...]
    figures: Mapping[str, tuple[float | None, ...]]
    seeds: tuple[int | None, ...] = ()
    planned: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    one: bool = True

    @property
    def count(self) -> int | str:
        """How many models count: 3, or 2 of 3."""
        return seeds.mean_sd([0.0] * len(self.members), self.planned).count


@dataclass(frozen=True)
class Comparison:
    """Rows of figures, and for each row but the first the difference to it with its 95 % interval.

    `intervals` say of each difference by which method, how many seeds or models and with what degrees of freedom;
    `differences` are the same as (difference, low, high), null without an interval.
    """

    rows: tuple[Row, ...]
    differences: Mapping[str, Mapping[str, tuple[float, float, float] | None]]
    split: str
    temperature: float
    notes: tuple[str, ...]
    intervals: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)

    def report(self) -> Report:
        """The figures as mean ± sd, and the differences to the first row: over seeds, and of single models."""
        tables = []
        for title, columns in PAGES.items():
            keys = [k for k in columns if any(v is not None for r in self.rows for v in r.figures.get(k, ()))]
            heads = ("model", "n", *(self._head(k) for k in keys))
            lines = tuple((r.label, r.count, *(_spread(r.figures[k]) for k in keys)) for r in self.rows)
            if keys:
                tables.append(Table(f"{title} ({self.split})", heads, lines))
        first = self.rows[0].label
        for kind, words in ((False, "over seeds"), (True, "over examples: of these {}, not of the recipes")):
            found = {
                label: {k: e for k, e in row.items() if (e.method in OF_MODELS) == kind}
                for label, row in self.intervals.items()
            }
            many = {sum(e.n) for row in found.values() for e in row.values()}
            if many:
                title = f"Difference to {first}, 95 % {words.format('two models' if many == {2} else 'models')}"
                tables.append(self._differences(title, found))
        return Report("Comparison", tuple(tables), self.notes)

    def _head(self, key: str) -> str:
        return COMPARED[key].replace("at T ", f"at T={self.temperature:g} ")

    def _differences(self, title: str, found: Mapping[str, Mapping[str, Estimate]]) -> Table:
        heads = ("model", "figure", "difference", "from", "to", "by", "n", "df")
        lines: list[tuple[Cell, ...]] = []
        for label, row in found.items():
            for key in (k for k in COMPARED if k in row):
                e = row[key]
                lines.append((label, self._head(key), e.at, e.low, e.high, e.method, _count(e), _short(e.df)))
        return Table(title, heads, tuple(lines))

    def numbers(self) -> Report:
        """The same as plain numbers, a column for each mean, sd and bound: for a table of somebody's own."""
        keys = [k for k in FIGURES if any(v is not None for r in self.rows for v in r.figures.get(k, ()))]
        compared = [k for k in COMPARED if any(k in row for row in self.intervals.values())]
        parts = ("", "low", "high", "df", "n", "method")
        heads = ["model", "n", *(f"{k} {part}" for k in keys for part in ("mean", "sd"))]
        heads += [f"{k} difference {part}".strip() for k in compared for part in parts]
        lines: list[tuple[Cell, ...]] = []
        for r in self.rows:
            cells: list[Cell] = [r.label, len(r.members)]
            for key in keys:
                found = seeds.mean_sd(r.figures[key])
                cells += [found.mean, found.sd]
            for key in compared:
                e = self.intervals.get(r.label, {}).get(key)
                cells += [None] * len(parts) if e is None else [e.at, e.low, e.high, e.df, _count(e), e.method]
            lines.append(tuple(cells))
        return Report("Comparison", (Table("", tuple(heads), tuple(lines)),))


def _spread(values: Sequence[float | None]) -> Cell:
    found = seeds.mean_sd(values)
    shown = seeds.show(values)
    return shown if shown is None or found.n == found.planned else f"{_four(shown)} ({found.count})"


def _four(cell: float | str) -> str:
    return cell if isinstance(cell, str) else f"{cell:.4g}"


def _count(found: Estimate) -> str:
    """How many seeds or models, of the row and of the first, or pairs of both."""
    return " vs ".join(map(str, found.n))


def _short(df: float | None) -> Cell:
    return None if df is None else float(f"{df:.3g}")

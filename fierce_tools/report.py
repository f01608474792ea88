"""What an analysis says, as plain data: a title and blocks. No screen is known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True)
class Scalars:
    """Named values; `units` names what each is counted in."""

    title: str
    values: Mapping[str, Cell]
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Rows of cells under column names."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Series:
    """One named run of points; a missing y is None. `low` and `high` bound it where they are known."""

    label: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Lines:
    """Series joined by lines."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True)
class Points:
    """Series as single points; a range fixes an axis, so that one source's charts side by side compare."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Bars:
    """One value for each label."""

    title: str
    labels: tuple[str, ...]
    values: tuple[float | None, ...]
    unit: str = ""


@dataclass(frozen=True)
class Heat:
    """A matrix of values with names for its rows and columns."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Images:
    """Pictures by their index in a split, each with a caption; the pixels are looked up by whoever shows them."""

    title: str
    index: tuple[int, ...]
    captions: tuple[str, ...]


Block = Scalars | Table | Lines | Points | Bars | Heat | Images
_BLOCKS: dict[str, type] = {cls.__name__: cls for cls in (Scalars, Table, Lines, Points, Bars, Heat, Images)}


@dataclass(frozen=True)
class Report:
    """A title, blocks, and notes: sentences a reader should know."""

    title: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        blocks = [{"kind": type(b).__name__, **asdict(b)} for b in self.blocks]
        return {"title": self.title, "blocks": blocks, "notes": list(self.notes)}


def from_dict(document: Mapping[str, Any]) -> Report:
    """The Report that `to_dict` wrote."""
    return Report(document["title"], tuple(_block(b) for b in document["blocks"]), tuple(document["notes"]))


def _block(document: Mapping[str, Any]) -> Block:
    values = {key: _frozen(value) for key, value in document.items() if key != "kind"}
    if "series" in values:
        values["series"] = tuple(Series(**{k: _frozen(v) for k, v in s.items()}) for s in document["series"])
    return _BLOCKS[document["kind"]](**values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def combine(reports: Mapping[str, Report]) -> Report:
    """Reports of one analysis on several sources as one: series overlaid under their source's name, tables stacked.

    A series that is the same everywhere, such as a reference line, is kept once under its own name; a note that is not
    of all of them says whose it is.
    """
    if len(reports) == 1:
        return next(iter(reports.values()))
    titles: list[tuple[type, str]] = []
    for report in reports.values():
        titles += [key for b in report.blocks if (key := (type(b), b.title)) not in titles]
    blocks: list[Block] = []
    for kind, title in titles:
        found = {n: b for n, r in reports.items() for b in r.blocks if isinstance(b, kind) and b.title == title}
        blocks += _merged(found)
    notes = tuple(
        dict.fromkeys(
            note if all(note in r.notes for r in reports.values()) else f"{name}: {note}"
            for name, report in reports.items()
            for note in report.notes
        )
    )
    return Report(next(iter(reports.values())).title, tuple(blocks), notes)


def _merged(found: Mapping[str, Any]) -> list[Block]:
    first = next(iter(found.values()))
    if isinstance(first, Scalars):
        names = list(dict.fromkeys(key for b in found.values() for key in b.values))
        units = {name: unit for b in found.values() for name, unit in b.units.items()}
        heads = [f"{n} ({units[n]})" if n in units else n for n in names]
        rows = tuple((source, *(b.values.get(n) for n in names)) for source, b in found.items())
        return [Table(first.title, ("source", *heads), rows)]
    if isinstance(first, Table):
        return [
            Table(first.title, ("source", *first.columns), tuple((n, *row) for n, b in found.items() for row in b.rows))
        ]
    # A chart with axes of its own is a place of its own: nothing can be laid over it.
    own_axes = isinstance(first, Points) and first.x_range is not None
    if isinstance(first, Lines | Points) and not own_axes:
        series: list[Series] = []
        for source, block in found.items():
            for one in block.series:
                everywhere = sum(one in b.series for b in found.values()) == len(found)
                label = one.label if everywhere else source if len(block.series) == 1 else f"{source} {one.label}"
                if (kept := replace(one, label=label)) not in series:
                    series.append(kept)
        return [replace(first, series=tuple(series))]
    return [replace(block, title=f"{source}: {block.title}") for source, block in found.items()]

"""Metrics of the chosen runs, overlaid: which there are, how they are set, and their charts side by side."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from fierce_tools import query
from fierce_tools.errors import UsageError
from fierce_tools.runs import constant_features
from fierce_tools.tui import series
from fierce_tools.tui.cells import fit
from fierce_tools.tui.chart import Plot, draw, ink
from fierce_tools.tui.panes import Chosen, Pane, Sheet
from fierce_tools.tui.series import Curve

if TYPE_CHECKING:
    from fierce_tools.tui.app import Dashboard

FIRST = (
    "val_accuracy", "val_loss", "train_loss", "val_ece", "val_entropy_t9", "val_nll", "val_entropy_t1",
    "val_feature_entropy", "val_anchor_entropy",
)  # fmt: skip
LAST = ("learning_rate", "images_per_second", "seconds")
NEVER = ("epoch", "step")
WEIGHTS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
LEAST_WIDTH, LEAST_HEIGHT = 34, 8


class Charts(Pane):
    """A chart for each metric of the chosen runs, as many as fit, a page of them at a time."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chosen: tuple[Chosen, ...] = ()
        self.metrics: list[str] = []
        self.wanted = ""
        self.weight, self.logarithmic, self.axis = 0.0, False, "epoch"
        self.cursor: float | None = None
        self.selected, self.single = 0, False
        self._version = 0
        self._plots: dict[str, tuple[Any, Plot]] = {}
        self._drawn: tuple[Any, list[Strip]] | None = None

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return self.app  # type: ignore[return-value]

    def on_mount(self) -> None:
        """As it was left, else as the settings say."""
        view, settings = self.dashboard.memory.view, self.dashboard.settings
        weight = view.get("ema", settings.ema)
        self.weight = float(weight) if isinstance(weight, int | float) and 0 <= weight < 1 else settings.ema
        self.logarithmic = view.get("log", settings.log_y) is True
        self.axis = str(view["x"]) if view.get("x") in series.AXES else settings.x
        self.wanted = str(view.get("metrics", ""))

    def show(self, chosen: tuple[Chosen, ...]) -> None:
        """Draw the metrics of these runs."""
        self.chosen = chosen
        there = dict.fromkeys(k for c in chosen for m in (c.members or (c,)) for k in m.history.names())
        names = [k for k in FIRST if k in there]
        names += [k for k in there if k not in FIRST and k not in LAST and k not in NEVER]
        names += [k for k in LAST if k in there]
        try:
            wanted = query.parse(self.wanted)
        except UsageError:
            wanted = ()
        self.metrics = [k for k in names if not any(wanted) or query.matches(wanted, {"metric": k})]
        self.selected = max(0, min(self.selected, len(self.metrics) - 1))
        self._changed()

    def status(self) -> list[str]:
        """How it is drawn, for the line on top."""
        smoothing = f"ema {self.weight:g}".replace("0.", ".") if self.weight else "raw"
        pages = math.ceil(len(self.metrics) / self.per_page)
        page = f"{self.selected // self.per_page + 1}/{pages}" if pages > 1 else ""
        return [
            self.wanted and f"metrics {self.wanted}",
            page,
            smoothing,
            "log" if self.logarithmic else "",
            f"x={self.axis}",
        ]

    def _changed(self) -> None:
        self._version += 1
        self.refresh()
        if self.screen is self.dashboard.home:
            self.dashboard.home.tell()

    # Drawing.

    def plot(self, metric: str) -> Plot:
        """The chart of a metric as it is set now."""
        key = (self._version,)
        kept = self._plots.get(metric)
        if kept is None or kept[0] != key:
            curves = tuple(curve for c in self.chosen for curve in self.lines(c, metric))
            lost = sum(series.gaps(c.y) for c in curves)
            dead = metric == "val_feature_entropy" and any(_constant(c) for c in self.chosen)
            notes = ("constant features" if dead else "", f"{lost} gap{'s' * (lost != 1)}" if lost else "")
            note = ", ".join(filter(None, notes))
            label = "s" if self.axis == "time" else self.axis
            kept = (
                key,
                Plot(metric, curves, label, False, self.logarithmic, self.weight, cursor=self.cursor, note=note),
            )
            self._plots[metric] = kept
        return kept[1]

    def lines(self, chosen: Chosen, metric: str) -> list[Curve]:
        """A metric of a run; of folded seeds their mean, and beside it those that still train."""
        beside = [replace(self.curve(m, metric), thin=True) for m in chosen.beside]
        return [*beside, *([self.curve(chosen, metric)] if chosen.counted or not chosen.members else [])]

    def curve(self, chosen: Chosen, metric: str) -> Curve:
        """A metric of a run, or its mean and band over the seeds that count."""
        if chosen.members:
            x, mean, low, high = series.band([m.history for m in chosen.counted], metric, self.axis)
            return Curve(chosen.label, chosen.colour, chosen.sign, x, mean, low, high)
        x = series.axis(chosen.history, self.axis)
        return Curve(chosen.label, chosen.colour, chosen.sign, x, chosen.history.column(metric))

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of charts."""
        if self.single:
            return 1, 1
        columns = max(self.size.width // LEAST_WIDTH, 1)
        rows = max((self.size.height - self._legend_rows) // LEAST_HEIGHT, 1)
        need = max(len(self.metrics), 1)
        columns = min(columns, need, 3)
        return columns, min(rows, math.ceil(need / columns))

    @property
    def per_page(self) -> int:
        """How many charts are seen at once."""
        columns, rows = self.grid
        return columns * rows

    @property
    def _legend_rows(self) -> int:
        alone = self.dashboard.home.zoom == "side" or self.dashboard.home.fold
        return int(bool(self.chosen) and self.size.height >= 6 and (alone or self.size.height >= 16))

    def render_line(self, y: int) -> Strip:
        """A row of all the charts side by side."""
        width, height = self.size
        key = (self._version, width, height, self.app.theme, self.has_focus, self.dashboard.letters)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self._rows(width, height))
        rows = self._drawn[1]
        return rows[y] if y < len(rows) else Strip.blank(width, self.rich_style)

    def _rows(self, width: int, height: int) -> list[Strip]:
        plain = self.rich_style
        if not self.chosen or not self.metrics:
            words = self._empty()
            lines = ["", f"  {words}"] + [""] * height
            return [Strip([Segment(fit(line, width), plain + Style(dim=True))]) for line in lines[:height]]
        columns, rows = self.grid
        first = self.selected // self.per_page * self.per_page
        shown = self.metrics[first : first + self.per_page]
        legend = self._legend_rows
        tall = (height - legend) // rows
        made: list[Strip] = []
        theme = ink(self.app)
        for row in range(rows):
            inside = shown[row * columns : (row + 1) * columns]
            extra = (height - legend) - tall * rows if row == rows - 1 else 0
            sizes = [width // columns + (n < width % columns) for n in range(columns)]
            drawn = [
                draw(
                    replace(self.plot(metric), selected=self.has_focus and metric == self.metrics[self.selected]),
                    size,
                    tall + extra,
                    theme,
                )
                for metric, size in zip(inside, sizes, strict=False)
            ]
            for line in range(tall + extra):
                segments = [s for chart in drawn for s in chart[line]]
                made.append(Strip(segments).adjust_cell_length(width, plain))
        if legend:
            made.append(self._legend(width))
        return made

    def _empty(self) -> str:
        if not self.chosen:
            return "no run is marked, and none is under the cursor"
        if any(m.history.rows for c in self.chosen for m in (c.members or (c,))):
            return f"no metric fits {self.wanted!r}; f changes that"
        return "nothing measured yet"

    def _legend(self, width: int) -> Strip:
        plain = self.rich_style
        segments, used = [Segment(" ", plain)], 1
        letters = self.dashboard.letters
        for number, c in enumerate(self.chosen):
            text = f"{c.sign if letters else '━'} {_named(c)}  "
            more = f"and {len(self.chosen) - number} more"
            rest = len(more) if number < len(self.chosen) - 1 else 0
            if used + len(text) + rest > width:
                segments.append(Segment(more, plain + Style(dim=True)))
                break
            segments.append(Segment(text, plain + Style(color=c.colour)))
            used += len(text)
        return Strip(segments).adjust_cell_length(width, plain)

    def sheet(self) -> Sheet | None:
        """Every value of the charts on this page, a row for each run and x."""
        if not self.metrics:
            return None
        first = self.selected // self.per_page * self.per_page
        shown = self.metrics[first : first + self.per_page]
        rows: list[tuple[str | float | None, ...]] = []
        for curves in zip(*(self.plot(metric).curves for metric in shown), strict=True):
            for i, x in enumerate(curves[0].x.tolist()):
                rows.append((curves[0].label, _value(x), *(_value(curve.y[i]) for curve in curves)))
        return Sheet("curves", ("run", self.axis, *shown), tuple(rows))


def _constant(chosen: Chosen) -> bool:
    """Whether a run, or one of a group, ends with features that are all the same."""
    drawn = (*chosen.counted, *chosen.beside) if chosen.members else (chosen,)
    rows = [m.history.rows[-1] for m in drawn if m.history.rows]
    return any(constant_features(row.get("val_feature_entropy")) for row in rows)


def _named(chosen: Chosen) -> str:
    """What the legend says: a run's name, and of how many seeds a mean is."""
    line = chosen.line
    if line is None or not line.count:
        return chosen.label
    return f"{line.stem} {line.count}" if "of" in line.count else f"{line.stem} n={line.count}"


def _value(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

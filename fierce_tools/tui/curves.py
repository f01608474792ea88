"""The first tab: metrics of the chosen runs, overlaid, a chart for each metric; what its keys do."""

from __future__ import annotations

from typing import Any

import numpy as np
from textual.events import Click

from fierce_tools import query
from fierce_tools.errors import UsageError
from fierce_tools.tui import series
from fierce_tools.tui.charts import WEIGHTS, Charts
from fierce_tools.tui.prompt import PromptLine


class Curves(Charts, can_focus=True):
    """A chart for each metric. Arrows left and right move one cursor on all of them."""

    TITLE = "Curves"
    DEFAULT_CSS = "Curves { height: 1fr; width: 1fr; }"

    def _keep(self, **values: Any) -> None:
        self.dashboard.remember(**values)
        self._changed()

    def do_smoother(self) -> None:
        """Smooth more."""
        self.weight = next((w for w in WEIGHTS if w > self.weight), WEIGHTS[-1])
        self._keep(ema=self.weight)

    def do_rougher(self) -> None:
        """Smooth less."""
        self.weight = next((w for w in reversed(WEIGHTS) if w < self.weight), 0.0)
        self._keep(ema=self.weight)

    def do_raw(self) -> None:
        """No smoothing."""
        self.weight = 0.0
        self._keep(ema=0.0)

    def do_log(self) -> None:
        """Logarithmic values, and back."""
        self.logarithmic = not self.logarithmic
        self._keep(log=self.logarithmic)

    def do_x_axis(self) -> None:
        """By epoch, step or time."""
        self.axis = series.AXES[(series.AXES.index(self.axis) + 1) % len(series.AXES)]
        self.cursor = None
        self._keep(x=self.axis)

    def do_left(self) -> None:
        """The cursor to the value before."""
        self._move(-1)

    def do_right(self) -> None:
        """The cursor to the next value."""
        self._move(1)

    def _move(self, by: int) -> None:
        xs = [curve.x for c in self.chosen for curve in self.lines(c, self.metrics[0])] if self.metrics else []
        every = np.unique(np.concatenate(xs)) if xs else np.zeros(0)
        every = every[np.isfinite(every)]
        if not len(every):
            return
        if self.cursor is None:
            at = len(every) - 1 if by < 0 else 0
        else:
            at = int(np.clip(np.searchsorted(every, self.cursor) + by, 0, len(every) - 1))
        self.cursor = float(every[at])
        self._changed()

    def do_next_page(self) -> None:
        """The next charts."""
        self._select((self.selected // self.per_page + 1) * self.per_page)

    def do_previous_page(self) -> None:
        """The charts before."""
        self._select((self.selected // self.per_page - 1) * self.per_page)

    def do_down(self) -> None:
        """The next chart."""
        self._select(self.selected + 1)

    def do_up(self) -> None:
        """The chart before."""
        self._select(self.selected - 1)

    def _select(self, to: int) -> None:
        if 0 <= to < len(self.metrics):
            self.selected = to
            self._changed()

    def do_open(self) -> bool:
        """The chart alone."""
        if not self.has_focus or self.single or not self.metrics:
            return False
        self.single = True
        self._changed()
        return True

    def do_back(self) -> bool:
        """The cursor away, then all the charts again."""
        if self.cursor is not None:
            self.cursor = None
        elif self.single:
            self.single = False
        else:
            return False
        self._changed()
        return True

    def do_filter_metrics(self) -> None:
        """Type which metrics are drawn."""
        before = self.wanted

        def wanted(text: str) -> str | None:
            try:
                query.parse(text)
            except UsageError as error:
                return error.message
            self.wanted = text.strip()
            self.show(self.chosen)
            return None

        def done(text: str) -> None:
            wanted(text)
            self.dashboard.remember(metrics=self.wanted)

        def left() -> None:
            wanted(before)

        self.screen.query_one(PromptLine).ask("metrics", self.wanted, done, changed=wanted, left=left)

    def on_click(self, event: Click) -> None:
        """Select the chart there."""
        columns, rows = self.grid
        row = event.y * rows // max(self.size.height - self._legend_rows, 1)
        self._select(
            self.selected // self.per_page * self.per_page
            + min(row, rows - 1) * columns
            + event.x * columns // self.size.width
        )

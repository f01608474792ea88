"""Cost of the dashboard's charts, as a ratio within one run: `make bench`."""

from __future__ import annotations

import numpy as np
from bench_analysis import medians, tell

from fierce_tools.tui.chart import Ink, Plot, draw
from fierce_tools.tui.series import Curve

CURVES, POINTS, COLUMNS = 5, 20_000, 200


def main() -> None:
    """A chart of long curves against one pass of numpy for the least and the greatest value of each column."""
    rng = np.random.default_rng(0)
    x, ys = np.arange(POINTS, dtype=float), rng.normal(size=(CURVES, POINTS)).cumsum(axis=1)
    curves = tuple(Curve(str(n), "#56b4e9", str(n), x, y) for n, y in enumerate(ys))
    starts = np.arange(0, POINTS, POINTS // COLUMNS)

    def floor() -> None:
        for _ in range(CURVES):
            for y in ys:
                np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)

    took = medians({"chart": lambda: draw(Plot("a", curves), 100, 30, Ink()), "floor": floor}, warm=2)
    milliseconds = f"({1000 * took['chart']:.0f} ms)"
    tell(
        "C1",
        f"chart of {CURVES} × {POINTS:,} points / {CURVES} passes of numpy",
        took["chart"] / took["floor"],
        40,
        milliseconds,
    )


if __name__ == "__main__":
    main()

"""The first tab: metrics of the chosen runs, overlaid."""

from __future__ import annotations

from fierce_tools.tui.panes import Pane


class Curves(Pane):
    """A chart for each metric."""

    TITLE = "Curves"

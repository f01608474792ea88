"""The tabs, in their order; a tab is added here."""

from __future__ import annotations

from fierce_tools.tui.analyses import AnalysisPane, OtherPane, tab
from fierce_tools.tui.compare import ComparePane
from fierce_tools.tui.curves import Curves
from fierce_tools.tui.jobs_pane import JobsPane
from fierce_tools.tui.panes import Pane
from fierce_tools.tui.questions import questions


def _tabs() -> tuple[type[Pane], ...]:
    """Questions that are asked most have tabs of their own; one there is no such question for is left out."""
    asked: list[type[AnalysisPane]] = [
        tab("entropy", "Entropy·T"),
        tab("calibration", "Reliability", first="Reliability"),
        tab("missing-class", "Missing class"),
        tab("projection", "Projection"),
        tab("transfer-set", "Images", first="Softest examples"),
    ]
    there = [kind if kind.QUESTION in questions() else None for kind in asked]
    # All other questions share a tab, in the first place that is free, so that the numbers of the others stay.
    filled: list[type[Pane]] = [kind or OtherPane for kind in there]
    more = () if OtherPane in filled else (OtherPane,)
    return (Curves, *filled, ComparePane, JobsPane, *more)


TABS: tuple[type[Pane], ...] = _tabs()

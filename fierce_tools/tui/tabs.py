"""The tabs, in their order; a tab is added here."""

from __future__ import annotations

from fierce_tools.tui.curves import Curves
from fierce_tools.tui.panes import Pane

TABS: tuple[type[Pane], ...] = (Curves,)

"""Which page enter opens on a run."""

from __future__ import annotations

from collections.abc import Callable

from fierce_tools.tui.panes import Chosen, Page
from fierce_tools.tui.run_page import RunPage

OPEN: Callable[[Chosen], Page] | None = RunPage

"""Which page enter opens on a run."""

from __future__ import annotations

from collections.abc import Callable

from fierce_tools.tui.panes import Chosen, Page

OPEN: Callable[[Chosen], Page] | None = None

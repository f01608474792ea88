"""`fierce tui`: the dashboard, in a terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fierce_tools.errors import UsageError


def tui(
    runs_dir: Annotated[
        str | None,
        typer.Argument(metavar="[RUNS]", help="Folder of runs.", show_default="FIERCE_RUNS, else ./runs"),
    ] = None,
) -> None:
    """Browse, watch, compare and ask runs with the keyboard; ? shows the keys."""
    # Textual draws on stderr and waits for ever for the answer of a terminal that is not there.
    missing = [name for name in ("stdin", "stdout", "stderr") if not getattr(sys, name).isatty()]
    if missing:
        raise UsageError(
            f"the dashboard needs a terminal, and {missing[0]} is none", "`fierce runs` lists the same in plain text"
        )
    from fierce_tools import runs
    from fierce_tools.tui import settings
    from fierce_tools.tui.app import Dashboard

    app = Dashboard(runs.folder(runs_dir), settings.load())
    app.run()
    raise SystemExit(app.return_code or 0)

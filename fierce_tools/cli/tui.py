"""`fierce tui`: the dashboard, in a terminal."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from fierce_tools.errors import UsageError


def tui(
    runs_dir: Annotated[
        str | None,
        typer.Argument(metavar="[RUNS]", help="Folder of runs.", show_default="FIERCE_RUNS, else ./runs"),
    ] = None,
    served: Annotated[
        bool, typer.Option("--serve", help="In a browser, on this machine's loopback address only.")
    ] = False,
    port: Annotated[int, typer.Option("--port", help="Of --serve; 0 takes a free one.")] = 8000,
) -> None:
    """Browse, watch, compare and ask runs with the keyboard; ? shows the keys."""
    if served:
        from fierce_tools import runs
        from fierce_tools.tui.serve import serve

        serve(runs.folder(runs_dir), port)
        return
    # Textual draws on stderr and waits for ever for the answer of a terminal that is not there.
    driven = "TEXTUAL_DRIVER" in os.environ  # by a browser, for example
    streams = () if driven else ("stdin", "stdout", "stderr")
    missing = [name for name in streams if not getattr(sys, name).isatty()]
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

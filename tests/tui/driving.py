"""Runs made up for the dashboard, and the app driven without a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual._context import active_app
from textual.screen import Screen

from fierce_tools.tui.app import Dashboard
from fierce_tools.tui.settings import Settings

SCREENS = Path(__file__).parent / "screens"

RECIPE = """[data]
name = "digits"
val_fraction = 0.1

[model]
name = "cnn"

[loss]
name = "{loss}"

[train]
epochs = {epochs}
lr = 0.001
seed = {seed}
"""


def rows(epochs: int, *, start: float = 0.6, lost: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Metrics that rise and fall as they do; epochs in `lost` have no numbers."""
    found = []
    for epoch in range(1, epochs + 1):
        good = epoch not in lost
        found.append(
            {
                "epoch": epoch,
                "step": 20 * epoch,
                "train_loss": 2.0 / epoch if good else None,
                "val_loss": 2.2 / epoch if good else None,
                "val_accuracy": round(0.99 - (0.99 - start) / epoch, 4) if good else None,
                "val_ece": round(0.2 / epoch, 4),
                "val_entropy_t9": 2.1,
                "seconds": 0.5,
            }
        )
    return found


def make(
    root: Path,
    name: str,
    metrics: list[dict[str, Any]],
    *,
    loss: str = "ce",
    seed: int = 0,
    epochs: int = 8,
    age: float = 3 * 3600 + 60,
    **info: Any,
) -> Path:
    """A run folder as a training leaves it, last written `age` seconds ago."""
    path = root / name
    path.mkdir(parents=True)
    (path / "recipe.toml").write_text(RECIPE.format(loss=loss, seed=seed, epochs=epochs))
    said = {"format": 1, "state": "done", "pid": os.getpid(), "host": socket.gethostname(), **info}
    (path / "run.json").write_text(json.dumps(said))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in metrics))
    then = time.time() - age
    for file in path.iterdir():
        os.utime(file, (then, then))
    return path


Body = Callable[[Dashboard, Any], Awaitable[None]]


def drive(root: Path, body: Body, size: tuple[int, int] = (120, 35), settings: Settings | None = None) -> Dashboard:
    """Run the app without a terminal until every run is read, then `body(app, pilot)`."""
    app = Dashboard(root, settings)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await settled(app, pilot)
            await body(app, pilot)

    asyncio.run(run())
    return app


async def idle(*_: float) -> None:
    """Wait until the app has nothing left to do: no message, no callback, no part of the screen to draw anew.

    Timers that are not due and files or processes that have nothing new are not waited for. It stands in for Textual's
    own waiting, which compares CPU time with wall time and so gives up too early on a busy machine.
    """
    app, loop = active_app.get(), asyncio.get_running_loop()
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
        if loop._ready:  # type: ignore[attr-defined]
            continue
        if app._resize_event is not None:  # put off, so that many at once are drawn once
            app._check_resize()
            continue
        screen = app._screen_stack[-1] if app._screen_stack else None
        if screen is None or not screen.is_running or not _waiting(screen):
            return
        screen._on_timer_update()
    raise AssertionError(f"the app never came to rest: {app.screen}")


# Turns of the event loop after which an app is taken to be caught in a circle.
ROUNDS = 1_000_000


def _waiting(screen: Screen[Any]) -> bool:
    """Whether a screen would do something at its next update."""
    shown = screen.is_current and not screen.app._batch_count
    drawn = (screen._layout_required, screen._scroll_required, screen._repaint_required, screen._recompose_required)
    return bool(screen._callbacks) or (shown and (any(drawn) or bool(screen._dirty_widgets)))


async def settled(app: Dashboard, pilot: Any) -> None:
    """Read and show everything on disk now, as the timers would in time."""
    await pilot.pause()
    for _ in range(ROUNDS):
        if app.home.at_rest:
            break
        app.home.pump()
        await idle()
    else:
        raise AssertionError("never came to rest")
    await pilot.pause()


async def look(app: Dashboard, pilot: Any) -> None:
    """Do now what happens once a second."""
    app.home.look()
    await settled(app, pilot)


def text_of(app: Dashboard) -> str:
    """The screen as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(s.text for s in strip).rstrip() for strip in strips) + "\n"


def assert_screen(app: Dashboard, name: str) -> None:
    """The screen is as in screens/NAME.txt; FIERCE_SCREENS=1 writes it there, to be read before it is kept."""
    path = SCREENS / f"{name}.txt"
    text = text_of(app)
    if os.environ.get("FIERCE_SCREENS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")

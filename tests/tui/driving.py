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


async def settled(app: Dashboard, pilot: Any) -> None:
    """Wait until everything on disk is read and shown."""
    await pilot.pause()
    for _ in range(400):
        if not app.store.busy and app.home.at_rest:
            break
        await asyncio.sleep(0.01)
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

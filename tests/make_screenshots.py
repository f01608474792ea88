"""Make the README's pictures of the dashboard: real trainings on digits, asked from inside, seen at 120 × 35.

make screenshots
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from textual.widgets import Input

from fierce_tools.drawn.svg import standalone
from fierce_tools.tui.analyses import AnalysisPane
from fierce_tools.tui.app import Dashboard

SIZE = (120, 35)
RESULTS = Path(__file__).parent.parent / "recipes" / "results"
EPOCHS = "16"
LOSSES = {
    "ce": ["ce"],
    "fierce": ["fierce", "--lam", "0.1"],
    "smooth": ["label-smoothing", "--alpha", "0.1"],
}
SEEDS = range(3)
METRICS = "val_accuracy | val_ece | val_entropy_t9"
SINGLE = ("ce-s0", "fierce-s0", "smooth-s0", "student")


def fierce(*arguments: str) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "fierce_tools", *arguments, "--progress", "off"], check=True)


def train() -> None:
    """Three losses by three seeds, and a student of one of them."""
    for name, loss in LOSSES.items():
        for seed in SEEDS:
            fierce(
                "train", "--loss", *loss, "--epochs", EPOCHS, "--seed", str(seed), "--name", f"{name}-s{seed}",
                "--save-at", "1,4,16",
            )  # fmt: skip
    fierce("distill", "--teacher", "ce-s0", "--student", "mlp:32", "--epochs", EPOCHS, "--name", "student")


async def until(pilot: Any, true: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for something."""
    for _ in range(int(seconds / 0.1)):
        if true():
            break
        await asyncio.sleep(0.1)
    else:
        raise TimeoutError("the dashboard did not come to rest")
    await pilot.pause()


async def settled(app: Dashboard, pilot: Any) -> None:
    """Wait until everything is read."""
    await pilot.pause()
    await until(pilot, lambda: not app.store.busy and app.home.at_rest)


async def answered(app: Dashboard, pilot: Any, tab: str) -> None:
    """Open a tab and, by its form, ask what was not asked yet."""
    await pilot.press(tab)
    pane = app.home.pane
    assert isinstance(pane, AnalysisPane)
    await until(pilot, lambda: pane.told is not None)
    assert pane.told is not None
    if pane.told.missing:
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.screen is not app.home)
        await pilot.press("ctrl+r")
        await until(pilot, lambda: app.screen is app.home and app.jobs.running())
        await until(pilot, lambda: not app.jobs.running())
        assert app.jobs.all[-1].state == "done", app.jobs.all[-1].log
        await until(pilot, lambda: pane.told is not None and not pane.told.missing)
        await pilot.press("escape")
    app.clear_notifications()
    await settled(app, pilot)


async def mark(app: Dashboard, pilot: Any, names: tuple[str, ...]) -> None:
    """Mark just these runs, or rows of folded ones."""
    if app.memory.marks:
        await pilot.press("M")
    table = app.home.table
    for name in names:
        await pilot.press("g")
        for _ in app.home.lines:
            if table.current is not None and name in table.current.members:
                break
            await pilot.press("j")
        await pilot.press("space")
    await pilot.press("g")
    await settled(app, pilot)


def save(app: Dashboard, name: str) -> None:
    """Write what is on the screen, unless it names this machine."""
    svg = standalone(app.export_screenshot(title="fierce tui runs"))
    for word in (socket.gethostname(), getpass.getuser(), str(Path.home()), os.getcwd(), tempfile.gettempdir()):
        assert word in ("", "/", "root") or word not in svg, f"{name} names {word}"
    assert "url(http" not in svg.replace('"', ""), f"{name} fetches something"
    path = RESULTS / f"dashboard-{name}.svg"
    path.write_text(svg, encoding="utf-8")
    print(path.relative_to(RESULTS.parent.parent))


async def curves(app: Dashboard, pilot: Any) -> None:
    """The table with folded seeds, and the curves with their bands."""
    await pilot.press("1", "u", "f")
    app.screen.query_one(Input).value = METRICS
    await pilot.press("enter")
    await settled(app, pilot)
    await mark(app, pilot, SINGLE)
    save(app, "curves")
    await pilot.press("u")
    await settled(app, pilot)


async def analyses(app: Dashboard, pilot: Any) -> None:
    """Entropy, projection and images of single runs."""
    await mark(app, pilot, SINGLE)
    await answered(app, pilot, "2")
    save(app, "entropy")
    await mark(app, pilot, ("smooth-s0",))
    await answered(app, pilot, "5")
    save(app, "projection")
    await mark(app, pilot, ("ce-s0",))
    await answered(app, pilot, "6")
    save(app, "images")


Part = Callable[[Dashboard, Any], Awaitable[None]]


async def drive(*parts: Part) -> None:
    """Open the dashboard, and do one thing after another in it."""
    app = Dashboard(Path("runs"))
    async with app.run_test(size=SIZE) as pilot:
        await settled(app, pilot)
        for part in parts:
            await part(app, pilot)


def main() -> None:
    """Train where nothing is yet, look, write."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else made).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ |= {"XDG_CONFIG_HOME": str(folder / "config"), "COLORTERM": "truecolor", "TERM": "xterm-256color"}
        os.environ.pop("NO_COLOR", None)
        os.environ.pop("FIERCE_RUNS", None)
        os.chdir(folder)
        if not Path("runs").exists():
            train()
        Path("runs/.fierce-tui.json").unlink(missing_ok=True)
        asyncio.run(drive(curves, analyses))


if __name__ == "__main__":
    main()

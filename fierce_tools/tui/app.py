"""The app: keys to commands, themes, what goes to files, and how it ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App
from textual.worker import Worker, WorkerState

from fierce_tools.tui import palette
from fierce_tools.tui.home import Home
from fierce_tools.tui.keys import Command, remapped
from fierce_tools.tui.memory import Memory
from fierce_tools.tui.panes import Board, NoJobs
from fierce_tools.tui.prompt import Confirm
from fierce_tools.tui.settings import Settings
from fierce_tools.tui.store import Store


class Dashboard(App[None], inherit_bindings=False):
    """Browse, watch, compare and ask the runs under `root`."""

    TITLE = "fierce"
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, root: Path, settings: Settings | None = None) -> None:
        super().__init__()
        self.root = root
        self.settings = settings or Settings()
        self.commands: dict[str, Command] = {c.id: c for c in remapped(self.settings.keys)}
        self.board: Board = NoJobs()
        self.store, self.memory = Store(root), Memory(root)
        self.home = Home(self.store, self.memory)
        self._told: str | None = None
        for command in self.commands.values():
            if command.keys:
                self.bind(",".join(command.keys), f"command('{command.id}')", description=command.label, show=False)
        for theme in palette.THEMES:
            self.register_theme(theme)
        self.theme = "fierce-light" if self.settings.theme == "light" else "fierce-dark"

    def get_default_screen(self) -> Home:
        """The runs and the tabs."""
        return self.home

    @property
    def dark(self) -> bool:
        """Whether letters are light on a dark ground."""
        return self.current_theme.dark

    @property
    def letters(self) -> bool:
        """Whether marked runs need letters: there are no colours, or not enough."""
        return self.no_color or max(self.memory.marks.values(), default=0) >= len(palette.DARK)

    def colour(self, index: int) -> str:
        """The colour of the index-th marked run (#rrggbb)."""
        return palette.colour(index, self.dark)

    # What is remembered of this root.

    def change(self, change: Callable[[], Any]) -> None:
        """Make a change to what is remembered; a disk that is full is told of."""
        self.memory.change(change)
        if self.memory.trouble and self.memory.trouble != self._told:
            self.notify(self.memory.trouble, severity="warning", markup=False)
        self._told = self.memory.trouble

    def remember(self, **values: Any) -> None:
        """How the runs are looked at."""
        self.change(lambda: self.memory.view.update(values))

    # Commands.

    def handlers(self, command: str) -> list[Callable[[], Any]]:
        """Who answers a command, in the order they are asked."""
        screen = self.screen
        if isinstance(screen, Home):
            places = [*screen.places(), self]
        else:
            focused = screen.focused
            places = [*([focused, *focused.ancestors] if focused is not None else [screen]), self]
        found = [getattr(place, f"do_{command}", None) for place in dict.fromkeys(places)]
        return [handler for handler in found if handler is not None]

    def answered(self) -> list[Command]:
        """The commands that mean something here and belong into the footer."""
        return [c for c in self.commands.values() if c.footer and self.handlers(c.id)]

    async def action_command(self, command: str) -> None:
        """Let the first one answer that does."""
        for handler in self.handlers(command):
            result = handler()
            if inspect.isawaitable(result):
                result = await result
            if result is not False:
                return

    def do_quit(self) -> None:
        """Quit; a running job is asked about first."""
        running = self.board.running()
        if not running:
            self.leave()
            return
        what = "a job is" if running == 1 else f"{running} jobs are"

        def answered(yes: bool | None) -> None:
            if yes:
                self.leave()

        self.push_screen(Confirm(f"{what} still running; quit and cancel?"), answered)

    def leave(self) -> None:
        """End every job, then the app."""
        self.board.end_all()
        self.exit()

    def do_palette(self) -> None:
        """Find a command by its name."""
        self.action_command_palette()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker that failed is told of; the app goes on."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            text = f"{type(error).__name__}: {error}" if error is not None else "no reason given"
            self.notify(text, title=f"{event.worker.name or 'work'} failed", severity="error", markup=False)


def _numbered(number: int) -> Callable[[Home], None]:
    def open_tab(self: Home) -> None:
        self.open_tab(number)

    return open_tab


for _number in range(1, 10):
    setattr(Home, f"do_tab_{_number}", _numbered(_number))

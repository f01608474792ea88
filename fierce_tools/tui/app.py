"""The app: keys to commands, themes, what goes to files, and how it ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from textual.app import SystemCommand, get_system_commands_provider
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from fierce_tools import files
from fierce_tools.drawn.svg import standalone
from fierce_tools.errors import FierceError
from fierce_tools.tui import export, palette
from fierce_tools.tui.asking import Asking
from fierce_tools.tui.help import Help, Palette
from fierce_tools.tui.home import Home
from fierce_tools.tui.keys import FOOTER, Command, remapped
from fierce_tools.tui.memory import Memory
from fierce_tools.tui.panes import Board, Page, Sheet
from fierce_tools.tui.prompt import Ask, Confirm
from fierce_tools.tui.settings import Settings
from fierce_tools.tui.store import Store


class Dashboard(Asking, inherit_bindings=False):
    """Browse, watch, compare and ask the runs under `root`."""

    TITLE = "fierce"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {get_system_commands_provider, lambda: Palette}

    def __init__(self, root: Path, settings: Settings | None = None) -> None:
        super().__init__()
        self.root = root
        self.settings = settings or Settings()
        self.commands: dict[str, Command] = {c.id: c for c in remapped(self.settings.keys)}
        self.board: Board = self.jobs
        self.store, self.memory = Store(root), Memory(root)
        self.home = Home(self.store, self.memory)
        self._told: str | None = None
        self._unsaved = False
        for command in self.commands.values():
            if command.keys:
                self.bind(",".join(command.keys), f"command('{command.id}')", description=command.label, show=False)
        for theme in palette.THEMES:
            self.register_theme(theme)
        self.theme = "fierce-light" if self.settings.theme == "light" else "fierce-dark"

    def get_default_screen(self) -> Home:
        """The runs and the tabs."""
        return self.home

    def on_mount(self) -> None:
        """Say what of the settings was ignored."""
        for problem in self.settings.problems:
            self.notify(problem, title="settings: ignored", severity="warning", timeout=10, markup=False)

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

    def change(self, change: Callable[[], None], *, soon: bool = True) -> None:
        """Change what is remembered: written at once, or with the next look at the files. A full disk is told of."""
        if soon:
            self.memory.change(change)
            self._tell_trouble()
        else:
            change()
            self._unsaved = True

    def remember(self, **values: Any) -> None:
        """How the runs are looked at."""
        self.change(lambda: self.memory.view.update(values), soon=False)

    def flush(self) -> None:
        """Write what was changed since."""
        if self._unsaved:
            self._unsaved = False
            self.memory.change(lambda: None)
            self._tell_trouble()

    def _tell_trouble(self) -> None:
        trouble, self._told = self.memory.trouble, self._told if self.memory.trouble else None
        if trouble and trouble != self._told:
            self._told = trouble
            self.notify(trouble, severity="warning", markup=False)

    def on_unmount(self) -> None:
        """Write what is left."""
        if self._unsaved:
            self.memory.change(lambda: None)

    # Commands.

    def handlers(self, command: str, screen: Screen[Any] | None = None) -> list[Callable[[], Any]]:
        """Who answers a command on a screen, the present one if none is given, in the order they are asked."""
        screen = screen or self.screen
        if isinstance(screen, Home):
            places = [*screen.places(), self]
        else:
            focused = screen.focused
            places = [*([focused, *focused.ancestors] if focused is not None else [screen]), self]
        found = [getattr(place, f"do_{command}", None) for place in dict.fromkeys(places)]
        return [handler for handler in found if handler is not None]

    def answers(self, command: str, screen: Screen[Any]) -> bool:
        """Whether anyone answers it there."""
        return bool(self.handlers(command, screen))

    def answered(self) -> list[Command]:
        """The commands that mean something here and belong into the footer, by need."""
        return [self.commands[id] for id in FOOTER if self.handlers(id)]

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

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The theme; everything else is in the table of keys."""
        yield SystemCommand("theme", "light or dark, for this time; the settings keep it", self.action_change_theme)

    def do_help(self) -> None:
        """Every key, and where what is kept."""
        self.push_screen(Help())

    # What is on the screen, for files.

    def sheet(self) -> Sheet | None:
        """What can be seen, as values."""
        screen = self.screen
        made = screen.sheet() if isinstance(screen, Home | Page) else None
        if made is None or not made.rows:
            self.notify("there is nothing here that could be exported", severity="warning")
            return None
        return made

    def do_export(self) -> None:
        """Ask for a file's name, then write it."""
        made = self.sheet()
        if made is None:
            return

        def named(name: str | None) -> None:
            if name is not None:
                self.notify(f"{len(made.rows)} rows written to {Path(name).expanduser()}", markup=False)

        def check(name: str) -> str | None:
            try:
                export.save(Path(name).expanduser(), made)
            except FierceError as error:
                return error.message
            except OSError as error:
                return f"{name}: {error.strerror or error}"
            return None

        self.push_screen(Ask("write to (.csv or .json)", str(export.free(made.name, ".csv")), check), named)

    def do_copy(self) -> None:
        """To the clipboard of the terminal, also over ssh where it takes that (OSC 52)."""
        made = self.sheet()
        if made is not None:
            self.copy_to_clipboard(export.as_csv(made))
            self.notify(f"{len(made.rows)} rows copied")

    def do_picture(self) -> None:
        """The screen as SVG, beside where fierce was started."""
        try:
            path = export.free("fierce", ".svg")
            files.write_text(path, standalone(self.export_screenshot(title="fierce")))
        except OSError as error:
            self.notify(f"no picture: {error.strerror or error}", severity="error", markup=False)
        else:
            self.notify(f"the screen is in {path}", markup=False)

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

"""What the parts of the dashboard give one another: chosen runs, tabs, pages, sheets of values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from textual.containers import Container
from textual.screen import Screen

from fierce_tools.runs import Run

if TYPE_CHECKING:
    from fierce_tools.tui.listing import Line
    from fierce_tools.tui.store import History

Value = str | int | float | None


@dataclass(frozen=True)
class Chosen:
    """A run to be shown: its row of the table, its metrics so far, its colour (#rrggbb) and its sign (a letter).

    `members` are the runs of a row of folded seeds, none for a single run; `line` is that row and says which count.
    """

    run: Run
    row: dict[str, Any]
    history: History
    colour: str
    sign: str
    label: str
    members: tuple[Chosen, ...] = ()
    line: Line | None = None

    @property
    def counted(self) -> tuple[Chosen, ...]:
        """The members that figures over seeds are of."""
        return tuple(m for m in self.members if self.line is None or m.run.name not in self.line.left_out)

    @property
    def beside(self) -> tuple[Chosen, ...]:
        """The members whose curves are drawn beside the mean: those that train; where none counts, every one."""
        return tuple(m for m in self.members if m.row["state"] == "running") if self.counted else self.members


@dataclass(frozen=True)
class Sheet:
    """Values as they are on the screen, for a file: a name for it, columns, rows."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


class Pane(Container):
    """One tab. `TITLE` stands in the line of tabs."""

    TITLE: ClassVar[str] = ""

    def show(self, chosen: tuple[Chosen, ...]) -> None:
        """Show these runs; the same call tells that their files changed."""

    def sheet(self) -> Sheet | None:
        """What can be seen, as values; None where there is nothing."""
        return None


class Page(Screen[None], inherit_bindings=False):
    """A screen over the dashboard; escape closes it."""

    def do_back(self) -> None:
        """Close the page."""
        self.dismiss()

    def sheet(self) -> Sheet | None:
        """What can be seen, as values; None where there is nothing."""
        return None


class Board(Protocol):
    """What the app asks of whoever runs jobs."""

    def running(self) -> int:
        """How many jobs run now."""

    def line(self) -> str:
        """What the footer says of them, such as `job: missing-class 40 % ▇▇▇`; empty for nothing."""

    def end_all(self) -> None:
        """End every job and its children, before the app closes."""


class NoJobs:
    """A board on which nothing runs."""

    def running(self) -> int:
        """None."""
        return 0

    def line(self) -> str:
        """Nothing."""
        return ""

    def end_all(self) -> None:
        """Nothing to end."""

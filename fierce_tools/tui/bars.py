"""The lines of the frame: what is shown above, the tabs, the keys below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

from fierce_tools.tui.keys import Command, shown


class Head(Static):
    """The top line: where, how many, what is filtered; and what is drawn how, to the right."""

    DEFAULT_CSS = "Head { height: 1; background: $surface; color: $foreground; padding: 0 1; }"

    _told: object = None

    def tell(self, left: Sequence[str], right: Sequence[str], problem: str = "") -> None:
        """Parts of the line; those to the right leave first where it is narrow."""
        told = (tuple(left), tuple(right), problem, self.size.width)
        if told == self._told:
            return
        self._told = told
        width = max(self.size.width - 2, 1)
        start, end = " · ".join(filter(None, left)), " · ".join(filter(None, right))
        while right and len(start) + len(end) + 2 > width:
            right = right[1:]
            end = " · ".join(filter(None, right))
        gap = " " * max(width - len(start) - len(end), 1)
        text = Content.assemble((start[:width], "bold"), (gap + end if end else "", "$secondary"))
        self.update(Content.assemble(text, (f" {problem}", "$error")) if problem else text)


class TabLine(Static):
    """Numbered tabs on one line; where it is narrow only the open one has its whole name."""

    DEFAULT_CSS = """
    TabLine { height: 1; color: $secondary; padding: 0 1; }
    """

    class Picked(Message):
        """A tab was clicked."""

        def __init__(self, number: int) -> None:
            self.number = number
            super().__init__()

    titles: Sequence[str] = ()
    active = 0
    lit = False
    _told: object = None

    def tell(self, titles: Sequence[str], active: int, lit: bool) -> None:
        """Which tabs there are, which is open, whether the focus is there."""
        told = (tuple(titles), active, lit, self.size.width)
        if told == self._told:
            return
        self._told = told
        self.titles, self.active, self.lit = titles, active, lit
        parts: list[Content | tuple[str, str] | str] = []
        for number, text in enumerate(self._texts()):
            style = ("bold $primary" + (" underline" if lit else "")) if number == active else "$secondary"
            parts += [("  " if number else "", ""), (text, style)]
        self.update(Content.assemble(*parts))

    def _texts(self) -> list[str]:
        """Numbers, with as many names as there is room for; the open tab's comes first."""
        texts = [str(n) for n in range(1, len(self.titles) + 1)]
        room = self.size.width - 2 - sum(map(len, texts)) - 2 * (len(texts) - 1)
        for index in dict.fromkeys([self.active, *range(len(texts))]):
            if index < len(texts) and len(self.titles[index]) + 1 <= room:
                room -= len(self.titles[index]) + 1
                texts[index] += f" {self.titles[index]}"
        return texts

    def on_resize(self) -> None:
        """Other names may fit."""
        self.tell(self.titles, self.active, self.lit)

    def on_click(self, event: Click) -> None:
        """Open the tab under the pointer."""
        x = 1
        for number, text in enumerate(self._texts(), 1):
            if x <= event.x < x + len(text) + 2:
                self.post_message(self.Picked(number))
                return
            x += len(text) + 2


class Foot(Static):
    """The keys that mean something here, and what the jobs do."""

    DEFAULT_CSS = """
    Foot {
        height: 1; background: $surface; padding: 0 1; color: $secondary;
        link-color: $accent; link-style: bold; link-background: transparent;
        link-color-hover: $accent; link-style-hover: bold underline; link-background-hover: transparent;
    }
    """
    _commands: tuple[Command, ...] = ()
    _job = ""
    _told: object = None

    def tell(self, commands: Iterable[Command], job: str) -> None:
        """The commands by their need, and the line of the jobs."""
        told = (tuple(commands), job, self.size.width)
        if told == self._told:
            return
        self._told = told
        self._commands, self._job = told[:2]
        room = self.size.width - 2 - (len(job) + 2 if job else 0)
        parts: list[tuple[str, str] | str] = []
        used = 0
        for command in self._commands:
            if not command.keys:
                continue
            key = shown(command.keys[0])
            size = len(key) + len(command.label) + 1 + (2 if parts else 0)
            if used + size > room:
                continue
            used += size
            parts += [
                ("  " if parts else "", ""),
                (key, f"bold $accent @click=app.command('{command.id}')"),
                (f" {command.label}", ""),
            ]
        if job:
            parts += [(" " * max(room - used, 1) + " ", ""), (job[: self.size.width - 2], "$primary")]
        self.update(Content.assemble(*parts))

    def on_resize(self) -> None:
        """Other keys may fit."""
        self.tell(self._commands, self._job)

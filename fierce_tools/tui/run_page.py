"""The page of one run: what it is, how it was made, what it left behind."""

from __future__ import annotations

import shlex

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.events import Resize
from textual.message import Message
from textual.widgets import Label

from fierce_tools.tui import cells, run_words
from fierce_tools.tui.blocks import Words
from fierce_tools.tui.panes import Chosen, Page, Sheet
from fierce_tools.tui.run_facts import Facts, read
from fierce_tools.tui.scroll import Scroll

WIDE = 100


class Read(Message):
    """The files of the run were read."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts


class RunPage(Page):
    """Recipe, command, figures, checkpoint, files and lineage of one run; it follows the files while it is open."""

    DEFAULT_CSS = """
    RunPage {
        background: $background;
        #title { width: 1fr; height: 1; background: $surface; padding: 0 1; text-style: bold; }
        #problem { width: 1fr; height: auto; color: $error; padding: 0 1; display: none; }
        #body { padding: 1 1 0 1; }
        #halves { layout: vertical; height: auto; }
        #left, #right { height: auto; width: 1fr; }
        &.wide #halves { layout: horizontal; }
        &.wide #left { width: 3fr; padding-right: 2; }
        &.wide #right { width: 2fr; }
        #keys { width: 1fr; background: $surface; color: $text-muted; padding: 0 1; }
    }
    """

    def __init__(self, chosen: Chosen) -> None:
        super().__init__()
        self.chosen = chosen
        self.facts: Facts | None = None

    def compose(self) -> ComposeResult:
        """Two halves that scroll together."""
        yield Label(self.chosen.run.name, id="title", markup=False)
        yield Label("", id="problem", markup=False)
        with Scroll(id="body"), Container(id="halves"):
            yield Vertical(id="left")
            yield Vertical(id="right")
        yield Label("↑↓ scroll   w copy the command   e export the metrics   esc back", id="keys", markup=False)

    def on_mount(self) -> None:
        """Read now, and again every second."""
        self.query_one("#body").focus()
        self.look()
        self.set_interval(1.0, self.look)

    def on_resize(self, event: Resize) -> None:
        """Halves side by side where there is room."""
        self.set_class(event.size.width >= WIDE, "wide")

    def look(self) -> None:
        """Read the files beside the interface."""
        self.run_worker(
            lambda: self.post_message(Read(read(self.chosen.run))) and None,
            name="run page", group="run", exclusive=True, thread=True, exit_on_error=False,
        )  # fmt: skip

    async def on_read(self, message: Read) -> None:
        """Show what is new."""
        facts = message.facts
        if facts == self.facts:
            return
        gone = facts.gone and self.facts is not None
        if not gone:  # what was last seen of a run that was deleted stays in sight
            await self._show(facts)
        self.facts = facts
        problem = self.query_one("#problem", Label)
        problem.display = bool(facts.problems)
        problem.update("\n".join(facts.problems) + (" while it was open; this is what it was" if gone else ""))
        state = cells.STATES.get(facts.state, facts.state)
        self.query_one("#title", Label).update(f"{self.chosen.run.name}   {'✗ deleted' if facts.gone else state}")

    async def _show(self, facts: Facts) -> None:
        left, right = self.query_one("#left"), self.query_one("#right")
        await left.remove_children()
        await right.remove_children()
        await left.mount_all(Words(part) for part in (
            lambda width: run_words.seeds(self.chosen, width),
            lambda width: run_words.facts(self.chosen, facts, width),
            lambda width: run_words.sparklines(facts, width, self.chosen.colour),
            lambda width: run_words.epochs(facts, width),
            lambda width: run_words.log(facts, width),
        ))  # fmt: skip
        await right.mount_all(Words(part) for part in (
            lambda width: run_words.recipe(facts, width),
            lambda width: run_words.checkpoint(facts, width),
            lambda width: run_words.files(facts, width),
        ))  # fmt: skip

    # Answers to keys.

    def do_open(self) -> None:
        """Nothing else opens here."""

    def do_copy(self) -> None:
        """The command that trained it, to the clipboard."""
        said = self.facts.info.get("command") if self.facts is not None else None
        if isinstance(said, list):
            self.app.copy_to_clipboard(shlex.join(map(str, said)))
            self.notify("the command is in the clipboard")

    def do_refresh(self) -> None:
        """Read the files anew."""
        self.look()

    def sheet(self) -> Sheet | None:
        """Its metrics."""
        rows = self.facts.metrics if self.facts is not None else ()
        if not rows:
            return None
        keys = list(dict.fromkeys(k for row in rows for k in row))
        return Sheet(
            self.chosen.run.name, tuple(keys), tuple(tuple(run_words.value(row.get(k)) for k in keys) for row in rows)
        )

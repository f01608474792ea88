"""What the app can do beside looking: start jobs, ask any analysis, train, compare."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option as Line

from fierce_tools.errors import FierceError
from fierce_tools.tui import questions
from fierce_tools.tui.analyses import AnalysisPane, OtherPane
from fierce_tools.tui.compare import ComparePane
from fierce_tools.tui.jobs import Job, JobNews, Jobs
from fierce_tools.tui.jobs_pane import JobsPane, confirm_cancel
from fierce_tools.tui.panes import Page, Pane
from fierce_tools.tui.training_form import TrainForm, needs_teacher

if TYPE_CHECKING:
    from fierce_tools.tui.home import Home

# Columns that what jobs print takes at least: narrower tables cannot be read.
LEAST = 60

P = TypeVar("P", bound=Pane)


class Asking(App[None], inherit_bindings=False):
    """The app's half that asks."""

    home: Home
    root: Path

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.jobs = Jobs(self.post_message)

    def on_mount(self) -> None:
        """A lost connection or a `kill` ends the jobs too; a training saves first."""
        for number in (signal.SIGHUP, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread
                asyncio.get_running_loop().add_signal_handler(number, self._ended_by, number)

    def _ended_by(self, number: int) -> None:
        self.jobs.end_all()
        self.exit(return_code=128 + number)

    def start(self, title: str, arguments: list[str]) -> None:
        """Start a job."""
        self.jobs.start(title, arguments, columns=max(self.home.query_one("#side").size.width - 4, LEAST))
        self.home.tell()

    def on_job_news(self, message: JobNews) -> None:
        """Tell those who show jobs; say how one ended."""
        for pane in self.home.panes:
            if isinstance(pane, AnalysisPane | ComparePane | JobsPane):
                pane.post_message(JobNews(message.job))
        if not message.job.alive:
            self._say_end(message.job)
        self.home.tell()

    def _say_end(self, job: Job) -> None:
        if job.state == "done":
            self.notify(f"{job.title}: done in {job.seconds:.0f} s", markup=False, timeout=4)
        elif job.state == "failed":
            self.notify(job.problem, title=f"{job.title} failed", severity="error", markup=False, timeout=10)
        else:
            self.notify(f"{job.title}: cancelled", severity="warning", markup=False)

    # Answers to keys.

    def _open(self, pane: Pane | None) -> None:
        if pane is not None:
            self.home.open_tab(self.home.panes.index(pane) + 1)
            self.home.focus_pane()

    def _pane(self, kind: type[P]) -> P:
        return next(pane for pane in self.home.panes if isinstance(pane, kind))

    def ask(self, question: str) -> None:
        """Open the tab of a question, or the one for all others, with its form."""
        panes = [p for p in self.home.panes if isinstance(p, AnalysisPane)]
        pane = next((p for p in panes if question == p.QUESTION), self._pane(OtherPane))
        self._open(pane)
        pane.ask(question)

    def do_analyse(self) -> None:
        """Choose a question."""
        pane = self.home.pane
        current = pane.question if isinstance(pane, AnalysisPane) else ""

        self.push_screen(Chooser(current, self.ask))

    def do_train(self) -> None:
        """A form of a training, like the run under the cursor."""
        line = self.home.table.current
        like, of = None, ""
        if line is not None:
            run = self.home.store.entries[line.members[0]].run
            try:
                like, of = run.recipe().as_dict(), run.name
            except (FierceError, OSError):
                self.notify(f"the recipe of {run.name} cannot be read: the form shows the defaults", severity="warning")
        if like is not None and like.pop("distill", None) is not None:
            self.notify(f"{of} is a student: the form trains without its teacher; `fierce distill` has one")
            if needs_teacher(like["loss"]):
                like["loss"] = {}
        if like is not None and like.pop("mutual", None) is not None:
            self.notify(f"{of} is one of several peers: the form trains it alone; `fierce mutual` trains them all")
        self.push_screen(TrainForm(self.root, self.start, like, of))

    def do_compare(self) -> None:
        """The tab that compares."""
        self._open(self._pane(ComparePane))

    def do_differences(self) -> None:
        """The same, only what differs."""
        pane = self._pane(ComparePane)
        self._open(pane)
        pane.only(True)

    def do_cancel(self) -> None:
        """End the newest job; asks."""
        job = next((j for j in reversed(self.jobs.all) if j.state == "running"), None)
        if job is None:
            self.notify("no job is running", timeout=2)
        else:
            confirm_cancel(self, job)


class Chooser(Page):
    """Every question there is, with what it asks."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("j", "down", show=False), Binding("k", "up", show=False)]
    DEFAULT_CSS = """
    Chooser {
        background: $background;
        #title { width: 1fr; background: $surface; padding: 0 1; text-style: bold; }
        OptionList, OptionList:focus {
            height: 1fr; border: none; padding: 1 1; background: $background;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        #keys { width: 1fr; background: $surface; color: $text-muted; padding: 0 1; }
    }
    """

    def __init__(self, current: str, chosen: Callable[[str], None]) -> None:
        super().__init__()
        self.current, self._chosen = current, chosen

    def compose(self) -> ComposeResult:
        """The questions."""
        names = list(questions.questions())
        wide = max(map(len, names))
        yield Label("ask the chosen runs", id="title")
        yield OptionList(*(
            Line(Text.assemble((name.ljust(wide + 2), "bold"), (question.summary, "dim")), id=name)
            for name, question in questions.questions().items()
        ), markup=False)  # fmt: skip
        yield Label("↵ ask   ↑↓ move   esc back", id="keys")

    def on_mount(self) -> None:
        """The question of the open tab first."""
        options = self.query_one(OptionList)
        names = list(questions.questions())
        options.highlighted = names.index(self.current) if self.current in names else 0
        options.focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Ask it."""
        name = event.option.id
        self.dismiss()
        if name is not None:
            self._chosen(name)

    def do_down(self) -> None:
        """The next."""
        self.query_one(OptionList).action_cursor_down()

    def do_up(self) -> None:
        """The one before."""
        self.query_one(OptionList).action_cursor_up()

    action_down, action_up = do_down, do_up

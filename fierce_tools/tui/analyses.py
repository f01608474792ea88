"""Analyses as tabs: what was answered, over the chosen runs; what was not, with the command that asks it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Static

from fierce_tools.report import Images, Report, Scalars, Table
from fierce_tools.runs import Run
from fierce_tools.tui import asked_words, questions
from fierce_tools.tui.asked import Asked, singly
from fierce_tools.tui.blocks import ReportView
from fierce_tools.tui.forms import AskForm
from fierce_tools.tui.images import Gallery
from fierce_tools.tui.jobs import JobNews
from fierce_tools.tui.panes import Chosen, Sheet
from fierce_tools.tui.questions import Told
from fierce_tools.tui.scroll import Scroll

if TYPE_CHECKING:
    pass


class Answers(Message):
    """What is kept of a question was read."""

    def __init__(self, question: str, epoch: str | None, told: Told, report: Report | None) -> None:
        super().__init__()
        self.question, self.epoch, self.told, self.report = question, epoch, told, report


class AnalysisPane(Asked):
    """One analysis of the chosen runs."""

    FIRST: ClassVar[str] = ""
    DEFAULT_CSS = """
    AnalysisPane {
        layout: vertical; height: 1fr; width: 1fr;
        .about { height: auto; max-height: 4; padding: 0 1; color: $text-muted; }
        .offer { height: 1fr; padding: 1 2; display: none; }
        ReportView { height: 1fr; }
        &.empty ReportView { display: none; }
        &.empty .offer { display: block; }
    }
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shown: object = None
        self._wanted = False

    def compose(self) -> ComposeResult:
        """What is shown, the report, or what may be asked."""
        yield Static(classes="about", markup=False)
        yield ReportView(first=self.FIRST)
        with Scroll(classes="offer", can_focus=True):
            yield Static(markup=False)

    # What is shown.

    def show(self, chosen: tuple[Chosen, ...]) -> None:
        """The answers of these runs."""
        if [c.run for c in singly(chosen)] != [c.run for c in singly(self.chosen)]:
            self.told = None
        self.chosen = chosen
        self.reload()

    def reload(self) -> None:
        """Read what is kept, beside the interface."""
        if self.question:
            work = partial(self._read, self.question, self.runs(), self.epoch)
            self.run_worker(work, name=self.question, group="answers", exclusive=True, thread=True, exit_on_error=False)
        else:
            self.call_after_refresh(self.tell)

    def _read(self, question: str, runs: Sequence[tuple[str, Run]], epoch: str | None) -> None:
        told = questions.ask(question, runs, epoch)
        unchanged = self.told is not None and told.signature() == self.told.signature()
        self.post_message(Answers(question, epoch, told, None if unchanged else told.report()))

    async def on_answers(self, message: Answers) -> None:
        """Show them, unless they are those that are shown, or another question came first."""
        if (message.question, message.epoch) != (self.question, self.epoch):
            return
        self.told = message.told
        hues = {c.run.name: c.colour for c in singly(self.chosen)}
        shown = (self.question, self.epoch, message.told.signature(), tuple(hues.items()))
        if shown != self._shown:
            self._shown = shown
            report = message.report or message.told.report()
            await self.query_one(ReportView).show(report, hues, self._pixels(message.told))
        self.tell()
        if self._wanted:
            self._wanted = False
            self.form()

    def _pixels(self, told: Told) -> Any:
        """How a block's images are found: those of the source it is of."""

        def look(block: Images) -> list[np.ndarray] | None:
            said = told.answered
            own = [s for s in said if block.title.startswith(f"{s.label}: ")] if len(said) > 1 else list(said)
            found = own[0].images() if own else None
            return [found[i] for i in block.index] if found is not None and set(block.index) <= set(found) else None

        return look

    def tell(self) -> None:
        """The lines above the report, or in its place."""
        report = self.query_one(ReportView).report
        self.set_class(report is None, "empty")
        self.query_one(".about", Static).update(asked_words.about(self, self._enter))
        if report is None:
            self.query_one(".offer Static", Static).update(asked_words.offer(self, self._enter))
        self._keep_focus()
        if self.screen is self.dashboard.home:
            self.dashboard.home.tell()

    def _keep_focus(self) -> None:
        """The focus stays in this tab when what had it gives way to the other."""
        empty = self.has_class("empty")
        shown, hidden = (".offer", "ReportView") if empty else ("ReportView", ".offer")
        if self.query_one(hidden).has_focus:
            self.screen.set_focus(self.query_one(shown))

    def on_descendant_focus(self) -> None:
        """Enter means something here now."""
        self.tell()

    on_descendant_blur = on_descendant_focus

    @property
    def _enter(self) -> tuple[str, str]:
        """How enter is reached."""
        return ("↵" if self.has_focus_within else "tab ↵", "bold $accent")

    def status(self) -> list[str]:
        """For the line on top: the snapshot and the split."""
        split = self.told.identity.get("split") if self.told is not None else None
        return [f"epoch {self.epoch}" if self.epoch else "", str(split or "")]

    def on_job_news(self, message: JobNews) -> None:
        """A job of this question goes on, or came to its end."""
        if message.job.arguments[:2] != ("analyze", self.question):
            return
        if message.job.alive:
            self.tell()
        else:
            self._shown = None
            self.reload()

    def ask(self, question: str) -> None:
        """Open the form of a question as soon as it is known what was answered."""
        if question != self.question:
            self.question, self.told, self._shown = question, None, None
        self._wanted = True
        self.reload()

    def form(self) -> None:
        """Open the form of this question's options for the chosen runs."""
        asked, told = self.asked, self.told
        if asked is None or not self.chosen:
            return
        problems = {s.label for s in told.said if s.problem} if told is not None else set()
        missing = {s.label for s in told.missing} if told is not None else set()
        wanted = [
            questions.place(run.path)
            for name, run in self.runs()
            if name not in problems and (name in missing or not missing)
        ]
        if not wanted:
            self.notify(f"none of the chosen runs can be asked: {', '.join(sorted(problems))}", severity="warning")
            return
        identity = told.identity if told is not None else {}
        given = {**identity.get("options", {}), **(identity.get("draws") or {})}
        if identity.get("split"):
            given["split"] = identity["split"]
        self.app.push_screen(AskForm(asked, wanted, self.dashboard.start, epoch=self.epoch, given=given))

    # Answers to keys.

    def do_open(self) -> bool:
        """The form where something was not asked yet; else what is under the cursor."""
        told = self.told
        if self.asked is None or told is None or not self.has_focus_within:
            return False
        if told.answered and not told.missing and not self.lost_images(told) and self.query(Gallery):
            return False
        self.form()
        return True

    def do_next_page(self) -> None:
        """The next snapshot of the runs."""
        self._turn(1)

    def do_previous_page(self) -> None:
        """The snapshot before."""
        self._turn(-1)

    def _turn(self, by: int) -> None:
        there = questions.snapshots([run for _, run in self.runs()])
        at = there.index(self.epoch) if self.epoch in there else len(there) - 1
        if 0 <= at + by < len(there):
            self.epoch, self.told = there[at + by], None
            self.reload()
        else:
            self.notify("no snapshot before this one" if by < 0 else "these are the last weights", timeout=2)

    def do_refresh(self) -> bool:
        """Read the answers anew; the runs too."""
        self._shown = None
        self.reload()
        return False

    def sheet(self) -> Sheet | None:
        """The report's first table, else its named values."""
        report = self.query_one(ReportView).report
        if report is None:
            return None
        for block in report.blocks:
            if isinstance(block, Table):
                return Sheet(self.question, block.columns, block.rows)
        for block in report.blocks:
            if isinstance(block, Scalars):
                return Sheet(self.question, ("name", "value"), tuple(block.values.items()))
        return None


def tab(question: str, title: str, *, first: str = "") -> type[AnalysisPane]:
    """A tab of one question; the block of the title `first` stands on top."""
    return type(
        f"{title.replace('·', '').replace(' ', '')}Pane",
        (AnalysisPane,),
        {"TITLE": title, "QUESTION": question, "FIRST": first, "__doc__": f"The tab of {question}."},
    )


class OtherPane(AnalysisPane):
    """The tab of whatever else is asked."""

    TITLE = "More"

"""What a tab is about: a question, the runs it is put to, what they answered, and the job that asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from fierce_tools.runs import Run
from fierce_tools.tui import questions
from fierce_tools.tui.jobs import Job
from fierce_tools.tui.panes import Chosen, Pane
from fierce_tools.tui.questions import Question, Told

if TYPE_CHECKING:
    from fierce_tools.tui.app import Dashboard


class Asked(Pane):
    """A question and the chosen runs."""

    QUESTION: ClassVar[str] = ""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.question = self.QUESTION
        self.chosen: tuple[Chosen, ...] = ()
        self.epoch: str | None = None
        self.told: Told | None = None

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return self.app  # type: ignore[return-value]

    @property
    def asked(self) -> Question | None:
        """The question this tab is about."""
        return questions.questions().get(self.question)

    def runs(self) -> list[tuple[str, Run]]:
        """The chosen runs under their names; folded seeds one by one."""
        return [(c.run.name, c.run) for c in singly(self.chosen)]

    @property
    def job(self) -> Job | None:
        """The newest job that asks this question of one of the chosen runs."""
        job = self._newest
        answered = self.told is not None and bool(self.told.answered) and not self.told.missing
        return None if job is None or job.state == "done" or (job.finished and answered) else job

    @property
    def printed(self) -> list[str]:
        """What the newest job printed, of a question whose answers are not kept: an experiment."""
        job = self._newest
        trains = self.asked is not None and self.asked.trains
        return job.output if trains and job is not None and job.state == "done" else []

    @property
    def _newest(self) -> Job | None:
        paths = [questions.place(run.path) for _, run in self.runs()]
        for job in reversed(self.dashboard.jobs.all):
            said = job.arguments[2:]
            if job.arguments[:2] == ("analyze", self.question) and any(_within(a, p) for a in said for p in paths):
                return job
        return None

    def lost_images(self, told: Told) -> bool:
        """Whether an answer names images that were not kept with it."""
        return any(
            s.images() is None for s in told.answered if s.report is not None and questions.names_images(s.report)
        )

    def command(self, given: dict[str, Any] | None = None) -> list[str]:
        """The command that asks those that were not asked yet, else all of them."""
        asked, told = self.asked, self.told
        assert asked is not None
        missing = [s.label for s in told.missing] if told is not None else []
        paths = [questions.place(run.path) for name, run in self.runs() if name in missing or not missing]
        return questions.command(asked, paths, self.epoch, given or {})


def singly(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Every run, folded seeds one by one."""
    return [member for c in chosen for member in (c.members or (c,))]


def _within(argument: str, path: str) -> bool:
    return argument == path or argument.startswith(f"{path}/epochs/")

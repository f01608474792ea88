"""The tab of jobs: what runs, what ran, and what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option as Line

from fierce_tools.drawn.cells import show_age
from fierce_tools.tui.jobs import TELLING, Job, JobNews, bar
from fierce_tools.tui.panes import Chosen, Pane, Sheet
from fierce_tools.tui.prompt import Confirm
from fierce_tools.tui.scroll import Scroll

if TYPE_CHECKING:
    from fierce_tools.tui.asking import Asking

SIGNS = {"running": "●", "stopping": "◌", "done": "✓", "failed": "✗", "cancelled": "■"}
STYLES = {
    "running": "$primary",
    "stopping": "$warning",
    "done": "$success",
    "failed": "$error",
    "cancelled": "$warning",
}
EMPTY = "no job yet: a asks the chosen runs, T trains; both show their command first"


class JobsPane(Pane, can_focus=True):
    """Jobs, the newest on top, over the log of the current one."""

    TITLE = "Jobs"
    DEFAULT_CSS = """
    JobsPane {
        layout: vertical; height: 1fr;
        #job-list, #job-list:focus { height: auto; max-height: 40%; border: none; padding: 0; background: $background; }
        #job-about { height: auto; max-height: 4; padding: 0 1; border-top: solid $panel; }
        #job-log { height: 1fr; padding: 0 1; }
        #job-text { height: auto; text-wrap: nowrap; }
        &.empty #job-list, &.empty #job-log { display: none; }
        &.empty #job-about { border: none; padding: 1 2; color: $text-muted; }
    }
    """

    @property
    def asking(self) -> Asking:
        """The app."""
        return self.app  # type: ignore[return-value]

    @property
    def jobs(self) -> list[Job]:
        """The newest first."""
        return self.asking.jobs.all[::-1]

    def compose(self) -> ComposeResult:
        """The list, what the current job is, its log."""
        options = OptionList(id="job-list", markup=False)
        options.can_focus = False  # keys go to the tab
        yield options
        yield Static(EMPTY, id="job-about", markup=False)
        with Scroll(id="job-log", can_focus=False):
            yield Static(id="job-text", markup=False)

    def on_mount(self) -> None:
        """Seconds go by."""
        self.draw()
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        if self.asking.jobs.running() and self.display and self.is_on_screen:
            self.draw()

    def show(self, chosen: tuple[Chosen, ...]) -> None:
        """Jobs are of no run: draw what changed."""
        self.draw()

    def on_job_news(self, message: JobNews) -> None:
        """A job began, went on, or ended."""
        if self.is_on_screen:
            self.draw()

    @property
    def current(self) -> Job | None:
        """The job under the cursor."""
        at = self.query_one("#job-list", OptionList).highlighted
        jobs = self.jobs
        return jobs[at] if at is not None and at < len(jobs) else jobs[0] if jobs else None

    def draw(self) -> None:
        """The list, and the current job."""
        jobs, options = self.jobs, self.query_one("#job-list", OptionList)
        self.set_class(not jobs, "empty")
        if not jobs:
            self.query_one("#job-about", Static).update(EMPTY)
            return
        before = self.current
        if options.option_count != len(jobs):
            options.clear_options()
            options.add_options(Line(self._line(job), id=str(job.number)) for job in jobs)
            options.highlighted = 0 if before is None or not before.alive else jobs.index(before)
        else:
            for number, job in enumerate(jobs):
                options.replace_option_prompt_at_index(number, self._line(job))
        self._draw_current()

    def _draw_current(self) -> None:
        job = self.current
        if job is None:
            return
        about = Text.assemble((f"$ {job.command}", self._hue("$success")))
        if job.problem:
            about.append(f"\n✗ {job.problem}", self._hue("$error"))
        elif job.note:
            about.append(f"\n{job.note}")
        self.query_one("#job-about", Static).update(about)
        log, box = list(job.log), self.query_one("#job-log", Scroll)
        following = box.scroll_offset.y >= box.max_scroll_y - 1
        text = Text("\n").join(Text(line, "" if stream == "out" else "dim") for stream, line in log[-500:])
        self.query_one("#job-text", Static).update(text)
        if following:
            box.scroll_end(animate=False)

    def _hue(self, name: str) -> str:
        return self.app.theme_variables.get(name[1:], "default")

    def _line(self, job: Job) -> Text:
        share = f"{job.share:4.0%} {bar(job.share, 8)}" if job.share is not None and job.alive else ""
        text = Text.assemble((f" {SIGNS[job.state]} ", self._hue(STYLES[job.state])), f"{job.title:<28.28} ")
        return text.append(f"{job.state:<9} {show_age(job.seconds):>6} {share}", "dim")

    def on_option_list_option_highlighted(self) -> None:
        """Another job's log."""
        self._draw_current()

    # Answers to keys.

    def _move(self, action: str) -> None:
        getattr(self.query_one("#job-list", OptionList), f"action_{action}")()

    def do_up(self) -> None:
        """The job above."""
        self._move("cursor_up")

    def do_down(self) -> None:
        """The job below."""
        self._move("cursor_down")

    def do_page_up(self) -> None:
        """Back in the log."""
        self.query_one("#job-log", Scroll).scroll_page_up(animate=False)

    def do_page_down(self) -> None:
        """On in the log."""
        self.query_one("#job-log", Scroll).scroll_page_down(animate=False)

    def do_top(self) -> None:
        """The log's first line."""
        self.query_one("#job-log", Scroll).scroll_home(animate=False)

    def do_bottom(self) -> None:
        """The log's last line."""
        self.query_one("#job-log", Scroll).scroll_end(animate=False)

    def do_copy(self) -> bool:
        """The current job's command to the clipboard."""
        job = self.current
        if job is None:
            return False
        self.app.copy_to_clipboard(job.command)
        self.notify("the command is in the clipboard")
        return True

    def do_cancel(self) -> bool:
        """End the current job; asks."""
        job = self.current
        if job is None or job.state != "running":
            return False
        confirm_cancel(self.asking, job)
        return True

    def sheet(self) -> Sheet | None:
        """Every job as a row."""
        rows = tuple((j.title, j.state, round(j.seconds, 1), j.code, j.command) for j in self.jobs)
        return Sheet("jobs", ("job", "state", "seconds", "exit code", "command"), rows) if rows else None


def confirm_cancel(app: Asking, job: Job) -> None:
    """Ask whether a job is to be ended, and end it."""

    def answered(yes: bool | None) -> None:
        if yes:
            app.run_worker(app.jobs.cancel(job), name="cancel", exit_on_error=False)

    saves = " A training saves first and can be resumed." if job.arguments[0] in TELLING else ""
    app.push_screen(Confirm(f"cancel {job.title}?{saves}"), answered)

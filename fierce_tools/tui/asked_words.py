"""What a tab of a question says in words: above an answer, or in its place."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from fierce_tools.tui import questions
from fierce_tools.tui.asked import Asked
from fierce_tools.tui.jobs import Job, bar
from fierce_tools.tui.questions import Question, Told

# Options that are always said in the line above an answer, other than those that differ from their defaults.
SAID = ("temperature",)
# A text and its style: how enter is reached.
Text = tuple[str, str]


def about(tab: Asked, enter: Text) -> Content:
    """The lines above an answer."""
    lines: list[Content] = []
    told, asked = tab.told, tab.asked
    if told is not None and asked is not None and told.answered:
        lines.append(Content.from_text(" · ".join(facts(tab, told, asked)), markup=False))
        for said in told.said:
            if said.problem:
                lines.append(Content.styled(f"{said.label}: {said.problem}", "$warning"))
        names = [s.label for s in told.missing]
        if names:
            lines.append(Content.assemble(enter, f" asks {_listed(names)} too"))
        if asked is not None and tab.lost_images(told):
            lines.append(Content.assemble(enter, " fetches the images themselves"))
    job = tab.job
    if job is not None and told is not None and told.answered:
        lines.append(_running(job))
    return Content("\n").join(lines)


def facts(tab: Asked, told: Told, asked: Question) -> list[str]:
    """What was asked, and of which weights."""
    identity = told.identity
    given = {**identity.get("options", {}), **(identity.get("draws") or {})}
    found = [asked.name, f"{identity['split']} split" if identity.get("split") else ""]
    for _, option in asked.options():
        if option.name not in given:
            continue
        value = given[option.name]
        plain = tuple(value) if isinstance(value, list) else value
        if plain != option.default or option.name in SAID:
            name = "T =" if option.name == "temperature" else option.name.replace("_", " ")
            found.append(f"{name} {questions.written(option, plain)}")
    snapshots = questions.snapshots([run for _, run in tab.runs()])
    if len(snapshots) > 1:
        found.append(f"{'epoch ' + tab.epoch if tab.epoch else 'last weights'} [ ]")
    return [fact for fact in found if fact]


def offer(tab: Asked, enter: Text) -> Content:
    """What stands in the place of an answer: what may be asked, or how the asking goes."""
    asked, told = tab.asked, tab.told
    if asked is None:
        return Content.assemble(("a", "bold $accent"), " asks the chosen runs a question: each has a form")
    if not tab.chosen:
        return Content("no run is marked, and none is under the cursor")
    if told is None:
        return Content("reading…")
    head = [Content.styled(asked.summary, "bold"), Content("")]
    for said in told.said:
        if said.problem:
            head.append(Content.styled(f"{said.label}: {said.problem}", "$warning"))
    job = tab.job
    if job is not None and job.alive:
        return Content("\n").join([*head, _running(job)])
    if job is not None and job.state in ("failed", "cancelled"):
        head += [_running(job), *(Content.styled(text, "dim") for _, text in list(job.log)[-6:]), Content("")]
    if not told.missing:
        return Content("\n").join(head)
    if tab.printed:
        head += [*(Content(line) for line in tab.printed), Content("")]
        return Content("\n").join([*head, Content.assemble(enter, " asks again, with other options")])
    at = f" at epoch {tab.epoch}" if tab.epoch else ""
    head += [
        Content(f"Not asked yet: {_listed([s.label for s in told.missing])}{at}."),
        Content.assemble(enter, " for its options, and to run"),
        Content.styled(f"$ {questions.shown(tab.command())}", "$success"),
    ]
    return Content("\n").join(head)


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _running(job: Job) -> Content:
    if job.state == "failed":
        return Content.styled(f"✗ {job.problem}", "$error")
    if job.state == "cancelled":
        return Content.styled("■ cancelled", "$warning")
    share = f" {job.share:.0%} {bar(job.share, 10)}" if job.share is not None else ""
    word = "stopping" if job.state == "stopping" else "asking"
    return Content.styled(f"● {word}{share} · {job.seconds:.0f} s · {job.command}", "$primary")

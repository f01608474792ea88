"""Forms made from options; the command they stand for is always in sight, and can be taken along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import DescendantFocus, Resize
from textual.widgets import Input, Label, Static

from fierce_tools.binding import Option
from fierce_tools.errors import UsageError
from fierce_tools.tui import questions
from fierce_tools.tui.fields import Field
from fierce_tools.tui.panes import Page
from fierce_tools.tui.questions import Question
from fierce_tools.tui.scroll import Scroll

Part = TypeVar("Part", Scroll, Static)
Run = Callable[[str, list[str]], None]
NARROW = 96
# Lines above and below the screen whose fields are mounted too.
MARGIN = 5


class Form(Page):
    """Fields under headings. `run` is called with a title and the command's arguments when it is sent off."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,down", "go(1)", "next", show=False),
        Binding("shift+tab,up", "go(-1)", "previous", show=False),
        Binding("enter", "send", "run", show=False),
        Binding("ctrl+r", "send", "run", show=False, priority=True),
        Binding("ctrl+y", "copy", "copy the command", show=False, priority=True),
        Binding("ctrl+d", "reset", "defaults", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    Form {
        background: $background;
        #title { height: 1; background: $surface; padding: 0 1; text-style: bold; width: 1fr; }
        #summary { height: auto; max-height: 2; padding: 0 1; color: $text-muted; width: 1fr; }
        #fields { height: 1fr; padding: 1 1 0 1; }
        .heading { color: $primary; text-style: bold; margin-top: 1; }
        .heading:first-child { margin-top: 0; }
        #below { height: auto; max-height: 9; border-top: solid $panel; }
        #meaning { height: auto; min-height: 1; max-height: 3; padding: 0 1; color: $text-muted; }
        #meaning.wrong { color: $error; }
        #command { height: auto; max-height: 4; padding: 0 1; color: $success; }
        #keys { height: 1; background: $surface; color: $text-muted; padding: 0 1; }
        &.narrow .help { display: none; }
        &.narrow .editor { width: 1fr; }
    }
    """

    def __init__(self, title: str, summary: str, run: Run) -> None:
        super().__init__()
        self.heading, self.summary = title, summary
        self._run = run
        self._fields: list[Field] = []

    # What a form is made of.

    def groups(self) -> list[tuple[str, list[Field]]]:
        """Headings and their fields."""
        raise NotImplementedError

    def arguments(self) -> list[str]:
        """The command as it stands. Raises UsageError."""
        raise NotImplementedError

    def job(self) -> str:
        """What the job is called."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """Title, fields, what the field means, the command, the keys."""
        yield Label(self.heading, id="title", markup=False)
        yield Label(self.summary, id="summary", markup=False)
        with Scroll(id="fields", can_focus=False):
            yield from self.widgets()
        with Vertical(id="below"):
            yield Static(id="meaning", markup=False)
            yield Static(id="command", markup=False)
            yield Static(_keys(), id="keys")

    def widgets(self) -> list[Label | Field]:
        """Headings and fields in their order."""
        found: list[Label | Field] = []
        self._fields = []
        for heading, fields in self.groups():
            if fields:
                found += [Label(heading, classes="heading", markup=False), *fields]
                self._fields += fields
        return found

    def fields(self) -> list[Field]:
        """Every field, in sight or not."""
        return self._fields

    def values(self) -> dict[str, Any]:
        """Every value by its option's name. Raises UsageError."""
        return {field.option.name: field.value() for field in self.fields()}

    def _part(self, selector: str, kind: type[Part]) -> Part | None:
        """A part of the form; None before it is there, and when the form is being closed."""
        return next(iter(self.query(selector).results(kind)), None)

    # What happens in it.

    def on_mount(self) -> None:
        """The first field, and the command."""
        box = self._part("#fields", Scroll)
        if box is not None:
            self.watch(box, "scroll_y", self.reveal, init=False)
            self.begin()

    def begin(self) -> None:
        """Put the focus on the first field."""
        if self._fields:
            self._focus(self._fields[0])
        self.tell()
        self.call_after_refresh(self.reveal)

    def _focus(self, field: Field) -> None:
        if field.reveal():
            # At once, not with the next message: keys that were typed ahead belong to this field.
            self.set_focus(field.editor, scroll_visible=False)
            # The field has its place in the form before its new editor has one.
            self.call_after_refresh(self._show, field)

    def _show(self, field: Field) -> None:
        if field.is_attached and not self.can_view_entire(field):
            self.scroll_to_center(field, animate=False, origin_visible=True)

    def action_go(self, step: int) -> None:
        """Move the focus by `step` fields, wrapping at the ends."""
        current, fields = self._current(), self._fields
        if fields:
            self._focus(fields[(fields.index(current) + step) % len(fields) if current in fields else 0])

    def reveal(self) -> None:
        """Mount what is in sight, and a few lines around it."""
        box = self._part("#fields", Scroll)
        if box is None:
            return
        first, last = box.scroll_y - MARGIN, box.scroll_y + box.size.height + MARGIN
        with self.app.batch_update():
            for field in self._fields:
                if field.virtual_region and first <= field.virtual_region.y <= last:
                    field.reveal()

    def on_resize(self, event: Resize) -> None:
        """Explanations beside the fields only where there is room."""
        self.set_class(event.size.width < NARROW, "narrow")
        self.call_after_refresh(self.reveal)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Say what the field with the focus means."""
        self.tell()

    async def on_field_changed(self, event: Field.Changed) -> None:
        """Another command."""
        self.tell()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_send()

    def do_open(self) -> None:
        """Run it."""
        self.action_send()

    def _checked(self) -> tuple[str, list[str]]:
        """The first problem, the focused field before others; or no problem and the command's arguments."""
        current = self._current()
        for field in [*([current] if current is not None else []), *self._fields]:
            if field.problem:
                return field.problem, []
        try:
            return "", self.arguments()
        except UsageError as error:
            return str(error), []

    def _current(self) -> Field | None:
        focused = self.focused
        return next((a for a in focused.ancestors if isinstance(a, Field)), None) if focused is not None else None

    def tell(self) -> None:
        """Show the command, and the problem or the meaning of the field."""
        meaning, command = self._part("#meaning", Static), self._part("#command", Static)
        if meaning is None or command is None:
            return
        current = self._current()
        problem, arguments = self._checked()
        meaning.set_class(bool(problem), "wrong")
        meaning.update(problem or (current.meaning if current is not None else ""))
        if not problem:
            command.update(f"$ {questions.shown(arguments)}")

    def action_send(self) -> None:
        """Run it, unless something is wrong."""
        problem, arguments = self._checked()
        if problem:
            self.notify(problem, severity="error", markup=False)
            return
        title = self.job()
        self.dismiss()
        self._run(title, arguments)

    def action_copy(self) -> None:
        """The command to the clipboard."""
        problem, arguments = self._checked()
        if problem:
            self.notify(problem, severity="error", markup=False)
            return
        self.app.copy_to_clipboard(questions.shown(arguments))
        self.notify("the command is in the clipboard")

    do_copy = action_copy

    def action_reset(self) -> None:
        """Every field as it was."""
        self.call_later(self.rebuild)

    async def rebuild(self, focus: str = "") -> None:
        """Replace every field; the focus goes to the field of the option `focus`, or to the first.

        Called from the form's own messages only, so that two rebuilds never overlap.
        """
        box = self._part("#fields", Scroll)
        if box is None:
            return
        await box.remove_children()
        if not self.is_attached:  # the form was closed in the meantime
            return
        await box.mount_all(self.widgets())
        chosen = next((field for field in self._fields if field.option.name == focus), None)
        if chosen is None:
            self.begin()
        else:
            self._focus(chosen)
            self.call_after_refresh(self.reveal)


class AskForm(Form):
    """The options of one analysis, for some runs."""

    def __init__(
        self,
        question: Question,
        paths: Sequence[str],
        run: Run,
        *,
        epoch: str | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        what = ", ".join(p.rstrip("/").rpartition("/")[2] for p in paths[:3]) + (", …" if len(paths) > 3 else "")
        super().__init__(f"{question.name} of {what}{f' at epoch {epoch}' if epoch else ''}", question.summary, run)
        self.question, self.paths, self.epoch = question, paths, epoch
        self.given = dict(given or {})

    def groups(self) -> list[tuple[str, list[Field]]]:
        """The data, then the analysis's own options."""
        found: dict[str, list[Field]] = {}
        for group, option in self.question.options():
            found.setdefault(group, []).append(Field(option, self._value(option)))
        return list(found.items())

    def _value(self, option: Option) -> Any:
        try:
            return option.convert(self.given[option.name]) if option.name in self.given else option.default
        except UsageError:
            return option.default

    def arguments(self) -> list[str]:
        """`analyze NAME PATH…` with what differs from the defaults."""
        return questions.command(self.question, self.paths, self.epoch, self.values())

    def job(self) -> str:
        """The analysis and the first run."""
        more = f" +{len(self.paths) - 1}" if len(self.paths) > 1 else ""
        return f"{self.question.name} {self.paths[0].rstrip('/').rpartition('/')[2]}{more}"


def _keys() -> Content:
    keys = (
        ("enter", "run"),
        ("^y", "copy"),
        ("tab ↓↑", "move"),
        ("space", "choose"),
        ("^d", "defaults"),
        ("esc", "back"),
    )
    parts: list[tuple[str, str]] = []
    for key, word in keys:
        parts += [(key, "bold $accent"), (f" {word}  ", "")]
    return Content.assemble(*parts)

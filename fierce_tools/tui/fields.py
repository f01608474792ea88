"""One option as a line of a form: its name, a way to set it, and what it means."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.css.query import NoMatches
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label, Select, Static, Switch
from textual.widgets.select import NoSelection

from fierce_tools.binding import KINDS, Option
from fierce_tools.errors import UsageError
from fierce_tools.tui.questions import written

NONE = "none"


class Choice(Select[str], inherit_bindings=False):
    """A list to choose from; arrows go on to the next line, space opens it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "show_overlay", "choose", show=False)]

    # A form that is closed while it is being mounted has removed the list and the label that these two fill.

    def _setup_options_renderables(self) -> None:
        with contextlib.suppress(NoMatches):
            super()._setup_options_renderables()

    def _watch_value(self, value: str | NoSelection) -> None:
        with contextlib.suppress(NoMatches):
            super()._watch_value(value)


class Toggle(Switch, inherit_bindings=False):
    """Yes or no, as a word."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,left,right", "toggle_switch", "change", show=False),
    ]
    DEFAULT_CSS = """
    Toggle, Toggle:focus { border: none; padding: 0 1; height: 1; width: 8; background: $surface; color: $foreground; }
    Toggle:focus { background: $panel; text-style: bold; }
    """

    def render(self) -> str:
        """The word."""
        return "● yes" if self.value else "○ no"


class Field(Horizontal):
    """An option and its value."""

    DEFAULT_CSS = """
    Field {
        height: 1; width: 1fr;
        .name { width: 24; padding: 0 1 0 2; }
        .editor { width: 30; }
        .help { width: 1fr; height: 1; color: $text-muted; padding: 0 0 0 2; text-overflow: ellipsis; text-wrap: nowrap; }
        Input, Input:focus { border: none; height: 1; padding: 0 1; background: $surface; }
        Input:focus { background: $panel; }
        Choice { height: 1; }
        Choice > SelectCurrent, Choice:focus > SelectCurrent { border: none; height: 1; padding: 0 1; background: $surface; }
        Choice:focus > SelectCurrent { background: $panel; text-style: bold; }
        &.changed .name { color: $accent; }
        &.wrong .name { color: $error; }
        &:focus-within .name { text-style: bold; }
    }
    """  # noqa: E501

    class Changed(Message):
        """Another value was set."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    def __init__(self, option: Option, value: Any, *, default: Any = None) -> None:
        super().__init__()
        self.option = option
        self.default = option.default if default is None else default
        self._raw = self._initial(value)
        self._editor: Choice | Toggle | Input | None = None

    def _initial(self, value: Any) -> Any:
        option = self.option
        if option.kind == "bool":
            return bool(value)
        if option.kind == "choice":
            chosen = NONE if value is None else str(value)
            return chosen if chosen in self._choices else self._choices[0]
        return "" if value is None else written(option, value)

    @property
    def _choices(self) -> list[str]:
        return [*([NONE] if self.option.optional else []), *self.option.choices]

    def reveal(self) -> bool:
        """Mount the name, the editor and the help, once; a field far from the screen is an empty line.

        False where it cannot be done: the field is not mounted itself, or being removed.
        """
        if self._editor is None and self.is_mounted and self.is_attached:
            name = Label(self.label, classes="name", markup=False)
            self._editor = self._make_editor()
            self.mount(name, self._editor, Static(self.option.help, classes="help", markup=False))
            self._mark()
        return self._editor is not None

    def _make_editor(self) -> Choice | Toggle | Input:
        option = self.option
        if option.kind == "bool":
            return Toggle(self._raw, animate=False, classes="editor")
        if option.kind == "choice":
            pairs = [(c, c) for c in self._choices]
            return Choice(pairs, value=self._raw, allow_blank=False, compact=True, classes="editor")
        hint = NONE if option.optional else option.shown_default
        return Input(self._raw, placeholder=hint, compact=True, select_on_focus=False, classes="editor")

    @property
    def label(self) -> str:
        """Its name as it is shown."""
        return self.option.name.replace("_", " ")

    @property
    def editor(self) -> Widget:
        """What takes the focus; there is none before the field was revealed."""
        assert self._editor is not None, "reveal() comes first"
        return self._editor

    @property
    def raw(self) -> Any:
        """The value as it is typed or chosen."""
        editor = self._editor
        return editor.value if editor is not None and editor.is_mounted else self._raw

    def value(self) -> Any:
        """The value as the option's type; an empty line is the default. Raises UsageError."""
        raw = self.raw
        if isinstance(raw, str) and not raw.strip():
            return self.default
        return self.option.convert(raw.strip() if isinstance(raw, str) else raw)

    @property
    def problem(self) -> str:
        """What is wrong with it, or nothing."""
        try:
            self.value()
        except UsageError as error:
            return str(error)
        return ""

    @property
    def flag(self) -> str:
        """As it is said on the command line."""
        return self.option.flag

    @property
    def meaning(self) -> str:
        """What it is and takes, in a line."""
        kind = "" if self.option.kind in ("choice", "bool") else f" ({KINDS[self.option.kind]})"
        default = f" · default {self.option.shown_default}" if self.option.shown_default else ""
        return f"{self.flag}{kind}: {self.option.help}{default}"

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Switch.Changed)
    def _on_changed(self, event: Input.Changed | Select.Changed | Switch.Changed) -> None:
        event.stop()
        if event.value == self._raw:  # editors report their initial value too
            return
        self._raw = event.value
        self._mark()
        self.post_message(self.Changed(self))

    def _mark(self) -> None:
        problem = self.problem
        self.set_class(bool(problem), "wrong")
        self.set_class(not problem and self.value() != self.default, "changed")

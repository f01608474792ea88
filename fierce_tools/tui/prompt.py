"""Asking a person: a line to type into, and a question with yes or no."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label

Checked = Callable[[str], str | None]


class PromptLine(Horizontal):
    """One line above the footer; escape leaves it, enter gives what was typed."""

    DEFAULT_CSS = """
    PromptLine {
        display: none; height: 1; background: $panel;
        &.open { display: block; }
        Label { padding: 0 1; color: $primary; text-style: bold; width: auto; }
        Input { width: 1fr; border: none; height: 1; padding: 0; background: $panel; }
        Input:focus { border: none; background: $panel; }
        .problem { color: $error; text-style: none; max-width: 60%; }
    }
    """

    class Closed(Message):
        """The line was closed."""

    def __init__(self) -> None:
        super().__init__(id="prompt")
        self._done: Callable[[str], None] | None = None
        self._changed: Checked | None = None
        self._left: Callable[[], None] | None = None

    def compose(self) -> ComposeResult:
        """A label, the line, and what is wrong with it."""
        yield Label("", classes="label", markup=False)
        yield Input(compact=True, select_on_focus=False)
        yield Label("", classes="problem", markup=False)

    def ask(
        self,
        label: str,
        value: str,
        done: Callable[[str], None],
        *,
        changed: Checked | None = None,
        left: Callable[[], None] | None = None,
    ) -> None:
        """Open the line. `changed` sees every change and may name a problem; with a problem enter does nothing."""
        self._done, self._changed, self._left = done, changed, left
        self.query_one(".label", Label).update(label)
        self.query_one(".problem", Label).update("")
        line = self.query_one(Input)
        with line.prevent(Input.Changed):
            line.value = value
        line.cursor_position = len(value)
        self.add_class("open")
        self.app.screen.set_focus(line)

    @property
    def asking(self) -> bool:
        """Whether the line is open."""
        return self.has_class("open")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Let the asker see it."""
        event.stop()
        if self.asking and self._changed is not None:
            self.query_one(".problem", Label).update(self._changed(event.value) or "")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give what was typed, unless there is a problem with it."""
        event.stop()
        problem = self._changed(event.value) if self._changed is not None else None
        if problem:
            self.query_one(".problem", Label).update(problem)
            return
        done, self._left = self._done, None
        self.close()
        if done is not None:
            done(event.value)

    def do_back(self) -> None:
        """Leave without an answer."""
        left = self._left
        self.close()
        if left is not None:
            left()

    def do_next_pane(self) -> None:
        """Typing goes on."""

    do_previous_pane = do_up = do_down = do_next_pane

    def close(self) -> None:
        """Close the line; the focus goes back."""
        self.remove_class("open")
        self._done = self._changed = self._left = None
        self.post_message(self.Closed())


class Confirm(ModalScreen[bool]):
    """A question; y or enter says yes, n or escape no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
    ]
    DEFAULT_CSS = """
    Confirm {
        align: center middle;
        Vertical {
            width: auto; max-width: 90%; height: auto; padding: 1 3; background: $surface; border: round $primary;
        }
        Label { width: auto; max-width: 100%; }
        .keys { color: $secondary; margin-top: 1; }
    }
    """

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        """The question and the keys."""
        with Vertical():
            yield Label(self.question, markup=False)
            yield Label("y yes   n no", classes="keys")

    def action_answer(self, yes: bool) -> None:
        """Give the answer."""
        self.dismiss(yes)


class Ask(ModalScreen[str | None]):
    """A line to type into, over whatever is there; `check` may name a problem, escape gives None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "leave")]
    DEFAULT_CSS = """
    Ask {
        align: center middle;
        Vertical { width: 72; max-width: 90%; height: auto; padding: 1 3; }
        Vertical { background: $surface; border: round $primary; }
        Input { border: none; height: 1; padding: 0; background: $panel; margin-top: 1; }
        Label { width: auto; max-width: 100%; }
        .problem { color: $error; }
    }
    """

    def __init__(self, question: str, value: str, check: Checked) -> None:
        super().__init__()
        self.question, self.value, self.check = question, value, check

    def compose(self) -> ComposeResult:
        """The question, the line, and what is wrong with it."""
        with Vertical():
            yield Label(self.question, markup=False)
            yield Input(self.value, compact=True, select_on_focus=False)
            yield Label("", classes="problem", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give what was typed, unless there is a problem with it."""
        event.stop()
        problem = self.check(event.value)
        if problem is None:
            self.dismiss(event.value)
        else:
            self.query_one(".problem", Label).update(problem)

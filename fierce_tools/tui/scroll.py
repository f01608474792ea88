"""What scrolls by the dashboard's own keys."""

from __future__ import annotations

from textual.containers import VerticalScroll


class Scroll(VerticalScroll, inherit_bindings=False):
    """A box whose contents scroll; the keys are those of the table of commands."""

    DEFAULT_CSS = "Scroll { scrollbar-size-vertical: 1; }"

    def do_up(self) -> None:
        """One line up."""
        self.scroll_relative(y=-1, animate=False)

    def do_down(self) -> None:
        """One line down."""
        self.scroll_relative(y=1, animate=False)

    def do_page_up(self) -> None:
        """A screenful up."""
        self.scroll_page_up(animate=False)

    def do_page_down(self) -> None:
        """A screenful down."""
        self.scroll_page_down(animate=False)

    def do_top(self) -> None:
        """To the first line."""
        self.scroll_home(animate=False)

    def do_bottom(self) -> None:
        """To the last line."""
        self.scroll_end(animate=False)

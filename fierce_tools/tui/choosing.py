"""What a person does with the runs: filter, sort, fold, mark, pin, tag, note."""

from __future__ import annotations

from collections.abc import Callable

from fierce_tools.tui import listing
from fierce_tools.tui.prompt import PromptLine
from fierce_tools.tui.watching import Watching

MARK_MOST = 64


class Choosing(Watching, inherit_bindings=False):
    """Answers to the keys that act on the lines of the table."""

    def do_filter(self) -> None:
        """Type a filter; it works while it is typed."""
        before = self.wanted

        def changed(text: str) -> str | None:
            problem = listing.problem_of(text)
            if problem is None:
                self.set_filter(text)
            return problem

        self.query_one(PromptLine).ask(
            "filter", self.wanted, self.set_filter, changed=changed, left=lambda: self.set_filter(before)
        )

    def set_filter(self, text: str) -> None:
        """Show only the runs that fit. Raises UsageError for what is no filter."""
        self.wanted = text.strip()
        self.rearrange()

    def do_sort(self) -> None:
        """By the next column that is shown."""
        keys = self.table.columns
        at = keys.index(self.sort) if self.sort in keys else -1
        self._sort(keys[(at + 1) % len(keys)], False)

    def do_reverse(self) -> None:
        """The other way round."""
        self._sort(self.sort, not self.reverse)

    def _sort(self, column: str, reverse: bool) -> None:
        self.sort, self.reverse = column, reverse
        self.dashboard.remember(sort=column, reverse=reverse)
        self.rearrange()

    def do_fold(self) -> None:
        """Seeds as one row, and back."""
        self.fold = not self.fold
        self.dashboard.remember(fold=self.fold)
        self.rearrange()
        out = sum(len(line.left_out) for line in self.lines)
        if self.fold and out:
            self.notify(
                f"{out} run{'s do' if out > 1 else ' does'} not count in the means over seeds; ↵ on a row says why",
                timeout=6,
            )

    def do_mark(self) -> None:
        """Mark the run under the cursor, or no longer."""
        line = self.table.current
        if line is None:
            return

        def change() -> None:
            marks = self.memory.marks
            if any(name in marks for name in line.members):
                for name in line.members:
                    marks.pop(name, None)
            else:  # seeds that were folded share a colour
                marks.update(dict.fromkeys(line.members, self.memory.colour_for(line.key)))

        self._mark(change)
        if self.table in self._path():
            self.table.do_down()

    def do_mark_all(self) -> None:
        """No marks where there are any; else all that are shown."""

        def change() -> None:
            if self.marked():
                self.memory.marks.clear()
                return
            for line in self.lines:
                self.memory.marks.update(dict.fromkeys(line.members, self.memory.colour_for(line.key)))

        if not self.marked() and len(self.lines) > MARK_MOST:
            self.notify(
                f"more than {MARK_MOST} runs are too many to be drawn together; filter first", severity="warning"
            )
            return
        self._mark(change)

    def _mark(self, change: Callable[[], None]) -> None:
        self.dashboard.change(change, soon=False)
        self.table.remark(self._signs())
        self.choose()
        self.tell()

    def do_pin(self) -> None:
        """Keep the run on top, or no longer."""
        line = self.table.current
        if line is not None:
            names = {*line.members}
            self._change(lambda: self.memory.pins.symmetric_difference_update(names))

    def do_tag(self) -> None:
        """Type the tags of the run under the cursor."""
        line = self.table.current
        if line is None:
            return
        names = line.members
        value = " ".join(self.memory.tags.get(names[0], []))

        def done(text: str) -> None:
            tags = list(dict.fromkeys(text.replace(",", " ").split()))
            self._change(lambda: self.memory.tags.update(dict.fromkeys(names, tags)))

        self.query_one(PromptLine).ask(f"tags of {line.row['name']}", value, done)

    def do_note(self) -> None:
        """Type the note of the run under the cursor."""
        line = self.table.current
        if line is None:
            return
        names = line.members

        def done(text: str) -> None:
            self._change(lambda: self.memory.notes.update({name: text.strip() for name in names}))

        self.query_one(PromptLine).ask(f"note on {line.row['name']}", self.memory.notes.get(names[0], ""), done)

    def do_refresh(self) -> None:
        """Read every file anew."""
        self.store.reread()
        self.look()

    def do_pause(self) -> None:
        """Hold still, and go on."""
        self.paused = not self.paused
        self.look()
        self.tell()

    def _change(self, change: Callable[[], None]) -> None:
        self.dashboard.change(change)
        self._rows.clear()
        self.rearrange()

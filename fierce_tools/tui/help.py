"""Help and the palette, made from the table of keys."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from fierce_tools.tui import settings
from fierce_tools.tui.keys import COMMANDS, Command, shown
from fierce_tools.tui.panes import Page

if TYPE_CHECKING:
    from fierce_tools.tui.app import Dashboard

FILTERS = (
    ("digits small", "runs that hold both words, in any column"),
    ("loss:fierce  tag:keep", "a column that holds a word from its start"),
    ("acc>0.85  ece<=0.05", "a number; acc is the last accuracy, best the best one"),
    ("-loss:ce", "what does not hold"),
    ("mnist | cifar", "either"),
)
WIDE = 96


def rows(commands: Iterable[Command]) -> list[tuple[str, str, str]]:
    """Group, keys and help of every command that has a key; the numbered tabs once."""
    found = []
    for command in commands:
        if not command.keys or command.id in {f"tab_{n}" for n in range(2, 10)}:
            continue
        keys = "1…9" if command.id == "tab_1" else "  ".join(shown(k) for k in command.keys)
        found.append((command.group, keys, "open that tab" if command.id == "tab_1" else command.help))
    return found


def markdown(commands: Iterable[Command] = COMMANDS) -> str:
    """The keys as a table for a README."""
    lines = ["| key | does |", "|---|---|"]
    for _, keys, text in rows(commands):
        written = ", ".join(f"`{key}`" for key in keys.split())
        lines.append(f"| {written} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


class Help(Page):
    """Every key there is, the filters, and where what is kept."""

    DEFAULT_CSS = """
    Help {
        background: $background;
        VerticalScroll { padding: 1 2; scrollbar-size-vertical: 1; }
        Static { height: auto; }
    }
    """

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return self.app  # type: ignore[return-value]

    def compose(self) -> ComposeResult:
        """One text that scrolls."""
        with VerticalScroll():
            yield Static(id="help-text")

    def on_resize(self) -> None:
        """In two columns where there is room."""
        self.query_one("#help-text", Static).update(self.text(self.size.width - 5))

    def text(self, width: int) -> Content:
        """All of it, for that many cells."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for group, keys, text in rows(self.dashboard.commands.values()):
            groups.setdefault(group, []).append((keys, text))
        groups["Filters"] = list(FILTERS)
        kept = [
            ("settings", str(settings.path())),
            ("marks, tags, notes", str(self.dashboard.memory.path)),
            *(("ignored", problem) for problem in self.dashboard.settings.problems),
        ]
        blocks = [*groups.items(), ("Kept in", kept)]
        if width < WIDE:
            return _joined([_block(name, lines, width) for name, lines in blocks])
        half = (width - 4) // 2
        made = [_block(name, lines, half) for name, lines in blocks[:-1]]
        left, right = _balanced(made)
        beside = []
        for n in range(max(len(left), len(right))):
            a = left[n] if n < len(left) else Content("")
            b = right[n] if n < len(right) else Content("")
            beside.append(Content.assemble(a, " " * (half + 4 - a.cell_length), b))
        return _joined([beside, _block(*blocks[-1], width)])

    def do_down(self) -> None:
        """A line down."""
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def do_up(self) -> None:
        """A line up."""
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def do_page_down(self) -> None:
        """A screenful down."""
        self.query_one(VerticalScroll).scroll_page_down(animate=False)

    def do_page_up(self) -> None:
        """A screenful up."""
        self.query_one(VerticalScroll).scroll_page_up(animate=False)

    do_help = Page.do_back
    do_quit = Page.do_back


def _block(name: str, lines: list[tuple[str, str]], width: int) -> list[Content]:
    first = min(max(len(k) for k, _ in lines) + 2, 24)
    found = [Content.styled(name, "bold $primary")]
    for key, text in lines:
        words, start = text.split(), True
        room = max(width - first - 2, 10)
        line = ""
        wrapped = []
        for word in words:
            if line and len(line) + 1 + len(word) > room:
                wrapped.append(line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        for part in [*wrapped, line]:
            head = key.ljust(first) if start else " " * first
            found.append(Content.assemble(("  " + head, "$accent"), (part, "")))
            start = False
    return [*found, Content("")]


def _balanced(blocks: list[list[Content]]) -> tuple[list[Content], list[Content]]:
    """Blocks in their order in two columns of about the same height."""
    total = sum(map(len, blocks))
    best = min(range(len(blocks) + 1), key=lambda n: abs(total - 2 * sum(map(len, blocks[:n]))))
    return [c for b in blocks[:best] for c in b], [c for b in blocks[best:] for c in b]


def _joined(blocks: list[list[Content]]) -> Content:
    return Content("\n").join([line for block in blocks for line in block])


class Palette(Provider):
    """The commands that mean something on the screen below."""

    def _commands(self) -> list[Command]:
        app: Any = self.app
        return [
            c
            for c in app.commands.values()
            if c.group != "Moving" and c.id != "palette" and app.answers(c.id, self.screen)
        ]

    def _run(self, command: str) -> Any:
        app: Any = self.app
        return app.action_command(command)

    async def discover(self) -> Hits:
        """All of them."""
        for c in self._commands():
            yield DiscoveryHit(_named(c), partial(self._run, c.id), help=c.help)

    async def search(self, query: str) -> Hits:
        """Those whose label or help fits."""
        matcher = self.matcher(query)
        for c in self._commands():
            score = max(matcher.match(c.label), matcher.match(c.help), matcher.match(c.id.replace("_", " ")))
            if score > 0:
                yield Hit(score, matcher.highlight(_named(c)), partial(self._run, c.id), help=c.help)


def _named(command: Command) -> str:
    keys = " ".join(shown(k) for k in command.keys)
    return f"{command.label} ({keys})" if keys else command.label

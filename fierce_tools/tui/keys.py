"""Every command of the dashboard, once: bindings, footer, help, palette and the README's table come from here."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Command:
    """What a key does. Whoever has a method `do_<id>` answers it; `label` is its word in the footer."""

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str


def _group(name: str, *rows: tuple[str, str, str, str]) -> tuple[Command, ...]:
    return tuple(Command(id, tuple(keys.split()), label, text, name) for id, keys, label, text in rows)


COMMANDS: tuple[Command, ...] = (
    *_group(
        "Everywhere",
        ("help", "question_mark", "help", "every key, and where what is kept"),
        ("filter", "slash", "filter", "filter the runs: words, tag:x, loss:fierce, acc>0.85, -x, |"),
        ("open", "enter", "open", "open what is under the cursor"),
        ("back", "escape", "back", "close, clear a filter, leave"),
        ("next_pane", "tab", "pane", "to the next pane"),
        ("previous_pane", "shift+tab", "pane", "to the pane before"),
        ("maximise", "z", "zoom", "the pane alone, and back"),
        ("export", "e", "export", "what is on the screen as CSV or JSON"),
        ("copy", "w", "copy", "what is on the screen to the clipboard, as CSV"),
        ("picture", "f12", "SVG", "the screen as SVG"),
        ("refresh", "r", "refresh", "read every file anew"),
        ("pause", "P", "pause", "hold the screen still, and go on"),
        ("palette", "ctrl+p", "palette", "find a command by its name"),
        ("quit", "q ctrl+c", "quit", "quit; asks while a job runs"),
    ),
    *_group(
        "Moving",
        ("up", "up k", "up", "one up"),
        ("down", "down j", "down", "one down"),
        ("top", "home g", "top", "to the first"),
        ("bottom", "end G", "bottom", "to the last"),
        ("page_up", "pageup", "page up", "a screenful up"),
        ("page_down", "pagedown", "page down", "a screenful down"),
        ("left", "left", "left", "chart cursor to the left, on every chart"),
        ("right", "right", "right", "chart cursor to the right, on every chart"),
        ("previous_page", "left_square_bracket", "page", "the page, or the checkpoint, before"),
        ("next_page", "right_square_bracket", "page", "the next page, or checkpoint"),
        *((f"tab_{n}", str(n), f"tab {n}", f"tab {n}") for n in range(1, 10)),
    ),
    *_group(
        "Runs",
        ("mark", "space", "mark", "mark the run: marked ones are drawn together"),
        ("mark_all", "M", "all", "clear the marks, or mark all that are shown"),
        ("sort", "s", "sort", "sort by the next column"),
        ("reverse", "S", "reverse", "sort the other way round"),
        ("fold", "u", "seeds", "fold runs that differ only in their seed: mean ± sd"),
        ("tag", "t", "tag", "words to find the run by"),
        ("note", "n", "note", "a note beside the run"),
        ("pin", "p", "pin", "keep the run on top"),
    ),
    *_group(
        "Curves",
        ("filter_metrics", "f", "metrics", "which metrics are drawn: val_, loss|ece"),
        ("smoother", "plus", "ema", "smooth more"),
        ("rougher", "minus", "ema", "smooth less"),
        ("raw", "0", "raw", "no smoothing"),
        ("log", "y", "log", "logarithmic values, and back"),
        ("x_axis", "x", "axis", "by epoch, step or time"),
    ),
    *_group(
        "Asking",
        ("compare", "c", "compare", "the marked runs beside one another"),
        ("differences", "d", "differ", "only what differs"),
        ("analyse", "a", "analyse", "ask the run: a form of an analysis's options"),
        ("train", "T", "train", "train a run: a form of every option"),
        ("cancel", "X", "cancel", "cancel the job; asks"),
    ),
)  # fmt: skip

# What the footer names, by need: the last leave first where it is narrow.
FOOTER = (
    "help", "open", "filter", "mark", "analyse", "compare", "sort", "quit", "maximise", "fold", "filter_metrics", "log",
    "x_axis", "export",
)  # fmt: skip

GLYPHS = {
    "question_mark": "?", "slash": "/", "enter": "↵", "escape": "esc", "space": "space", "left_square_bracket": "[",
    "right_square_bracket": "]", "plus": "+", "minus": "-", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "f12": "F12", "shift+tab": "⇧tab", "ctrl+p": "^p", "ctrl+c": "^c",
}  # fmt: skip


def shown(key: str) -> str:
    """A key as people write it."""
    return GLYPHS.get(key, key)


def remapped(keys: dict[str, tuple[str, ...]]) -> tuple[Command, ...]:
    """The commands with other keys for some; a key that was given away leaves whoever had it before."""
    taken = {key for given in keys.values() for key in given}
    return tuple(
        replace(c, keys=keys[c.id] if c.id in keys else tuple(k for k in c.keys if k not in taken)) for c in COMMANDS
    )

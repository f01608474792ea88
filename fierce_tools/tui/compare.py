"""The tab that compares: what the chosen runs were trained with, where that differs, and how they came out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from fierce_tools import same, seeds
from fierce_tools.report import Cell, Table
from fierce_tools.runs import constant_features
from fierce_tools.tui import questions, tables
from fierce_tools.tui.blocks import Words
from fierce_tools.tui.jobs import Job, JobNews
from fierce_tools.tui.listing import number
from fierce_tools.tui.panes import Chosen, Pane, Sheet
from fierce_tools.tui.scroll import Scroll

if TYPE_CHECKING:
    from fierce_tools.tui.app import Dashboard

# Figures of an epoch: key, name, whether more is better.
FIGURES = (
    ("val_accuracy", "accuracy", True),
    ("val_nll", "NLL (nats)", False),
    ("val_ece", "ECE", False),
    ("val_entropy_t9", "entropy at T=9 (nats)", None),
    ("val_feature_entropy", "feature entropy (bits)", None),
    ("train_loss", "training loss", False),
)


def recipes(documents: Mapping[str, Mapping[str, Any]], *, only_differences: bool) -> Table:
    """Options as rows, runs as columns; only those in which the runs differ, or all of them."""
    flat = {
        name: {
            f"{s}.{k}": v for s, values in document.items() if isinstance(values, Mapping) for k, v in values.items()
        }
        for name, document in documents.items()
    }
    keys = list(dict.fromkeys(k for values in flat.values() for k in values if not same.idle(k)))
    rows: list[tuple[Cell, ...]] = []
    for key in keys:
        values = [_cell(f.get(key)) for f in flat.values()]
        if not only_differences or len(set(map(str, values))) > 1:
            rows.append((key, *values))
    title = "What differs in their recipes" if only_differences else "Their recipes"
    return Table(title, ("option", *documents), tuple(rows))


def figures(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Best and last figures of each run on validation, and at which epoch the accuracy was best."""
    best_epoch = {name: _best(epochs) for name, epochs in rows.items()}
    found: list[tuple[Cell, ...]] = [
        ("epochs", *(epochs[-1].get("epoch") if epochs else None for epochs in rows.values()))
    ]
    found.append(("best epoch", *(b.get("epoch") if b else None for b in best_epoch.values())))
    for key, name, _ in FIGURES:
        for which in ("best epoch", "last"):
            at = [
                b if which == "best epoch" else (e[-1] if e else None)
                for b, e in zip(best_epoch.values(), rows.values(), strict=True)
            ]
            values = [row.get(key) if row is not None else None for row in at]
            if any(v is not None for v in values):
                found.append((f"{name}, {which}", *(_marked(key, v) for v in values)))
    return Table("How they came out, on validation", ("figure", *rows), tuple(found))


def means(lines: Sequence[tuple[str, Sequence[Sequence[Mapping[str, Any]]]]]) -> Table:
    """Mean ± sd over seeds of the figures of `figures`: names of lines, with the epochs of each seed that counts."""
    found: list[tuple[Cell, ...]] = []
    best = [[_best(epochs) for epochs in each] for _, each in lines]
    last = [[epochs[-1] if epochs else None for epochs in each] for _, each in lines]
    for key, name, _ in FIGURES:
        for which, rows in (("best epoch", best), ("last", last)):
            cells = [seeds.show(number(row.get(key)) if row is not None else None for row in each) for each in rows]
            if any(cell is not None for cell in cells):
                found.append((f"{name}, {which}", *cells))
    return Table("Mean ± sd over seeds, on validation", ("figure", *(name for name, _ in lines)), tuple(found))


def _marked(key: str, value: Any) -> Cell:
    """A figure; the feature entropy of features that are all the same says so."""
    return "0 (constant)" if key == "val_feature_entropy" and constant_features(value) else value


def _best(epochs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    scored = [e for e in epochs if isinstance(e.get("val_accuracy"), int | float) and math.isfinite(e["val_accuracy"])]
    return max(scored, key=lambda e: e["val_accuracy"], default=None)


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class ComparePane(Pane):
    """The chosen runs beside one another."""

    TITLE = "Compare"
    DEFAULT_CSS = """
    ComparePane { layout: vertical; height: 1fr; }
    ComparePane Scroll { height: 1fr; padding: 0 1; }
    ComparePane .about { height: auto; max-height: 4; padding: 0 1; color: $text-muted; }
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chosen: tuple[Chosen, ...] = ()
        self.differences = True
        self._tables: list[Table] = []
        self._shown: Any = None

    @property
    def dashboard(self) -> Dashboard:
        """The app."""
        return self.app  # type: ignore[return-value]

    def compose(self) -> ComposeResult:
        """What can be done, and the tables."""
        yield Static(classes="about", markup=False)
        yield Scroll(can_focus=True)

    async def _draw(self) -> None:
        chosen = [m for c in self.chosen for m in (c.members or (c,))]
        documents = {
            c.run.name: self.dashboard.store.entries[c.run.name].document
            if c.run.name in self.dashboard.store.entries
            else {}
            for c in chosen
        }
        made = [
            recipes(documents, only_differences=self.differences and len(chosen) > 1),
            figures({c.run.name: c.history.rows for c in chosen}),
        ]
        lines = [c for c in self.chosen if c.members]
        folded = means([(c.label, [m.history.rows for m in c.counted]) for c in lines])
        left_out = [f"{name}: {why}" for c in lines if c.line for name, why in c.line.left_out.items()]
        page = self._page()
        shown = (made, folded, left_out, page)
        self._about()
        if shown == self._shown:
            return
        self._shown, self._tables = shown, made
        box = self.query_one(Scroll)
        await box.remove_children()
        if not chosen:
            await box.mount(Words(lambda _: [Text("no run is marked, and none is under the cursor")]))
            return
        words = [Words(lambda _: [Text("fierce compare", "bold"), *map(Text, page), Text()])] if page else []
        for table in made:
            if table.rows:
                words.append(Words(lambda width, table=table: tables.table(table, width, right=True)))  # type: ignore[misc]
            else:
                words.append(Words(lambda _: [Text("Their recipes are the same", "bold"), Text()]))
        if folded.rows:
            words.append(Words(lambda width: tables.table(folded, width, right=True)))
        if left_out:
            words.append(Words(lambda _: [Text("Not in the mean", "bold"), *map(Text, left_out), Text()]))
        await box.mount_all(words)

    def show(self, chosen: tuple[Chosen, ...]) -> None:
        """Compare these."""
        self.chosen = chosen
        self.call_after_refresh(self._draw)

    def only(self, differences: bool) -> None:
        """Only what differs in the recipes, or all of them."""
        self.differences = differences
        self.call_after_refresh(self._draw)

    def status(self) -> list[str]:
        """For the line on top."""
        return ["differences" if self.differences else "whole recipes"]

    # The page of `fierce compare`.

    def command(self) -> list[str]:
        """The command that compares the chosen runs on the test split."""
        chosen = [m for c in self.chosen for m in (c.members or (c,))]
        return ["compare", *(questions.place(c.run.path) for c in chosen)]

    @property
    def job(self) -> Job | None:
        """The newest job that compared just these runs."""
        wanted = tuple(self.command())
        return next((j for j in reversed(self.dashboard.jobs.all) if j.arguments == wanted), None)

    def _page(self) -> list[str]:
        job = self.job
        return job.output if job is not None and job.state == "done" else []

    def _about(self) -> None:
        job = self.job
        other = f"d {'whole recipes' if self.differences else 'only differences'}"
        if len(self.chosen) < 2:
            folded = any(len(c.members) > 1 for c in self.chosen)
            text = f"mark {'another recipe' if folded else 'two runs or more'} (space) to compare them"
        elif job is None:
            enter = "↵" if self.has_focus_within else "tab ↵"
            text = f"{other} · {enter} tests and intervals: $ {questions.shown(self.command())}"
        elif job.alive:
            text = f"● comparing · {job.seconds:.0f} s · {job.command}"
        else:
            text = f"✗ {job.problem}" if job.problem else other
        self.query_one(".about", Static).update(text)

    def on_descendant_focus(self) -> None:
        """Enter means something here now."""
        self._about()

    on_descendant_blur = on_descendant_focus

    async def on_job_news(self, message: JobNews) -> None:
        """A comparison goes on, or ended."""
        if message.job.arguments[0] == "compare":
            await self._draw()

    # Answers to keys.

    def do_differences(self) -> None:
        """Only what differs, or whole recipes."""
        self.only(not self.differences)
        self.dashboard.home.tell()

    def do_open(self) -> bool:
        """Ask `fierce compare` for these runs."""
        if not self.has_focus_within or len(self.chosen) < 2 or (self.job is not None and self.job.alive):
            return False
        self.dashboard.start(f"compare {len(self.chosen)} runs", self.command())
        self.call_after_refresh(self._draw)
        return True

    def sheet(self) -> Sheet | None:
        """Recipes, then figures."""
        if not self._tables:
            return None
        rows = tuple(row for table in self._tables for row in table.rows)
        return Sheet("compare", self._tables[0].columns, rows)

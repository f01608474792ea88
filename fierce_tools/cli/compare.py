"""`fierce compare RUN…`: the page a person would paste into a paper."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fierce_tools import runs
from fierce_tools.cli import text
from fierce_tools.cli.infer import Data, DataRoot, Device
from fierce_tools.cli.options import Counts, Factory, Labels, Logits, Probabilities, RunsDir
from fierce_tools.errors import DataError, UsageError

if TYPE_CHECKING:
    from fierce_tools.sources import Source

# Of the examples, for intervals of single models.
RESAMPLES = 1000
# Percentiles of fewer say nothing.
FEWEST = 50


def compare(
    paths: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Runs, checkpoints or files of logits and labels.")
    ],
    group_by: Annotated[
        str,
        typer.Option(
            "--group-by", metavar="seed|OPTION", help="Rows of runs that differ only in their seed, or by one option."
        ),
    ] = "seed",
    split: Annotated[Literal["train", "val", "test"], typer.Option("--split", help="Which split.")] = "test",
    temperature: Annotated[float, typer.Option("--temperature", help="Of the soft-label entropy.")] = 9.0,
    skip: Annotated[
        str, typer.Option("--skip", metavar="LIST", help="Figures to leave out, such as probe,mi.", show_default=False)
    ] = "",
    bootstrap: Annotated[
        str,
        typer.Option(
            "--bootstrap",
            metavar="N|two-level[:N]",
            help="Resamples of the examples for intervals of single models, 0 for none; two-level: seeds and examples.",
        ),
    ] = "1000",
    fit_on: Annotated[
        Literal["val"] | None,
        typer.Option(
            "--fit-on",
            metavar="val",
            help="Choose T*, C and k on validation although imported weights may have seen its examples.",
            show_default=False,
        ),
    ] = None,
    cross_fit: Annotated[
        int | None,
        typer.Option(
            "--cross-fit",
            metavar="FOLDS",
            help="Choose them in so many folds of the split itself, instead of on validation.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        str | None, typer.Option("--epochs", metavar="all|best|N", help="Snapshots instead.", show_default=False)
    ] = None,
    logits: Logits = None,
    probabilities: Probabilities = None,
    counts: Counts = None,
    labels: Labels = None,
    data: Data = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    factory: Factory = None,
    runs_dir: RunsDir = None,
    format: Annotated[
        Literal["text", "markdown", "csv", "json"],
        typer.Option("--format", help="How to print it.", rich_help_panel="Output"),
    ] = "text",
) -> None:
    """Compare models on one page: accuracy, NLL, ECE, T*, entropy at T, γ, stability, within/between, probe, MI.

    Models that differ only in their seed share a row, as mean ± sd over the distinct seeds that are finished. The
    difference of every other row to the first is given with its 95 % interval: with several seeds on both sides over
    seeds (paired t where the seeds are the same, else Welch's; --bootstrap two-level: for other examples, too); with
    one seed on a side over the examples, of these models and not of their recipes.
    """
    from dataclasses import asdict

    from fierce_tools.cli import saving
    from fierce_tools.cli.analyze import distinct, whole
    from fierce_tools.experiments._ask import plain
    from fierce_tools.experiments._compare import compare as work
    from fierce_tools.experiments._loading import Places
    from fierce_tools.outputs import Keys

    root = runs.folder(runs_dir)
    resamples, two_level = _levels(bootstrap)
    located, missing = _located(paths, root, whole(epochs))
    found = distinct(located)
    left_out = tuple(word.strip() for word in skip.split(",") if word.strip())
    where = Places(data, data_root, False, device, factory, say=text.once())
    made = work(
        found, group_by=group_by, split=split, temperature=temperature, skip=left_out, bootstrap=resamples,
        two_level=two_level, missing=missing, fit_on=fit_on, cross_fit=cross_fit, places=where,
        keys=Keys(logits, probabilities, counts, labels),
    )  # fmt: skip
    if format == "json":
        text.print_json(plain({"format": 1, **asdict(made)}))
    elif format == "csv":
        for note in made.notes:
            text.say(note)
        sys.stdout.write(saving.as_csv(made.numbers()))
    elif format == "markdown":
        sys.stdout.write(saving.markdown(made.report()))
    else:
        text.print_report(made.report())


def _levels(text: str) -> tuple[int, bool]:
    """Resamples, and whether seeds are a level beside examples."""
    word, _, number = text.partition(":")
    two_level = word == "two-level"
    count = (number or str(RESAMPLES)) if two_level else text
    wanted = int(count) if count.isdecimal() and len(count) < 9 else -1
    if wanted < 0 or 0 < wanted < FEWEST or (two_level and not wanted):
        what = f"expected 0 for none, {FEWEST} resamples or more, or two-level"
        raise UsageError(f"--bootstrap is {text[:40]!r}", what)
    return wanted, two_level


def _located(paths: list[str], root: Path, epochs: str | None) -> tuple[list[Source], list[runs.Run]]:
    """What the paths stand for, and the runs among them that are not finished and have nothing to ask.

    Raises DataError where nothing can be asked.
    """
    from fierce_tools import sources

    found: list[Source] = []
    missing: dict[runs.Run, DataError] = {}
    for path in paths:
        try:
            found += sources.locate(path, root, epochs=epochs)
        except DataError as error:
            try:
                run = runs.find(path, root)
            except DataError:
                raise error from None
            if epochs is not None or run.model_path.exists() or "peers" in run.info():
                raise
            missing[run] = error
    if missing and not found:
        raise next(iter(missing.values()))
    return found, [*missing]

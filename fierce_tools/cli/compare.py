"""`fierce compare RUN…`: the page a person would paste into a paper."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from fierce_tools import runs
from fierce_tools.cli import text
from fierce_tools.cli.infer import Data, DataRoot, Device
from fierce_tools.cli.options import Counts, Factory, Labels, Logits, Probabilities, RunsDir


def compare(
    paths: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Runs, checkpoints or files of logits and labels.")
    ],
    group_by: Annotated[
        str,
        typer.Option("--group-by", metavar="seed|OPTION", help="Rows by what differs beside seeds, or by one option."),
    ] = "seed",
    split: Annotated[Literal["train", "val", "test"], typer.Option("--split", help="Which split.")] = "test",
    temperature: Annotated[float, typer.Option("--temperature", help="Of the soft-label entropy.")] = 9.0,
    skip: Annotated[
        str, typer.Option("--skip", metavar="LIST", help="Figures to leave out, such as probe,mi.", show_default=False)
    ] = "",
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", help="Resamples of the paired intervals; 0 for none.")
    ] = 1000,
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

    Models that differ only in their seed share a row, as mean ± sd; every other row's difference to the first is given
    with a 95 % paired bootstrap interval over the examples.
    """
    from dataclasses import asdict

    from fierce_tools import sources
    from fierce_tools.cli import saving
    from fierce_tools.cli.analyze import distinct, whole
    from fierce_tools.experiments._ask import plain
    from fierce_tools.experiments._compare import compare as work
    from fierce_tools.experiments._loading import Places
    from fierce_tools.outputs import Keys

    root = runs.folder(runs_dir)
    found = distinct([s for path in paths for s in sources.locate(path, root, epochs=whole(epochs))])
    left_out = tuple(word.strip() for word in skip.split(",") if word.strip())
    made = work(
        found, group_by=group_by, split=split, temperature=temperature, skip=left_out, bootstrap=bootstrap,
        fit_on=fit_on, cross_fit=cross_fit, places=Places(data, data_root, False, device, factory, say=text.once()),
        keys=Keys(logits, probabilities, counts, labels),
    )  # fmt: skip
    if format == "json":
        text.print_json(plain({"format": 1, **asdict(made)}))
    elif format == "csv":
        sys.stdout.write(saving.as_csv(made.numbers()))
    elif format == "markdown":
        sys.stdout.write(saving.markdown(made.report()))
    else:
        text.print_report(made.report())

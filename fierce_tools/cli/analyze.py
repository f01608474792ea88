"""`fierce analyze NAME PATH…`: one command for each analysis, made from its signature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fierce_tools import binding, runs
from fierce_tools.cli import text
from fierce_tools.cli.infer import Data, DataRoot, Device
from fierce_tools.cli.options import Format, Parameter, RunsDir, extend
from fierce_tools.errors import UsageError
from fierce_tools.menu import ANALYSES

if TYPE_CHECKING:
    from fierce_tools.sources import Source


def commands() -> dict[str, Callable[..., None]]:
    """A command for each analysis, with its options; nothing is imported."""
    return {name: _command(name) for name in ANALYSES.names()}


def _command(name: str) -> Callable[..., None]:
    spec = binding.read(ANALYSES, name)

    def analyze(
        paths: Annotated[
            list[str],
            typer.Argument(metavar="PATH…", help="Runs, checkpoints, or files of arrays (.npz, .npy, .safetensors)."),
        ],
        split: Annotated[
            Literal["train", "val", "test"], typer.Option("--split", help="Which split of a checkpoint's data.")
        ] = "test",
        epochs: Annotated[
            str | None,
            typer.Option(
                "--epochs",
                metavar="all|best|N",
                help="Snapshots of a run instead of its last weights.",
                show_default=False,
            ),
        ] = None,
        logits: Annotated[
            str | None,
            typer.Option(
                "--logits", metavar="KEY", help="Name of the array of logits in a file.", show_default="logits"
            ),
        ] = None,
        data: Data = None,
        data_root: DataRoot = None,
        device: Device = "auto",
        fresh: Annotated[bool, typer.Option("--fresh", help="Compute anew what was kept.")] = False,
        runs_dir: RunsDir = None,
        format: Format = "text",
        **options: Any,
    ) -> None:
        from fierce_tools import sources
        from fierce_tools.experiments._ask import Places, ask
        from fierce_tools.report import combine

        root = runs.folder(runs_dir)
        found = _distinct([s for path in paths for s in sources.locate(path, root, epochs=_whole(epochs))])
        given = {k: v for k, v in options.items() if v is not None}
        places = Places(data, data_root, False, device)
        answers = {
            s.label: ask(name, s, given, split=split, logits_key=logits, places=places, fresh=fresh) for s in found
        }
        report = combine({label: answer.report for label, answer in answers.items()})
        if format == "text":
            text.print_report(report)
            return
        results = [
            {"source": s.label, "path": str(s.path), "epoch": s.epoch, "input_sha256": s.sha256, "values": a.values}
            for s, a in zip(found, answers.values(), strict=True)
        ]
        resolved = next(iter(answers.values())).identity["options"]
        text.print_json({"format": 1, "analysis": name, "options": resolved, "split": split, "results": results})

    analyze.__name__ = name
    analyze.__doc__ = "\n\n".join(paragraph.replace("\n", " ") for paragraph in spec.doc.split("\n\n"))
    return extend(analyze, [Parameter(o, "Analysis") for o in spec.options])


def _whole(epochs: str | None) -> str | None:
    if epochs is None or epochs in ("all", "best") or epochs.isdecimal():
        return epochs
    raise UsageError(f"--epochs is {epochs!r}, expected all, best or the number of an epoch")


def _distinct(found: list[Source]) -> list[Source]:
    """Sources under labels that tell them apart: paths where names coincide; the same file twice is asked once."""
    unique = list({s.path.resolve(): s for s in found}.values())
    counts = Counter(s.label for s in unique)
    return [replace(s, label=str(s.path)) if counts[s.label] > 1 else s for s in unique]

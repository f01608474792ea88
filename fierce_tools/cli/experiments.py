"""`fierce analyze NAME CKPT…` for experiments: one command for each, made from its signature and the lab's options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import binding, runs
from fierce_tools.cli import text, workshops
from fierce_tools.cli.analyze import distinct
from fierce_tools.cli.infer import Data, DataRoot, Device, Download
from fierce_tools.cli.options import Factory, Format, Parameter, Progress, RunsDir, Save, extend
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _defaults
from fierce_tools.menu import EXPERIMENTS


def commands() -> dict[str, Callable[..., None]]:
    """A command for each experiment, with its options; nothing is imported."""
    found = {}
    for name in EXPERIMENTS.names():
        of_runs = "workshop" in binding.read(EXPERIMENTS, name).arrays
        found[name] = workshops.command(name) if of_runs else _command(name)
    return found


def _command(name: str) -> Callable[..., None]:
    spec = binding.read(EXPERIMENTS, name)
    common = binding.students(spec)

    def experiment(
        paths: Annotated[
            list[str] | None,
            typer.Argument(metavar="[CKPT…]", help="Runs or checkpoints, the teachers.", show_default=False),
        ] = None,
        data: Data = None,
        data_root: DataRoot = None,
        download: Download = False,
        device: Device = "auto",
        factory: Factory = None,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Train the students anew; finished runs stay the teachers they are.")
        ] = False,
        runs_dir: RunsDir = None,
        save: Save = None,
        progress: Progress = "auto",
        format: Format = "text",
        **options: Any,
    ) -> None:
        from fierce_tools import sources
        from fierce_tools.cli import saving
        from fierce_tools.cli.cells import taught
        from fierce_tools.cli.session import tune_allocator
        from fierce_tools.experiments._inquire import inquire
        from fierce_tools.experiments._loading import Places

        if save is not None:
            saving.check(Path(save), 1)
            if Path(save).suffix.lower() in (".npz", ".safetensors"):
                raise UsageError(f"--save {save}: an experiment has no arrays", "save it as .json, .csv or .md")
        root = runs.folder(runs_dir)
        found = distinct([s for path in paths or () for s in sources.locate(path, root)])
        given = {k: v for k, v in options.items() if v is not None}
        tune_allocator()
        with taught(progress) as listen:
            report, document = inquire(
                name, found, given, root=root, listen=listen, command=("fierce", *sys.argv[1:]),
                places=Places(data, data_root, download, device, factory, fresh, text.once()),
            )  # fmt: skip
        if format == "json":
            text.print_json(document)
        else:
            text.print_report(report)
        if save is not None:
            saving.save(Path(save), report, document)

    experiment.__name__ = name
    paragraphs = [*spec.doc.split("\n\n"), _defaults.note(name)]
    experiment.__doc__ = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs).strip()
    own = [Parameter(o, "Experiment") for o in spec.options]
    return extend(experiment, own + [Parameter(o, "Students") for o in common.options])

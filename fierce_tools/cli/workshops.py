"""`fierce analyze NAME` for experiments that train ordinary runs: one command for each, made from its signature."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import binding, recipe, runs
from fierce_tools.cli import text
from fierce_tools.cli.infer import DataRoot, Device, Download
from fierce_tools.cli.options import Factory, Format, Parameter, Progress, RunsDir, Save, extend, pairs
from fierce_tools.cli.planning import Settings, choice
from fierce_tools.errors import UsageError
from fierce_tools.experiments import _defaults
from fierce_tools.menu import DATASETS, EXPERIMENTS


def command(name: str) -> Callable[..., None]:
    """The command of an experiment that takes a `workshop`; nothing is imported."""
    spec = binding.read(EXPERIMENTS, name)

    def experiment(
        words: Annotated[list[str] | None, typer.Argument(hidden=True, metavar="")] = None,
        data: choice(DATASETS, "digits") = None,  # type: ignore[valid-type]
        data_root: DataRoot = None,
        download: Download = False,
        settings: Settings = [],  # noqa: B006
        device: Device = "auto",
        factory: Factory = None,
        fresh: Annotated[bool, typer.Option("--fresh", help="Train anew what is done already.")] = False,
        runs_dir: RunsDir = None,
        save: Save = None,
        progress: Progress = "auto",
        format: Format = "text",
        **options: Any,
    ) -> None:
        from fierce_tools.cli import saving
        from fierce_tools.cli.cells import check_failed, watched
        from fierce_tools.cli.session import tune_allocator
        from fierce_tools.experiments._inquire import inquire
        from fierce_tools.experiments._loading import Places

        if words:
            raise UsageError(
                f"{name} takes no checkpoint, it trains its own runs; got {' '.join(words)}",
                "several models are written with commas: --model cnn,mlp:64",
            )
        if save is not None:
            saving.check(Path(save), 1)
        given = {k: v for k, v in options.items() if v is not None}
        tune_allocator()
        with watched(progress) as listen:
            report, document = inquire(
                name, [], given, places=Places(data, data_root, download, device, factory, fresh, text.once()),
                root=runs.folder(runs_dir), listen=listen, settings=pairs(settings), command=("fierce", *sys.argv[1:]),
            )  # fmt: skip
        if format == "json":
            text.print_json(document)
        else:
            text.print_report(report)
        if save is not None:
            saving.save(Path(save), report, document)
        check_failed(document["results"][0]["values"].get("failed", ()))

    experiment.__name__ = name
    paragraphs = [*spec.doc.split("\n\n"), _defaults.note(name)]
    experiment.__doc__ = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs).strip()
    parameters = [Parameter(o, "Experiment") for o in spec.options]
    whose = "Training"
    if "lab" in spec.arrays:
        alias = {"student": "--student-model"}  # beside --teacher-model
        parameters += [Parameter(o, "Students", alias=alias.get(o.name, "")) for o in binding.students(spec).options]
        whose = "Training of the teachers"
    return extend(experiment, parameters + [Parameter(o, whose) for o in recipe.training_options(spec)])

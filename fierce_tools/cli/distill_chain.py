"""`fierce distill-chain`: from teacher to student through assistants, each step a run of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import files, runs
from fierce_tools.cli import text
from fierce_tools.cli.distill import Data, Student, begun, checkpoint_of, compared, flags, student_recipe, trained
from fierce_tools.cli.options import Factory, Format, Progress, RunsDir, extend, pairs
from fierce_tools.cli.planning import Settings
from fierce_tools.cli.session import tune_allocator
from fierce_tools.recipe import Recipe
from fierce_tools.report import Cell


def distill_chain(
    teacher: Annotated[str, typer.Option("--teacher", metavar="CKPT", help="Checkpoint or run the chain begins with.")],
    through: Annotated[
        list[str],
        typer.Option("--through", metavar="MODEL", help="Assistant; once for each, from the teacher's side, or A,B."),
    ] = [],  # noqa: B006
    student: Student = None,
    data: Data = None,  # type: ignore[valid-type]
    settings: Settings = [],  # noqa: B006
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Start of the runs' names.", show_default="the teacher's"),
    ] = None,
    factory: Factory = None,
    runs_dir: RunsDir = None,
    progress: Progress = "auto",
    format: Format = "text",
    **options: Any,
) -> None:
    """Distil through teacher assistants: each model learns from the one before it (Mirzadeh et al. 2020).

    Every step is a run, NAME-1-MODEL, NAME-2-MODEL, … Said again after a stop, steps that are done are kept and the
    chain goes on where it stopped. Options hold for every step.
    """
    root = runs.folder(runs_dir)
    given = {k: v for k, v in options.items() if v is not None}
    first = Path(checkpoint_of(teacher, root))
    label = first.parent.name if first.name == "model.safetensors" else first.stem
    models = [m for said in through for m in said.split(",") if m]
    stem = name or f"{label}-chain"
    before, steps = str(first), []
    run: runs.Run | None = None
    tune_allocator()

    def planned(model: str | None, teacher: str) -> Recipe:
        chosen = {"data.name": data, "model.name": model, **pairs(settings)}
        return student_recipe({}, {k: v for k, v in chosen.items() if v is not None}, dict(given), [teacher], root)

    _check_models([planned(model, before) for model in [*models, student]], first, factory)
    for number, model in enumerate([*models, student], 1):
        made = planned(model, before)
        run, found = _step(made, root, f"{stem}-{number}-{_plain(made.model['name'])}", factory, progress, run)
        before = str(run.model_path.absolute())
        steps.append({"step": number, "run": str(run.path), "model": made.model["name"], **found})
    if format == "json":
        text.print_json({"teacher": {"checkpoint": str(first), **steps[0]["teacher"]}, "steps": steps})
        return
    heads = ("step", "model", "parameters", "accuracy", "NLL (nats)", "agrees with its teacher", "KL to it (nats)")
    rows: list[tuple[Cell, ...]] = [("teacher", label, None, *_figures(steps[0]["teacher"]), None, None)]
    for step in steps:
        own = step["student"]
        rows.append((str(step["step"]), step["model"], step["parameters"], *_figures(own), own["agreement"], own["kl"]))
    text.print_table("Chain (test)", heads, rows)
    for step in steps:
        print(Path(step["run"]) / "model.safetensors")


def _check_models(every: list[Recipe], teacher: Path, factory: str | None) -> None:
    """Raises UsageError for a model of any step that cannot be, before the first one is trained."""
    from fierce_tools import checkpoints

    document = files.read_header(teacher)[1] or {}
    for made in every:
        checkpoints.build(made, tuple(document["input_shape"]), len(document["class_names"]), trusted=factory)


def _step(
    made: Recipe, root: Path, name: str, factory: str | None, progress: str, before: runs.Run | None
) -> tuple[runs.Run, dict[str, Any]]:
    """One step, done before, gone on with, or new, on the data as the step before knew them; its run and figures."""
    from fierce_tools.experiments._record import prepare

    run = begun(made, root, name, "give the chain another --name")
    prepared = prepare(made, factory, run=before or run)
    run = run or runs.create(root, made, name)
    trained(prepared, run, progress, "say the same command again to go on")
    _, values = compared(prepared, {"student": run})
    parameters = sum(p.numel() for p in prepared.setup.model.parameters())
    return run, {"parameters": parameters, **values["models"]}


def _figures(row: dict[str, Any]) -> tuple[Cell, ...]:
    return row.get("accuracy"), row.get("nll")


def _plain(model: str) -> str:
    return re.sub(r"[^\w.+=-]+", "-", model)


def command() -> Callable[..., None]:
    """The command with all its flags but the models', which differ from step to step."""
    return extend(distill_chain, [p for p in flags() if not p.panel.startswith("Model")])

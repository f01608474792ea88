"""`fierce distill`: a student learns what a teacher's soft labels say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import files, recipe, runs
from fierce_tools.cli import text
from fierce_tools.cli.options import Factory, Format, Parameter, Progress, RunsDir, completer, extend, pairs
from fierce_tools.cli.train import (
    Name,
    Recipes,
    Resume,
    Settings,
    at_places,
    choice,
    go,
    named_here,
    nothing_else,
    parameters,
    planned,
    print_result,
    tune_allocator,
    unfinished,
)
from fierce_tools.errors import UsageError
from fierce_tools.menu import DATASETS, MODELS
from fierce_tools.recipe import PLACES, Recipe
from fierce_tools.report import Report

SECTIONS = (*recipe.SECTIONS, "distill")
TEACHER = typer.Option("--teacher", metavar="CKPT", help="Checkpoint or run to learn from; several: their mean.")
STUDENT = typer.Option(
    "--student", metavar="MODEL", help=f"Model: {', '.join(MODELS.names())}.", show_default="the dataset's",
    autocompletion=completer(MODELS.names()),
)  # fmt: skip
Teachers = Annotated[list[str], TEACHER]
Student = Annotated[str | None, STUDENT]
Data = choice(DATASETS, "the teacher's")


def distill(
    recipe_file: Recipes = None,
    teacher: Teachers = [],  # noqa: B006
    student: Student = None,
    data: Data = None,  # type: ignore[valid-type]
    baseline: Annotated[
        bool, typer.Option("--baseline", help="Train the same student without a teacher too, for comparison.")
    ] = False,
    settings: Settings = [],  # noqa: B006
    name: Name = None,
    resume: Resume = None,
    factory: Factory = None,
    runs_dir: RunsDir = None,
    progress: Progress = "auto",
    format: Format = "text",
    **options: Any,
) -> None:
    """Distil a teacher into a student; the run goes to runs/NAME.

    The student learns the teacher's soft labels at a temperature, and a little of the labels. Data are the teacher's
    own unless others are named. At the end: the student's figures beside the teacher's, and how far they agree.
    """
    root = runs.folder(runs_dir)
    given = {k: v for k, v in options.items() if v is not None}
    from fierce_tools.experiments._record import prepare

    if resume is not None:
        places = {k: given.pop(k) for k in PLACES if k in given}
        said = {"teacher": teacher, "student": student, "data": data, "name": name, "set": settings}
        nothing_else({**said, **given}, recipe_file)
        run = runs.find(resume, root)
        unfinished(run)
        made = at_places(run.recipe(), places)
        if made.distill is None:
            raise UsageError(f"run {run.name} has no teacher", f"go on with `fierce train --resume {run.path}`")
        tune_allocator()
        prepared = prepare(made, factory)
    else:
        document = recipe.load(Path(recipe_file)) if recipe_file is not None else {}
        chosen = {"data.name": data, "model.name": student, **pairs(settings)}
        made = student_recipe(document, {k: v for k, v in chosen.items() if v is not None}, given, teacher, root)
        tune_allocator()
        prepared = prepare(made, factory or named_here(chosen))
        run = runs.create(root, made, name)
    result = go(prepared, run, progress)
    students = {"student": run}
    if baseline:
        plain = alone(made)
        students["student alone"] = runs.create(root, plain, f"{name}-alone" if name else None)
        result["baseline"] = go(prepare(plain, factory or named_here({"model.name": student})),
                                students["student alone"], progress)  # fmt: skip
    report, values = compared(prepared, students)
    if format == "json":
        text.print_json({**result, "distillation": values})
        return
    text.print_report(report)
    if not prepared.teachers:
        print_result(result)
    else:
        print(result["checkpoint"])


def student_recipe(
    document: dict[str, Any], overrides: dict[str, Any], given: dict[str, Any], teachers: list[str], root: Path
) -> Recipe:
    """The recipe of a student: what was said, the method's loss, and of the teacher what was not said."""
    recipe.check_sections(document)
    own = dict(document.get("distill", {}))
    spoken = given.get("method") or overrides.get("distill.method")
    method = spoken or own.get("method") or "kd"
    overrides = {"distill.method": method, **overrides}
    if method in recipe.methods() and (spoken or "loss" not in document):
        overrides.setdefault("loss.name", recipe.methods()[method])
    said = teachers or overrides.get("distill.teachers") or own.get("teachers") or ()
    paths = tuple(checkpoint_of(t, root) for t in (said.split(",") if isinstance(said, str) else said))
    if paths:
        overrides["distill.teachers"] = paths
        taken = _recipe_of(paths[0])
        if "data" not in document and "data.name" not in overrides:
            if "data" not in taken:
                raise UsageError(f"teacher {paths[0]} was imported without its data", "say which with --data NAME")
            document = {**document, "data": taken["data"]}
        if method == "self" and "model" not in document and "model.name" not in overrides and "model" in taken:
            document = {**document, "model": taken["model"]}
    return planned(document, overrides, given, SECTIONS)


def checkpoint_of(text: str, root: Path) -> str:
    """The whole path of the checkpoint that a path or a run's name stands for. Raises UsageError for another file."""
    from fierce_tools import sources

    found = sources.locate(text, root)[0]
    if not found.checkpoint:
        raise UsageError(f"{text} is no checkpoint", "soft labels in a file are --teacher-outputs FILE")
    return str(found.path.absolute())


def _recipe_of(checkpoint: str) -> dict[str, Any]:
    """The recipe a teacher was trained by."""
    found = (files.read_header(Path(checkpoint))[1] or {}).get("recipe")
    return found if isinstance(found, dict) else {}


def alone(made: Recipe) -> Recipe:
    """The same student on the same examples and their labels, without a teacher."""
    document = {k: v for k, v in made.as_dict().items() if k not in ("loss", "distill")}
    assert made.distill is not None
    kept = {k: made.distill[k] for k in ("transfer_set", "drop_class") if made.distill[k]}
    # Without a choice of examples it is a plain training, as anybody's.
    return recipe.resolve({**document, "distill": {"method": "none", **kept}} if kept else document)


def compared(prepared: Any, students: dict[str, runs.Run]) -> tuple[Report, dict[str, Any]]:
    """The table at the end, and its values: finished runs beside the teacher of the first."""
    from fierce_tools.experiments._distilled import as_json, distilled, finished_outputs

    split = "val" if prepared.teachers.soft_labels is not None and len(prepared.splits.val) else "test"
    made = {label: finished_outputs(run, split) for label, run in students.items()}
    found = distilled(prepared.teachers, made, split)
    return found.report(), as_json(found)


def flags() -> list[Parameter]:
    """Every option of data, models, losses, training and distillation, but teachers, which are said as --teacher."""
    return [p for p in parameters(SECTIONS) if p.option.name != "teachers"]


def command() -> Callable[..., None]:
    """The command with all its flags."""
    return extend(distill, flags())

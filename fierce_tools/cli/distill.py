"""`fierce distill`: a student learns what a teacher's soft labels say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import files, recipe, runs, same
from fierce_tools.cli import text
from fierce_tools.cli.options import Factory, Format, Parameter, Progress, RunsDir, completer, extend, pairs
from fierce_tools.cli.planning import (
    Name,
    Recipes,
    Resume,
    Settings,
    at_places,
    choice,
    named_here,
    nothing_else,
    parameters,
    planned,
    unfinished,
)
from fierce_tools.cli.session import go, print_result, tune_allocator
from fierce_tools.errors import Interrupted, UsageError
from fierce_tools.menu import DATASETS, MODELS
from fierce_tools.recipe import PLACES, Recipe
from fierce_tools.report import Report

SECTIONS = (*recipe.SECTIONS, "distill")
TEACHER = typer.Option("--teacher", metavar="CKPT", help="Checkpoint or run to learn from; several: their mean.")
STUDENT = typer.Option(
    "--student", metavar="MODEL", help=f"Model: {', '.join(MODELS.names())}.", show_default="the dataset's",
    autocompletion=completer(MODELS.names()),
)  # fmt: skip
TAKEN = "give the student another --name"
Teachers = Annotated[list[str], TEACHER]
Student = Annotated[str | None, STUDENT]
Data = choice(DATASETS, "the teacher's")


def distill(
    recipe_file: Recipes = None,
    teacher: Teachers = [],  # noqa: B006
    student: Student = None,
    data: Data = None,  # type: ignore[valid-type]
    baseline: Annotated[
        bool,
        typer.Option("--baseline", help="Train the same student without a teacher too, as NAME-alone, for comparison."),
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
        if not baseline:
            unfinished(run)
        made = at_places(run.recipe(), places)
        if made.distill is None:
            raise UsageError(f"run {run.name} has no teacher", f"go on with `fierce train --resume {run.path}`")
        known = factory
        plain = alone(made) if baseline else None
        tune_allocator()
        prepared = prepare(made, known, run=run)
    else:
        document = recipe.load(Path(recipe_file)) if recipe_file is not None else {}
        chosen = {"data.name": data, "model.name": student, **pairs(settings)}
        made = student_recipe(document, {k: v for k, v in chosen.items() if v is not None}, given, teacher, root)
        known = factory or named_here(chosen)
        plain = alone(made) if baseline else None
        tune_allocator()
        prepared = prepare(made, known)
        run = runs.create(root, made, name)
    if plain is not None:
        try:
            begun(plain, run.path.parent, f"{run.name}-alone", TAKEN)
        except UsageError:
            if resume is None:  # nothing but its recipe is in it
                run.recipe_path.unlink()
                run.path.rmdir()
            raise
    again = f"go on with `fierce distill --resume {run.path}{' --baseline' if baseline else ''}`"
    result = trained(prepared, run, progress, again)
    students = {"student": run}
    if plain is not None:
        name = f"{run.name}-alone"
        other = begun(plain, run.path.parent, name, TAKEN)
        ready = prepare(plain, known, run=run)  # on the data as the student has known them
        other = other or runs.create(run.path.parent, plain, name)
        result["baseline"] = trained(ready, other, progress, again)
        students["student alone"] = other
    report, values = compared(prepared, students)
    if format == "json":
        text.print_json({**result, "distillation": values})
        return
    text.print_report(report)
    if not prepared.teachers:
        print_result(result)
    else:
        print(result["checkpoint"])


def trained(prepared: Any, run: runs.Run, progress: str, again: str) -> dict[str, Any]:
    """Train into a run, or take it as it is where it is done; its figures.

    Raises Interrupted with how to go on, DataError where a run that is done had other teachers or data.
    """
    from fierce_tools.experiments._lineage import check_data, check_teachers

    info = run.info()
    if info.get("state") == "done":
        check_teachers(run, prepared.distillation())
        check_data(run, prepared.data)
        text.say(f"{run.path} is done")
        last = (run.metrics() or [{}])[-1]
        return {"run": str(run.path), "checkpoint": str(run.model_path), **last, **info.get("test", {})}
    try:
        return go(prepared, run, progress)
    except Interrupted as stop:
        raise Interrupted(f"{run.path}: {stop.message}", again) from None


def begun(made: Recipe, root: Path, name: str, hint: str) -> runs.Run | None:
    """The run of that name, where there is one. Raises UsageError where it was trained by another recipe."""
    run = runs.Run(root / name)
    if not run.recipe_path.exists():
        return None
    if same.training(run.recipe().as_dict()) != same.training(made.as_dict()):
        raise UsageError(f"run {run.path} exists already and was trained by other options", hint)
    return run


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
    """Every option of data, models, the methods' losses, training and distillation; teachers are said as --teacher."""
    taught = {("loss", loss) for loss in recipe.methods().values()}

    def fits(option: str) -> bool:
        return any(s != "loss" or (s, choice) in taught for s, choice, _ in recipe.owners(option, SECTIONS))

    return [p for p in parameters(SECTIONS) if p.option.name != "teachers" and fits(p.option.name)]


def command() -> Callable[..., None]:
    """The command with all its flags."""
    return extend(distill, flags())

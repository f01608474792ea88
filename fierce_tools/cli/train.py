"""`fierce train`: from flags or a recipe to a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fierce_tools import recipe, runs
from fierce_tools.cli import text
from fierce_tools.cli.options import Factory, Format, Progress, RunsDir, extend, pairs
from fierce_tools.cli.planning import (
    Name,
    Preset,
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
from fierce_tools.errors import UsageError
from fierce_tools.menu import DATASETS, LOSSES, MODELS
from fierce_tools.recipe import PLACES


def train(
    recipe_file: Recipes = None,
    data: choice(DATASETS, "digits") = None,  # type: ignore[valid-type]
    model: choice(MODELS, "the dataset's") = None,  # type: ignore[valid-type]
    loss: choice(LOSSES, "ce") = None,  # type: ignore[valid-type]
    preset: Preset = None,
    settings: Settings = [],  # noqa: B006
    name: Name = None,
    resume: Resume = None,
    factory: Factory = None,
    runs_dir: RunsDir = None,
    progress: Progress = "auto",
    format: Format = "text",
    **options: Any,
) -> None:
    """Train a classifier; the run goes to runs/NAME.

    Without anything said: a small CNN on scikit-learn's handwritten digits with cross-entropy. Ctrl-C finishes the
    step, saves, and exits with 130; --resume then reaches the same weights as a training never stopped.
    """
    root = runs.folder(runs_dir)
    given = {k: v for k, v in options.items() if v is not None}
    chosen = {"data": data, "model": model, "loss": loss}
    if resume is not None:
        places = {k: given.pop(k) for k in PLACES if k in given}
        nothing_else({**chosen, "name": name, "preset": preset, "set": settings, **given}, recipe_file)
        run = runs.find(resume, root)
        _resume(run, places, factory, progress, format)
        return
    document = recipe.load(Path(recipe_file)) if recipe_file is not None else {}
    recipe.check_sections(document)
    overrides: dict[str, Any] = {f"{section}.name": value for section, value in chosen.items() if value is not None}
    if preset is not None:
        overrides["loss.preset"] = preset
    overrides |= pairs(settings)
    made = planned(document, overrides, given)
    if made.mutual is not None:
        raise UsageError("this recipe is of peers that are trained at once", "say `fierce mutual` with it")
    from fierce_tools.experiments._record import prepare

    tune_allocator()
    prepared = prepare(made, factory or named_here(overrides))
    run = runs.create(root, made, name)
    _go(prepared, run, progress, format)


def _resume(run: runs.Run, places: dict[str, Any], factory: str | None, progress: str, format: str) -> None:
    unfinished(run)
    made = run.recipe()
    if made.mutual is not None:
        group = run.info().get("group", run.name)
        raise UsageError(
            f"run {run.name} is trained together with its peers",
            f"go on with all of them: fierce mutual --resume {run.path.parent / group}",
        )
    from fierce_tools.experiments._record import prepare

    tune_allocator()
    _go(prepare(at_places(made, places), factory, run=run), run, progress, format)


def _go(prepared: Any, run: runs.Run, progress: str, format: str) -> None:
    result = go(prepared, run, progress)
    if format == "json":
        text.print_json(result)
    else:
        print_result(result)


def command() -> Callable[..., None]:
    """The command with all its flags."""
    return extend(train, parameters())

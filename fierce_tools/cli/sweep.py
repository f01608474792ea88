"""`fierce sweep`: any training over a grid of values and seeds."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import recipe, runs
from fierce_tools.cli import distill, text
from fierce_tools.cli.options import Factory, Format, Progress, RunsDir, Save, extend, pairs
from fierce_tools.cli.planning import Preset, Recipes, Settings, choice, named_here, planned, section_of
from fierce_tools.cli.session import tune_allocator
from fierce_tools.errors import UsageError
from fierce_tools.menu import DATASETS, LOSSES, MODELS, unknown
from fierce_tools.recipe import MENUS, Recipe

# As many runs as a person would copy the names of.
MOST_NAMED = 8


def sweep(
    recipe_file: Recipes = None,
    grid: Annotated[
        list[str],
        typer.Option(
            "--grid",
            metavar="KEY=VALUES",
            help="What goes through which values, such as loss.lam=0,0.1,0.3,1, lr=0.001:0.1:*10 or model=cnn,mlp:64; "
            "again for each key, and every combination is trained.",
        ),
    ] = [],  # noqa: B006
    seeds: Annotated[
        int, typer.Option("--seeds", help="Runs of each combination: seeds 0, 1, 2, … from --seed on.")
    ] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be trained, and train nothing.")] = False,
    data: choice(DATASETS, "digits") = None,  # type: ignore[valid-type]
    model: choice(MODELS, "the dataset's") = None,  # type: ignore[valid-type]
    loss: choice(LOSSES, "ce") = None,  # type: ignore[valid-type]
    teacher: distill.Teachers = [],  # noqa: B006
    preset: Preset = None,
    settings: Settings = [],  # noqa: B006
    fresh: Annotated[bool, typer.Option("--fresh", help="Train anew what is done already.")] = False,
    factory: Factory = None,
    save: Save = None,
    runs_dir: RunsDir = None,
    progress: Progress = "auto",
    format: Format = "text",
    **options: Any,
) -> None:
    """Train a recipe over a grid of values, with several seeds; mean ± sd of accuracy, ECE, NLL and entropies.

    Every cell is an ordinary run in runs/NAME, which `fierce runs`, `fierce compare` and `fierce analyze` take. One
    that is done with the same recipe is not trained again, one that was stopped goes on: say the same command again.
    A cell that fails is shown and the others go on; the exit code is 4 then. Numbers are written 0,0.1,0.3, 1:5 or
    16:1024:*2; values of an option that takes several, such as augment, are joined by +: augment=none,flip,flip+crop:4.
    """
    from fierce_tools.cli import saving
    from fierce_tools.experiments._loading import Places
    from fierce_tools.experiments._sweep import cells, parse, values_of
    from fierce_tools.experiments._sweep import sweep as work
    from fierce_tools.experiments._workshop import Workshop

    if save is not None:
        saving.check(Path(save), 1)
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}, expected 1 or more", "for example --seeds 5")
    root = runs.folder(runs_dir)
    given = {k: v for k, v in options.items() if v is not None}
    first = recipe.spec("train").option("seed").convert(given.pop("seed", 0))
    document = recipe.load(Path(recipe_file)) if recipe_file is not None else {}
    recipe.check_sections(document)
    if "mutual" in document:
        raise UsageError("this recipe is of peers that are trained at once", "say `fierce mutual` with it")
    chosen = {"data.name": data, "model.name": model, "loss.name": loss, "loss.preset": preset}
    overrides = {**{k: v for k, v in chosen.items() if v is not None}, **pairs(settings)}
    make = _maker(document, overrides, given, teacher, root, grid)
    base = make({})
    named = {section: str(getattr(base, section)["name"]) for section in MENUS}
    parts = parse(grid, lambda option: _section(option, named))
    choices = {section: [*parts.get(f"{section}.name", ()), named[section]] for section in MENUS}
    values = {key: values_of(key, said, choices.get(key.partition(".")[0], [])) for key, said in parts.items()}
    made = cells(values, range(first, first + seeds), make)
    places = Places(fresh=fresh, factory=factory or named_here(overrides), say=text.once())
    shop = Workshop(root, places=places, command=("fierce", *sys.argv[1:]))
    if dry_run:
        _show_plan(shop, made, format)
        return
    from fierce_tools.cli.cells import check_failed, watched

    tune_allocator()
    with watched(progress) as listen:
        found = work(replace(shop, listen=listen), values, made)
    document = {"format": 1, "sweep": _plain(asdict(found))}
    if format == "json":
        text.print_json(document)
    else:
        text.print_report(found.report())
        _say_next(found.rows)
    if save is not None:
        saving.save(Path(save), found.report(), document)
    check_failed(found.failed)


def _maker(
    document: dict[str, Any], overrides: dict[str, Any], given: dict[str, Any], teacher: list[str], root: Path,
    grid: Sequence[str],
) -> Callable[[dict[str, Any]], Recipe]:  # fmt: skip
    """From a cell's values to its recipe: that of a student where a teacher or a method is named anywhere."""
    own = {option.name for option in recipe.spec("distill").options}
    keys = {setting.partition("=")[0].strip().replace("-", "_") for setting in grid}
    taught = "distill" in document or teacher or own & {*given, *keys}
    if taught or any(key.startswith("distill.") for key in (*overrides, *keys)):
        return lambda more: distill.student_recipe(document, {**overrides, **more}, given, teacher, root)
    return lambda more: planned(document, {**overrides, **more}, given)


def _section(option: str, named: dict[str, str]) -> str:
    """The section of an option that is named alone. Raises UsageError with the nearest there is."""
    if not recipe.owners(option, distill.SECTIONS):
        raise unknown("option in --grid:", option, tuple(p.option.name for p in distill.flags()), "fierce train --help")
    return section_of(option, named, distill.SECTIONS)


def _show_plan(shop: Any, cells: Sequence[Any], format: str) -> None:
    found = [None] * len(cells) if shop.places.fresh else shop.find(cells)
    states = ["new" if run is None else runs.state(run) for run in found]
    if format == "json":
        listed = [
            {**c.varied, "seed": c.seed, "state": state, "run": None if run is None else run.name}
            for c, run, state in zip(cells, found, states, strict=True)
        ]
        text.print_json({"format": 1, "cells": _plain(listed)})
        return
    from fierce_tools.experiments._cells import short, word

    keys = list(cells[0].varied)
    heads = (*map(short, keys), "seed", "state", *(["run"] if any(found) else []))
    rows = [
        (*(word(c.varied[k]) for k in keys), c.seed, state, run.name if run is not None else "")[: len(heads)]
        for c, run, state in zip(cells, found, states, strict=True)
    ]
    text.print_table("", heads, rows)
    done = states.count("done")
    several = f"{len(cells)} run{'s' if len(cells) > 1 else ''}"
    text.say(f"{several}: {done} done, {len(cells) - done} to train; nothing was trained")


def _say_next(rows: Sequence[Any]) -> None:
    names = [name for row in rows for name in row.runs]
    if 1 < len(names) <= MOST_NAMED:
        text.say(f"next: fierce compare {' '.join(map(shlex.quote, names))}")
    elif names:
        text.say(f"next: fierce runs; fierce analyze entropy {shlex.quote(names[0])}")


def _plain(value: Any) -> Any:
    from fierce_tools.experiments._ask import plain

    return plain(value)


def command() -> Callable[..., None]:
    """The command with every flag of `fierce train` and of distillation."""
    made = extend(sweep, distill.flags())
    made.__doc__ = "\n\n".join(
        paragraph.replace("\n", " ") for paragraph in inspect.cleandoc(str(sweep.__doc__)).split("\n\n")
    )
    return made

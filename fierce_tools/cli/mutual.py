"""`fierce mutual`: several classifiers trained at once, each learning from the others."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import recipe, runs
from fierce_tools.cli import planning, session, text
from fierce_tools.cli.options import Factory, Format, Parameter, Progress, RunsDir, extend, pairs
from fierce_tools.errors import UsageError
from fierce_tools.menu import DATASETS, split
from fierce_tools.recipe import PLACES

# Training's stand where true labels are known: what was learned of wrong ones shows there.
COLUMNS = (
    ("train_accuracy", "train accuracy"),
    ("train_target_accuracy", "on true labels"),
    ("val_accuracy", "val. accuracy"),
    ("test_accuracy", "test accuracy"),
    ("test_nll", "NLL"),
    ("test_ece", "ECE"),
    ("test_entropy_t1", "H(T=1)"),
    ("test_entropy_t9", "H(T=9)"),
    ("train_exchanged", "exchanged"),
    ("train_exchanged_wrong", "of it wrong"),
)


def mutual(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[RECIPE.toml] [MODEL]...", help="A recipe, and the models after the first.", show_default=False
        ),
    ] = [],  # noqa: B006
    models: Annotated[
        list[str],
        typer.Option(
            "--models",
            metavar="MODEL MODEL...",
            help="The peers, 2 or more, such as --models cnn mlp:64.",
            show_default="two of the dataset's",
        ),
    ] = [],  # noqa: B006
    data: planning.choice(DATASETS, "digits") = None,  # type: ignore[valid-type]
    settings: planning.Settings = [],  # noqa: B006
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the group.", show_default="made from the recipe"),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="GROUP",
            help="Go on with a stopped group; nothing else need be said.",
            show_default=False,
        ),
    ] = None,
    factory: Factory = None,
    runs_dir: RunsDir = None,
    progress: Progress = "auto",
    format: Format = "text",
    **options: Any,
) -> None:
    """Train several classifiers at once on the same batches, each learning from labels, itself and the others.

    Each becomes a run of its own, runs/NAME-1-MODEL and so on, that every other command takes; NAME stands for all of
    them. Ctrl-C finishes the step, saves, and exits with 130; --resume NAME then reaches the same weights as a
    training never stopped.
    """
    root = runs.folder(runs_dir)
    given = {k: v for k, v in options.items() if v is not None}
    files = [w for w in words if w.endswith(".toml")]
    named = [m.strip() for said in (*models, *(w for w in words if w not in files)) for m in said.split(",")]
    if named and not models:
        raise UsageError(f"{named[0]!r} is no recipe", f"for models write --models {' '.join(named)}")
    if len(files) > 1:
        raise UsageError(f"{' and '.join(files)} are two recipes", "give one")
    if resume is not None:
        places = {k: given.pop(k) for k in PLACES if k in given}
        planning.nothing_else({"models": named, "data": data, "name": name, "set": settings, **given}, " ".join(files))
        _resume(runs.find(resume, root), places, factory, progress, format)
        return
    document = recipe.load(Path(files[0])) if files else {}
    recipe.check_sections(document)
    made = planning.with_whole_paths(resolved(document, named, data, pairs(settings), given))
    from fierce_tools.experiments._mutual import create, prepare_peers

    session.tune_allocator()
    trusted = next((split(m)[1] for m in named if split(m)[0] == "factory"), None)
    prepared = prepare_peers(made, factory or trusted)
    _go(prepared, create(root, made, name), progress, format)


def resolved(
    document: Any, named: list[str], data: str | None, settings: dict[str, str], given: dict[str, Any]
) -> recipe.Recipe:
    """The group's recipe; its model is the first peer's, and options of models go to every peer that has them."""
    from fierce_tools.experiments._mutual import whole

    own = {o.name for o in recipe.spec("mutual").options}
    overrides: dict[str, Any] = {k: v for k, v in settings.items() if not k.startswith("model.")}
    of_models = {k.partition(".")[2]: v for k, v in settings.items() if k.startswith("model.")}
    if data is not None:
        overrides["data.name"] = data
    choices = {"data": str(overrides.get("data.name") or (document.get("data") or {}).get("name") or "digits")}
    for key, value in given.items():
        if key in own:
            overrides[f"mutual.{key}"] = value
        elif recipe.owners(key)[0][0] == "model":
            of_models[key] = value
        else:
            overrides[f"{planning.section_of(key, choices)}.{key}"] = value
    if "mutual" not in document:  # a recipe of one model: two of it, unless others are named
        table = dict(document.get("model") or {})
        named = named or [str(table["name"])] * 2 if "name" in table else named
        of_models = {k: v for k, v in table.items() if k != "name"} | of_models
    if named:
        overrides["mutual.models"] = tuple(named)
    document = {s: t for s, t in document.items() if s != "model"}
    made = recipe.resolve({**document, "mutual": dict(document.get("mutual") or {})}, overrides)
    return whole(made, tuple(f"{k}={v}" for k, v in of_models.items()))


def _resume(run: runs.Run, places: dict[str, Any], factory: str | None, progress: str, format: str) -> None:
    from fierce_tools.experiments._mutual import group_of, prepare_peers

    group = group_of(run)
    planning.unfinished(group.run)
    session.tune_allocator()
    made = planning.at_places(group.run.recipe(), places)
    _go(prepare_peers(made, factory, run=group.run), group, progress, format)


def _go(prepared: Any, group: Any, progress: str, format: str) -> None:
    from fierce_tools.experiments._mutual import record_peers

    session.announce(prepared, group.run)
    text.say(learning(prepared))
    events = record_peers(prepared, group, ["fierce", *sys.argv[1:]])
    result = session.follow(events, group.run, prepared.epochs, progress, "mutual")
    for peer in result["peers"]:
        for remark in runs.remarks(peer):
            text.say(f"warning: {Path(peer['run']).name}: {remark}")
    if format == "json":
        text.print_json(result)
    else:
        _print_result(result)


def learning(prepared: Any) -> str:
    """What each peer is about to learn from, in one line: the formula, χ and what its labels are corrected by."""
    from fierce_tools.losses._mutual import CORRECTING, EXCHANGING, FORMULAS
    from fierce_tools.training.mutual import exchange_of

    how = exchange_of(prepared.recipe, len(prepared.splits.class_names))
    said = [f"{how.method}: each peer learns from {FORMULAS[how.method]}"]
    if how.method == "cmd":
        start = f"{how.chi_start:.4g} to " if how.chi_schedule != "static" else ""
        said.append(f"χ {how.chi_schedule} {start}{how.chi:.4g} nats")
    grows = f"g(t)·(1 - H(p)/log C), steepness {how.steepness:g}"
    if how.method in CORRECTING:
        said.append(f"q̃ = (1-e)·y + e·p with e = {grows if how.self_trust is None else how.self_trust}")
    if how.method in EXCHANGING:
        said.append(f"in the others' labels e = {grows if how.peer_trust is None else how.peer_trust}")
    return "; ".join(said)


def _print_result(result: dict[str, Any]) -> None:
    shown = [(key, title) for key, title in COLUMNS if result.get(key) is not None]
    named = [*((Path(peer["run"]).name, peer) for peer in result["peers"]), ("mean", result)]
    rows = [(name, *(values.get(key) for key, _ in shown)) for name, values in named]
    text.print_table(f"{result['method']}: {result['formula']}", ("", *(title for _, title in shown)), rows)
    for peer in result["peers"]:
        print(peer["checkpoint"])
    text.say(f"next: fierce compare {shlex.quote(result['run'])}")


def parameters() -> list[Parameter]:
    """Every option of datasets, models, training and of mutual learning, as flags under panels."""
    own = [Parameter(option, "Mutual learning") for option in recipe.spec("mutual").options if option.name != "models"]
    return own + [p for p in planning.parameters() if not p.panel.startswith("Loss ")]


def command() -> Callable[..., None]:
    """The command with all its flags."""
    return extend(mutual, parameters())

"""`fierce train`: from flags or a recipe to a run."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from fierce_tools import binding, recipe, runs
from fierce_tools.cli import text
from fierce_tools.cli.options import Factory, Format, Parameter, Progress, RunsDir, completer, extend, pairs
from fierce_tools.errors import UsageError
from fierce_tools.menu import DATASETS, LOSSES, MODELS, Menu, split
from fierce_tools.recipe import MENUS, PLACES, SECTIONS, Recipe

Recipes = Annotated[
    str | None, typer.Argument(metavar="[RECIPE.toml]", help="A recipe; flags change it.", show_default=False)
]

Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="Options of the loss as a paper has them: age, hyperspectral, few-shot (fierce).",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="SECTION.OPTION=VALUE",
        help="Any option of a recipe, such as loss.lam=0.3.",
        show_default=False,
    ),
]

Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Name of the run.", show_default="made from the recipe")
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="RUN", help="Go on with a stopped run; nothing else need be said.", show_default=False
    ),
]
# Options that name files or folders, by section.
FILES = {"data": ("data_root", "truth_file"), "distill": ("teacher_outputs", "transfer_set")}
PANELS = {"train": "Training", "distill": "Distillation"}
FIGURES = (
    ("accuracy", "accuracy", ""),
    ("top5", "top-5 accuracy", ""),
    ("nll", "NLL", "nats"),
    ("ece", "ECE, 15 bins", ""),
    ("entropy_t1", "soft-label entropy, T=1", "nats"),
    ("entropy_t9", "soft-label entropy, T=9", "nats"),
    ("feature_entropy", "feature entropy, common codebook", "bits"),
    ("anchor_entropy", "feature entropy, own anchors", "bits"),
)


def choice(menu: Menu, default: str) -> Any:
    """The parameter that names a menu's choice."""
    option = typer.Option(
        f"--{'data' if menu is DATASETS else menu.noun}", metavar="NAME", show_default=default,
        help=f"{menu.noun.capitalize()}: {', '.join(menu.names())}.", autocompletion=completer(menu.names()),
    )  # fmt: skip
    return Annotated[str | None, option]


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


def planned(
    document: dict[str, Any],
    overrides: dict[str, Any],
    given: dict[str, Any],
    sections: tuple[str, ...] = SECTIONS,
) -> Recipe:
    """The whole recipe of a document, overrides, and flags that each find their section."""
    named = {
        s: str(overrides.get(f"{s}.name") or (document.get(s) or {}).get("name") or _default(s, document, overrides))
        for s in MENUS
    }
    flags = {f"{section_of(key, named, sections)}.{key}": value for key, value in given.items()}
    return with_whole_paths(recipe.resolve(document, {**overrides, **flags}))


def with_whole_paths(made: Recipe) -> Recipe:
    """The recipe with paths that hold from any folder, so that the run can be asked and resumed from anywhere."""
    spec = binding.read(DATASETS, made.data["name"])
    name, argument = split(made.data["name"])
    whole = {o: _whole(made.data[o]) for o in FILES["data"] if made.data.get(o)}
    if spec.argument is not None and spec.argument.name in binding.PATHS:
        whole["name"] = f"{name}:{_whole(str(argument))}"
    if str(made.data["coarse"]).endswith(".json"):
        whole["coarse"] = _whole(made.data["coarse"])
    if made.distill is not None:
        files = {k: _whole(v) for k in FILES["distill"] if (v := made.distill[k]) is not None}
        made = replace(made, distill={**made.distill, **files})
    return made.with_data(**whole) if whole else made


def _whole(path: str) -> str:
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:  # a home that is nobody's: said where the file is looked for
        return path


def _default(section: str, document: Any, overrides: dict[str, Any]) -> str:
    distils = "distill" in document or any(key.startswith("distill.") for key in overrides)
    if section == "model":
        data = str(overrides.get("data.name") or (document.get("data") or {}).get("name") or "digits")
        return recipe.default_student(data) if distils else recipe.default_model(data)
    if section == "loss" and distils:
        method = overrides.get("distill.method") or (document.get("distill") or {}).get("method", "kd")
        return recipe.default_loss({"method": method})
    return recipe.DEFAULTS[section]


def section_of(option: str, named: dict[str, str], sections: tuple[str, ...] = SECTIONS) -> str:
    """The section an option's flag belongs to. Raises UsageError where it belongs to a choice that was not made."""
    owners = recipe.owners(option, sections)
    for section, choice, _ in owners:
        if choice is None or choice == named[section].partition(":")[0].replace("_", "-"):
            return section
    section, flag = owners[0][0], owners[0][2].flag
    theirs = ", ".join(c for s, c, _ in owners if c is not None and s == section)
    hint = f"add --{section} {owners[0][1]}"
    if "distill" in sections and section == "loss":
        losses = [c for _, c, _ in owners]
        method = next((m for m, loss in recipe.methods().items() if loss in losses), None)
        hint = f"add --method {method}"
    raise UsageError(
        f"{flag} is an option of {MENUS[section].noun} {theirs}, and the {MENUS[section].noun} is {named[section]}",
        hint,
    )


def named_here(overrides: dict[str, Any]) -> str | None:
    """The factory that was named on the command line, not by a recipe: to name one is to trust it."""
    name, argument = split(str(overrides.get("model.name")))
    return argument if name == "factory" else None


def nothing_else(given: dict[str, Any], recipe_file: str | None) -> None:
    """Raises UsageError where something is said beside --resume."""
    said = [f"--{key}" for key, value in given.items() if value]
    if said or recipe_file:
        raise UsageError(f"--resume goes on with the run's own recipe; leave out {', '.join(said) or recipe_file}")


def unfinished(run: runs.Run) -> None:
    """Raises UsageError where a run is done."""
    if run.info().get("state") == "done":
        raise UsageError(
            f"run {run.name} is done, there is nothing to resume", f"ask it: fierce analyze entropy {run.path}"
        )


def at_places(made: Recipe, places: dict[str, Any]) -> Recipe:
    """The recipe with its data where they lie here."""
    data = recipe.spec("data", made.data["name"])
    return made.with_data(**{k: data.option(k).convert(v) for k, v in places.items()})


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
    _go(prepare(at_places(made, places), factory), run, progress, format)


def _go(prepared: Any, run: runs.Run, progress: str, format: str) -> None:
    result = go(prepared, run, progress)
    if format == "json":
        text.print_json(result)
    else:
        print_result(result)


def go(prepared: Any, run: runs.Run, progress: str) -> dict[str, Any]:
    """Train into the run's folder, saying what and showing how far; the figures it ends with."""
    from fierce_tools.experiments._record import options_of, record

    announce(prepared, run)
    events = record(prepared, run, ["fierce", *sys.argv[1:]], **options_of(prepared.recipe, record))
    return follow(events, run, prepared.epochs, progress)


def announce(prepared: Any, run: runs.Run) -> None:
    """Say what is about to be trained, by what, and what a person should know before."""
    text.say(f"{run.path}: {describe(prepared)}")
    for line in (*taught(prepared), *prepared.data.notes, *(f"warning: {w}" for w in prepared.warnings())):
        text.say(line)


def follow(events: Any, run: runs.Run, epochs: int, progress: str, command: str = "train") -> dict[str, Any]:
    """Show a recorded training while it runs; its result. Raises Interrupted where a person stopped it."""
    from fierce_tools.cli.progress import Shown
    from fierce_tools.experiments._record import interrupted
    from fierce_tools.training.loop import StepDone

    result: dict[str, Any] = {}
    with _stopping() as stopped, Shown(progress, epochs) as shown:
        for event in events:
            if isinstance(event, StepDone):
                shown.step(event.progress.epoch, event.progress.step, event.steps, event.examples)
                if stopped():
                    events.close()
                    raise interrupted(run, event.progress.epoch, command)
            elif "run" in event:
                result = event
            else:
                shown.epoch(event)
    return result


def describe(prepared: Any) -> str:
    """What is about to be trained, in one line."""
    from fierce_tools.training.loop import members

    made: Recipe = prepared.recipe
    names = made.mutual["models"] if made.mutual is not None else (made.model["name"],)
    counts = [sum(p.numel() for p in m.parameters()) for m in members(prepared.setup.model)]
    who = ", ".join(f"{n} ({c:,} parameters)" for n, c in zip(names, counts, strict=True))
    splits = prepared.splits
    sizes = f"{len(splits.train):,} train, {len(splits.val):,} validation, {len(splits.test):,} test"
    return (
        f"{who} with {made.loss['name']} on {made.data['name']} ({sizes}), "
        f"{prepared.epochs} epochs of {made.train['batch_size']}, {made.train['optimizer']} {made.train['lr']:g}, "
        f"{prepared.setup.device}{', bf16' if prepared.setup.bf16 else ''}"
    )


def print_result(result: dict[str, Any]) -> None:
    """The figures of a finished training, and where its checkpoint is."""
    rows = []
    for key, title, unit in FIGURES:
        values = (result.get(f"val_{key}"), result.get(f"test_{key}"))
        if any(v is not None for v in values):
            rows.append((title, *values, unit))
    text.print_table("", ("", "validation", "test", ""), rows)
    print(result["checkpoint"])
    text.say(f"next: fierce analyze entropy {shlex.quote(result['checkpoint'])}")


def taught(prepared: Any) -> list[str]:
    """The formula of a distillation, and who teaches how."""
    facts = prepared.distillation()
    lines = [f"loss: {facts['formula']}"] if "formula" in facts else []
    if "teachers" in facts:
        how = {
            "given": "its soft labels are the file's",
            "once": "its outputs are computed once",
            "in the loop": "its outputs are computed in the loop, on the same batches as the student's",
        }[facts["teacher_outputs"]]
        lines.append(f"teacher: {prepared.teachers.label()}; {how}")
    return lines


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C (or TERM) asks to stop after the step; a second one stops at once."""
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        text.say("\nfinishing the step and saving; once more stops at once without saving")

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    previous = {n: signal.signal(n, handle) for n in numbers}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def tune_allocator() -> None:
    """Keep large tensors' memory from one step to the next: glibc else maps and unmaps anything above 32 MB each time.

    Done in the command's own process only, never by importing the library.
    """
    import ctypes

    m_trim_threshold, m_mmap_threshold, gigabyte = -1, -3, 1 << 30
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return
    mallopt(m_mmap_threshold, gigabyte)
    mallopt(m_trim_threshold, gigabyte)


def parameters(sections: tuple[str, ...] = SECTIONS) -> list[Parameter]:
    """Every option of every dataset, model and loss and of these sections, as flags under panels."""
    found: dict[str, Parameter] = {}
    for section in sections:
        for option in recipe.spec(section).options:
            found[option.name] = Parameter(option, PANELS.get(section, section.capitalize()))
    for section, menu in MENUS.items():
        for choice in menu.names():
            for option in binding.read_function(menu.source(choice), choice.replace("-", "_"), choice).options:
                if option.name not in found:
                    found[option.name] = _owned(option, section, menu)
    return list(found.values())


def _owned(option: binding.Option, section: str, menu: Menu) -> Parameter:
    """The flag of an option that some choices of a section have; where their defaults differ, each is named."""
    owned = [(c, o) for s, c, o in recipe.owners(option.name) if c is not None and s == section]
    owners, defaults = ", ".join(c for c, _ in owned), {o.shown_default for _, o in owned}
    each = ", ".join(f"{c} {o.shown_default or 'none'}" for c, o in owned) if len(defaults) > 1 else ""
    return Parameter(option, f"{menu.noun.capitalize()} {owners}", each)


def command() -> Callable[..., None]:
    """The command with all its flags."""
    return extend(train, parameters())

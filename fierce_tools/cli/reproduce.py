"""`fierce reproduce`: a paper's study, carried out, its figures beside ours."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fierce_tools import runs
from fierce_tools import study as studies
from fierce_tools.cli import text
from fierce_tools.cli.infer import DataRoot, Device, Download
from fierce_tools.cli.options import Factory, Format, Progress, RunsDir, pairs
from fierce_tools.cli.planning import with_whole_paths
from fierce_tools.errors import DataError, FierceError, UsageError

# What a study says of itself in the list, beside its cost.
LISTED = ("source", "data", "claim", "expected")


def reproduce(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="A study's name or file.", show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show every study: source, data, cost, claim.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="The same steps on digits or made-up data, in seconds: to see how it goes.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="The paper's own setting, on a CPU too.", show_default="where there is a GPU")
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            help="Seeds 0, 1, 2, … of everything; with others than the study fixes, verdicts are provisional.",
            show_default="the study's",
        ),
    ] = None,
    replace: Annotated[
        list[str],
        typer.Option(
            "--replace",
            metavar="THIS=THAT",
            show_default=False,
            help="Another value wherever the study has this one, such as cifar10=arrays:mine.npz; may be repeated.",
        ),
    ] = [],  # noqa: B006
    out: Annotated[
        str, typer.Option("--out", metavar="FOLDER", help="Where the table goes as Markdown and JSON, and the charts.")
    ] = "results",
    rejudge: Annotated[
        list[str],
        typer.Option(
            "--rejudge",
            metavar="FILE.json",
            show_default=False,
            help="Judge a kept result by today's rules and write it anew with its table; may be repeated.",
        ),
    ] = [],  # noqa: B006
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    factory: Factory = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train and ask anew what is done already.")] = False,
    runs_dir: RunsDir = None,
    progress: Progress = "auto",
    format: Format = "text",
) -> None:
    """Carry out a paper's study and set its figures beside ours: mean ± sd over seeds, and whether its claims hold.

    A claim holds, or does not, by a paired t-test over seeds, adjusted for all comparisons of the study; one seed
    decides nothing. How many seeds there are is fixed in the study's file.

    Its steps are ordinary runs and answers: what is done is used again, what was stopped goes on when the same command
    is said again. Where there is no GPU a study's smaller CPU form is taken if it has one; the table says which.
    """
    if list_:
        _list(format)
        return
    if rejudge:
        if quick or full or seeds is not None or replace or fresh:
            raise UsageError("--rejudge judges what was measured", "leave out what says how to carry out a study")
        _rejudge(rejudge, recipe, format)
        return
    if recipe is None:
        raise UsageError("which study?", "`fierce reproduce --list` shows them")
    if quick and full:
        raise UsageError("--quick and --full are two forms", "give one of them")
    if seeds is not None and seeds < 1:
        raise UsageError(f"--seeds is {seeds}, expected 1 or more", "for example --seeds 3")
    path, instead = studies.find(recipe), pairs(replace, "--replace", "cifar10=arrays:mine.npz")
    study = studies.load(path, "quick" if quick else "full", instead=instead)
    if quick and study.form != "quick":
        raise UsageError(f"{path} has no quick form", "leave out --quick")
    from fierce_tools.cli.cells import watched
    from fierce_tools.cli.session import tune_allocator
    from fierce_tools.experiments._loading import Places
    from fierce_tools.experiments._study import Studio
    from fierce_tools.experiments._verdicts import judged
    from fierce_tools.training.train import pick_device

    where = pick_device(device)
    if where.type != "cuda" and not (quick or full):
        study = studies.load(path, "cpu", instead=instead)
    several = range(seeds if seeds is not None else study.seeds)
    root = runs.folder(runs_dir)
    text.say(f"{study.title} ({study.source}); {study.form} form{': ' + study.about if study.about else ''}")
    Path(out).mkdir(parents=True, exist_ok=True)
    tune_allocator()
    began = datetime.now(UTC)
    with watched(progress) as listen:
        places = Places(None, data_root, download, device, factory, fresh, text.once())
        studio = Studio(study, root, several, places, listen, ("fierce", *sys.argv[1:]), with_whole_paths)
        steps = studio.perform()
    made = judged(study, steps, _about(study, path, root, steps, where, several, began), len(several))
    report, document = made.report(), made.as_dict()
    _save(Path(out), study, report, document, steps)
    if format == "json":
        text.print_json(document)
    else:
        text.print_report(report)
    failed = [name for name, step in steps.items() if step.error]
    if failed:
        stop = FierceError(f"{len(failed)} of {len(steps)} steps failed: {', '.join(failed)}", "why is said above")
        stop.exit_code = steps[failed[0]].exit_code
        raise stop
    if wrong := [line.row.name for line in made.lines if line.why]:
        raise UsageError(f"{path}: {len(wrong)} rows found nothing: {', '.join(wrong)}", "mend their expressions")


def _study_of(path: Path, recipe: str | None, name: str) -> Path:
    try:
        return studies.find(recipe or name)
    except UsageError:
        if recipe is not None:
            raise
        what = f"{path} is of the study {name[:60]!r}, which does not come with fierce-tools"
        raise UsageError(what, "name its file: fierce reproduce STUDY.toml --rejudge …") from None


def _rejudge(files: Sequence[str], recipe: str | None, format: str) -> None:
    """Judge kept results again from the figures of every seed; nothing is trained, and charts stay as they are."""
    import json

    from fierce_tools.cli import saving
    from fierce_tools.experiments._verdicts import judged_again

    again = []
    for name in files:
        path = Path(name)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not a JSON document ({str(error) or type(error).__name__})") from None
        if path.suffix != ".json" or not isinstance(document, dict) or not isinstance(document.get("study"), str):
            raise DataError(f"{path}: not a result of `fierce reproduce`", "name a NAME.json that it wrote")
        if document.get("format") != 1:
            raise DataError(f"{path} is of format {document.get('format')!r}, this version judges format 1")
        study = studies.load(_study_of(path, recipe, document["study"]), str(document.get("form")))
        made = judged_again(study, document, str(path))
        again.append((path, made.report(), made.as_dict()))
    for path, report, document in again:  # nothing is written before all of them could be judged
        saving.save(path, report, document)
        saving.save(path.with_suffix(".md"), report, document)
        if format != "json":
            text.print_report(report)
    if format == "json":
        documents = [document for _, _, document in again]
        text.print_json(documents[0] if len(documents) == 1 else documents)


def _about(
    study: Any, path: Path, root: Path, steps: Any, device: Any, seeds: range, began: datetime
) -> dict[str, Any]:
    """What a figure must have beside it: command, form, device, versions, date, seeds and time.

    Runs that were trained before, elsewhere or by other versions are said as they say it themselves.
    """
    import platform

    import torch

    from fierce_tools import __version__

    chip = torch.cuda.get_device_name() if device.type == "cuda" else str(device)
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    form = {"quick": " --quick", "full": " --full" if "cpu" in study.forms else ""}.get(study.form, "")
    spent = sum(step.seconds for step in steps.values())
    instead = [f"--replace={this}={that}" for this, that in study.instead.items()]
    shipped = path.resolve().parent in [folder.resolve() for folder in studies.folders()]
    words = [study.name if shipped else str(path), *form.split(), "--seeds", str(len(seeds)), *instead]
    infos = [runs.Run(root / name).info() for step in steps.values() for name in step.runs]
    dates = sorted({f"{began:%Y-%m-%d}", *(str(info.get("finished"))[:10] for info in infos if info.get("finished"))})
    kinds = {str(info.get("device")) for info in infos} - {str(device), "None"}
    torches = {str(info.get("versions", {}).get("torch")) for info in infos} - {str(torch.__version__), "None"}
    return {
        "command": f"fierce reproduce {shlex.join(words)}",
        "form": study.form + (f" ({study.about})" if study.about else ""),
        "seeds": ", ".join(map(str, seeds)),
        "validation": f"{study.val_fraction:g} of the training examples",
        "device": f"{chip}{threads}" + (f"; runs trained on {', '.join(sorted(kinds))}" if kinds else ""),
        "versions": f"fierce-tools {__version__}, torch {torch.__version__}, Python {platform.python_version()}"
        + (f"; runs trained with torch {', '.join(sorted(torches))}" if torches else ""),
        "date": " to ".join(dict.fromkeys((dates[0], dates[-1]))),
        "time": _duration(spent),
    }


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _save(folder: Path, study: Any, report: Any, document: Any, steps: Any) -> None:
    """NAME.md and NAME.json (NAME-cpu, NAME-quick in those forms), images that steps name, and charts where there is
    matplotlib."""
    from fierce_tools.cli import figures, saving
    from fierce_tools.report import Report

    folder.mkdir(parents=True, exist_ok=True)
    name = study.name + ("" if study.form == "full" else f"-{study.form}")
    saving.save(folder / f"{name}.md", report, document)
    saving.save(folder / f"{name}.json", report, document)
    charts = {name: Report(report.title, tuple(b for b in report.blocks if figures.drawable(b)))}
    for step, done in steps.items():
        if study.steps[step].get("figure") and done.report is not None:
            charts[f"{name}-{step}"] = done.report
    try:
        for stem, chart in charts.items():
            if any(figures.drawable(block) for block in chart.blocks):
                saving.save(folder / f"{stem}.svg", chart, document)
    except UsageError as error:
        text.say(f"no charts: {error}")
    for step, done in steps.items():
        if done.pictures:
            from fierce_tools.cli.pictures import write_montage

            sheet = folder / f"{name}-{step}.png"
            write_montage([image for image, _ in done.pictures], [caption for _, caption in done.pictures], sheet)
            text.say(f"drawn: {sheet}")


def _list(format: str) -> None:
    found: dict[str, Any] = {}
    for folder in studies.folders():
        for path in studies.studies(folder) if folder.is_dir() else ():
            try:
                found.setdefault(path.stem, studies.load(path, check=False))
            except FierceError as error:
                text.say(f"left out: {error}")
    if format == "json":
        entries = [
            {"study": s.name, "path": str(s.path), "title": s.title, **{k: getattr(s, k) for k in LISTED},
             "cost": dict(s.cost), "seeds": s.seeds, "forms": list(s.forms)}
            for s in found.values()
        ]  # fmt: skip
        text.print_json({"format": 1, "studies": entries})
        return
    for study in found.values():
        cost = "; ".join(f"{device.upper()}: {said}" for device, said in study.cost.items())
        print(f"{study.name}: {study.title}")
        text.facts({f"  {k}": getattr(study, k) for k in LISTED} | {"  cost": cost})
        print()
    if found:
        text.say(f"next: fierce reproduce {shlex.quote(next(iter(found)))} --quick")

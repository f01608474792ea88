"""`fierce analyze NAME PATH…`: one command for each analysis, made from its signature."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fierce_tools import binding, runs
from fierce_tools.cli import text
from fierce_tools.cli.infer import Data, DataRoot, Device
from fierce_tools.cli.options import (
    Counts,
    Factory,
    Format,
    Labels,
    Logits,
    Parameter,
    Probabilities,
    RunsDir,
    extend,
)
from fierce_tools.errors import FierceError, SeenValidation, UsageError
from fierce_tools.menu import ANALYSES, literal

if TYPE_CHECKING:
    from fierce_tools.sources import Source


# Options of an analysis that compares with a teacher.
TEACHER = tuple(
    binding.Option(name, "str", None, text, optional=True)
    for name, text in (
        ("teacher", "the run, checkpoint or file to compare with"),
        ("teacher_logits", "name of the array of logits in the teacher's file"),
        ("teacher_probabilities", "name of an array of probabilities in it instead"),
        ("teacher_counts", "name of an array of counts in it instead, such as people's votes"),
    )
)


def commands() -> dict[str, Callable[..., None]]:
    """A command for each analysis, with its options; nothing is imported."""
    return {name: _command(name) for name in ANALYSES.names()}


def _command(name: str) -> Callable[..., None]:
    spec = binding.read(ANALYSES, name)
    default_split: Any = literal(ANALYSES.source(name), "DEFAULT_SPLIT") or "test"

    def analyze(
        paths: Annotated[
            list[str],
            typer.Argument(metavar="PATH…", help="Runs, checkpoints, or files of arrays (.npz, .npy, .safetensors)."),
        ],
        split: Annotated[
            Literal["train", "val", "test"], typer.Option("--split", help="Which split of a checkpoint's data.")
        ] = default_split,
        epochs: Annotated[
            str | None,
            typer.Option(
                "--epochs",
                metavar="all|best|N",
                help="Snapshots of a run instead of its last weights.",
                show_default=False,
            ),
        ] = None,
        logits: Logits = None,
        probabilities: Probabilities = None,
        counts: Counts = None,
        labels: Labels = None,
        data: Data = None,
        data_root: DataRoot = None,
        device: Device = "auto",
        factory: Factory = None,
        fresh: Annotated[bool, typer.Option("--fresh", help="Compute anew what was kept.")] = False,
        runs_dir: RunsDir = None,
        save: Annotated[
            str | None,
            typer.Option(
                "--save",
                metavar="FILE",
                help="Save it: charts .png .svg .pdf, tables .md .csv, arrays .safetensors .npz, or .json.",
                show_default=False,
                rich_help_panel="Output",
            ),
        ] = None,
        images: Annotated[
            bool, typer.Option("--images", help="Show the images the answer names.", rich_help_panel="Output")
        ] = False,
        montage: Annotated[
            str | None,
            typer.Option(
                "--montage",
                metavar="FILE.png",
                help="Write them to one PNG.",
                show_default=False,
                rich_help_panel="Output",
            ),
        ] = None,
        format: Format = "text",
        **options: Any,
    ) -> None:
        from fierce_tools import sources
        from fierce_tools.cli import saving
        from fierce_tools.experiments._ask import ask
        from fierce_tools.experiments._gather import beside
        from fierce_tools.experiments._loading import Places, of_data
        from fierce_tools.outputs import Keys
        from fierce_tools.report import combine

        if save is not None:
            saving.check(Path(save), 2 if epochs == "all" else len(set(paths)))
        root = runs.folder(runs_dir)
        found = distinct([s for path in paths for s in sources.locate(path, root, epochs=whole(epochs))])
        taught = {o.name: options.pop(o.name, None) for o in TEACHER}
        given = {k: v for k, v in options.items() if v is not None}
        teacher = _one(taught["teacher"], root) if taught["teacher"] else None
        keys = beside(found, Keys(logits, probabilities, counts, labels))
        teacher_keys = Keys(taught["teacher_logits"], taught["teacher_probabilities"], taught["teacher_counts"])
        if teacher is None and teacher_keys.named():
            flag = f"--teacher-{next(iter(teacher_keys.named()))}"
            raise UsageError(f"{flag} needs a teacher's file", "add --teacher FILE")
        places = Places(data, data_root, False, device, factory, say=text.once())
        answers = {}
        for source in found:
            try:
                answers[source.label] = ask(
                    name,
                    source,
                    given,
                    split=split,
                    keys=keys,
                    teacher=teacher,
                    teacher_keys=teacher_keys,
                    places=places,
                    fresh=fresh,
                )
            except SeenValidation as error:  # that of the others is still an answer
                if source is found[-1] and not answers:
                    raise
                text.say(f"left out: {source.label}: {error}")
            except FierceError as error:
                if len(found) > 1 and source.label not in error.message:
                    error.message = f"{source.label}: {error.message}"
                raise
        found = [source for source in found if source.label in answers]
        report = combine({label: answer.report for label, answer in answers.items()})
        document = _document(name, split, found, answers)
        if format == "json":
            text.print_json(document)
        else:
            text.print_report(report)
        if images or montage is not None:
            from fierce_tools.cli import pictures

            for source in found:
                shown = images and format == "text"
                sheet = Path(montage) if montage is not None else None
                if sheet is not None and len(found) > 1:
                    sheet = sheet.with_stem(f"{sheet.stem}-{Path(source.label).stem}")
                answer = answers[source.label]
                kept = sources.images_path(answer.path) if answer.path is not None else None
                pictures.show(source, answer.report, split, places, show=shown, montage=sheet, kept=kept)
        if save is not None:
            of = of_data(found[0]) if found[0].checkpoint and data is None else {}
            saving.save(Path(save), report, document, of)

    analyze.__name__ = name
    analyze.__doc__ = "\n\n".join(paragraph.replace("\n", " ") for paragraph in spec.doc.split("\n\n"))
    return extend(analyze, [*(Parameter(o, "Analysis") for o in spec.options), *_needs(spec)])


def _needs(spec: binding.Spec) -> list[Parameter]:
    """Options that come with the arrays an analysis names: a teacher, draws under augmentation."""
    more = []
    if any(a.startswith("teacher_") for a in (*spec.arrays, *spec.optional_arrays)):
        more += [Parameter(option, "Analysis") for option in TEACHER]
    if "draws" in spec.arrays:
        more += [Parameter(o, "Draws under augmentation") for o in binding.draws().options]
    return more


def _one(path: str, root: Path) -> Source:
    from fierce_tools import sources

    found = sources.locate(path, root)
    return found[0]


def _document(name: str, split: str, found: list[Source], answers: Mapping[str, Any]) -> dict[str, Any]:
    results = []
    for source in found:
        answer = answers[source.label]
        where = {"source": source.label, "path": str(source.path), "epoch": source.epoch, "input_sha256": source.sha256}
        results.append({**where, "split": answer.identity["split"], "values": answer.values})
    options = next(iter(answers.values())).identity["options"]
    return {"format": 1, "analysis": name, "options": options, "split": split, "results": results}


def whole(epochs: str | None) -> str | None:
    """`--epochs` as sources take it. Raises UsageError for anything but all, best or a number."""
    if epochs is None or epochs in ("all", "best") or epochs.isdecimal():
        return epochs
    raise UsageError(f"--epochs is {epochs!r}, expected all, best or the number of an epoch")


def distinct(found: list[Source]) -> list[Source]:
    """Sources under labels that tell them apart: paths where names coincide; the same file twice is asked once."""
    unique = list({s.path.resolve(): s for s in found}.values())
    counts = Counter(s.label for s in unique)
    return [replace(s, label=str(s.path)) if counts[s.label] > 1 else s for s in unique]

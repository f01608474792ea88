"""`fierce infer`: a checkpoint's outputs on a split."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fierce_tools import runs
from fierce_tools.cli import text
from fierce_tools.cli.options import Factory, Format, RunsDir

Data = Annotated[
    str | None, typer.Option("--data", metavar="NAME", help="Other data than it was trained on.", show_default=False)
]
DataRoot = Annotated[
    str | None, typer.Option("--data-root", help="Folder that holds the dataset's files.", show_default="the recipe's")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch the dataset where it is missing.")]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where to compute.")]


def infer(
    path: Annotated[str, typer.Argument(metavar="CKPT", help="A checkpoint, a run folder or a run's name.")],
    split: Annotated[Literal["train", "val", "test"], typer.Option("--split", help="Which split.")] = "test",
    features: Annotated[bool, typer.Option("--features", help="Penultimate features too.")] = False,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FILE", help="Write one .safetensors file here.", show_default="beside the checkpoint"
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option("--epochs", metavar="N|best", help="A snapshot instead of the last weights.", show_default=False),
    ] = None,
    data: Data = None,
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    factory: Factory = None,
    runs_dir: RunsDir = None,
    format: Format = "text",
) -> None:
    """Run a checkpoint on a split, in float32, and keep its logits, labels and index (and features)."""
    from fierce_tools import outputs, sources
    from fierce_tools.cli.analyze import whole
    from fierce_tools.errors import DataError, UsageError
    from fierce_tools.experiments._loading import Places, outputs_of
    from fierce_tools.experiments._measured import figures_of

    found = sources.locate(path, runs.folder(runs_dir), epochs=whole(epochs))
    if len(found) != 1 or not found[0].checkpoint:
        raise UsageError(f"{path} is not one checkpoint", "give a checkpoint, a run, or --epochs with one snapshot")
    source = found[0]
    if data is not None and out is None:
        raise UsageError("outputs on other data are not kept beside the checkpoint", "say where with --out FILE")
    wanted = {"logits", "features"} if features else {"logits"}
    places = Places(data, data_root, download, device, factory, say=text.once())
    made = outputs_of(source, split, wanted, places, fresh=data is None and out is None)
    target = Path(out) if out is not None else source.outputs_path(split)
    if out is None and sources.kept(source, split, wanted) is None:
        raise DataError(f"the outputs could not be written to {target}", "say where with --out FILE")
    if out is not None:
        if target.suffix != ".safetensors":
            raise UsageError(f"--out {out}: outputs are written as .safetensors", "name it FILE.safetensors")
        outputs.save(target, made)
    for note in made.notes:
        text.say(note)
    figures = figures_of(made)
    if format == "json":
        text.print_json(
            {
                "checkpoint": str(source.path),
                "split": split,
                "outputs": str(target),
                "examples": len(made.logits),
                **figures,
            }
        )
        return
    text.print_table("", (source.label, split), [("examples", len(made.logits)), *figures.items()])
    print(target)

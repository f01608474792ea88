"""`fierce import`: weights trained anywhere, made into a checkpoint."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fierce_tools import binding, recipe
from fierce_tools.cli import text
from fierce_tools.cli.options import Format, Parameter, completer, extend
from fierce_tools.menu import DATASETS, split

if TYPE_CHECKING:
    from fierce_tools.training.import_ import Imported

SPEC = binding.read_function(
    Path(__file__).parent.parent / "training" / "import_.py", "import_weights", "import"
)  # read, not imported


def import_(
    weights: Annotated[
        str, typer.Argument(metavar="WEIGHTS", help="A state dict: .safetensors, or torch's .pt or .pth.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Its model: torchvision:resnet18, your package.module:function, or one of `fierce list models`.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME",
            help=f"The data it was trained on: {', '.join(DATASETS.names())}.",
            autocompletion=completer(DATASETS.names()),
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="The checkpoint.", show_default="WEIGHTS.fierce.safetensors"),
    ] = None,
    format: Format = "text",
    **options: Any,
) -> None:
    """Make a checkpoint of weights that were trained anywhere, so that `fierce analyze` can ask them.

    A function named as --model is imported, and so run; pickled code in WEIGHTS never is. Nothing is overwritten.
    """
    from fierce_tools.training.import_ import import_weights

    given = {k: v for k, v in options.items() if v is not None}
    # Data are named: --classes then says which of theirs.
    names = [o.name for o in SPEC.options if o.name != "classes" or data is None]
    own = SPEC.resolve({k: given.pop(k) for k in names if k in given})
    section = given if data is None else {"name": data, **given}
    made = import_weights(Path(weights), model, section, None if out is None else Path(out), **own)
    _tell(made, weights)
    if format == "json":
        text.print_json(vars(made))
        return
    print(made.checkpoint)
    name, argument = split(made.model)
    more = ["--data", "NAME"] if data is None else []
    more += ["--factory", str(argument)] if name == "factory" else []
    text.say(f"next: fierce analyze entropy {shlex.join([made.checkpoint, *more])}")


def _tell(made: Imported, weights: str) -> None:
    """What was taken for granted, for a person to check."""
    from fierce_tools.models.torchvision import CENTERED, MEAN
    from fierce_tools.sources import TRAINED_ON

    if made.unwrapped is not None:
        text.say(f"the weights are what lies under {made.unwrapped!r} in {weights}")
    if made.prefix is not None:
        text.say(f"{made.prefix!r} before every name was left out")
    text.say(
        f"{made.model} ({made.parameters:,} parameters); head {made.head!r}: {made.features} features, "
        f"{made.classes} classes"
    )
    mean, std = (",".join(f"{v:g}" for v in values[:3]) for values in (made.mean, made.std))
    more = ",…" if len(made.mean) > 3 else ""
    scale = "bytes / 255" if len(made.input_shape) == 3 else "vectors"
    text.say(f"inputs are {scale} - {mean}{more}, divided by {std}{more} (--mean, --std)")
    text.say(f"trained on: {TRAINED_ON[made.trained_on]} (--trained-on)")
    name, argument = split(made.model)
    if name == "torchvision" and argument in CENTERED and made.mean == MEAN:
        text.say(f"warning: torchvision's own weights of {argument} need --mean 0.5 --std 0.5")
    if made.unexpected:
        names = ", ".join(made.unexpected[:5]) + (", …" if len(made.unexpected) > 5 else "")
        text.say(f"warning: {len(made.unexpected)} tensors of {weights} are not of the model and left out: {names}")


def command() -> Callable[..., None]:
    """The command with all its flags."""
    found = {o.name: Parameter(o, "Model") for o in SPEC.options}
    for option in recipe.spec("data").options:
        found.setdefault(option.name, Parameter(option, "Data"))
    for name in DATASETS.names():
        for option in binding.read_function(DATASETS.source(name), name.replace("-", "_"), name).options:
            found.setdefault(option.name, Parameter(option, "Data"))
    return extend(import_, found.values())

"""`fierce list`: the menus."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from fierce_tools import binding, recipe
from fierce_tools.cli import text
from fierce_tools.cli.options import Format
from fierce_tools.errors import UsageError
from fierce_tools.menu import ANALYSES, DATASETS, EXPERIMENTS, LOSSES, MODELS, Menu

EXAMPLES = {"mlp": "mlp:1200-1200", "torchvision": "torchvision:resnet18"}


def _print(menu: Menu, format: str, extra: dict[str, Any] | None = None, column: str = "") -> None:
    specs = [_spec(menu, name) for name in menu.names()]
    if format == "json":
        text.print_json([{**_as_json(s), **({"parameters": extra[s.name]} if extra else {})} for s in specs])
        return
    heads = (menu.noun, *((column,) if extra else ()), "what it is", "options")
    rows = []
    for spec in specs:
        shown = f"{spec.name}:{spec.argument.name.upper()}" if spec.argument else spec.name
        options = ", ".join(o.flag for o in spec.options) or "–"
        rows.append((shown, *((extra[spec.name],) if extra else ()), spec.summary, options))
    text.print_table("", heads, rows)


def _spec(menu: Menu, name: str) -> binding.Spec:
    return binding.read_function(menu.source(name), name.replace("-", "_"), name)


def _as_json(spec: binding.Spec) -> dict[str, Any]:
    options = [{**asdict(o), "flag": o.flag} for o in spec.options]
    argument = spec.argument.name if spec.argument else None
    return {
        "name": spec.name,
        "summary": spec.summary,
        "doc": spec.doc,
        "argument": argument,
        "options": options,
        "presets": dict(spec.presets),
    }


def losses(format: Format = "text") -> None:
    """The losses a model can be trained with."""
    _print(LOSSES, format)


def datasets(format: Format = "text") -> None:
    """The datasets a model can be trained on."""
    _print(DATASETS, format)
    if format == "text":
        print(f"For any of them: {', '.join(o.flag for o in recipe.spec('data').options)}.")


def analyses(format: Format = "text") -> None:
    """The analyses a checkpoint can be asked, and the experiments, which train students to answer."""
    if format == "json":
        every = [(menu, name) for menu in (ANALYSES, EXPERIMENTS) for name in menu.names()]
        text.print_json([{**_as_json(_spec(m, n)), "experiment": m is EXPERIMENTS} for m, n in every])
        return
    _print(ANALYSES, format)
    _print(EXPERIMENTS, format)


def models(
    shape: Annotated[
        str, typer.Option("--shape", metavar="HxWxC", help="Shape of the images the parameters are counted for.")
    ] = "28x28x1",
    classes: Annotated[int, typer.Option("--classes", min=2, help="Classes they are counted for.")] = 10,
    format: Format = "text",
) -> None:
    """The models there are, with their parameter counts for images of a shape."""
    try:
        size = tuple(int(n) for n in shape.split("x"))
    except ValueError:
        size = ()
    if len(size) != 3 or min(size) < 1:
        raise UsageError(f"--shape is {shape!r}, expected HxWxC", "for example --shape 32x32x3")
    counts: dict[str, int | str | None] = {}
    for name in MODELS.names():
        count = _count(name, size, classes)
        example = f" ({EXAMPLES[name]})" if name in EXAMPLES else ""
        counts[name] = count if count is None or format == "json" else f"{count:,}{example}"
    _print(MODELS, format, counts, f"parameters at {shape}, {classes} classes")


def _count(name: str, shape: tuple[int, ...], classes: int) -> int | None:
    """Parameters of a model, or of the example of it; None where there is no example, or it takes no such images."""
    import torch

    if _spec(MODELS, name).argument is not None and name not in EXAMPLES:
        return None
    argument = EXAMPLES[name].partition(":")[2] if name in EXAMPLES else None
    try:
        with torch.device("meta"):
            net = MODELS.get(name)(shape, classes, *(() if argument is None else (argument,)))
    except UsageError:
        return None
    return sum(p.numel() for p in net.parameters())

"""Where an experiment trains its students otherwise than `fierce distill` does, read from the options of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fierce_tools import binding, recipe
from fierce_tools.binding import Option
from fierce_tools.menu import EXPERIMENTS


def differing(experiment: str) -> dict[str, tuple[Option, Option]]:
    """Options of an experiment's students and of `fierce distill` that differ in their defaults, own and distill's.

    Empty for an experiment without students.
    """
    spec = binding.read(EXPERIMENTS, experiment)
    if "lab" not in spec.arrays:
        return {}
    own = {option.name: option for option in (*spec.options, *binding.students(spec).options)}
    theirs = distilling()
    both = {name: (option, theirs[name]) for name, option in own.items() if name in theirs}
    return {name: pair for name, pair in both.items() if pair[0].default != pair[1].default}


def distilling() -> dict[str, Option]:
    """The options of `fierce distill` with its method by default, but those of one dataset or model, by name."""
    method = str(recipe.spec("distill").option("method").default)
    specs = (recipe.spec("data"), recipe.spec("loss", recipe.methods()[method]), recipe.spec("train"))
    return {option.name: option for spec in (*specs, recipe.spec("distill")) for option in spec.options}


def note(experiment: str, used: Mapping[str, Any] | None = None) -> str:
    """What differs, in a sentence; where the values `used` are given, only what was left as it is by default."""
    found = differing(experiment)
    words = [
        f"{theirs.flag} {theirs.shown_default or 'none'} instead of {own.shown_default or 'none'}"
        for name, (own, theirs) in found.items()
        if used is None or used.get(name) == own.default
    ]
    return f"The defaults of fierce distill differ: {', '.join(words)}." if words else ""

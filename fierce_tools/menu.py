"""A folder is a menu: its files are the choices. names() imports nothing, get() imports one file."""

from __future__ import annotations

import ast
import difflib
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from fierce_tools.errors import UsageError


@dataclass(frozen=True)
class Menu:
    """The members of a folder of fierce_tools. A file offers one member, its own name, or those of its `MEMBERS`."""

    folder: str
    noun: str

    def names(self) -> tuple[str, ...]:
        """Every choice, in alphabetical order, read from file names alone (and `MEMBERS`)."""
        return tuple(sorted(_members(self.folder)))

    def source(self, choice: str) -> Path:
        """The file that defines a choice. Raises UsageError with the nearest right name."""
        name, _ = split(choice)
        members = _members(self.folder)
        if name not in members:
            listing = ANALYSES.plural if self.noun == "experiment" else self.plural
            raise unknown(self.noun, name, self.names(), f"fierce list {listing}")
        return members[name]

    def get(self, choice: str) -> Callable[..., Any]:
        """The function behind a choice; only its file is imported."""
        name, _ = split(choice)
        return getattr(self.module(choice), name.replace("-", "_"))

    def module(self, choice: str) -> Any:
        """The module that defines a choice."""
        return importlib.import_module(f"fierce_tools.{self.folder}.{self.source(choice).stem}")

    @property
    def plural(self) -> str:
        """The noun for several of them."""
        return {"analysis": "analyses", "loss": "losses"}.get(self.noun, self.noun + "s")


def split(choice: str) -> tuple[str, str | None]:
    """The name and the argument of a choice: `mlp:100-100` is ("mlp", "100-100"), `ce` is ("ce", None)."""
    name, colon, argument = choice.partition(":")
    return name.strip().replace("_", "-"), argument if colon else None


def unknown(noun: str, got: str, choices: tuple[str, ...], listing: str = "") -> UsageError:
    """The error for a wrong name: what was given, the nearest right one, and where all of them are listed."""
    near = difflib.get_close_matches(got, choices, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!r}? " if near else ""
    rest = f"`{listing}` lists them" if listing else f"choose from {', '.join(choices)}" if choices else "there is none"
    return UsageError(f"unknown {noun} {got!r}", advice + rest)


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file, read once."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def literal(path: Path, name: str) -> Any:
    """The value of a top-level literal `name = …` of a file, or None where there is none."""
    for node in parsed(path).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(t, ast.Name) and t.id == name for t in targets) and node.value is not None:  # type: ignore[attr-defined]
            return ast.literal_eval(node.value)  # type: ignore[attr-defined]
    return None


@cache
def _members(folder: str) -> dict[str, Path]:
    members: dict[str, Path] = {}
    for path in sorted((Path(__file__).parent / folder).glob("[!_]*.py")):
        for name in literal(path, "MEMBERS") or (path.stem.replace("_", "-"),):
            members[name] = path
    return members


class _Package(ModuleType):
    """A package whose attributes are its members' functions, each imported when first asked for."""

    def __getattr__(self, name: str) -> Any:
        members = _members(self.__name__.rpartition(".")[2])
        path = members.get(name.replace("_", "-"))
        if path is None or name.startswith("_"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{self.__name__}.{path.stem}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a freshly imported submodule here; its function of that name is what is offered.
        if isinstance(value, ModuleType) and callable(getattr(value, name, None)):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [name.replace("-", "_") for name in _members(self.__name__.rpartition(".")[2])]


def revision(menu: Menu, name: str) -> int | None:
    """Which answers of a choice's are kept: those of its file's `REVISION`, None where they never changed."""
    return literal(menu.source(name), "REVISION")


def offer(package: str) -> None:
    """Let `from fierce_tools.losses import fierce` give the function of losses/fierce.py, imported when asked."""
    sys.modules[package].__class__ = _Package


DATASETS = Menu("data", "dataset")
MODELS = Menu("models", "model")
LOSSES = Menu("losses", "loss")
ANALYSES = Menu("analysis", "analysis")
EXPERIMENTS = Menu("experiments", "experiment")

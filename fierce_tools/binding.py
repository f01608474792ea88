"""Options, help and arrays of a function, read from its source without importing it.

A function's keyword-only parameters written `name: Annotated[T, "help"] = default` are its options; its positional
ones are arrays, or, when annotated the same way and without a default, the argument behind the colon of `mlp:100-100`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from fierce_tools import ranges
from fierce_tools.errors import UsageError
from fierce_tools.menu import Menu, literal, parsed, split, unknown

KINDS = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "choice": "choice",
         "ints": "whole numbers", "floats": "numbers", "strs": "words"}  # fmt: skip

# Arguments of those names are files or folders.
PATHS = ("file", "path")


@dataclass(frozen=True)
class Option:
    """One option: `kind` is a key of KINDS, `default` its value when nothing is said; an `optional` one may be none."""

    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def flag(self) -> str:
        """As written on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def shown_default(self) -> str:
        """The default as a person would type it."""
        if isinstance(self.default, tuple):
            return ranges.show(self.default) if self.kind in ("ints", "floats") else ",".join(self.default)
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return "" if self.default is None else f"{self.default:g}" if self.kind == "float" else str(self.default)

    def convert(self, value: Any, *, where: str = "") -> Any:
        """`value`, from a command line or a TOML file, as this option's type. Raises UsageError."""
        if value is None or (self.optional and value == "none"):
            if self.optional:
                return None
            raise self._wrong(value, where)
        try:
            return self._typed(value)
        except (TypeError, ValueError, OverflowError) as error:
            if isinstance(error, UsageError) and self.kind in ("choice", "ints", "floats"):
                raise
            raise self._wrong(value, where) from None

    def _typed(self, value: Any) -> Any:
        if self.kind == "choice":
            if value not in self.choices:
                raise unknown(f"value for {self.flag}:", str(value), self.choices)
            return value
        if self.kind in ("ints", "floats"):
            numbers = ranges.parse(value) if isinstance(value, str) else tuple(_flat(value))
            return tuple(_whole(v) if self.kind == "ints" else _plain(v) for v in numbers)
        if self.kind == "strs":
            return (
                tuple(v.strip() for v in value.split(",")) if isinstance(value, str) else tuple(map(str, _flat(value)))
            )
        if self.kind == "bool":
            words = {"true": True, "false": False, "yes": True, "no": False}
            if isinstance(value, str) and value.lower() in words:
                return words[value.lower()]
            if isinstance(value, bool):
                return value
            raise TypeError
        if self.kind == "str":
            return str(value)
        number = _plain(_single(value) if isinstance(value, str) else value)
        return _whole(number) if self.kind == "int" else float(number)

    def _wrong(self, value: Any, where: str) -> UsageError:
        article = "" if self.kind.endswith("s") or self.kind in ("str", "bool") else "a "
        return UsageError(
            f"{where or self.flag} is {value!r}, expected {article}{KINDS[self.kind]}",
            f"for example {self.flag} {self.shown_default}" if self.shown_default else "",
        )


@dataclass(frozen=True)
class Spec:
    """What a function takes and says of itself: summary (first line), whole docstring, arrays, argument and options."""

    name: str
    summary: str
    doc: str
    arrays: tuple[str, ...] = ()
    optional_arrays: tuple[str, ...] = ()
    argument: Option | None = None
    options: tuple[Option, ...] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def option(self, name: str) -> Option:
        """The option of that name. Raises UsageError with the nearest right one."""
        plain = name.replace("-", "_")
        for option in self.options:
            if option.name == plain:
                return option
        raise unknown(f"option of {self.name}:", name, tuple(o.name for o in self.options))

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every option with its value: the default, then the preset's, then what was given. Raises UsageError."""
        given = {key.replace("-", "_"): value for key, value in given.items()}
        preset = given.pop("preset", None)
        values: dict[str, Any] = {o.name: o.default for o in self.options}
        if preset is not None:
            if preset not in self.presets:
                raise unknown(f"preset of {self.name}:", str(preset), tuple(self.presets))
            values |= {k: self.option(k).convert(v) for k, v in self.presets[preset].items()}
        values |= {key: self.option(key).convert(value) for key, value in given.items()}
        return values | ({"preset": preset} if preset is not None else {})


def read(menu: Menu, choice: str) -> Spec:
    """The Spec of a menu's choice; an array made by a function of the same file brings its options along."""
    path = menu.source(choice)
    name, argument = split(choice)
    spec = read_function(path, name.replace("-", "_"), name)
    if spec.argument is not None and not argument:
        raise UsageError(
            f"{menu.noun} {name!r} needs {spec.argument.help}", f"write {name}:{spec.argument.name.upper()}"
        )
    if spec.argument is None and argument is not None:
        raise UsageError(f"{menu.noun} {name!r} takes nothing after a colon, got {choice!r}", f"write {name}")
    return spec


@cache
def read_function(path: Path, function: str, name: str) -> Spec:
    """The Spec of one function of a file, by the name it goes by."""
    nodes = {n.name: n for n in parsed(path).body if isinstance(n, ast.FunctionDef)}
    if function not in nodes:
        raise LookupError(f"{path} defines no function {function!r}")
    node = nodes[function]
    doc = ast.get_docstring(node) or ""
    positional = node.args.posonlyargs + node.args.args
    needed = len(positional) - len(node.args.defaults)
    arrays = tuple(a.arg for i, a in enumerate(positional) if i < needed and not _is_annotated(a.annotation))
    optional = tuple(a.arg for i, a in enumerate(positional) if i >= needed)
    argument = next((_option(a, ast.Constant(None)) for a in positional if _is_annotated(a.annotation)), None)
    makers = [nodes[a] for a in arrays if a in nodes and a != function]
    options = tuple(
        _option(argument_node, default)
        for source in [node, *makers]
        for argument_node, default in zip(source.args.kwonlyargs, source.args.kw_defaults, strict=True)
        if _is_annotated(argument_node.annotation)
    )
    presets = literal(path, "PRESETS") or {}
    return Spec(name, doc.partition("\n")[0], doc, arrays, optional, argument, options, presets)


def draws() -> Spec:
    """The options of draws under augmentation, which come with every analysis that takes `draws`."""
    return read_function(Path(__file__).parent / "training" / "draws.py", "draw", "draws")


def students(experiment: Spec | None = None) -> Spec:
    """The options of training many students, which come with every experiment that takes a `lab`.

    Those that train their own runs vary the teacher with the seed: they know no `teacher_seeds`.
    """
    spec = read_function(Path(__file__).parent / "experiments" / "_lab.py", "lab", "lab")
    if experiment is None or "workshop" not in experiment.arrays:
        return spec
    return replace(spec, options=tuple(o for o in spec.options if o.name != "teacher_seeds"))


def _is_annotated(annotation: ast.expr | None) -> bool:
    return isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Annotated")


def _option(argument: ast.arg, default: ast.expr | None) -> Option:
    annotation = argument.annotation
    assert isinstance(annotation, ast.Subscript)
    assert isinstance(annotation.slice, ast.Tuple)
    assert default is not None, f"option {argument.arg} needs a default"
    type_node, help_node = annotation.slice.elts[:2]
    kind, choices, optional = _kind(type_node)
    value = ast.literal_eval(default)
    return Option(argument.arg, kind, value, ast.literal_eval(help_node), choices, optional)


def _kind(node: ast.expr) -> tuple[str, tuple[str, ...], bool]:
    if isinstance(node, ast.BinOp):
        kind, choices, _ = _kind(node.left)
        return kind, choices, True
    if isinstance(node, ast.Subscript):
        inner = node.slice
        if ast.unparse(node.value).endswith("Literal"):
            values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return "choice", tuple(ast.literal_eval(v) for v in values), False
        assert isinstance(inner, ast.Tuple)
        return ast.unparse(inner.elts[0]) + "s", (), False
    return ast.unparse(node), (), False


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _single(text: str) -> float:
    values = ranges.parse(text)
    if len(values) != 1 or ":" in text:
        raise ValueError
    return values[0]


def _plain(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or int(value) != value:
        raise TypeError
    return int(value)

"""One contract over every member of every menu: a new file is tested as soon as it exists."""

from __future__ import annotations

import inspect
import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from fierce_tools import binding, recipe
from fierce_tools.binding import Option, Spec
from fierce_tools.menu import ANALYSES, DATASETS, EXPERIMENTS, LOSSES, MODELS, Menu

VOCABULARY = {
    "logits",
    "labels",
    "index",
    "features",
    "head_weight",
    "head_bias",
    "class_names",
    "targets",
    "draws",
    "anchors",
    "images",
}
# Words the commands keep for themselves.
TAKEN = {
    "split",
    "logits",
    "data",
    "data_root",
    "device",
    "fresh",
    "runs_dir",
    "format",
    "paths",
    "save",
    "teacher",
    "progress",
    "factory",
    "download",
}
MEMBERS = [(menu, name) for menu in (DATASETS, MODELS, LOSSES, ANALYSES, EXPERIMENTS) for name in menu.names()]
each = pytest.mark.parametrize(("menu", "name"), MEMBERS, ids=[f"{m.folder}-{n}" for m, n in MEMBERS])


def spec_of(menu: Menu, name: str) -> Spec:
    return binding.read_function(menu.source(name), name.replace("-", "_"), name)


def imported_options(function: Any) -> list[Option]:
    """The same options as binding reads from the source, from the imported function instead."""
    hints = get_type_hints(function, include_extras=True)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints.get(parameter.name)
        if parameter.kind is not parameter.KEYWORD_ONLY or get_origin(hint) is not typing.Annotated:
            continue
        kind, help_text = get_args(hint)[:2]
        found.append(option_of(parameter.name, kind, parameter.default, help_text))
    return found


def option_of(name: str, kind: Any, default: Any, help_text: str) -> Option:
    optional = get_origin(kind) in (types.UnionType, typing.Union)
    if optional:
        (kind,) = [k for k in get_args(kind) if k is not type(None)]
    if get_origin(kind) is Literal:
        return Option(name, "choice", default, help_text, get_args(kind), optional)
    if get_origin(kind) is tuple:
        return Option(name, get_args(kind)[0].__name__ + "s", default, help_text, (), optional)
    return Option(name, kind.__name__, default, help_text, (), optional)


@each
def test_what_is_read_from_the_source_is_the_signature(menu: Menu, name: str) -> None:
    function, spec, module = menu.get(name), spec_of(menu, name), menu.module(name)
    expected = imported_options(function)
    for array in spec.arrays:
        if menu is LOSSES and callable(getattr(module, array, None)):
            expected += imported_options(getattr(module, array))
    assert list(spec.options) == expected
    positional = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert len(positional) == len(spec.arrays) + len(spec.optional_arrays) + (spec.argument is not None)


@each
def test_options_are_whole_and_their_defaults_fit(menu: Menu, name: str) -> None:
    for option in spec_of(menu, name).options:
        assert option.kind in binding.KINDS, option
        assert option.help, option
        assert option.help[-1] != ".", option
        assert (option.default is None) == option.optional or option.default is not None, option
        assert option.convert(option.default) == option.default, option
        if option.shown_default:
            assert option.convert(option.shown_default) == option.default, option


@each
def test_docstrings_say_what_they_must(menu: Menu, name: str) -> None:
    doc = spec_of(menu, name).doc
    lines = doc.split("\n")
    assert lines[0].endswith("."), "one line first"
    if len(lines) > 1:
        assert lines[1] == ""
    if menu in (LOSSES, ANALYSES, EXPERIMENTS):
        assert "Source:" in doc or name == "ce", "its source"
        assert "[N" in doc, "shapes"
        assert any(unit in doc for unit in ("nats", "bits", "fraction", "same unit", "percent")), "units"


@each
def test_every_file_is_of_a_readable_size(menu: Menu, name: str) -> None:
    assert len(menu.source(name).read_text(encoding="utf-8").split("\n")) <= 300


@pytest.mark.parametrize("name", ANALYSES.names())
def test_analyses_name_arrays_of_the_vocabulary(name: str) -> None:
    spec = spec_of(ANALYSES, name)
    for array in (*spec.arrays, *spec.optional_arrays):
        plain = array.removeprefix("train_").removeprefix("val_").removeprefix("teacher_")
        assert plain in VOCABULARY, array
    assert not TAKEN & {o.name for o in spec.options}


@pytest.mark.parametrize("name", EXPERIMENTS.names())
def test_experiments_take_checkpoints_or_runs_and_have_flags_of_their_own(name: str) -> None:
    spec = spec_of(EXPERIMENTS, name)
    own = {o.name for o in spec.options}
    assert not TAKEN & own
    assert spec.arrays in (("checkpoints", "lab"), ("workshop", "lab"), ("workshop",))
    if "workshop" in spec.arrays:
        assert not own & {o.name for o in recipe.training_options(spec)}
    if "lab" in spec.arrays:
        assert not {o.name for o in recipe.training_options(spec)} & {o.name for o in binding.students().options}
        assert not own & {o.name for o in binding.students().options}
    result = get_type_hints(EXPERIMENTS.get(name))["return"]
    assert callable(result.report)
    assert result.__dataclass_params__.frozen


def test_the_labs_options_are_its_signature() -> None:
    from fierce_tools.experiments._lab import lab

    assert list(binding.students().options) == imported_options(lab)


@pytest.mark.parametrize("name", LOSSES.names())
def test_losses_name_arrays_of_the_vocabulary(name: str) -> None:
    spec = spec_of(LOSSES, name)
    known = {"logits", "labels", "features", "anchors", "teacher_logits", "epoch"}
    assert {*spec.arrays, *spec.optional_arrays} <= known


def test_a_flag_has_one_meaning() -> None:
    """An option's name may be shared within a section, never between two."""
    sections: dict[str, set[str]] = {}
    for section in recipe.SECTIONS:
        for option in recipe.spec(section).options:
            sections.setdefault(option.name, set()).add(section)
    for section, menu in recipe.MENUS.items():
        for name in menu.names():
            for option in spec_of(menu, name).options:
                sections.setdefault(option.name, set()).add(section)
    base = set(sections)
    for section in recipe.OPTIONAL:  # each is a command of its own, which has the four others' flags too
        assert not base & {o.name for o in recipe.spec(section).options}, section
    shared = {name: where for name, where in sections.items() if len(where) > 1}
    assert not shared
    assert not {"name", "loss", "model", "data", "preset", "set", "resume", "runs_dir", "format", "factory"} & set(
        sections
    )


def test_help_texts_are_shown_as_they_are_written() -> None:
    """Nothing in them is markup or an emoji's name to the library that prints them."""
    from rich.text import Text

    from fierce_tools.cli.options import escape

    options = [o for section in (*recipe.SECTIONS, *recipe.OPTIONAL) for o in recipe.spec(section).options]
    options += [o for menu, name in MEMBERS for o in spec_of(menu, name).options]
    options += binding.students().options
    for option in options:
        assert Text.from_markup(escape(option.help)).plain == option.help, option.help


def test_presets_name_options_and_fit() -> None:
    for menu, name in MEMBERS:
        spec = spec_of(menu, name)
        for preset in spec.presets:
            assert spec.resolve({"preset": preset})["preset"] == preset


def test_every_module_says_what_it_is_for() -> None:
    import ast

    import fierce_tools

    for path in Path(fierce_tools.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"

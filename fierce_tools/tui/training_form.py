"""A form of every option of a training; the choices decide which options there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fierce_tools import binding, menu, recipe
from fierce_tools.binding import Option, Spec
from fierce_tools.errors import UsageError
from fierce_tools.menu import Menu
from fierce_tools.recipe import MENUS, SECTIONS
from fierce_tools.tui.fields import Field
from fierce_tools.tui.forms import Form, Run
from fierce_tools.tui.questions import arguments, place

NAME = Option("name", "str", None, "the run's name; made from the recipe where none is given", optional=True)
# Fields of the form itself, which are no options of a section.
CHOICE, ARGUMENT = "choice of ", "argument of "


def needs_teacher(loss: Mapping[str, Any]) -> bool:
    """Whether a recipe's loss cannot be had in `fierce train`: it learns from a teacher."""
    spec = binding.read(menu.LOSSES, str(loss.get("name", recipe.DEFAULTS["loss"])))
    soft = any(a.startswith("teacher_") for a in spec.optional_arrays) and loss.get("noise_on") == "teacher"
    return soft or any(a.startswith("teacher_") for a in spec.arrays)


class TrainForm(Form):
    """`fierce train`: data, model and loss, their options, and how it is trained. `like` is a recipe to start from."""

    def __init__(self, root: Path, run: Run, like: Mapping[str, Mapping[str, Any]] | None = None, of: str = "") -> None:
        summary = "the options of its recipe, to be changed" if of else "a new run"
        super().__init__(f"train like {of}" if of else "train a classifier", summary, run)
        self.root = root
        self.chosen: dict[str, str] = {}
        self.argument: dict[str, str] = {}
        self.preset: dict[str, str | None] = {}
        self.given: dict[tuple[str, str], Any] = {}
        for section, values in (like or {}).items():
            for key, value in values.items():
                if key == "name" and section in MENUS:
                    self.chosen[section], argument = menu.split(str(value))
                    self.argument[section] = argument or ""
                elif key == "preset":
                    self.preset[section] = str(value)
                else:
                    self.given[section, key] = value
        self.chosen.setdefault("data", recipe.DEFAULTS["data"])
        self.chosen.setdefault("loss", recipe.DEFAULTS["loss"])
        self._model_said = "model" in self.chosen
        self._settle()

    def _settle(self) -> None:
        if not self._model_said:
            self.chosen["model"], argument = menu.split(recipe.default_model(self.chosen["data"]))
            self.argument["model"] = argument or ""

    # What it is made of.

    def groups(self) -> list[tuple[str, list[Field]]]:
        """A heading for each section, its choice first, then the options of that choice."""
        found: list[tuple[str, list[Field]]] = []
        for section in SECTIONS:
            fields: list[Field] = []
            if section in MENUS:
                fields += self._choice(section, MENUS[section])
            for option in _options(section, self.chosen.get(section)):
                default = self.base(section).get(option.name, option.default)
                value = self.given.get((section, option.name), default)
                fields.append(_Part(section, option, _converted(option, value, default), default=default))
            found.append((section.capitalize() if section != "train" else "Training", fields))
        found[-1][1].append(_Part("", NAME, self.given.get(("", "name"))))
        return found

    def _choice(self, section: str, choices: Menu) -> list[Field]:
        chosen = self.chosen[section]
        spec = _own(section, chosen)
        pick = Option(f"{CHOICE}{section}", "choice", chosen, spec.summary or choices.noun, choices.names())
        fields: list[Field] = [_Part(section, pick, chosen)]
        if spec.argument is not None:
            word = Option(f"{ARGUMENT}{section}", "str", None, spec.argument.help, optional=True)
            fields.append(_Part(section, word, self.argument.get(section) or None))
        if spec.presets:
            some = Option("preset", "choice", None, "options as a paper has them", tuple(spec.presets), optional=True)
            fields.append(_Part(section, some, self.preset.get(section)))
        return fields

    def base(self, section: str) -> dict[str, Any]:
        """The values a section has when nothing more is said: the defaults, or those of its preset."""
        chosen, preset = self.chosen.get(section), self.preset.get(section)
        if chosen is None or preset is None or preset not in _own(section, chosen).presets:
            return {}
        return _own(section, chosen).resolve({"preset": preset})

    # What happens in it.

    async def on_field_changed(self, event: Field.Changed) -> None:
        """Another choice has other options; what was said of them before is kept."""
        field = event.field
        assert isinstance(field, _Part)
        if field not in self.fields():  # a rebuild has removed it
            return
        section, name = field.section, field.option.name
        if name == f"{CHOICE}{section}" and field.raw != self.chosen[section]:
            self._remember()
            self.chosen[section] = str(field.raw)
            self.argument[section], self.preset[section] = "", None
            self._model_said = self._model_said or section == "model"
            self._settle()
            await self.rebuild(field.option.name)
        elif name == "preset" and not field.problem and field.value() != self.preset.get(section):
            self._remember()
            self.preset[section] = field.value()
            for option in _own(section, self.chosen[section]).options:
                self.given.pop((section, option.name), None)
            await self.rebuild(field.option.name)
        elif name == f"{ARGUMENT}{section}":
            self.argument[section] = str(field.raw)
        self.tell()

    def _remember(self) -> None:
        for field in self.fields():
            assert isinstance(field, _Part)
            if not field.problem and field.value() != field.default:
                self.given[field.section, field.option.name] = field.value()

    # What it stands for.

    def arguments(self) -> list[str]:
        """`train` with what differs from the defaults. Raises UsageError."""
        found = ["train"]
        for section in SECTIONS:
            fields = [f for f in self.fields() if isinstance(f, _Part) and f.section == section]
            if section in MENUS:
                found += self._chosen(section)
            if self.preset.get(section):
                found += ["--preset", str(self.preset[section])]
            own = [f for f in fields if f.option.name != "preset" and " of " not in f.option.name]
            for field in own:
                value = field.value()
                if value != field.default:
                    option = Option(field.option.name, field.option.kind, field.default, "")
                    found += arguments([("", option)], {option.name: value})
        name = next((f.value() for f in self.fields() if f.option is NAME), None)
        return [*found, *(["--name", name] if name else []), "--runs-dir", place(self.root)]

    def _chosen(self, section: str) -> list[str]:
        name = self.chosen[section]
        spec = _own(section, name)
        argument = self.argument.get(section, "").strip()
        if spec.argument is not None and not argument:
            raise UsageError(
                f"{MENUS[section].noun} {name} needs {spec.argument.help}", f"fill in the line below {name}"
            )
        whole = f"{name}:{argument}" if spec.argument is not None else name
        default = recipe.default_model(self.chosen["data"]) if section == "model" else recipe.DEFAULTS[section]
        return [f"--{section}", whole] if whole != default else []

    def job(self) -> str:
        """What is trained."""
        name = next((f.value() for f in self.fields() if f.option is NAME), None)
        return f"train {name or self.chosen['loss']}"


class _Part(Field):
    """A field of a section."""

    def __init__(self, section: str, option: Option, value: Any, *, default: Any = None) -> None:
        super().__init__(option, value, default=default)
        self.section = section

    @property
    def label(self) -> str:
        for start in (CHOICE, ARGUMENT):
            if self.option.name.startswith(start):
                return self.section if start == CHOICE else "  argument"
        return super().label

    @property
    def flag(self) -> str:
        return f"--{self.section}" if " of " in self.option.name else super().flag


def _own(section: str, name: str) -> Spec:
    """The Spec of a choice, whether or not its argument was said yet."""
    return binding.read_function(MENUS[section].source(name), name.replace("-", "_"), name)


def _options(section: str, name: str | None) -> list[Option]:
    own = _own(section, name).options if name is not None and section in MENUS else ()
    return [*own, *recipe.spec(section).options]


def _converted(option: Option, value: Any, default: Any) -> Any:
    try:
        return option.convert(value)
    except UsageError:
        return default

"""A training as one frozen value: which data, model and loss, with every option; TOML in and out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fierce_tools import binding
from fierce_tools.binding import Option, Spec
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import DATASETS, LOSSES, MODELS, Menu, literal, unknown

MENUS: dict[str, Menu] = {"data": DATASETS, "model": MODELS, "loss": LOSSES}
# Options that go with a section whatever is chosen in it: where their function stands.
_COMMON = {
    "data": [("data/_splits.py", "split"), ("data/_transform.py", "transform")],
    "model": [("models/_bottleneck.py", "narrow")],
    "train": [
        ("training/train.py", "train"),
        ("training/optimizers.py", "make_optimizer"),
        ("training/schedules.py", "learning_rate"),
        ("training/lookahead.py", "make_lookahead"),
        ("experiments/_record.py", "record"),
    ],
    "distill": [("training/distill.py", "teach"), ("training/_transfer.py", "restrict")],
    "mutual": [("training/mutual.py", "peer_recipes"), ("training/mutual.py", "exchange")],
}
SECTIONS = ("data", "model", "loss", "train")
# Sections of some trainings only; a recipe without one is a plain training.
OPTIONAL = ("distill", "mutual")
DEFAULTS = {"data": "digits", "loss": "ce"}
# Where things lie on one machine: of no weight for what a training computes.
PLACES = ("data_root", "download")


@dataclass(frozen=True)
class Recipe:
    """Sections of plain values, made by `resolve`; `data`, `model` and `loss` hold their choice as `name`.

    `distill` is there only where a student is made: its teachers, and which examples it sees. `mutual` is there only
    where peers are trained at once: who they are, and what they learn from.
    """

    data: Mapping[str, Any]
    model: Mapping[str, Any]
    loss: Mapping[str, Any]
    train: Mapping[str, Any]
    distill: Mapping[str, Any] | None = None
    mutual: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Plain nested dictionaries; what is none is left out, as TOML has no word for it."""
        there = {s: getattr(self, s) for s in (*SECTIONS, *OPTIONAL) if getattr(self, s) is not None}
        return {s: {k: _plain(v) for k, v in values.items() if v is not None} for s, values in there.items()}

    def to_toml(self) -> str:
        """The recipe as TOML text, every option spelled out."""
        import tomli_w

        return tomli_w.dumps(self.as_dict())

    def options(self, section: str) -> dict[str, Any]:
        """The options of the section's choice alone, as its function takes them."""
        names = {o.name for o in binding.read(MENUS[section], getattr(self, section)["name"]).options}
        return {k: v for k, v in getattr(self, section).items() if k in names}

    def with_data(self, **changes: Any) -> Recipe:
        """The same recipe with other values in its data section."""
        return replace(self, data={**self.data, **changes})


def spec(section: str, name: str | None = None) -> Spec:
    """What a section takes: the choice's own options, then the section's common ones. Raises UsageError."""
    own = binding.read(MENUS[section], name) if name is not None and section in MENUS else None
    common = [option for s in _common(section) for option in s.options]
    if own is None:
        return Spec(section, "", "", options=tuple(common))
    return replace(own, options=(*own.options, *common))


@cache
def _common(section: str) -> tuple[Spec, ...]:
    here = Path(__file__).parent
    return tuple(binding.read_function(here / file, function, section) for file, function in _COMMON.get(section, []))


def transforms() -> tuple[Option, ...]:
    """The options that make something else of any dataset: coarse classes, fewer examples, wrong labels and so on."""
    return binding.read_function(Path(__file__).parent / "data" / "_transform.py", "transform", "data").options


# Options of [train] that an experiment decides for its runs.
_DECIDED = ("seed", "device", "patience", "validate_on", "save_at", "save_every", "save_best")


def training_options(experiment: Spec) -> tuple[Option, ...]:
    """The options of [train] that come with an experiment of ordinary runs, but those it has itself, one or several.

    Beside the options of a lab's students, which have the same names, each is teacher_….
    """
    prefix = "teacher_" if "lab" in experiment.arrays else ""
    own = {option.name for option in experiment.options}
    named = [replace(o, name=prefix + o.name) for o in spec("train").options if o.name not in _DECIDED]
    return tuple(option for option in named if not own & {option.name, f"{option.name}s"})


def owners(option: str, sections: Sequence[str] = SECTIONS) -> list[tuple[str, str | None, Option]]:
    """Every (section, choice or None, option) of these sections that has an option of that name."""
    found: list[tuple[str, str | None, Option]] = []
    for section in sections:
        found += [(section, None, o) for s in _common(section) for o in s.options if o.name == option]
        if section in MENUS:
            menu = MENUS[section]
            specs = [(n, binding.read_function(menu.source(n), n.replace("-", "_"), n)) for n in menu.names()]
            found += [(section, name, o) for name, s in specs for o in s.options if o.name == option]
    return found


def default_model(data: str) -> str:
    """The model a dataset is trained with when none is named: its file's `DEFAULT_MODEL`."""
    return literal(DATASETS.source(data), "DEFAULT_MODEL") or "cnn"


def default_student(data: str) -> str:
    """The student a dataset's teachers are distilled into when none is named: its file's `STUDENT`, else its model."""
    return literal(DATASETS.source(data), "STUDENT") or default_model(data)


def default_loss(distill: Mapping[str, Any] | None) -> str:
    """The loss when none is named: cross-entropy, or that of the method of distillation."""
    return DEFAULTS["loss"] if distill is None else methods().get(str(distill.get("method", "kd")), DEFAULTS["loss"])


def methods() -> dict[str, str]:
    """The loss of each method of distillation, by its name."""
    return literal(Path(__file__).parent / "training" / "distill.py", "METHODS") or {}


def resolve(document: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A whole recipe from a partial one and overrides such as {"loss.lam": 0.3}.

    Raises UsageError for a section, an option or a value that does not exist, with the nearest right one.
    """
    check_sections(document)
    sections: dict[str, dict[str, Any]] = {s: dict(document.get(s, {})) for s in SECTIONS}
    said = {*document, *(key.partition(".")[0] for key in overrides or {})}
    sections |= {s: dict(document.get(s, {})) for s in OPTIONAL if s in said}
    # Choices first, then presets, then the rest: what was said is kept in whatever order it was said.
    order = {"name": 0, "preset": 1}
    for key, value in sorted((overrides or {}).items(), key=lambda kv: order.get(kv[0].partition(".")[2], 2)):
        section, dot, name = key.partition(".")
        if section not in sections or not dot:
            raise UsageError(
                f"{key!r} names no option",
                f"write SECTION.OPTION with a section of {', '.join((*SECTIONS, *OPTIONAL))}",
            )
        if name == "name" and sections[section].get("name") not in (None, value):
            sections[section].clear()  # options of another choice do not fit the new one
        if name == "preset":
            sections[section] = _without_preset(section, sections[section], str(value))
        sections[section][name] = value
    sections["data"].setdefault("name", DEFAULTS["data"])
    sections["loss"].setdefault("name", default_loss(sections.get("distill")))
    model = default_model if "distill" not in sections else default_student
    sections["model"].setdefault("name", model(str(sections["data"]["name"])))
    if "distill" in sections and spec("distill").option("unlabelled").convert(
        sections["distill"].get("unlabelled", False)
    ):
        sections["loss"].setdefault("ce_weight", 0.0)  # without labels there is no cross-entropy
    resolved: dict[str, dict[str, Any]] = {}
    for section, values in sections.items():
        chosen = str(values.pop("name")) if section in MENUS else None
        base = {"name": chosen} if chosen is not None else {}
        resolved[section] = base | spec(section, chosen).resolve(values)
    return Recipe(**resolved)


def check_sections(document: Mapping[str, Any]) -> None:
    """Raises UsageError for a section that does not exist or is no table."""
    if "study" in document:
        raise UsageError("this is a study of several trainings, no recipe", "carry it out: fierce reproduce FILE")
    for section, values in document.items():
        if section not in (*SECTIONS, *OPTIONAL):
            raise unknown("recipe section", section, (*SECTIONS, *OPTIONAL))
        if not isinstance(values, Mapping):
            raise UsageError(
                f"[{section}] of a recipe is {values!r}, expected a table of options",
                f'write [{section}] on a line and name = "…" below it',
            )


def _without_preset(section: str, values: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """A section's values less those that a preset brings: a preset that is said goes above a recipe's own values."""
    brought = spec(section, str(values.get("name", DEFAULTS.get(section)))).presets.get(preset, {})
    return {k: v for k, v in values.items() if k.replace("-", "_") not in brought}


def load(path: Path) -> dict[str, Any]:
    """The document of a recipe file. Raises DataError where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"recipe {path} does not exist", "check the path; recipes end in .toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"recipe {path} is not TOML: {error}") from None
    except OSError as error:
        raise DataError(f"recipe {path} cannot be read: {error.strerror}") from None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value

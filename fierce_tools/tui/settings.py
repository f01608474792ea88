"""Settings of the dashboard, from the user's configuration: a TOML file of plain values and other keys.

theme = "dark"        # or "light"
poll_seconds = 1.0    # how often files are looked at
ema = 0.0             # smoothing of curves at the start, 0 to below 1
log_y = false
x = "epoch"           # or "step", "time"

[keys]
sort = "o"            # by the id of a command; several as ["o", "f5"]
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fierce_tools.tui.keys import COMMANDS

THEMES = ("dark", "light")


@dataclass(frozen=True)
class Settings:
    """What a person may set; `keys` gives other keys to commands by their id. `problems` names what was ignored."""

    theme: str = "dark"
    poll_seconds: float = 1.0
    ema: float = 0.0
    log_y: bool = False
    x: str = "epoch"
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


_CHECKS: dict[str, tuple[Any, str]] = {
    "theme": (lambda v: v in THEMES, "dark or light"),
    "poll_seconds": (lambda v: _number(v) and 0.1 <= v <= 3600, "seconds from 0.1 to 3600"),
    "ema": (lambda v: _number(v) and 0 <= v < 1, "a number from 0 to below 1"),
    "log_y": (lambda v: isinstance(v, bool), "true or false"),
    "x": (lambda v: v in ("epoch", "step", "time"), "epoch, step or time"),
}


def path() -> Path:
    """Where the settings are."""
    from platformdirs import user_config_path

    return user_config_path("fierce-tools") / "tui.toml"


def load(file: Path | None = None) -> Settings:
    """The settings; whatever is wrong is named in `problems` and left as it is by default. Never raises."""
    file = file or path()
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        return Settings(problems=(f"{file} is not read: {error}",))
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in document.items():
        if name == "keys":
            continue
        if name not in _CHECKS:
            problems.append(f"{name} is no setting{_near(name, [*_CHECKS, 'keys'])}")
        elif not _CHECKS[name][0](value):
            problems.append(f"{name} is {value!r}, expected {_CHECKS[name][1]}")
        else:
            values[name] = float(value) if _number(value) else value
    keys = _keys(document.get("keys", {}), problems)
    return Settings(**values, keys=keys, problems=tuple(problems))


def _keys(table: Any, problems: list[str]) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        problems.append("keys is no table")
        return {}
    ids = [c.id for c in COMMANDS]
    found: dict[str, tuple[str, ...]] = {}
    taken: dict[str, str] = {}
    for name, given in table.items():
        keys = [given] if isinstance(given, str) else given
        if name not in ids:
            problems.append(f"keys.{name}: there is no such command{_near(name, ids)}")
        elif not isinstance(keys, list) or not keys or not all(isinstance(k, str) and _is_key(k) for k in keys):
            problems.append(f"keys.{name} is {given!r}, expected a key such as 'o', 'ctrl+o' or 'f5'")
        elif clash := next((k for k in keys if k in taken), None):
            problems.append(f"keys.{name}: {clash!r} is already that of {taken[clash]}")
        else:
            found[name] = tuple(_written(k) for k in keys)
            taken.update(dict.fromkeys(keys, name))
    return found


def _is_key(key: str) -> bool:
    from textual.keys import Keys

    *modifiers, last = _written(key).split("+")
    named = {k.value for k in Keys} | {"space", "enter", "escape", "tab"}
    plain = last in named or len(last) == 1 or last.replace("_", "").isalpha()
    return plain and bool(last) and all(m in ("ctrl", "shift", "alt") for m in modifiers) and not last.isspace()


def _written(key: str) -> str:
    """A key as Textual names it: / is slash."""
    from textual.keys import _character_to_key

    return _character_to_key(key) if len(key) == 1 else key


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _near(name: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(name, choices, n=1)
    return f"; did you mean {near[0]}?" if near else ""

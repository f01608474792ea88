"""From Specs to a command's parameters: one translation, so that every option is declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from fierce_tools.binding import KINDS, Option
from fierce_tools.errors import UsageError

Format = Annotated[
    Literal["text", "json"],
    typer.Option("--format", help="text for people, or one JSON document.", rich_help_panel="Output"),
]
RunsDir = Annotated[
    str | None,
    typer.Option(
        "--runs-dir", help="Folder of runs.", show_default="FIERCE_RUNS, else ./runs", rich_help_panel="Output"
    ),
]
Progress = Annotated[
    Literal["auto", "bar", "off", "jsonl"],
    typer.Option(
        "--progress",
        help="A bar on a terminal (auto), always, never, or lines of JSON on stderr.",
        rich_help_panel="Output",
    ),
]
Save = Annotated[
    str | None,
    typer.Option(
        "--save",
        metavar="FILE",
        help="Save it: charts .png .svg .pdf, tables .md .csv, or .json.",
        show_default=False,
        rich_help_panel="Output",
    ),
]
Factory = Annotated[
    str | None,
    typer.Option(
        "--factory",
        metavar="PACKAGE.MODULE:FUNCTION",
        help="Import this where the recipe says that it makes the model: it is code, and runs.",
        show_default=False,
    ),
]


Logits = Annotated[
    str | None,
    typer.Option("--logits", metavar="KEY", help="Name of the array of logits in a file.", show_default="logits"),
]
Probabilities = Annotated[
    str | None,
    typer.Option(
        "--probabilities", metavar="KEY", help="Name of an array of probabilities instead.", show_default=False
    ),
]
Counts = Annotated[
    str | None,
    typer.Option(
        "--counts", metavar="KEY", help="Name of an array of counts instead, such as people's votes.",
        show_default=False,
    ),
]  # fmt: skip
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels", metavar="KEY|FILE.npy", help="Name of the array of labels in a file, or a file of labels.",
        show_default=False,
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One generated parameter of a command: a Spec's option under a panel of the help.

    `defaults` is shown instead of the option's default where it has several, one for each choice; `alias` is a second
    flag for it.
    """

    option: Option
    panel: str
    defaults: str = ""
    alias: str = ""

    def build(self) -> inspect.Parameter:
        """A keyword parameter that is None where nothing was said; conversion is the Spec's business."""
        option = self.option
        shown = self.defaults or option.shown_default
        default = f" [default: {shown}]" if shown else ""
        help_text = escape(sentence(option.help) + default)
        if option.kind == "bool":
            declared = typer.Option(
                f"{option.flag}/--no-{option.flag[2:]}", help=help_text, show_default=False, rich_help_panel=self.panel
            )
            annotation: Any = Annotated[bool | None, declared]
        else:
            what = "|".join(option.choices) if option.choices else KINDS[option.kind].upper()
            declared = typer.Option(
                *filter(None, (option.flag, self.alias)), help=help_text, show_default=False, metavar=what,
                rich_help_panel=self.panel, autocompletion=completer(option.choices),
            )  # fmt: skip
            annotation = Annotated[str | None, declared]
        return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def extend(function: Callable[..., None], parameters: Iterable[Parameter]) -> Callable[..., None]:
    """`function` with further parameters in place of its `**options`."""
    own = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = [p.build() for p in parameters]

    def command(**values: Any) -> None:
        function(**values)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    every = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + added
    command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in every}
    return command


def completer(choices: Iterable[str]) -> Callable[[str], list[str]]:
    """Shell completion over fixed choices."""
    known = list(choices)
    return lambda incomplete: [c for c in known if c.startswith(incomplete)]


def sentence(text: str) -> str:
    """A help text with a capital, unless it begins with a symbol such as s or χ, and a full stop."""
    symbol = len(text.partition(" ")[0]) == 1 and text[:2] != "a "
    return (text if symbol else text[:1].upper() + text[1:]) + ("" if text.endswith(".") else ".")


def escape(text: str) -> str:
    """Text whose brackets are not taken for markup."""
    return text.replace("[", "\\[")


def pairs(settings: list[str], flag: str = "--set", example: str = "loss.lam=0.3") -> dict[str, str]:
    """`--set section.option=value`, or another flag's THIS=THAT, as a mapping. Raises UsageError for anything else."""
    found = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{flag} {setting!r} is no assignment", f"write {flag} {example}")
        found[key.strip()] = value.strip()
    return found

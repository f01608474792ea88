"""A small filter language for rows of values: words, `key:value`, `key>number`, `-term` and `|`.

`mnist acc>0.9 -loss:ce | tag:keep` keeps rows that hold the word mnist, an `acc` above 0.9 and another loss than ce,
or that are tagged keep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fierce_tools.errors import UsageError

_TERM = re.compile(r"^(?P<key>[A-Za-z_][\w.\-]*)(?P<op><=|>=|!=|=|<|>|:)(?P<value>.+)$")


@dataclass(frozen=True)
class Term:
    """One condition: `key` is empty for a plain word that may stand anywhere in the row."""

    key: str
    op: str
    value: str
    negated: bool


def parse(text: str) -> tuple[tuple[Term, ...], ...]:
    """Alternatives of terms that must all hold. Raises UsageError for a comparison with something not a number."""
    return tuple(tuple(_term(word) for word in part.split()) for part in text.split("|"))


def _term(word: str) -> Term:
    negated = word.startswith("-") and len(word) > 1
    body = word[1:] if negated else word
    match = _TERM.match(body)
    if match is None:
        return Term("", ":", body.lower(), negated)
    key, op, value = match["key"].lower(), match["op"], match["value"].lower()
    if op in ("<", ">", "<=", ">="):
        try:
            float(value)
        except ValueError:
            raise UsageError(f"filter {word!r}: {value!r} is not a number", "write for example acc>0.85") from None
    return Term(key, op, value, negated)


def matches(query: tuple[tuple[Term, ...], ...], row: Mapping[str, Any]) -> bool:
    """Whether a row satisfies any alternative; a comparison with an absent value never holds."""
    lowered = {key.lower(): value for key, value in row.items()}
    return any(all(_holds(term, lowered) != term.negated for term in terms) for terms in query)


def _holds(term: Term, row: Mapping[str, Any]) -> bool:
    if not term.key:
        return any(term.value in _text(value) for value in row.values())
    value = row.get(term.key)
    if value is None:
        return False
    if term.op == ":":  # from the start of a word: loss:ce is not fierce, model:small is mnist-small
        start = re.compile(r"(?<![a-z0-9])" + re.escape(term.value))
        return any(start.search(_text(v)) for v in (value if isinstance(value, list | tuple) else [value]))
    if isinstance(value, bool) or not isinstance(value, int | float):
        same = _text(value) == term.value
        return same if term.op == "=" else not same if term.op == "!=" else False
    try:
        wanted = float(term.value)
    except ValueError:
        return term.op == "!="
    return {
        "<": value < wanted, ">": value > wanted, "<=": value <= wanted, ">=": value >= wanted,
        "=": value == wanted, "!=": value != wanted,
    }[term.op]  # fmt: skip


def _text(value: Any) -> str:
    return "" if value is None else str(value).lower()

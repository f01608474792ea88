"""One way to write many numbers: `a:b`, `a:b:step`, `a:b:*ratio`, single values, and commas between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from fierce_tools.errors import UsageError

LIMIT = 100_000
FORMS = "write values as 3, 1:20, 0:1:0.1 or 16:8192:*2, several with commas"


def parse(text: str) -> tuple[float, ...]:
    """The numbers of `text`, ends included; whole numbers come back as int.

    `a:b` counts in ones, `a:b:step` in steps, `a:b:*r` multiplies by r.
    Raises UsageError for anything else.
    """
    values: list[Decimal] = []
    for part in text.split(","):
        values.extend(_expand(part.strip(), text, LIMIT - len(values)))
        if len(values) > LIMIT:
            raise UsageError(f"{text!r} stands for more than {LIMIT:,} values", "use a larger step")
    return tuple(int(v) if v == v.to_integral_value() and "." not in str(v) else float(v) for v in values)


def _number(text: str, whole: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not math.isfinite(float(value)):
        raise UsageError(f"{text.strip()!r} in {whole!r} is not a number", FORMS)
    return value


def _expand(part: str, whole: str, room: int) -> list[Decimal]:
    fields = part.split(":")
    if len(fields) == 1:
        return [_number(part, whole)]
    if len(fields) > 3:
        raise UsageError(f"{part!r} has too many colons", FORMS)
    start, stop = _number(fields[0], whole), _number(fields[1], whole)
    geometric = len(fields) == 3 and fields[2].strip().startswith("*")
    step = _number(fields[2].strip().removeprefix("*"), whole) if len(fields) == 3 else Decimal(1)
    if len(fields) == 2 and any(v != v.to_integral_value() for v in (start, stop)):
        raise UsageError(f"{part!r}: a:b counts whole numbers", "give a step, for example 0:1:0.1")
    if geometric and (start <= 0 or step <= 0 or step == 1):
        raise UsageError(f"{part!r}: a geometric range starts above 0 and has a ratio other than 1", FORMS)
    if not geometric and step == 0:
        raise UsageError(f"{part!r}: the step is 0", FORMS)
    upward = step > 1 if geometric else step > 0
    if (stop < start) if upward else (stop > start):
        raise UsageError(f"{part!r}: {stop} is never reached from {start} by {fields[-1]}", FORMS)
    out: list[Decimal] = []
    value = start
    while (value <= stop if upward else value >= stop) and len(out) <= room:
        out.append(value)
        value = value * step if geometric else value + step
    return out


def show(values: Sequence[float]) -> str:
    """The shortest way to write `values`, so that parse(show(v)) == v: `1:20`, or values with commas."""
    items = list(values)
    steps = {b - a for a, b in pairwise(items)}
    if len(items) > 2 and all(isinstance(v, int) for v in items) and len(steps) == 1 and 0 not in steps:
        step = steps.pop()
        return f"{items[0]}:{items[-1]}" + ("" if step == 1 else f":{step}")
    return ",".join(str(v) for v in items)

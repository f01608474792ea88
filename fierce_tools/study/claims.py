"""What a paper claims, as comparisons of figures, and by how much each holds, seed by seed.

A claim is written `fierce < ce < ls` or `small - large > 50 and smoothed <= 1`: keys of rows, numbers, + - * /,
comparisons and `and`. Nothing else is evaluated.
"""

from __future__ import annotations

import ast
import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fierce_tools.errors import UsageError

_ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
# The sign that makes a gap positive where the comparison holds, and whether equality does.
_COMPARISONS: dict[type, tuple[int, bool]] = {
    ast.Lt: (1, False), ast.LtE: (1, True), ast.Gt: (-1, False), ast.GtE: (-1, True),
}  # fmt: skip


@dataclass(frozen=True)
class Gap:
    """One comparison: by how much it holds (negative: by how much it fails), seed by seed.

    `number` says that one side is a number other than 0, `or_equal` that a gap of 0 is as claimed. Where figures have
    different numbers of seeds, `paired` is false and there is one value, the gap of their means.
    """

    text: str
    values: tuple[float, ...]
    number: bool = False
    or_equal: bool = False
    paired: bool = True

    @property
    def holds_in(self) -> int:
        """In how many seeds it is as claimed."""
        return sum(v > 0 or (self.or_equal and v == 0) for v in self.values)


def names(claim: str) -> tuple[str, ...]:
    """The keys of rows a claim speaks of, in order. Raises UsageError where it is no claim."""
    tree = _parsed(claim)
    return tuple(dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))


def gaps(claim: str, figures: Mapping[str, Sequence[float] | None]) -> tuple[Gap, ...]:
    """The comparisons of a claim one by one, of figures with a value for every seed; none where one is not measured."""
    used = [figures.get(name) for name in names(claim)]
    if any(not values for values in used):
        return ()
    counts = {len(values) for values in used if values is not None}
    paired = len(counts) == 1
    if paired:
        seeds = [{k: v[i] for k, v in figures.items() if v and i < len(v)} for i in range(*counts)]
    else:
        seeds = [{k: statistics.fmean(v) for k, v in figures.items() if v}]
    found = []
    for left, comparison, right in _comparisons(_parsed(claim).body):
        sign, or_equal = _COMPARISONS[type(comparison)]
        values = tuple(sign * (_value(right, seed) - _value(left, seed)) for seed in seeds)
        text = f"{ast.unparse(left)} {_SIGNS[type(comparison)]} {ast.unparse(right)}"
        number = any(_value(side, {}) != 0 for side in (left, right) if not _names_a_row(side))
        found.append(Gap(text, values, number, or_equal, paired))
    return tuple(found)


_SIGNS: dict[type, str] = {ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥"}


def _names_a_row(side: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) for node in ast.walk(side))


def _parsed(claim: str) -> ast.Expression:
    try:
        tree = ast.parse(claim.strip(), mode="eval")
    except (SyntaxError, ValueError):
        raise _no_claim(claim) from None
    for left, comparison, right in _comparisons(tree.body, claim):
        if type(comparison) not in _COMPARISONS:
            raise _no_claim(claim)
        _check(left, claim)
        _check(right, claim)
    return tree


def _comparisons(node: ast.expr, claim: str = "") -> list[tuple[ast.expr, ast.cmpop, ast.expr]]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return [found for part in node.values for found in _comparisons(part, claim)]
    if not isinstance(node, ast.Compare):
        raise _no_claim(claim)
    sides = [node.left, *node.comparators]
    return list(zip(sides, node.ops, sides[1:], strict=False))


def _check(node: ast.expr, claim: str) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        _check(node.left, claim)
        _check(node.right, claim)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        _check(node.operand, claim)
    elif not (isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and type(node.value) in (int, float))):
        raise _no_claim(claim)


def _value(node: ast.expr, figures: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, figures), _value(node.right, figures)
        return _ARITHMETIC[type(node.op)](left, right) if right or not isinstance(node.op, ast.Div) else float("nan")
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, figures)
    if isinstance(node, ast.Name):
        return figures[node.id]
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int | float)
    return float(node.value)


def _no_claim(claim: str) -> UsageError:
    return UsageError(
        f"{claim!r} is no claim", "write keys of rows, numbers and comparisons, such as fierce < ce < ls and ce > 0.5"
    )

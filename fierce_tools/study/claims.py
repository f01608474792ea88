"""What a paper claims, as comparisons of figures, and by how much each holds, seed by seed.

A claim is written `fierce < ce < ls` or `small - large > 50 and smoothed <= 1`: keys of rows, numbers, + - * /,
comparisons and `and`. Nothing else is evaluated.
"""

from __future__ import annotations

import ast
import math
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
    """One comparison: by how much it holds (negative: by how much it fails), for each seed that all its figures have.

    `sides` are what is compared, in an order of their own. `number` says that a number other than 0 is added to the
    figures, as in `a > 50`, `or_equal` that a gap of 0 is as claimed. Where figures have different numbers of seeds,
    `paired` is false and there is one value, the gap of their means.
    """

    text: str
    values: tuple[float, ...]
    sides: tuple[str, str] = ("", "")
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


def gaps(claim: str, figures: Mapping[str, Sequence[float | None] | None]) -> tuple[Gap, ...]:
    """The comparisons of a claim one by one, of figures with a value for each seed, None where a seed has none.

    Each is of the seeds that all its figures have; there are none where a figure of the claim is not measured.
    """
    used = {name: figures.get(name) or () for name in names(claim)}
    if any(all(v is None for v in values) for values in used.values()):
        return ()
    found = []
    for left, comparison, right in _comparisons(_parsed(claim).body):
        own = {name: used[name] for side in (left, right) for name in _names(side)}
        own = own or used  # numbers alone are the same in every seed of the claim
        paired = len({len(values) for values in own.values()}) < 2
        sign, or_equal = _COMPARISONS[type(comparison)]
        values = tuple(sign * _apart(left, right, seed) for seed in _seeds(own, paired))
        text = f"{ast.unparse(left)} {_SIGNS[type(comparison)]} {ast.unparse(right)}"
        one, two = sorted((ast.unparse(left), ast.unparse(right)))
        found.append(Gap(text, values, (one, two), _adds_a_number(left, right), or_equal, paired))
    return tuple(found)


_SIGNS: dict[type, str] = {ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥"}
# Gaps smaller than this share of what they are between are rounding.
ROUNDING = 1e-12


def _names(side: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(side) if isinstance(node, ast.Name)]


def _seeds(figures: Mapping[str, Sequence[float | None]], paired: bool) -> list[dict[str, float]]:
    """The figures of each seed that has all of them; where seeds do not pair, their means."""
    if not figures:
        return [{}]
    if not paired:
        return [{k: statistics.fmean(x for x in v if x is not None) for k, v in figures.items()}]
    rows = [dict(zip(figures, row, strict=True)) for row in zip(*figures.values(), strict=True)]
    return [{k: v for k, v in row.items() if v is not None} for row in rows if None not in row.values()]


def _apart(left: ast.expr, right: ast.expr, seed: Mapping[str, float]) -> float:
    one, two = _value(left, seed), _value(right, seed)
    gap = two - one
    return 0.0 if abs(gap) <= ROUNDING * max(abs(one), abs(two)) < math.inf else gap


def _adds_a_number(left: ast.expr, right: ast.expr) -> bool:
    """Whether the comparison is not one of figures alone: at figures of 0 its sides differ, or a side is a number."""
    sides = [_value(side, {}) for side in (left, right) if not _names(side)]
    if any(value != 0 for value in sides):
        return True
    nothing = dict.fromkeys((*_names(left), *_names(right)), 0.0)
    apart = _value(right, nothing) - _value(left, nothing)
    if apart == apart:
        return apart != 0
    # A quotient of figures: whether a number is added to it.
    terms = [node for side in (left, right) for node in ast.walk(side)
             if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)]  # fmt: skip
    return any(not _names(part) and _value(part, {}) != 0 for node in terms for part in (node.left, node.right))


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

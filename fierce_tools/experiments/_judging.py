"""Whether a study's claims hold: Student's t over seeds, adjusted by Holm over all comparisons of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fierce_tools.analysis import _over_seeds as over
from fierce_tools.analysis._over_seeds import Estimate
from fierce_tools.study import claims
from fierce_tools.study.claims import Gap

HOLDS, FAILS, UNCLEAR, ONE_SEED, UNMEASURED = "holds", "does not hold", "unclear", "one seed", "not yet measured"
# From the one that decides a conjunction to the one that never does.
DECISIVE = (FAILS, UNCLEAR, ONE_SEED, HOLDS)
TESTED, COUNTED = "tested", "counted"
LEVEL = 0.05
# What the verdicts of a table mean: the number of comparisons that were tested, and NUMBERS where some were counted.
MEANING = (
    "holds, does not hold: by a paired t-test over seeds, at 5 % after Holm's adjustment for the {} comparisons of "
    "this study that are tested (gaps that are the same in every seed: an exact sign test, which decides nothing with "
    "fewer than six seeds); the 95 % intervals are unadjusted. {} unclear: not decided. A claim of several comparisons "
    "holds where each does, and fails where one is decided against. One seed decides nothing."
)
NUMBERS = (
    "Claims against a number other than 0 are counted, not tested: they hold where every seed has it so, and do not "
    "where none has."
)


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim: its gaps, their mean with an unadjusted 95 % interval, how it was judged, verdict.

    `how` is TESTED or COUNTED, empty where nothing was judged; `adjusted` is p after Holm, None unless tested.
    """

    gap: Gap
    estimate: Estimate
    how: str
    adjusted: float | None
    verdict: str

    @property
    def as_claimed(self) -> bool:
        """Whether every seed has it as claimed."""
        return 0 < len(self.gap.values) == self.gap.holds_in


def judge(
    study: Sequence[str], figures: Mapping[str, Sequence[float | None] | None]
) -> list[tuple[str, tuple[Comparison, ...]]]:
    """The verdict of each claim of a study, of figures by seed (None where a seed has none), and its comparisons.

    A comparison is tested by a paired t-test, n - 1 degrees of freedom, or where its gaps are the same by an exact sign
    test, p = 2^(1-n); p is adjusted by Holm over all comparisons of the study that are tested, each counted once. One
    against a number other than 0 is counted: it holds where every seed has it so and fails where none has. One seed
    decides nothing, nor do figures of different numbers of seeds. A conjunction holds where every part does and fails
    where one is decided against.
    """
    found = [claims.gaps(claim, figures) for claim in study]
    tested = {_same(gap): _p(gap) for several in found for gap in several if _how(gap) == TESTED}
    adjusted = dict(zip(tested, over.holm([*tested.values()]), strict=True))
    return [_verdict([_compare(gap, adjusted.get(_same(gap))) for gap in several]) for several in found]


def count(values: Sequence[bool]) -> str:
    """What seeds that were counted say together."""
    if len(values) == 1:
        return ONE_SEED
    return HOLDS if all(values) else UNCLEAR if any(values) else FAILS


def meaning(judged: Sequence[Sequence[Comparison]]) -> str:
    """What the verdicts of a study mean, for a note."""
    every = [c for several in judged for c in several]
    counted = NUMBERS if any(c.how == COUNTED for c in every) else ""
    if not any(c.how for c in every):
        return "One seed decides nothing; nothing here was tested."
    return MEANING.format(family(judged), counted).replace("  ", " ")


def family(judged: Sequence[Sequence[Comparison]]) -> int:
    """How many different comparisons were tested together."""
    return len({_same(c.gap) for several in judged for c in several if c.how == TESTED})


def _same(gap: Gap) -> tuple[str, str]:
    """The same for a comparison that is written with its sides exchanged."""
    return gap.sides


def _how(gap: Gap) -> str:
    if len(gap.values) < 2 or not np.isfinite(gap.values).all():
        return ""
    return COUNTED if gap.number else TESTED


def _p(gap: Gap) -> float:
    """Two-sided, of the t-test over seeds; of gaps without spread, of the sign test. Gaps of 0 say nothing."""
    found = over.t_mean(gap.values).p
    if found is not None:
        return found
    return 1.0 if max(map(abs, gap.values)) == 0 else float(2.0 ** (1 - len(gap.values)))


def _compare(gap: Gap, adjusted: float | None) -> Comparison:
    if not gap.values:  # no seed has all of its figures
        nothing = Estimate(float("nan"), None, None, None, None, (0,), over.PAIRED)
        return Comparison(gap, nothing, "", None, UNCLEAR)
    estimate, how = over.t_mean(gap.values), _how(gap)
    if how == TESTED:
        assert adjusted is not None
        verdict = UNCLEAR if adjusted > LEVEL else HOLDS if estimate.at > 0 else FAILS
        return Comparison(gap, estimate, how, adjusted, verdict)
    if how == COUNTED:
        each = [True] * gap.holds_in + [False] * (len(gap.values) - gap.holds_in)
        return Comparison(gap, estimate, how, None, count(each))
    one = gap.paired and len(gap.values) == 1 and np.isfinite(gap.values).all()
    return Comparison(gap, estimate, how, None, ONE_SEED if one else UNCLEAR)


def _verdict(parts: Sequence[Comparison]) -> tuple[str, tuple[Comparison, ...]]:
    verdicts = [c.verdict for c in parts]
    return next((v for v in DECISIVE if v in verdicts), UNMEASURED), tuple(parts)

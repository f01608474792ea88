"""What came out of a study: the paper's figures beside ours, and whether what it claims holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fierce_tools import seeds
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments._ask import plain
from fierce_tools.experiments._judging import (
    COUNTED,
    FAILS,
    HOLDS,
    ONE_SEED,
    TESTED,
    UNMEASURED,
    Comparison,
    count,
    family,
    judge,
    meaning,
)
from fierce_tools.experiments._study import Performed
from fierce_tools.experiments._study_charts import chart, keys_of, numbers_of, search
from fierce_tools.report import Block, Cell, Report, Scalars, Table
from fierce_tools.study import Study
from fierce_tools.study.check import once
from fierce_tools.study.document import Claim, Row

AS_CLAIMED, NOT_AS_CLAIMED = "as claimed", "not as claimed"


@dataclass(frozen=True)
class Line:
    """A row of the table: ours for each seed, in the row's own unit, None for a seed without; empty where there is no
    measurement, with `why`."""

    row: Row
    ours: tuple[float | None, ...]
    why: str = ""

    @property
    def known(self) -> tuple[float, ...]:
        """Those of the seeds that have one."""
        return tuple(v for v in self.ours if v is not None)

    @property
    def within(self) -> tuple[bool, ...]:
        """Of each seed whether it lies within the stated tolerance of the paper's figure; empty where there is none."""
        paper, within = self.row.paper, self.row.within
        if within is None or not isinstance(paper, int | float):
            return ()
        return tuple(abs(v - paper) <= within for v in self.known)

    @property
    def verdict(self) -> str:
        """Whether the paper's figure came out, counted over seeds; empty without a stated tolerance."""
        if not self.within:
            return ""
        verdict, many = count(self.within), len(self.within)
        counted = f", in {sum(self.within)} of {many} seeds" if verdict != ONE_SEED else ""
        return f"{verdict} (±{self.row.within:g}{counted})"


@dataclass(frozen=True)
class Judged:
    """A claim, its verdict, and its comparisons one by one."""

    claim: Claim
    verdict: str
    comparisons: tuple[Comparison, ...]

    @property
    def how(self) -> str:
        """Whether the verdict rests on tests alone, or on counts too: TESTED, COUNTED, or empty where there is none."""
        if self.verdict not in (HOLDS, FAILS):
            return ""
        found = {c.how for c in self.comparisons if c.verdict == self.verdict}
        return COUNTED if found == {COUNTED} or (self.verdict == HOLDS and COUNTED in found) else TESTED


@dataclass(frozen=True)
class Reproduction:
    """A study's outcome over so many seeds; `about` says where, when and with what it was made, as words by name."""

    study: Study
    lines: tuple[Line, ...]
    judged: tuple[Judged, ...]
    steps: Mapping[str, Performed]
    about: Mapping[str, Cell]
    seeds: int

    def report(self) -> Report:
        """Tables of figures and of claims, what it was made with, and the study's plots."""
        charts: list[Block] = []
        wrong = []
        for plot in self.study.plots:
            try:
                made = chart(plot, {x.row.key: x.known for x in self.lines}, self.steps)
            except UsageError as error:
                wrong.append(f"{error}.")
            else:
                charts += [] if made is None else [made]
        failed = [f"Step {name} failed: {s.error}." for name, s in self.steps.items() if s.error]
        failed += [f"Row {line.row.name!r}: {line.why}." for line in self.lines if line.why]
        about = [f"This form: {self.study.about}."] if self.study.about else []
        left_out = [f"Left out: {', '.join(self.study.skipped)}."] if self.study.skipped else []
        tested = [meaning([j.comparisons for j in self.judged])] if self.judged else []
        notes = (*about, *left_out, *self.planned(), *failed, *wrong, *self.study.notes, *tested)
        blocks: tuple[Block, ...] = (self._figures(), self._claims(), Scalars("Made", self.about), *charts)
        return Report(self.study.title, tuple(b for b in blocks if not isinstance(b, Table) or b.rows), notes)

    def planned(self) -> list[str]:
        """A line where the study was done with other seeds than its file fixes."""
        fixed = self.study.seeds
        if self.seeds == fixed:
            return []
        many = f"{self.seeds} seed{'s' * (self.seeds > 1)}"
        return [f"{many}, where the study's file fixes {fixed} beforehand: its verdicts are provisional."]

    def _figures(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for line in self.lines:
            ours = seeds.show(line.ours) if line.ours else "failed" if line.why else UNMEASURED
            one = line.verdict.startswith(ONE_SEED)
            alone = ("within" if line.within[0] else "not within") if one else None
            cells = (line.row.key, line.row.name, line.row.paper, _short(ours), self._count(len(line.known), line.row))
            rows.append((*cells, line.verdict if not one else None, f"{alone} ±{line.row.within:g}" if alone else None))
        heads = ("key", "figure", "paper", "ours", "n", "verdict", "one seed")
        return _without_empty(Table("The paper's figures and ours", heads, tuple(rows)))

    def _claims(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for number, one in enumerate(self.judged, 1):
            parts, paper = one.comparisons, one.claim.paper
            name = f"{number}. {one.claim.says}" + (f" (paper: {paper})" if paper else "")
            if len(parts) != 1:
                rows.append((name, "", "", "", "", "", *_verdict(one.verdict, one.how, parts)))
            rows += [(name if len(parts) == 1 else "", *self._comparison(part)) for part in parts]
        heads = ("claim", "comparison", "gap", "95 %", "n", "p, Holm", "verdict", "one seed")
        return _without_empty(Table("The paper's claims", heads, tuple(rows)))

    def _comparison(self, part: Comparison) -> tuple[Cell, ...]:
        e, gap = part.estimate, part.gap
        interval = None if e.low is None or e.high is None else f"{e.low:.4g} … {e.high:.4g}"
        counted = f"in {gap.holds_in} of {len(gap.values)} seeds" if part.how == COUNTED else None
        return (
            gap.text, _short(seeds.show(gap.values)), interval, self._count(len(gap.values)),
            counted or _p(part.adjusted), *_verdict(part.verdict, part.how, [part]),
        )  # fmt: skip

    def _count(self, n: int, row: Row | None = None) -> Cell:
        """How many seeds there are: 3, or 2 of 3; one that is done once may name how many it has."""
        step = self.study.steps.get(row.from_, {}) if row is not None else {}
        if step and once(step) and "seeds" in step.get("options", {}):
            return n or None
        return seeds.mean_sd([0.0] * n, max(self.seeds, self.study.seeds)).count if n else None

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, with every seed's."""
        study = self.study
        rows = [
            {"name": x.row.name, "key": x.row.key, "paper": x.row.paper, "within": x.row.within, "ours": list(x.ours),
             "mean": found.mean, "sd": found.sd, "n": found.n, "verdict": x.verdict, "why": x.why or None}
            for x in self.lines
            for found in [seeds.mean_sd(x.ours)]
        ]  # fmt: skip
        said = [
            {"says": j.claim.says, "holds": j.claim.holds, "paper": j.claim.paper or None, "verdict": j.verdict,
             "how": j.how or None, "gaps": [_gap(part) for part in j.comparisons]}
            for j in self.judged
        ]  # fmt: skip
        steps = {
            name: {"runs": list(s.runs), "seconds": round(s.seconds, 1), "error": s.error or None}
            for name, s in self.steps.items()
        }
        return {
            "format": 1, "study": study.name, "title": study.title, "source": study.source, "data": study.data,
            "claim": study.claim, "expected": study.expected, "form": study.form, "form_about": study.about or None,
            "made": dict(self.about), "rows": rows, "claims": said, "steps": steps, "left_out": list(study.skipped),
            "notes": list(study.notes), "seeds": self.seeds, "seeds_fixed": study.seeds,
            "family": family([j.comparisons for j in self.judged]),
        }  # fmt: skip


def judged(study: Study, steps: Mapping[str, Performed], about: Mapping[str, Cell], many: int) -> Reproduction:
    """The tables of a study that was carried out with so many seeds."""
    return _judged(study, tuple(_line(study, row, steps) for row in study.rows), steps, about, many)


def judged_again(study: Study, document: Mapping[str, Any], where: str) -> Reproduction:
    """The tables of a study from a document that `as_dict` gave before, judged as it is done now; no plots.

    Raises DataError where the document is of another study, or of one with other rows or claims.
    """
    try:
        kept = {
            row["key"]: (tuple(None if v is None else _finite(v) for v in row["ours"]), _plain(row["why"] or ""))
            for row in document["rows"]
        }
        theirs = [claim["holds"] for claim in document["claims"]]
        steps = {
            name: Performed(
                runs=tuple(map(_plain, s["runs"])), seconds=_finite(s["seconds"]), error=_plain(s["error"] or "")
            )
            for name, s in document["steps"].items()
        }
        made = {_plain(k): _plain(v) if isinstance(v, str) else v for k, v in document["made"].items()}
        name = document["study"]
        many = len([int(number) for number in made["seeds"].split(",")])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{where}: not a result of `fierce reproduce` ({type(error).__name__}: {error})") from None
    if name != study.name or document.get("form") != study.form:
        raise DataError(f"{where} is of the study {name}, {document.get('form')} form, not of {study.name}")
    if [row["key"] for row in document["rows"]] != [row.key for row in study.rows] or theirs != [
        claim.holds for claim in study.claims
    ]:
        raise DataError(f"{where}: {study.path} has other rows or claims by now", "carry the study out again")
    lines = tuple(Line(row, *kept[row.key]) for row in study.rows)
    return _judged(replace(study, plots=()), lines, steps, made, many)


def _judged(
    study: Study, lines: tuple[Line, ...], steps: Mapping[str, Performed], about: Mapping[str, Cell], many: int
) -> Reproduction:
    found = judge([claim.holds for claim in study.claims], {line.row.key: line.ours for line in lines})
    said = tuple(Judged(claim, *verdict) for claim, verdict in zip(study.claims, found, strict=True))
    return Reproduction(study, lines, said, steps, about, many)


def _line(study: Study, row: Row, steps: Mapping[str, Performed]) -> Line:
    step = steps.get(row.from_)
    if step is None:
        return Line(row, ())
    if step.error:
        return Line(row, (), step.error)
    alone = not once(study.steps[row.from_])
    found: list[float | None] = []
    for value in step.values:
        try:
            got = search(row.ours, value, f"row {row.name!r}")
        except UsageError as error:
            return Line(row, (), error.message)
        numbers = [v for v in numbers_of(got) if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) > 1 and alone:
            return Line(row, (), f"{row.ours} is {len(numbers)} numbers of one seed, expected one, such as avg(…)")
        found += [float(f"{row.offset + row.scale * float(v):.12g}") for v in numbers]  # 20.000000000000004 is 20
        found += [None] if alone and not numbers else []  # so that rows pair by their seeds
    if not any(v is not None for v in found):
        lost = study.steps[row.from_].get("lost")
        what = f"{row.ours} is not a number in what {row.from_} gives: {keys_of(step.values[0])}"
        return Line(row, (), "" if lost else what)
    return Line(row, tuple(found))


def _finite(value: Any) -> float:
    """A number of a document. Raises ValueError for what is none, or not finite."""
    number = float(value)
    if isinstance(value, str | bool) or not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _plain(text: Any) -> str:
    """Text of a document in one line, without what a terminal would obey."""
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


def _gap(part: Comparison) -> dict[str, Any]:
    e, gap = part.estimate, part.gap
    return {
        "comparison": gap.text, "by": plain(list(gap.values)), "verdict": part.verdict, "how": part.how or None,
        "low": e.low, "high": e.high, "df": e.df, "p": e.p, "p_holm": part.adjusted, "holds_in": gap.holds_in,
    }  # fmt: skip


def _verdict(verdict: str, how: str, parts: Sequence[Comparison]) -> tuple[Cell, Cell]:
    """The verdict's cell, and the one for what a single seed says, of which no verdict is made."""
    if verdict != ONE_SEED:
        return f"{verdict}, counted" if how == COUNTED and verdict in (HOLDS, FAILS) else verdict, ""
    return "", AS_CLAIMED if all(part.as_claimed for part in parts) else NOT_AS_CLAIMED


def _p(value: float | None) -> Cell:
    return None if value is None else "< .0001" if value < 1e-4 else f"{value:.2g}".replace("0.", ".", 1)


def _short(cell: Cell) -> Cell:
    return float(f"{cell:.4g}") if isinstance(cell, float) else cell


def _without_empty(table: Table) -> Table:
    """The table without columns that say nothing."""
    kept = [n for n in range(len(table.columns)) if any(row[n] not in (None, "") for row in table.rows)]
    rows = tuple(tuple(row[n] for n in kept) for row in table.rows)
    return Table(table.title, tuple(table.columns[n] for n in kept), rows)

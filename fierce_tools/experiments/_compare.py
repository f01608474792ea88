"""Several models on one page: the figures a person would put into a paper, mean ± sd over seeds, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fierce_tools import binding, checkpoints, outputs, same
from fierce_tools.analysis._over_seeds import TWO_LEVEL, Estimate
from fierce_tools.errors import DataError, SeenValidation, UsageError
from fierce_tools.experiments._ask import ask
from fierce_tools.experiments._comparison import FIGURES, Comparison, Row
from fierce_tools.experiments._differences import OF_MODELS, Side, differences
from fierce_tools.experiments._gather import beside, keys_of, names_of, relabelled
from fierce_tools.experiments._loading import BY_POSITION, Places, outputs_of
from fierce_tools.experiments._paired import PAIRED, Judged, judge
from fierce_tools.experiments._rows import Members, rows
from fierce_tools.menu import ANALYSES, unknown
from fierce_tools.outputs import Keys
from fierce_tools.runs import Run, state
from fierce_tools.seeds import FINISHED
from fierce_tools.sources import Source

CONSTANT = "all feature vectors, or all soft labels, are the same: γ, S, within/between and probe say nothing"
OPTIONS: dict[str, dict[str, Any]] = {"calibration": {"bootstrap": 0}}


def compare(
    sources: Sequence[Source],
    *,
    group_by: str = "seed",
    split: str = "test",
    temperature: float = 9.0,
    skip: Sequence[str] = (),
    bootstrap: int = 1000,
    two_level: bool = False,
    fit_on: str | None = None,
    cross_fit: int | None = None,
    places: Places | None = None,
    keys: Keys | None = None,
    missing: Sequence[Run] = (),
) -> Comparison:
    """Ask every source the figures of FIGURES and put models that differ only in their seed into one row.

    `group_by` is `seed`, or an option of the recipe such as loss.lam, whose values then make the rows. A figure whose
    arrays a source has not, or that needs a choice on validation its weights may have seen, is left empty and named in
    the notes; `fit_on` and `cross_fit` go to the analyses that have them, `keys` say which arrays of files are meant.
    Of a row distinct seeds of one recipe count; `missing` are runs without weights, which a row may lack.

    Differences to the first row are of means over a row's models. With several seeds on both sides their 95 % intervals
    are over seeds: Student's t where the seeds pair, else Welch's. With `two_level` they hold for other examples too.
    With one seed on a side they are the 2.5 and 97.5 percentiles over `bootstrap` resamples of the examples (0: none),
    and speak of these models alone. Raises UsageError for a figure or an option that does not exist.
    """
    for key in skip:
        if key not in FIGURES:
            raise unknown("figure", key, tuple(FIGURES))
    if two_level and bootstrap < 2:
        raise UsageError(f"two levels with {bootstrap} resamples", "expected 2 or more")
    if bootstrap < 0 or not temperature > 0:
        raise UsageError(f"--bootstrap {bootstrap} --temperature {temperature:g}", "expected 0 or more, and above 0")
    where, named = places or Places(), beside(sources, keys or Keys())
    chosen = {k: v for k, v in (("fit_on", fit_on), ("cross_fit", cross_fit)) if v is not None}
    notes: dict[str, None] = {}
    made: list[Row] = []
    sides: list[Side] = []
    grouped, strange = rows(sources, group_by, missing)
    notes |= dict.fromkeys(f"{run.name} is left out: it is {state(run)} and has no weights." for run in strange)
    for label, members in grouped.items():
        models = []
        for s in members.sources:
            given = scores_of(s, split, where, named)
            models.append(judge(given, s.label, temperature))
            notes |= dict.fromkeys((*given.notes, *_infinite(models[-1])))
        figures: dict[str, tuple[float | None, ...]] = {k: tuple(_known(m.figures[k]) for m in models) for k in PAIRED}
        for key, (_, analysis, path) in FIGURES.items():
            if analysis and key not in skip:
                figures[key] = tuple(
                    _asked(s, analysis, path, split, chosen, where, named, notes) for s in members.sources
                )
        figures = {k: v for k, v in figures.items() if k not in skip}
        notes |= dict.fromkeys((*_counted(label, members), *_unfinished(members)))
        names = tuple(s.label for s in members.sources)
        made.append(Row(label, names, figures, members.seeds, members.planned, members.left_out, members.one))
        sides.append(Side(label, tuple(models), members.seeds, members.one, figures))
    notes |= dict.fromkeys((*_taught_apart(sources), *_taught_alike(made, sources)))
    unnamed = [(m.label, names_of(m.outputs)) for side in sides for m in side.models
               if m.outputs.document.get(BY_POSITION)]  # fmt: skip
    if unnamed:
        same.refuse_conflicts(str(where.data), unnamed, "add class_names to the data")
    found = differences(sides, bootstrap, two_level, notes) if len(sides) > 1 else {}
    always = dict.fromkeys(k for k in PAIRED if k not in skip)
    triples = {label: {**always, **{k: _triple(e) for k, e in row.items()}} for label, row in found.items()}
    return Comparison(tuple(made), triples, split, temperature, (*notes, *_explained(found, two_level)), found)


def scores_of(source: Source, split: str, places: Places, keys: Keys) -> outputs.Outputs:
    """A checkpoint's outputs on a split, or those of a file, whose arrays `keys` name."""
    keys = keys_of(source, keys)
    if source.checkpoint:
        made = outputs_of(source, split, {"logits"}, places)
        return made if keys.labels_key is None else relabelled(made, keys.labels_key, places)
    return outputs.load(source.path, **keys.asked())


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _asked(
    source: Source,
    analysis: str,
    path: tuple[str, ...],
    split: str,
    chosen: Mapping[str, Any],
    places: Places,
    keys: Keys,
    notes: dict[str, None],
) -> float | None:
    asked_split = "train" if analysis == "mutual-information" else split
    spec = binding.read(ANALYSES, analysis)
    known = {o.name for o in spec.options}
    if source.checkpoint and "labels" not in (*spec.arrays, *spec.optional_arrays):
        keys = Keys()  # those of a file are of the split that is compared
    options = OPTIONS.get(analysis, {}) | {k: v for k, v in chosen.items() if k in known}
    try:
        answer = ask(analysis, source, options, split=asked_split, places=places, keys=keys)
    except (DataError, SeenValidation) as error:
        way = "; --cross-fit 5 chooses on this split, --fit-on val on validation anyway"
        seen = way if isinstance(error, SeenValidation) else ""
        notes[f"{source.label}: no {analysis}: {error.message}{seen}."] = None
        return None
    if "fit_on" in known:  # what is to be known of a choice, or why there is none
        notes |= dict.fromkeys(f"{source.label}: {note}" for note in answer.values.get("notes", ()))
    value: Any = answer.values
    if value.get("constant") or value.get("train_constant"):
        notes[f"{source.label}: {CONSTANT}."] = None
    for key in path:
        value = None if value is None else value[key]
    return None if value is None else float(value)


def _infinite(model: Judged) -> list[str]:
    gone = model.infinite
    of = len(model.outputs.logits)
    return [f"{model.label}: the NLL is infinite for {gone} of {of} examples, and is of the others."] if gone else []


def _counted(label: str, members: Members) -> list[str]:
    """Who of a row does not count, and why; and where its models differ in more than their seed."""
    found = [f"{name} does not count in {label}: {reason}." for name, reason in members.left_out.items()]
    if not members.one and len(members.sources) > 1:
        found.append(
            f"{label}: its models differ in more than their seed, so that ± is between recipes, too, and differences "
            "are of these models."
        )
    return found


def _unfinished(members: Members) -> list[str]:
    """Who counts although it is not finished, because nobody of its recipe is."""
    whole = [s for s in members.sources if s.run is not None and s.epoch is None]
    found = [(s.label, state(s.run)) for s in whole if s.run is not None]
    return [
        f"{label} {'failed' if how == 'failed' else f'is {how}'}; its weights are compared, as no run of its recipe is "
        "finished."
        for label, how in found if how != FINISHED
    ]  # fmt: skip


def _taught_alike(made: Sequence[Row], sources: Sequence[Source]) -> list[str]:
    """A line where several seeds of a row had one teacher."""
    several = {name for row in made if len(row.members) > 1 and row.one for name in row.members}
    students = [s for s in sources if s.label in several and s.checkpoint]
    if not any(checkpoints.read_document(s.path).get("distillation") for s in students):
        return []
    return ["Seeds of students vary the student alone: ± and intervals over them are of students of these teachers."]


def _taught_apart(sources: Sequence[Source]) -> list[str]:
    """A line where students differ in nothing but which weights taught them."""
    by: dict[str, set[str]] = {}
    for s in sources:
        document = checkpoints.read_document(s.path) if s.checkpoint else {}
        if document.get("distillation") and not document.get("origin"):
            recipe = {k: v for k, v in document["recipe"].items() if k != "distill"}
            recipe["distill"] = {k: v for k, v in document["recipe"].get("distill", {}).items() if k != "teachers"}
            by.setdefault(same.training(recipe, seed=False), set()).add(same.taught(document["distillation"]))
    if not any(len(teachers) > 1 for teachers in by.values()):
        return []
    return [
        "Students of different teachers are rows of their own, be these seeds of one recipe: `fierce analyze … "
        "--teacher-seeds` and `fierce reproduce` vary teacher and student together."
    ]


def _explained(found: Mapping[str, Mapping[str, Estimate]], two_level: bool) -> list[str]:
    """What the intervals speak of."""
    every = [e for row in found.values() for e in row.values()]
    over_seeds = [e for e in every if e.method not in OF_MODELS]
    notes = []
    if over_seeds:
        about = "these test examples"
        if two_level:
            about = "other examples too where it says so" if {e.method for e in over_seeds} != {TWO_LEVEL} else (
                "other examples too"
            )  # fmt: skip
        notes.append(f"Intervals over seeds speak of the recipes, on {about}; each is of one figure, unadjusted.")
    if any(e.low is None for e in every):
        notes.append(
            "No interval where seeds, or the answers of two models, do not vary, or where fewer than two of a row have "
            "the figure."
        )
    if len(every) > len(over_seeds):
        notes.append(
            "Intervals over examples speak of these very models: two seeds of one recipe may differ as much. Train "
            "more seeds to compare recipes."
        )
    return notes


def _triple(found: Estimate) -> tuple[float, float, float] | None:
    return None if found.low is None or found.high is None else (found.at, found.low, found.high)

"""Several models on one page: the figures a person would put into a paper, mean ± sd over seeds, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fierce_tools import binding, checkpoints, outputs, same
from fierce_tools.analysis._metrics import ece, finite_mean, infinite, per_example
from fierce_tools.errors import DataError, SeenValidation, UsageError
from fierce_tools.experiments._ask import ask
from fierce_tools.experiments._gather import beside, keys_of, names_of, relabelled
from fierce_tools.experiments._loading import BY_POSITION, Places, outputs_of
from fierce_tools.experiments._paired import PAIRED, paired
from fierce_tools.menu import ANALYSES, unknown
from fierce_tools.outputs import Keys
from fierce_tools.report import Cell, Report, Table
from fierce_tools.sources import Source

# Key, title, and the analysis with the path to its value; those without one come from the outputs themselves.
FIGURES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "accuracy": ("accuracy", "", ()),
    "nll": ("NLL (nats)", "", ()),
    "ece": ("ECE", "", ()),
    "entropy": ("entropy at T (nats)", "", ()),
    "tstar": ("T*", "calibration", ("temperature",)),
    "ece-tstar": ("ECE at T*", "calibration", ("after", "ece")),
    "gamma": ("γ", "smoothness", ("gamma",)),
    "stability": ("S", "stability", ("stability",)),
    "tightness": ("within/between", "projection", ("train_collapse", "ratio")),
    "probe": ("probe accuracy", "linear-probe", ("accuracy",)),
    "mi": ("MI (nats)", "mutual-information", ("nats",)),
}
PAGES = {
    "Predictions": ("accuracy", "nll", "ece", "tstar", "ece-tstar", "entropy"),
    "Soft labels and features": ("gamma", "stability", "tightness", "probe", "mi"),
}
CONSTANT = "all feature vectors, or all soft labels, are the same: γ, S, within/between and probe say nothing"
OPTIONS: dict[str, dict[str, Any]] = {"calibration": {"bootstrap": 0}}


@dataclass(frozen=True)
class Row:
    """A group of models: its label, its members, and their figures in the same order, None where there is none."""

    label: str
    members: tuple[str, ...]
    figures: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class Comparison:
    """Rows of figures, and for each row but the first the difference to it with its 95 % interval."""

    rows: tuple[Row, ...]
    differences: Mapping[str, Mapping[str, tuple[float, float, float] | None]]
    split: str
    temperature: float
    notes: tuple[str, ...]

    def report(self) -> Report:
        """Two tables: the figures as mean ± sd, and the paired differences to the first row."""
        tables = []
        for title, columns in PAGES.items():
            keys = [k for k in columns if any(v is not None for r in self.rows for v in r.figures.get(k, ()))]
            heads = ("model", "n", *(FIGURES[k][0].replace("at T ", f"at T={self.temperature:g} ") for k in keys))
            rows = tuple((r.label, len(r.members), *(spread(r.figures[k]) for k in keys)) for r in self.rows)
            if keys:
                tables.append(Table(f"{title} ({self.split})", heads, rows))
        if self.differences:
            paired = ("model", *(FIGURES[k][0] for k in PAIRED))
            lines = tuple((label, *(_interval(d[k]) for k in PAIRED)) for label, d in self.differences.items())
            tables.append(Table(f"Difference to {self.rows[0].label}, 95 % paired bootstrap", paired, lines))
        return Report("Comparison", tuple(tables), self.notes)

    def numbers(self) -> Report:
        """The same as plain numbers, a column for each mean, sd and bound: for a table of somebody's own."""
        keys = [k for k in FIGURES if any(v is not None for r in self.rows for v in r.figures.get(k, ()))]
        heads = ["model", "n", *(f"{k} {part}" for k in keys for part in ("mean", "sd"))]
        heads += [f"{k} difference {part}" for k in PAIRED for part in ("", "low", "high")] if self.differences else []
        rows: list[tuple[Cell, ...]] = []
        for r in self.rows:
            cells: list[Cell] = [r.label, len(r.members)]
            for key in keys:
                cells += mean_sd(r.figures[key])
            if self.differences:
                found = self.differences.get(r.label)
                cells += [v for k in PAIRED for v in ((found[k] if found else None) or (None, None, None))]
            rows.append(tuple(cells))
        return Report("Comparison", (Table("", tuple(h.strip() for h in heads), tuple(rows)),))


def compare(
    sources: Sequence[Source],
    *,
    group_by: str = "seed",
    split: str = "test",
    temperature: float = 9.0,
    skip: Sequence[str] = (),
    bootstrap: int = 1000,
    fit_on: str | None = None,
    cross_fit: int | None = None,
    places: Places | None = None,
    keys: Keys | None = None,
) -> Comparison:
    """Ask every source the figures of FIGURES and put models that differ only in their seed into one row.

    `group_by` is `seed`, or an option of the recipe such as loss.lam, whose values then make the rows. A figure whose
    arrays a source has not, or that needs a choice on validation its weights may have seen, is left empty and named in
    the notes; `fit_on` and `cross_fit` go to the analyses that have them, `keys` say which arrays of files are meant.
    Differences are of means over a row's models, example by example, where all are of the same examples; intervals are
    the 2.5 and 97.5 percentiles over resampled examples. Raises UsageError for a figure or an option that does not
    exist.
    """
    for key in skip:
        if key not in FIGURES:
            raise unknown("figure", key, tuple(FIGURES))
    if bootstrap < 0 or not temperature > 0:
        raise UsageError(f"--bootstrap {bootstrap} --temperature {temperature:g}", "expected 0 or more, and above 0")
    where, named = places or Places(), beside(sources, keys or Keys())
    chosen = {k: v for k, v in (("fit_on", fit_on), ("cross_fit", cross_fit)) if v is not None}
    notes: dict[str, None] = {}
    groups = grouped(sources, group_by)
    rows, examples = [], {}
    for label, members in groups.items():
        found = [scores_of(s, split, where, named) for s in members]
        examples[label] = [_examples(o, s, temperature) for o, s in zip(found, members, strict=True)]
        for s, made, e in zip(members, found, examples[label], strict=True):
            gone = infinite(e["each"]["nll"])
            infinities = (
                f"{s.label}: the NLL is infinite for {gone} of {len(made.logits)} examples, and is of the others."
            )
            notes |= dict.fromkeys((*made.notes, *([infinities] if gone else ())))
        figures: dict[str, tuple[float | None, ...]] = {k: tuple(_known(e[k]) for e in examples[label]) for k in PAIRED}
        for key, (_, analysis, path) in FIGURES.items():
            if analysis and key not in skip:
                figures[key] = tuple(_asked(s, analysis, path, split, chosen, where, named, notes) for s in members)
        rows.append(Row(label, tuple(s.label for s in members), {k: v for k, v in figures.items() if k not in skip}))
    unnamed = [(e["label"], names_of(made)) for group in examples.values() for e in group
               if (made := e["outputs"]).document.get(BY_POSITION)]  # fmt: skip
    if unnamed:
        same.refuse_conflicts(str(where.data), unnamed, "add class_names to the data")
    differences = paired(examples, bootstrap, notes) if len(rows) > 1 and bootstrap else {}
    return Comparison(tuple(rows), differences, split, temperature, tuple(notes))


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


def _examples(found: outputs.Outputs, source: Source, temperature: float) -> dict[str, Any]:
    made = per_example(found.logits, found.get("labels", source=source.label), (1.0, temperature))
    confidence, correct = made.confidence[0].astype(np.float64), made.correct.astype(np.float64)
    entropy = made.entropy[1].astype(np.float64)
    return {
        "outputs": found,
        "label": source.label,
        "confidence": confidence,
        "each": {"accuracy": correct, "nll": made.loss[0].astype(np.float64), "entropy": entropy},
        "accuracy": correct.mean(),
        "nll": finite_mean(made.loss[0]),
        "entropy": made.entropy[1].mean(dtype=np.float64),
        "ece": ece(confidence, made.correct),
    }  # fmt: skip


def grouped(sources: Sequence[Source], group_by: str) -> dict[str, list[Source]]:
    """Sources by row label: what their recipes differ in, seeds and places aside, or the values of one option."""
    recipes = {s.label: _flat(s) for s in sources}
    if group_by != "seed":
        groups: dict[str, list[Source]] = {}
        for s in sources:
            if group_by not in recipes[s.label]:
                known = tuple(dict.fromkeys(k for r in recipes.values() for k in r))
                raise unknown(f"option to group by in {s.label}:", group_by, ("seed", *known))
            groups.setdefault(f"{group_by} {recipes[s.label][group_by]}", []).append(s)
        return groups
    by_key: dict[Any, list[Source]] = {}
    for s in sources:
        by_key.setdefault(_training(s), []).append(s)
    varying = [k for k in dict.fromkeys(k for r in recipes.values() for k in r) if _differs(k, list(recipes.values()))]
    found: dict[str, list[Source]] = {}
    for members in by_key.values():
        own = recipes[members[0].label]
        words = [str(own[k]) if k.endswith(".name") else f"{k.partition('.')[2]} {own[k]}" for k in varying if k in own]
        label = ", ".join(words) if len(members) > 1 and words else members[0].label
        found[label if label not in found else members[0].label] = members
    return found


def _differs(key: str, recipes: list[dict[str, Any]]) -> bool:
    """Whether an option tells rows apart: its value differs among recipes that made the same choice in its section."""
    if same.idle(key, seed=True):
        return False
    name = f"{key.partition('.')[0]}.name"
    values: dict[Any, set[str]] = {}
    for r in recipes:
        if key in r:
            values.setdefault(None if key == name else r.get(name), set()).add(str(r[key]))
    return any(len(v) > 1 for v in values.values())


def _training(source: Source) -> tuple[str, ...]:
    """What was trained, but for its seed; files of arrays and imported weights are nobody's seeds."""
    document = checkpoints.read_document(source.path) if source.checkpoint else {}
    if not source.checkpoint or document.get("origin"):
        return (source.label,)
    recipe = same.training(document["recipe"], seed=False)
    taught = same.taught(document.get("distillation") or {})
    return recipe, str(document["dataset_sha256"]), taught, str(document["epoch"] if source.epoch else "")


def _flat(source: Source) -> dict[str, Any]:
    if not source.checkpoint:
        return {}
    document = checkpoints.read_document(source.path)
    flat = {f"{s}.{k}": v for s, table in document["recipe"].items() for k, v in table.items()}
    return flat | ({"epoch": document["epoch"]} if source.epoch else {})


def mean_sd(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation, each None where it cannot be had."""
    there = [v for v in values if v is not None]
    sd = float(np.std(there, ddof=1)) if len(there) > 1 else None
    return (float(np.mean(there)) if there else None), sd


def spread(values: Sequence[float | None]) -> Cell:
    """`mean ± sd` over several models, the value of one."""
    mean, sd = mean_sd(values)
    return mean if mean is None or sd is None else f"{mean:.4g} ± {sd:.2g}"


def _interval(value: tuple[float, float, float] | None) -> str | None:
    if value is None:
        return None
    at, low, high = value
    return f"{at:+.4f} ({low:+.4f} … {high:+.4f})"

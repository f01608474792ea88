"""Ask a source one analysis: bring its arrays, make what is missing, run the function, keep the answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fierce_tools import __version__, binding, files, outputs, sources
from fierce_tools.errors import DataError
from fierce_tools.menu import ANALYSES, DATASETS
from fierce_tools.outputs import Outputs
from fierce_tools.recipe import resolve
from fierce_tools.report import Report, from_dict
from fierce_tools.sources import Source

PREFIXES = ("train_", "val_")


@dataclass(frozen=True)
class Places:
    """Where the data lie and where to compute: `data` replaces the recipe's dataset, `data_root` only its folder.

    `factory` is the one function that may be imported to make a model (package.module:function).
    """

    data: str | None = None
    data_root: str | None = None
    download: bool = False
    device: str = "auto"
    factory: str | None = None


@dataclass(frozen=True)
class Answer:
    """What an analysis says of one source: its report, its values as plain data, and what they were made of."""

    report: Report
    values: Mapping[str, Any]
    identity: Mapping[str, Any]
    kept: bool


def ask(
    analysis: str,
    source: Source,
    options: Mapping[str, Any],
    *,
    split: str = "test",
    logits_key: str | None = None,
    places: Places | None = None,
    fresh: bool = False,
) -> Answer:
    """Run one analysis on a checkpoint or a file of arrays.

    A checkpoint's answer is kept beside it and given again while options and weights are the same, unless `fresh`.
    Raises DataError for arrays the analysis needs and the source has not, UsageError for options out of range.
    """
    spec = binding.read(ANALYSES, analysis)
    resolved = spec.resolve(options)
    replaced = places.data if places is not None else None
    identity = json.loads(json.dumps({
        "analysis": spec.name, "options": resolved, "split": split if source.checkpoint else None,
        "input_sha256": source.sha256, "logits": logits_key, "data": replaced, "version": __version__,
    }))  # fmt: skip
    path = source.analysis_path(spec.name, hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest())
    saved = sources.kept_result(path, identity) if source.checkpoint and not fresh else None
    if saved is not None:
        return Answer(from_dict(saved["report"]), saved["values"], identity, True)
    arrays = gather(spec, source, split, logits_key, places or Places())
    result = ANALYSES.get(analysis)(**arrays, **{k: v for k, v in resolved.items() if k != "preset"})
    answer = Answer(result.report(), plain(asdict(result)), identity, False)
    if source.checkpoint:
        files.write_json(
            path, {"identity": identity, "values": answer.values, "report": plain(answer.report.to_dict())}
        )
    return answer


def gather(spec: binding.Spec, source: Source, split: str, logits_key: str | None, places: Places) -> dict[str, Any]:
    """The arrays that an analysis names, each from its split. Raises DataError for one that is not to be had."""
    by_split: dict[str, set[str]] = {}
    for parameter in (*spec.arrays, *spec.optional_arrays):
        where, name = _parts(parameter, split)
        by_split.setdefault(where, set()).add(name)
    if not source.checkpoint:
        return _from_file(spec, source, logits_key)
    found = {where: outputs_of(source, where, names, places) for where, names in by_split.items()}
    arrays = {}
    for parameter in (*spec.arrays, *spec.optional_arrays):
        where, name = _parts(parameter, split)
        label = f"{source.label} ({where})"
        value = (
            getattr(found[where], name) if parameter in spec.optional_arrays else found[where].get(name, source=label)
        )
        arrays[parameter] = value
    return arrays


def _from_file(spec: binding.Spec, source: Source, logits_key: str | None) -> dict[str, Any]:
    loaded = outputs.load(source.path, logits_key=logits_key)
    own = {p for p in (*spec.arrays, *spec.optional_arrays) if not p.startswith(PREFIXES)}
    others = {p for p in (*spec.arrays, *spec.optional_arrays) if p.startswith(PREFIXES)}
    raw = outputs.read_arrays(source.path)[0] if others else {}
    arrays: dict[str, Any] = {
        p: getattr(loaded, p) if p in spec.optional_arrays else loaded.get(p, source=str(source.path)) for p in own
    }
    for parameter in others:
        if parameter not in raw and parameter in spec.arrays:
            raise DataError(
                f"{source.path} has no array {parameter!r}, which {spec.name} needs; it holds {', '.join(sorted(raw))}",
                "add it to the file, or ask a fierce checkpoint",
            )
        arrays[parameter] = raw.get(parameter)
    return arrays


def _parts(parameter: str, split: str) -> tuple[str, str]:
    for prefix in PREFIXES:
        if parameter.startswith(prefix):
            return prefix[:-1], parameter.removeprefix(prefix)
    return split, parameter


def outputs_of(source: Source, split: str, wanted: set[str], places: Places, *, fresh: bool = False) -> Outputs:
    """A checkpoint's outputs on a split: those that were kept, or made now and kept.

    Raises DataError where the data are missing, or are not those it was trained on.
    """
    if not fresh and "images" not in wanted and places.data is None:
        found = sources.kept(source, split, wanted)
        if found is not None:
            return found
    made = _infer(source, split, wanted, places)
    if places.data is None:
        sources.keep(source, split, replace(made, images=None))
    return made


def _infer(source: Source, split: str, wanted: set[str], places: Places) -> Outputs:
    from fierce_tools import checkpoints
    from fierce_tools.data._splits import split as cut
    from fierce_tools.training.batches import Normalization
    from fierce_tools.training.infer import infer
    from fierce_tools.training.train import dataset, pick_device

    checkpoint = checkpoints.load(source.path, pick_device(places.device), trusted=places.factory)
    if places.data is None and not checkpoint.document["dataset_sha256"]:
        raise DataError(f"{source.label} was imported without its data", "say which with --data NAME")
    recipe = checkpoint.recipe
    if places.data is not None:
        kept = {k: recipe.data[k] for k in ("val_fraction", "split_seed")}
        recipe = resolve({**recipe.as_dict(), "data": {"name": places.data, **kept}})
    takes = {o.name for o in binding.read(DATASETS, recipe.data["name"]).options}
    here = {"data_root": places.data_root, "download": places.download or None}
    recipe = recipe.with_data(**{k: v for k, v in here.items() if k in takes and v is not None})
    data = dataset(recipe)
    if data.shape != tuple(checkpoint.document["input_shape"]) or data.classes != len(checkpoint.class_names):
        raise DataError(
            f"{source.label} takes examples of shape {tuple(checkpoint.document['input_shape'])} in "
            f"{len(checkpoint.class_names)} classes, {data.name} has {data.shape} in {data.classes}",
            "give the --data it was trained for",
        )
    if places.data is None and data.fingerprint() != checkpoint.document["dataset_sha256"]:
        raise DataError(
            f"{data.name} as found here is not what {source.label} was trained on (fingerprint "
            f"{data.fingerprint()[:12]}…, expected {checkpoint.document['dataset_sha256'][:12]}…)",
            f"to ask it about these data all the same, say --data {data.name}",
        )
    examples = cut(data, val_fraction=recipe.data["val_fraction"], split_seed=recipe.data["split_seed"]).get(split)
    normalization = Normalization(checkpoint.mean, checkpoint.std)
    made = infer(
        checkpoint.model, examples, normalization, checkpoint.class_names,
        anchors=checkpoint.anchors, features="features" in wanted,
    )  # fmt: skip
    return replace(made, images=examples.images) if "images" in wanted and examples.images.ndim == 4 else made


def plain(value: Any) -> Any:
    """Values as JSON has them: arrays and tuples as lists, numbers of numpy as Python's, what is not finite as null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value

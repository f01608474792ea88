"""Ask a source one analysis: bring its arrays, run the function, keep the answer."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import __version__, arrayfile, binding, files, sources
from fierce_tools.experiments import _chosen
from fierce_tools.experiments._gather import gather, keys_of
from fierce_tools.experiments._loading import Places
from fierce_tools.menu import ANALYSES, revision
from fierce_tools.outputs import Keys
from fierce_tools.report import Report, from_dict
from fierce_tools.sources import Source


@dataclass(frozen=True)
class Answer:
    """What an analysis says of one source: its report, its values as plain data, and what they were made of.

    `path` is where it is kept, None for an answer that is not; `kept` whether it was read from there.
    """

    report: Report
    values: Mapping[str, Any]
    identity: Mapping[str, Any]
    kept: bool
    path: Path | None = None


def ask(
    analysis: str,
    source: Source,
    options: Mapping[str, Any],
    *,
    split: str = "test",
    keys: Keys | None = None,
    teacher: Source | None = None,
    teacher_keys: Keys | None = None,
    places: Places | None = None,
    fresh: bool = False,
) -> Answer:
    """Run one analysis on a checkpoint or a file of arrays; `options` may hold those of draws where it needs draws.

    A checkpoint's answer is kept beside it and given again while options and weights are the same, unless `fresh`.
    Raises DataError for arrays the analysis needs and the source has not, UsageError for options out of range.
    """
    spec, keys = binding.read(ANALYSES, analysis), keys_of(source, keys or Keys())
    own = {o.name.replace("_", "-") for o in spec.options} | {o.name for o in spec.options}
    draws = {}
    if "draws" in spec.arrays:
        draws = binding.draws().resolve({k: v for k, v in options.items() if k not in own})
        options = {k: v for k, v in options.items() if k in own}
    resolved = spec.resolve(options)
    history = _chosen.trained_on(spec, source)
    identity = plain(
        {
            "analysis": spec.name,
            **_chosen.identified(spec, resolved, history),
            "split": split if source.checkpoint else None,
            "input_sha256": source.sha256,
            "teacher_sha256": teacher.sha256 if teacher is not None else None,
            "draws": draws,
            "logits": None,
            "probabilities": None,
            "data": places.data if places is not None else None,
            "version": __version__,
            **({} if (number := revision(ANALYSES, analysis)) is None else {"revision": number}),
            **_named(keys),
            **{f"teacher_{k}": v for k, v in _named(teacher_keys).items()},
        }
    )
    path = source.analysis_path(spec.name, arrayfile.name_of(identity))
    # Other data than the training's may change under their name: answers on them are not kept.
    keeps = source.checkpoint and (places is None or places.data is None)
    saved = sources.kept_result(path, identity) if keeps and not fresh else None
    if saved is not None:
        return Answer(from_dict(saved["report"]), saved["values"], identity, True, path)
    asked = _chosen.without_validation(spec, resolved, history)
    gathered = gather(
        asked, source, split, keys=keys, teacher=teacher, teacher_keys=teacher_keys, draws=draws, places=places,
        fresh=fresh,
    )  # fmt: skip
    seen = {"seen": True} if history in _chosen.SEEN else {}
    result = ANALYSES.get(analysis)(**gathered.arrays, **resolved, **seen)
    report = result.report()
    report = replace(report, notes=(*report.notes, *gathered.notes))
    answer = Answer(report, plain(asdict(result)), identity, False, path if keeps else None)
    if keeps:
        report = plain(answer.report.to_dict())
        with contextlib.suppress(OSError):  # an answer that cannot be kept is still an answer
            files.write_json(path, {"identity": identity, "values": answer.values, "report": report})
    return answer


def _named(keys: Keys | None) -> dict[str, str]:
    """Which arrays of a file are meant, where it is said; of labels in a file of their own, the hash."""
    named = keys.named() if keys is not None else {}
    labels = Path(named.get("labels", ""))
    return named | ({"labels": files.file_sha256(labels)} if labels.suffix == ".npy" and labels.is_file() else {})


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

"""Ask checkpoints an experiment: make its lab, run it, give its report and its values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fierce_tools import __version__, arrayfile, binding, files, recipe
from fierce_tools.errors import UsageError
from fierce_tools.experiments._ask import plain
from fierce_tools.experiments._loading import Places
from fierce_tools.menu import EXPERIMENTS
from fierce_tools.report import Report
from fierce_tools.sources import Source


def inquire(
    experiment: str,
    found: Sequence[Source],
    options: Mapping[str, Any],
    *,
    places: Places,
    root: Path,
    listen: Callable[[Any], None] | None = None,
    settings: Mapping[str, Any] | None = None,
    command: Sequence[str] = ("fierce",),
) -> tuple[Report, dict[str, Any]]:
    """The report of an experiment on these checkpoints, and its values as one document.

    `options` are the experiment's own, those of the lab it takes, and those of training the ordinary runs of the
    workshop it takes, above which go `settings` by SECTION.OPTION. Students go to a hidden folder of `root` as they
    end, runs to `root`, so that what was interrupted goes on. Raises what the experiment raises.
    """
    spec = binding.read(EXPERIMENTS, experiment)
    common = binding.students(spec).options if "lab" in spec.arrays else ()
    training = recipe.training_options(spec) if "workshop" in spec.arrays else ()
    parts = [replace(spec, options=options, presets={}) for options in (spec.options, common, training)]
    names = [{o.name for o in part.options} for part in parts]
    unknown = set(options) - set().union(*names)
    if unknown:
        raise UsageError(f"{experiment} knows no option {', '.join(sorted(unknown))}")
    own, shared, trained = (
        part.resolve({k: v for k, v in options.items() if k in known}) for part, known in zip(parts, names, strict=True)
    )
    context: dict[str, Any] = {}
    if "workshop" in spec.arrays:
        context["workshop"] = _workshop(trained, settings or {}, places, root, listen, command)
    if "lab" in spec.arrays:
        from fierce_tools.experiments._lab import lab

        data = context["workshop"].of_data().as_dict()["data"] if context else None
        if not (context or found) and settings:  # labels alone, of data that are spelled out
            data = recipe.resolve(_document({}, places), settings).as_dict()["data"]
        if experiment == "missing-class" and own["labels"] == "smoothed" and shared["teacher_seeds"] is not None:
            raise UsageError("--labels smoothed has no teacher for --teacher-seeds to repeat", "leave one of them out")
        context["lab"] = lab(found, places, root, listen, data, command, **shared)
        context["checkpoints"] = context["lab"].teachers
    result = EXPERIMENTS.get(experiment)(*(context[name] for name in spec.arrays), **own)
    asked = [t.source for t in context["lab"].teachers] if shared.get("teacher_seeds") is not None else found
    sources = [{"source": s.label, "path": str(s.path), "epoch": s.epoch, "input_sha256": s.sha256} for s in asked]
    document = {
        "format": 1, "analysis": spec.name, "options": plain({**own, **shared, **trained}), "split": "test",
        "results": [{"sources": sources, "values": plain(asdict(result))}],
    }  # fmt: skip
    report = result.report()
    if len(found) == 1 and places.data is None:
        _keep(found[0], document, report)
    return report, document


def _keep(source: Source, document: Mapping[str, Any], report: Report) -> None:
    """Lay the answer beside the checkpoint, for others to show; asked again, it is made anew of the kept students."""
    identity = {
        "analysis": document["analysis"], "options": document["options"], "split": document["split"],
        "input_sha256": source.sha256, "version": __version__,
    }  # fmt: skip
    path = source.analysis_path(document["analysis"], arrayfile.name_of(identity))
    with contextlib.suppress(OSError):  # an answer that cannot be kept is still an answer
        values = document["results"][0]["values"]
        files.write_json(path, {"identity": identity, "values": values, "report": plain(report.to_dict())})


def _workshop(
    trained: Mapping[str, Any],
    settings: Mapping[str, Any],
    places: Places,
    root: Path,
    listen: Callable[[Any], None] | None,
    command: Sequence[str],
) -> Any:
    from fierce_tools.experiments._workshop import Workshop

    document = _document({k.removeprefix("teacher_"): v for k, v in trained.items()}, places)
    return Workshop(root, document, settings, places, listen or (lambda event: None), tuple(command))


def _document(train: Mapping[str, Any], places: Places) -> dict[str, Any]:
    """A partial recipe: the data where they lie, and how to train."""
    where = {"data_root": places.data_root, "download": places.download or None}
    data = {"name": places.data or recipe.DEFAULTS["data"]} | {k: v for k, v in where.items() if v is not None}
    return {"data": data, "train": {**train, "device": places.device}}

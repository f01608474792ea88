"""Ask checkpoints an experiment: make its lab, run it, give its report and its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fierce_tools import binding
from fierce_tools.errors import UsageError
from fierce_tools.experiments._ask import plain
from fierce_tools.experiments._gather import Places
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
) -> tuple[Report, dict[str, Any]]:
    """The report of an experiment on these checkpoints, and its values as one document.

    `options` are the experiment's own and the lab's; students go to a hidden folder of `root` as they end, so that
    what was interrupted goes on. Raises what the experiment raises.
    """
    from fierce_tools.experiments._lab import lab

    spec, common = binding.read(EXPERIMENTS, experiment), binding.students()
    names = {o.name for o in spec.options}
    unknown = set(options) - names - {o.name for o in common.options}
    if unknown:
        raise UsageError(f"{experiment} knows no option {', '.join(sorted(unknown))}")
    own = spec.resolve({k: v for k, v in options.items() if k in names})
    shared = common.resolve({k: v for k, v in options.items() if k not in names})
    made = lab(found, places, root, listen, **shared)
    result = EXPERIMENTS.get(experiment)(made.teachers, made, **own)
    sources = [{"source": s.label, "path": str(s.path), "epoch": s.epoch, "input_sha256": s.sha256} for s in found]
    document = {
        "format": 1, "analysis": spec.name, "options": plain({**own, **shared}), "split": "test",
        "results": [{"sources": sources, "values": plain(asdict(result))}],
    }  # fmt: skip
    return result.report(), document

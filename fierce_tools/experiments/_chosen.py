"""What weights may have seen of validation, as analyses are told that choose something there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fierce_tools import files, sources
from fierce_tools.binding import Spec
from fierce_tools.sources import Source

# The option of an analysis that chooses on validation: it insists on doing so.
FIT_ON = "fit_on"
SEEN = ("all", "unknown")
# Options that came after answers were kept: they are part of an answer's identity only where they are given.
LATER = {"calibration": (FIT_ON,), "linear-probe": ("cross_fit", FIT_ON), "coarse-regression": ("cross_fit", FIT_ON)}


def trained_on(spec: Spec, source: Source) -> str | None:
    """What imported weights were trained on, for an analysis that chooses on validation; None for all others."""
    if not source.checkpoint or FIT_ON not in {o.name for o in spec.options}:
        return None
    document = files.read_header(source.path)[1] or {}
    return sources.trained_on(document) if document.get("origin") else None


def identified(spec: Spec, options: Mapping[str, Any], history: str | None) -> dict[str, Any]:
    """The parts of an answer's identity that say how it was chosen: the options, and what the weights were trained on.

    Those of fierce's own weights are as they were before either could be said.
    """
    later = LATER.get(spec.name, ())
    given = {k: v for k, v in options.items() if v is not None or k not in later}
    return {"options": given} | ({} if history is None else {"trained_on": history})


def without_validation(spec: Spec, options: Mapping[str, Any], history: str | None) -> Spec:
    """The analysis without the arrays of validation, where it chooses nothing on them."""
    if options.get("cross_fit") is None and (history not in SEEN or options.get(FIT_ON) is not None):
        return spec
    return replace(spec, optional_arrays=tuple(a for a in spec.optional_arrays if not a.startswith("val_")))

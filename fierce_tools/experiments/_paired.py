"""Differences of models example by example: the same examples resampled for both, where they are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fierce_tools import same
from fierce_tools.analysis._metrics import ece
from fierce_tools.errors import DataError
from fierce_tools.experiments._gather import both_named, names_of

PAIRED = ("accuracy", "nll", "ece", "entropy")


def paired(
    examples: Mapping[str, list[dict[str, Any]]], bootstrap: int, notes: dict[str, None]
) -> dict[str, dict[str, tuple[float, float, float] | None]]:
    """Of each row but the first the difference of its figures to the first's, with its 95 % interval.

    Rows that are not of the same examples have none, and an NLL that is infinite for any example is of no difference;
    why is said in `notes`, as is how others were paired.
    """
    (first, base), *others = examples.items()
    size = len(base[0]["outputs"].logits)
    draws = np.random.default_rng(0).integers(0, size, (bootstrap, size))
    found = {}
    for label, members in others:
        pairings = [_pairing(m, base[0]) for m in (*base[1:], *members)]
        notes |= dict.fromkeys(p.note for p in pairings if p.note)
        reason = next((p.reason for p in pairings if not p.paired), None)
        if reason is not None:
            notes[f"{label}: not the same examples as {first}, so no paired difference: {reason}."] = None
            continue
        row: dict[str, tuple[float, float, float] | None] = {}
        for key in PAIRED:
            if key == "ece":
                gap = np.array([_ece_of(members, d) - _ece_of(base, d) for d in draws])
                at = float(np.mean([m["ece"] for m in members]) - np.mean([m["ece"] for m in base]))
            else:
                sides = _mean_of(members, key), _mean_of(base, key)
                if not np.isfinite(sides).all():
                    notes[f"{label}: no difference of {key.upper()} to {first}: it is infinite for some examples."] = (
                        None
                    )
                    row[key] = None
                    continue
                each = sides[0] - sides[1]
                gap, at = each[draws].mean(axis=1), float(each.mean())
            low, high = np.percentile(gap, (2.5, 97.5))
            row[key] = (at, float(low), float(high))
        found[label] = row
    return found


def _pairing(one: dict[str, Any], two: dict[str, Any]) -> same.Pairing:
    """Whether two members have the same examples; labels are compared by the names of their classes."""
    made, other = one["outputs"], two["outputs"]
    if made.logits.shape[1] > other.logits.shape[1]:  # the one with fewer classes is looked for in the other
        one, two, made, other = two, one, other, made
    try:
        columns = same.match_classes(
            names_of(made), names_of(other), what=one["label"], other=two["label"], trusted=both_named(made, other)
        )
    except DataError as error:
        return same.Pairing(False, error.message)
    lifted = replace(made, labels=columns.lifted(made.labels))
    pairing = same.match_examples(lifted, other, what=one["label"], other=two["label"])
    note = " ".join(n for n in (columns.note, pairing.note) if n) if pairing.paired else ""
    return replace(pairing, note=note or None)


def _mean_of(members: list[dict[str, Any]], key: str) -> np.ndarray:
    return np.asarray(np.mean([m["each"][key] for m in members], axis=0))


def _ece_of(members: list[dict[str, Any]], rows: np.ndarray) -> float:
    return float(np.mean([ece(m["confidence"][rows], m["each"]["accuracy"][rows]) for m in members]))

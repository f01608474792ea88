"""Data as a run has known them since it was begun, where more is read from the same files today."""

from __future__ import annotations

from dataclasses import replace

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._remarks import listed, remarks

AS_THEN = "its own validation split is left aside: this was trained before it was read, with one cut from training"
NAMED_THEN = "classes are named {}: this was trained before names in bytes were read as text"


def as_trained(data: Dataset, fingerprint: str | None) -> Dataset:
    """The data of that fingerprint: these, or as version 0.1.0 read the same files.

    It read no validation split of the data's own, cut validation from training, and called a class b'cat' whose name
    arrays hold in bytes; the fingerprint was another one. Where none of these is of this fingerprint, or there is none,
    the data are given back as they are.
    """
    if not fingerprint or data.fingerprint() == fingerprint:
        return data
    parts = [(data, "")] + ([(data.without_validation(), AS_THEN)] if data.own_validation else [])
    for part, why in parts:
        for before, also in _named(part):
            if before is data or before.fingerprint() != fingerprint:
                continue
            kept = tuple(note for note in data.notes if note not in remarks(data))
            said = "; ".join(words for words in (why, also) if words)
            return replace(before, notes=(*kept, *remarks(before), said))
    return data


def _named(data: Dataset) -> list[tuple[Dataset, str]]:
    """The data with their class names and, where they are arrays, as bytes were once named; what is said of it."""
    if not data.name.startswith("arrays:"):
        return [(data, "")]
    names = tuple(str(name.encode()) for name in data.class_names)
    return [(data, ""), (replace(data, class_names=names), NAMED_THEN.format(listed(names)))]

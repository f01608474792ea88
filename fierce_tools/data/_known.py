"""Data as a run has known them since it was begun, where more is read from the same files today."""

from __future__ import annotations

from dataclasses import replace

from fierce_tools.data._dataset import Dataset
from fierce_tools.data._remarks import remarks

AS_THEN = "its own validation split is left aside: this was trained before it was read, with one cut from training"


def as_trained(data: Dataset, fingerprint: str | None) -> Dataset:
    """The data of that fingerprint: these, or these without the validation split of their own.

    Version 0.1.0 read no such split, cut validation from training, and had another fingerprint of the same files. Where
    neither is of this fingerprint, or there is none, the data are given back as they are.
    """
    if not fingerprint or not data.own_validation or data.fingerprint() == fingerprint:
        return data
    before = replace(data, val_images=None, val_labels=None, val_targets=None, val_index=None)
    if before.fingerprint() != fingerprint:
        return data
    kept = tuple(note for note in data.notes if note not in remarks(data))
    return replace(before, notes=(*kept, *remarks(before), AS_THEN))

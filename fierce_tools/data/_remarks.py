"""What a person should know of data: classes without examples, a validation split of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fierce_tools.data._dataset import Dataset


def remarks(data: Dataset) -> tuple[str, ...]:
    """One line for each thing that is allowed, and might not be what was meant."""
    said = []
    empty = np.flatnonzero(np.bincount(data.train_labels, minlength=data.classes) == 0)
    if len(empty):
        names = listed([data.class_names[c] for c in empty])
        said.append(f"{len(empty)} of {data.classes} classes have no training example: {names}")
    if data.own_validation:
        assert data.val_labels is not None
        said.append(
            f"its own validation split of {len(data.val_labels):,} examples is used; --val-fraction cuts nothing"
        )
    return tuple(said)


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names from a file, in one line that any terminal takes."""
    shown = [name if name.isprintable() else repr(name) for name in names[:most]]
    return ", ".join(shown) + (", …" if len(names) > most else "")

"""Which training examples a student sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np

from fierce_tools.data._dataset import NOUNS
from fierce_tools.data._splits import Split, Splits
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import unknown
from fierce_tools.outputs import read_arrays


def restrict(
    splits: Splits,
    *,
    transfer_set: Annotated[str | None, "file whose `index` names the training examples that are used"] = None,
    drop_class: Annotated[tuple[str, ...], "classes, by name or number, of which no example is trained on"] = (),
) -> Splits:
    """The splits with fewer training examples; validation and test stay whole, and so do the classes.

    Raises DataError for a file without `index` or with examples that are not in the training split, UsageError for a
    class there is none of or where nothing is left.
    """
    train = splits.train
    if transfer_set is not None:
        train = rows(train, _rows_of(transfer_set, splits))
    if drop_class:
        dropped = [class_number(text, splits.class_names) for text in drop_class]
        train = rows(train, np.flatnonzero(~np.isin(train.labels, dropped)))
    if len(train) == 0:
        raise UsageError("no training example is left", "drop fewer classes, or take a larger transfer set")
    return replace(splits, train=train)


def rows(split: Split, chosen: np.ndarray) -> Split:
    """Some rows of a split."""
    targets = None if split.targets is None else split.targets[chosen]
    true = None if split.true_labels is None else split.true_labels[chosen]
    images, labels, index = split.images[chosen], split.labels[chosen], split.index[chosen]
    return replace(split, images=images, labels=labels, index=index, targets=targets, true_labels=true)


def class_number(text: str, names: tuple[str, ...]) -> int:
    """The number of a class written as its name or its number. Raises UsageError with the nearest right name."""
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise unknown("class in --drop-class:", text, names)


def _rows_of(file: str, splits: Splits) -> np.ndarray:
    """Rows of the training split that a file's `index` names, in the split's order, each once."""
    arrays, document = read_arrays(Path(file).expanduser())
    key = "" if "" in arrays else "index"
    if key not in arrays or arrays[key].ndim != 1 or arrays[key].dtype.kind not in "iu" or not len(arrays[key]):
        held = ", ".join(f"{n or 'an array'} {a.dtype} {list(a.shape)}" for n, a in arrays.items()) or "nothing"
        raise DataError(
            f"{file} names no transfer set: it holds {held}, expected `index`, whole numbers [M]",
            "make one with `fierce analyze transfer-set RUN --save FILE.safetensors`",
        )
    of = (document or {}).get("split")
    if of == "test" or (of == "val" and splits.val.source != splits.train.source):
        raise DataError(
            f"{file} names {NOUNS[of]} examples, expected training examples",
            "make one with `fierce analyze transfer-set RUN --split train --save FILE.safetensors`",
        )
    wanted = np.unique(arrays[key].astype(np.int64))
    absent = wanted[~np.isin(wanted, splits.train.index)]
    if len(absent):
        cut = splits.val.source == splits.train.source and np.isin(absent[0], splits.val.index)
        where = "the validation split" if cut else "none of the training examples"
        raise DataError(
            f"{file}: {len(absent)} of {len(wanted)} examples are not in the training split; the first, "
            f"{absent[0]}, is in {where}",
            "use the --data, --val-fraction and --split-seed it was chosen with",
        )
    return np.flatnonzero(np.isin(splits.train.index, wanted))

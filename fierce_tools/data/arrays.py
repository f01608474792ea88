"""Anybody's arrays from one .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from fierce_tools.arrayfile import array_names, load_numpy
from fierce_tools.data._class_numbers import read_labels
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._pixels import read_examples
from fierce_tools.data._places import locate
from fierce_tools.data._remarks import listed
from fierce_tools.errors import DataError
from fierce_tools.outputs import class_names_of

DEFAULT_MODEL = "cnn"
NEEDED = ("train_images", "train_labels", "test_images", "test_labels")
VALIDATION = ("val_images", "val_labels")
OF_VALIDATION = (*VALIDATION, "val_targets")
OPTIONAL = ("train_targets", "test_targets", "class_names")


def arrays(
    file: Annotated[str, "a .npz file"],
    *,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
) -> Dataset:
    """Your own data from one .npz file, as `arrays:FILE.npz`.

    It holds train_images (uint8 [N,H,W,c] or [N,H,W], or float [N,D]), train_labels (class numbers from 0 [N], or
    one-hot [N,C]), test_images, test_labels and, where you have them, val_images and val_labels (else validation is cut
    from training), train_targets, val_targets, test_targets, class_names (else classes go by their number).
    FILE is seen from the working folder, else from `data_root`. Validation arrays that cannot be used are left aside,
    with a note. Raises DataError for a file that is missing, damaged, holds Python objects, lacks one of these, or has
    classes without names and without a training example.
    """
    path = locate(file, data_root)
    names = array_names(path)
    _check_names(path, names)
    held = load_numpy(path, only=NEEDED + OPTIONAL)
    given = held.get("class_names")
    if given is not None and given.ndim != 1:
        raise DataError(f"{path}: class_names has shape {list(given.shape)}, expected [C]")
    unused = [name for name in names if name not in NEEDED + OPTIONAL + OF_VALIDATION]
    notes = (f"{path.name}: not used: {listed(unused)}",) if unused else ()
    own = [name for name in OF_VALIDATION if name in names]
    absent = [name for name in VALIDATION if name not in names]
    if not own:
        return _made(path, file, held, notes)
    try:
        if absent:
            raise DataError(f"{path} lacks {', '.join(absent)}", "a validation split needs both")
        return _made(path, file, {**held, **load_numpy(path, only=OF_VALIDATION)}, notes)
    except DataError as error:
        try:
            plain = _made(path, file, held, notes)
        except DataError as other:  # the fault is not validation's alone
            raise (other if absent else error) from None
        why = str(error).removeprefix(f"{path}: ").removeprefix(f"{plain.name}: ")
        verb = "is" if len(own) == 1 else "are"
        return replace(plain, notes=(*plain.notes, f"{path.name}: {', '.join(own)} {verb} not used: {why}"))


def _made(path: Path, file: str, held: Mapping[str, np.ndarray], notes: tuple[str, ...]) -> Dataset:
    """The data of a file's arrays by name, all of which are used."""
    class_names = class_names_of(held.get("class_names"))
    splits = [part for part in ("train", "val", "test") if f"{part}_images" in held]
    labels, classes, said = read_labels(path, {f"{s}_labels": held[f"{s}_labels"] for s in splits}, class_names)
    by_name: dict[str, Any] = {
        **read_examples(path, {f"{s}_images": held[f"{s}_images"] for s in splits}),
        **labels,
        **{name: array for name, array in held.items() if name.endswith("_targets")},
    }
    names = tuple(map(str, range(classes))) if class_names is None else class_names
    return Dataset(name=f"arrays:{file}", class_names=names, notes=(*said, *notes), **by_name)


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    """Raises DataError where a file's arrays, by their names, are not those of a dataset."""
    if names == ("",):
        raise DataError(f"{path} holds a single array, expected a .npz file with {', '.join(NEEDED)}")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        held = listed(names, most=30) or "nothing"
        raise DataError(f"{path} lacks {', '.join(missing)}; it holds {held}", "write it with numpy.savez")

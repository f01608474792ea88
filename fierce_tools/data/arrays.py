"""Anybody's arrays from one .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fierce_tools.arrayfile import array_names, load_numpy
from fierce_tools.data._class_numbers import read_labels
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._pixels import read_examples
from fierce_tools.data._places import locate
from fierce_tools.data._remarks import listed
from fierce_tools.errors import DataError

DEFAULT_MODEL = "cnn"
NEEDED = ("train_images", "train_labels", "test_images", "test_labels")
VALIDATION = ("val_images", "val_labels")
OPTIONAL = (*VALIDATION, "train_targets", "val_targets", "test_targets", "class_names")


def arrays(
    file: Annotated[str, "a .npz file"],
    *,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
) -> Dataset:
    """Your own data from one .npz file, as `arrays:FILE.npz`.

    It holds train_images (uint8 [N,H,W,c] or [N,H,W], or float [N,D]), train_labels (class numbers from 0 [N], or
    one-hot [N,C]), test_images, test_labels and, where you have them, val_images and val_labels (else validation is cut
    from training), train_targets, val_targets, test_targets, class_names (else classes go by their number).
    FILE is seen from the working folder, else from `data_root`. Raises DataError for a file that is missing, damaged,
    holds Python objects, lacks one of these, or has classes without names and without a training example.
    """
    path = locate(file, data_root)
    names = array_names(path)
    _check_names(path, names)
    found = load_numpy(path, only=NEEDED + OPTIONAL)
    given = found.get("class_names")
    if given is not None and given.ndim != 1:
        raise DataError(f"{path}: class_names has shape {list(given.shape)}, expected [C]")
    class_names = None if given is None else tuple(str(name) for name in given)
    splits = ("train", "val", "test") if "val_images" in found else ("train", "test")
    labels, classes, notes = read_labels(path, {f"{s}_labels": found[f"{s}_labels"] for s in splits}, class_names)
    unused = [name for name in names if name not in NEEDED + OPTIONAL]
    if unused:
        notes += (f"{path.name}: not used: {listed(unused)}",)
    by_name: dict[str, Any] = {
        **read_examples(path, {f"{s}_images": found[f"{s}_images"] for s in splits}),
        **labels,
        **{name: array for name, array in found.items() if name.endswith("_targets")},
    }
    names_of_classes = tuple(map(str, range(classes))) if class_names is None else class_names
    return Dataset(name=f"arrays:{file}", class_names=names_of_classes, notes=notes, **by_name)


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    """Raises DataError where a file's arrays, by their names, are not those of a dataset."""
    if names == ("",):
        raise DataError(f"{path} holds a single array, expected a .npz file with {', '.join(NEEDED)}")
    held = listed(names, most=30) or "nothing"
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; it holds {held}", "write it with numpy.savez")
    own = [name for name in (*VALIDATION, "val_targets") if name in names]
    if own and not set(VALIDATION) <= set(own):
        absent = ", ".join(name for name in VALIDATION if name not in own)
        raise DataError(f"{path} holds {', '.join(own)} and lacks {absent}", "a validation split needs both")

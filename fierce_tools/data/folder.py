"""Images in class folders, as a viewer shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from fierce_tools.data._cut import test_rows
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._decoding import Decoded, decode
from fierce_tools.data._listing import MANY, Aside, Listing, count, entries, is_dir, listing, names, shown
from fierce_tools.data._pictures import colour
from fierce_tools.data._places import locate
from fierce_tools.errors import DataError, UsageError

DEFAULT_MODEL = "cnn"
SPLITS = ("train", "val", "test")
# Names that are meant as splits where they are all there is.
_LIKE_SPLITS = {*SPLITS, "training", "testing", "valid", "validation"}


def folder(
    path: Annotated[str, "a folder with a folder of images for each class"],
    *,
    image_size: Annotated[int | None, "side that images are resized to; none: all have one size already"] = None,
    grey: Annotated[bool, "one channel instead of three"] = False,
    background: Annotated[str, "colour behind transparent pixels: white, black, grey or #rrggbb"] = "white",
    skip_unreadable: Annotated[bool, "leave out images that cannot be read, and name them"] = False,
    test_fraction: Annotated[float, "share kept for testing where the data have no test split"] = 0.3,
    test_seed: Annotated[int, "seed of the cut between training and testing"] = 0,
    data_root: Annotated[str | None, "folder that holds the dataset's files (else FIERCE_DATA, else ./data)"] = None,
) -> Dataset:
    """Your own images, as `folder:PATH`: PATH/CLASS/… , or PATH/train/CLASS/… with PATH/test/CLASS/… and PATH/val.

    Without PATH/train a stratified share is cut off for testing, `index` being the position in the sorted list of all.
    PATH/val is the validation split, or the test split where there is no PATH/test; beside a test it is left aside
    where it has no pictures, other classes than train, or cannot be listed. Read is whatever picture Pillow
    can read, at any depth of a class folder; names that begin with a dot are left out. Images become 8-bit RGB, or
    grey, as a viewer shows them: turned by EXIF orientation, transparency composed on `background`, the first of
    several frames, 16 bits scaled to 8 (v · 255 / 65535). With `image_size` their shorter side is scaled to it
    (bilinear) and the middle is kept. All of it is held in memory. PATH is seen from the working folder, else from
    `data_root`. Notes count what is left out and what was done. Raises DataError for a folder that is missing, empty or
    closed, a class without a training image, images that are unreadable, of another size, of 32 bits or of floats,
    UsageError for options out of range.
    """
    if image_size is not None and image_size < 1:
        raise UsageError(f"--image-size is {image_size}, expected 1 or more", "for example --image-size 64")
    behind = colour(background)
    root = locate(path, data_root)
    if not root.is_dir():
        raise DataError(f"{shown(root.absolute())} is no folder", "check the path")
    aside, decoded, splits = Aside(root), Decoded(), dict[str, Listing]()
    try:
        splits |= _own_splits(root, aside) if (root / "train").is_dir() else {"all": _whole(root, aside)}
        known = next(iter(splits.values()))
        cut = test_rows(known.labels, test_fraction, test_seed) if "all" in splits else None
        files = [file for part in splits.values() for file in part.files]
        decode(files, root, decoded, size=image_size, grey=grey, background=behind, skip=skip_unreadable)
        arrays = _cut(known, decoded, cut) if cut is not None else _taken(splits, decoded)
        gone = np.flatnonzero(np.bincount(arrays["train_labels"], minlength=len(known.classes)) == 0)
        if len(gone):
            none = names((known.classes[label] for label in gone), MANY)
            raise DataError(f"{shown(known.root)} has no readable training image of {none}", "repair or remove it")
    except DataError as error:
        why = _otherwise(aside, decoded, len(splits.get("val", ())))
        raise DataError(f"{error.message}; {why}" if why else error.message, error.hint) from None
    return Dataset(
        name=f"folder:{path}",
        class_names=known.classes,
        notes=tuple(f"{shown(root.absolute().name)}: {line}" for line in (*aside.lines(), *decoded.lines(background))),
        read_otherwise=_otherwise(aside, decoded, len(splits.get("val", ()))),
        **arrays,
    )


def _whole(root: Path, aside: Aside) -> Listing:
    """The listing of a folder of classes. Raises DataError where they have no picture, or look like splits."""
    found = listing(root, aside)
    if found.empty():
        raise DataError(f"{shown(root)} has no image of {names(found.empty(), MANY)}", "remove what is no class")
    if {name.lower() for name in found.classes} <= _LIKE_SPLITS and not any(
        Path(file).parent.parent == root for file in found.files
    ):
        raise DataError(
            f"{shown(root)} has {names(found.classes, MANY)}, which look like splits, and no train",
            "name them train, test and val",
        )
    return found


def _own_splits(root: Path, aside: Aside) -> dict[str, Listing]:
    """The listings of train, val and test, labelled by train's classes; val's is that of test where there is no test.

    Beside a test a val that cannot be used is left aside, with the reason. Raises DataError.
    """
    aside.unused += [shown(entry.name) + "/" for entry in entries(root, aside, skip=SPLITS) if is_dir(entry)]
    known = listing(root / "train", aside)
    if known.empty():
        raise DataError(f"{shown(known.root)} has no image of {names(known.empty(), MANY)}", "remove what is no class")
    there = [name for name in ("val", "test") if (root / name).is_dir()]
    if not there:
        raise DataError(
            f"{shown(root)} has train, and neither test nor val",
            f"add one, or say folder:{shown(root / 'train')} and a share of it is cut off for testing",
        )
    aside.val_is_test = there == ["val"]
    if aside.val_is_test:
        return {"train": known, "test": _as_known(root / "val", known, aside)}
    splits = {"train": known}
    if "val" in there:
        own = Aside(root)
        try:
            splits["val"] = _as_known(root / "val", known, own, within_itself=False)
            aside.include(own)
        except DataError as error:
            aside.val_unusable = error.message
    return {**splits, "test": _as_known(root / "test", known, aside)}


def _as_known(root: Path, known: Listing, aside: Aside, *, within_itself: bool = True) -> Listing:
    """The listing of another split, labelled by train's classes. Raises DataError where it has classes of its own."""
    part = listing(root, aside, within_itself=within_itself)
    strange = [shown(root / name) for name in part.classes if name not in known.classes]
    if strange:
        what = "is of a class" if len(strange) == 1 else "are of classes"
        raise DataError(f"{names(strange, MANY)} {what} that {shown(known.root)} lacks", "both need the same")
    aside.empty += [aside.path(root / name) for name in part.empty()]
    number = np.array([known.classes.index(name) for name in part.classes])
    return Listing(root, known.classes, part.files, number[part.labels])


def _cut(whole: Listing, decoded: Decoded, cut: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """The arrays of both sides of a cut through all pictures, from which the unreadable are gone."""
    arrays: dict[str, Any] = {}
    for name, rows in zip(("train", "test"), cut, strict=True):
        kept = rows[np.isin(rows, decoded.rows)]
        arrays[f"{name}_images"] = decoded.images[np.searchsorted(decoded.rows, kept)]
        arrays[f"{name}_labels"] = whole.labels[kept]
        arrays[f"{name}_index"] = kept
    return arrays


def _taken(splits: dict[str, Listing], decoded: Decoded) -> dict[str, Any]:
    """The arrays of splits that lie one after another; with an index where some of a split are gone."""
    arrays: dict[str, Any] = {}
    start = 0
    for name, part in splits.items():
        first, last = np.searchsorted(decoded.rows, (start, start + len(part)))
        kept = decoded.rows[first:last] - start
        arrays[f"{name}_images"] = decoded.images[first:last]
        arrays[f"{name}_labels"] = part.labels[kept]
        if len(kept) < len(part):
            arrays[f"{name}_index"] = kept
        start += len(part)
    return arrays


def _otherwise(aside: Aside, decoded: Decoded, validation: int) -> str:
    """What of these pictures version 0.1.0 read otherwise, with counts; "" where it read all so far as now."""
    changes = [
        (decoded.turned, "EXIF orientation is applied"),
        (decoded.composed, "transparency is composed on a colour"),
        (decoded.cut_before, "colours of 16 bits are scaled, not cut"),
        (aside.hidden_pictures, "hidden files are left out"),
        (aside.new.total(), f"files that end in {names(aside.new)} are read"),
        (validation, "val is the validation split"),
    ]
    said = [f"{words} ({count(n, 'picture')})" for n, words in changes if n]
    return f"earlier versions read them otherwise: now {', '.join(said)}" if said else ""

"""What a folder of class folders holds: its pictures in order, and all that is not read, counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fierce_tools.data._pictures import EARLIER, endings
from fierce_tools.errors import DataError

# How many names a line has, and how many an error.
FEW, MANY = 3, 10


@dataclass
class Aside:
    """What lies below `root` and is not read, or is read in a way that a person should know; paths are from `root`."""

    root: Path
    # Files and folders whose names begin with a dot; how many pictures of theirs 0.1.0 read.
    hidden: list[str] = field(default_factory=list)
    hidden_pictures: int = 0
    # Files that are no pictures, by ending.
    others: Counter[str] = field(default_factory=Counter)
    # Pictures beside the class folders.
    loose: list[str] = field(default_factory=list)
    # Folders that are no split of the data; nobody has looked into them.
    unused: list[str] = field(default_factory=list)
    # Class folders without a picture.
    empty: list[str] = field(default_factory=list)
    # Folders within class folders: their pictures are read.
    nested: Counter[str] = field(default_factory=Counter)
    # Pictures that are read, and that 0.1.0 left out, by ending.
    new: Counter[str] = field(default_factory=Counter)
    # Whether the test split is the folder val, for want of one named test.
    val_is_test: bool = False
    # Why the folder val, beside one named test, is no validation split.
    val_unusable: str = ""

    def include(self, other: Aside) -> None:
        """Add what is left out of a split that 0.1.0 did not read, below the same root."""
        self.hidden += other.hidden
        self.loose += other.loose
        self.empty += other.empty
        self.others += other.others
        self.nested += other.nested

    def path(self, file: str | Path) -> str:
        """A path from the root, fit for a line."""
        return shown(os.path.relpath(file, self.root))

    def lines(self) -> list[str]:
        """One line of all that is left out, one of nested folders; none where there is nothing to say."""
        groups = (
            (len(self.hidden), "hidden file or folder", "hidden files and folders", self.hidden),
            (self.others.total(), "file of another kind", "files of other kinds", _counts(self.others)),
            (len(self.loose), "picture outside class folders", "pictures outside class folders", self.loose),
            (len(self.empty), "class folder without a picture", "class folders without a picture", self.empty),
            (len(self.unused), "other folder", "other folders", self.unused),
        )
        out = [f"{count(n, one, several)} ({names(inside)})" for n, one, several, inside in groups if n]
        lines = ["val is used as the test split: there is no test folder"] if self.val_is_test else []
        if self.val_unusable:
            lines.append(f"val is left aside, and validation is cut from training: {self.val_unusable}")
        lines += [f"left out: {', '.join(out)}"] if out else []
        if self.nested:
            n, where = self.nested.total(), names(f"{name}/ {n:,}" for name, n in self.nested.items())
            lines.append(f"{count(n, 'picture is', 'pictures are')} in folders within a class folder ({where})")
        return lines


@dataclass(frozen=True)
class Listing:
    """Class names, and the pictures' files with their classes i64 [N], class by class, each sorted by path."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def empty(self) -> list[str]:
        """The classes without a picture."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        return [name for name, n in zip(self.classes, counts, strict=True) if n == 0]


def listing(root: Path, aside: Aside, *, within_itself: bool = True) -> Listing:
    """The pictures in the class folders of `root`, those in folders within them too; `aside` gets the rest.

    In the order of torchvision's ImageFolder. Raises DataError where there is no class folder or no picture, where a
    folder cannot be read, and unless `within_itself` where one is a link to a folder that it lies in.
    """
    classes = tuple(entry.name for entry in entries(root, aside) if is_dir(entry))
    if not classes:
        raise DataError(f"{shown(root)} has no class folders: there is no folder in it", "expected PATH/CLASS/image")
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        before = len(files)
        files += _pictures(root / name, aside, within_itself)
        labels += [label] * (len(files) - before)
    if not files:
        what = "no image in its class folders"
        raise DataError(f"{shown(root)} has {what} {names(classes, MANY)}", "expected PATH/CLASS/image")
    return Listing(root, classes, tuple(files), np.array(labels, np.int64))


def entries(root: Path, aside: Aside, skip: Iterable[str] = ()) -> list[os.DirEntry[str]]:
    """What is not hidden in a folder, sorted by name; `aside` gets what is hidden and the files. Raises DataError."""
    try:
        every = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        raise _closed(error) from None
    seen = [entry for entry in every if entry.name not in skip]
    for entry in seen:
        if _hidden(entry.name):
            aside.hidden.append(aside.path(entry.path) + "/" * is_dir(entry))
        elif not is_dir(entry):
            if _ending(entry.name) in endings():
                aside.loose.append(aside.path(entry.path))
            else:
                aside.others[_ending(entry.name)] += 1
    return [entry for entry in seen if not _hidden(entry.name)]


def is_dir(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one; a link that leads nowhere or in a circle is none."""
    return os.path.isdir(entry.path)


def _pictures(top: Path, aside: Aside, within_itself: bool) -> Iterator[str]:
    """Files of pictures at any depth, sorted by folder, then by name."""
    folders = []
    for folder, below, files in os.walk(top, followlinks=True, onerror=_raise):
        if not within_itself and _is_circle(folder):
            raise DataError(f"{shown(folder)} is a link to a folder that it lies in", "remove the link")
        for name in [name for name in below if _hidden(name)]:
            below.remove(name)
            aside.hidden.append(aside.path(os.path.join(folder, name)) + "/")
            aside.hidden_pictures += _read_before(os.path.join(folder, name))
        folders.append((folder, files))
    for folder, files in sorted(folders):
        inside = 0
        for name in sorted(files):
            file, ending = os.path.join(folder, name), _ending(name)
            if _hidden(name):
                aside.hidden.append(aside.path(file))
                aside.hidden_pictures += ending in EARLIER
            elif ending not in endings():
                aside.others[ending] += 1
            else:
                inside += 1
                if ending not in EARLIER:
                    aside.new[ending] += 1
                yield file
        if inside and folder != str(top):
            aside.nested[aside.path(folder)] += inside


def _read_before(folder: str) -> int:
    """Pictures of a hidden folder within a class, which 0.1.0 read."""
    return sum(_ending(name) in EARLIER for _, _, files in os.walk(folder, followlinks=True) for name in files)


def _is_circle(folder: str) -> bool:
    """Whether a folder is a link to one that it lies in."""
    where = os.path.dirname(os.path.abspath(folder))
    return os.path.islink(folder) and (os.path.realpath(where) + os.sep).startswith(os.path.realpath(folder) + os.sep)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _raise(error: OSError) -> None:
    raise _closed(error)


def _closed(error: OSError) -> DataError:
    return DataError(f"{shown(str(error.filename))} cannot be read: {error.strerror}", "check who may read it")


def shown(text: str | Path) -> str:
    """A name of the disk's, fit for a line: what does not print is written as Python does."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def names(every: Iterable[str], at_most: int = FEW) -> str:
    """The first names, and how many more there are."""
    given = [shown(name) for name in every]
    more = len(given) - at_most
    return ", ".join(given[:at_most]) + (f" and {more:,} more" if more > 0 else "")


def count(n: int, one: str, several: str = "") -> str:
    """A number with its noun."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def _counts(endings: Counter[str]) -> list[str]:
    return [f"{ending or 'no ending'} {n:,}" for ending, n in endings.most_common()]

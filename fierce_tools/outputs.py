"""Outputs: the arrays a model leaves behind on a split. Before it torch, after it numpy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import arrayfile, checks, scores
from fierce_tools.errors import DataError, UsageError

# Arrays too large to be kept with every split: each lies in a file of its own, made when asked for.
APART = ("features", "images", "draws")
ROWS = ("logits", "labels", "index", "features", "targets", "images")


@dataclass(frozen=True)
class Outputs:
    """logits [N,C] f32, labels [N] i64, index [N] i64 (position in the original file), features [N,D] f32,
    head_weight [C,D], head_bias [C], targets [N] or [N,P], anchors [M,K,D], draws [L,N,C], images [N,H,W,c] u8,
    and the names of the classes. What is absent is None; `document` holds what is known of their making, `held` the
    arrays of the file they are from, `notes` how these were read. A logit of -inf is a probability of 0.
    """

    logits: np.ndarray
    labels: np.ndarray | None = None
    index: np.ndarray | None = None
    features: np.ndarray | None = None
    head_weight: np.ndarray | None = None
    head_bias: np.ndarray | None = None
    targets: np.ndarray | None = None
    anchors: np.ndarray | None = None
    draws: np.ndarray | None = None
    images: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array there is, by name."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}

    def get(self, name: str, *, source: str = "these outputs") -> Any:
        """An array or the class names. Raises DataError where it is absent, saying how to make it."""
        value = getattr(self, name)
        if value is None:
            there = ", ".join(self.held or self.arrays())
            raise DataError(f"{source} has no {name}; it holds {there}", _HOW.get(name, ""))
        return value


_HOW = {
    "labels": "add an array `labels` [N] of class numbers to the file, or say --labels FILE.npy",
    "features": "add an array `features` [N, D], or ask a fierce checkpoint",
    "head_weight": "add `head_weight` [C, D] and `head_bias` [C], or ask a fierce checkpoint",
    "targets": "the dataset has none; give train_targets and test_targets in an arrays: file",
    "anchors": "only a model trained with --loss fierce has anchors",
}


def validate(outputs: Outputs, *, source: str = "outputs") -> Outputs:
    """The same outputs, checked: kinds and shapes that fit, finite values, labels in range, names and index that name.

    Raises DataError saying where.
    """
    logits = outputs.logits
    if logits.ndim != 2 or logits.shape[1] < 2 or logits.shape[0] < 1:
        raise DataError(f"{source}: logits have shape {list(logits.shape)}, expected [N, C] with C of 2 or more")
    scores.check_logits(f"{source}: logits", logits)
    for name, array in outputs.arrays().items():
        checks.check_shape(source, name, array)
        if name in checks.SHAPES and name not in ("images", "targets"):  # what uses these looks at them
            checks.check_finite(f"{source}: {name}", array)
    for name in ROWS:
        array = getattr(outputs, name)
        if array is not None and array.ndim == 0:
            raise DataError(f"{source}: {name} is a single value, expected one for each of {len(logits)} rows")
        if array is not None and len(array) != len(logits):
            raise DataError(f"{source}: {name} has {len(array)} rows, logits have {len(logits)}")
    checks.check_labels(source, outputs.labels, logits.shape[1])
    checks.check_index(source, outputs.index)
    checks.check_head(source, outputs.arrays())
    checks.check_names(source, outputs.class_names, logits.shape[1])
    return outputs


def save(path: str | Path, outputs: Outputs | None = None, **arrays: Any) -> Path:
    """Write outputs to one .safetensors file: `save("mine.safetensors", logits=z, labels=y)`.

    Arrays are numpy's or anything `numpy.asarray` takes. Raises DataError where they do not fit together.
    """
    if outputs is None:
        names = arrays.pop("class_names", None)
        typed: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
        unknown = set(typed) - ({f.name for f in fields(Outputs)} - {"document", "held", "notes"})
        if "logits" not in typed or unknown:
            raise UsageError(f"outputs need logits and know no {', '.join(sorted(unknown)) or 'other arrays'}")
        outputs = Outputs(**typed, class_names=tuple(map(str, names)) if names is not None else None)
    outputs = validate(_typed(outputs, str(path)), source=str(path))
    document = {**outputs.document, "format": "outputs", "version": 1}
    if outputs.class_names is not None:
        document["class_names"] = list(outputs.class_names)
    arrayfile.save_arrays(Path(path), outputs.arrays(), document)
    return Path(path)


@dataclass(frozen=True)
class Keys:
    """Which arrays of a file are meant: its logits, or its probabilities or counts instead, and its labels.

    Labels may be a file of their own, FILE.npy. `foreign`: other sources are asked, too, and these are of files that
    were written elsewhere alone.
    """

    logits_key: str | None = None
    probabilities_key: str | None = None
    counts_key: str | None = None
    labels_key: str | None = None
    foreign: bool = False

    def asked(self) -> dict[str, Any]:
        """They as `load` takes them."""
        return {k: v for k, v in vars(self).items() if k.endswith("_key")}

    def named(self) -> dict[str, str]:
        """Those that are said, by the option that says them."""
        return {k.removesuffix("_key"): v for k, v in self.asked().items() if v is not None}


def load(
    path: str | Path,
    *,
    logits_key: str | None = None,
    probabilities_key: str | None = None,
    counts_key: str | None = None,
    labels_key: str | None = None,
    flags: str = "--",
) -> Outputs:
    """Outputs from anybody's .safetensors, .npz or .npy file, such as `load("mine.npz", probabilities_key="p")`.

    `logits_key`, `probabilities_key` or `counts_key` names the array that the logits are made of, `labels_key` the
    array of labels or a FILE.npy; `flags` begins the options that messages name. Which of the three an array holds is
    never guessed: an unnamed one whose rows look like probabilities, or whose values are whole, is refused, but in
    files that `save` wrote. Raises DataError for a file that is missing, damaged, holds Python objects, has no such
    array, or arrays that do not fit together.
    """
    path = Path(path)
    arrays, document = read_arrays(path)
    ours = (document or {}).get("format") == "outputs"
    logits = scores.read(
        path, arrays, logits=logits_key, probabilities=probabilities_key, counts=counts_key, flags=flags, trusted=ours
    )
    labels, note = scores.labels(path, arrays, labels_key, *logits.shape)
    names = (document or {}).get("class_names", arrays.get("class_names"))
    if names is not None and np.ndim(names) != 1:
        raise DataError(f"{path}: class_names is {names!r}, expected a list of names")
    known = {f.name for f in fields(Outputs)} - {"document", "class_names", "logits", "labels", "held", "notes"}
    outputs = Outputs(
        logits=logits,
        labels=labels,
        class_names=class_names_of(names),
        document=document or {},
        held=tuple(sorted(arrays)) if "" not in arrays else ("one array without a name",),
        notes=(note,) if note else (),
        **{name: array for name, array in arrays.items() if name in known},
    )
    return validate(_typed(outputs, str(path)), source=str(path))


def class_names_of(names: Any) -> tuple[str, ...] | None:
    """Class names as text; bytes, as HDF5 and older pickles have them, are UTF-8."""
    if names is None:
        return None
    return tuple(n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in np.asarray(names).tolist())


def load_split(
    path: Path,
    prefix: str,
    names: Collection[str],
    classes: int,
    *,
    logits_key: str | None = None,
    probabilities_key: str | None = None,
    counts_key: str | None = None,
    labels_key: str | None = None,
) -> dict[str, np.ndarray]:
    """Arrays of another split in a file of outputs by name, such as val_logits for `logits` and the prefix val_.

    Those of `names` that are there, labels of so many `classes`; read and checked as `load` does, a named array under
    the prefix where it is there.
    """
    arrays, document = read_arrays(path)
    ours = (document or {}).get("format") == "outputs"
    given = {"logits": logits_key, "probabilities": probabilities_key, "counts": counts_key}
    named = {kind: key for kind, key in given.items() if key is not None and f"{prefix}{key}" in arrays}
    found = {n: arrays[prefix + n] for n in names if prefix + n in arrays and n not in ("logits", "labels")}
    for name, array in found.items():
        checks.check_shape(str(path), name, array, prefix)
        if name in checks.SHAPES and name != "targets":
            checks.check_finite(f"{path}: {prefix}{name}", array)
    if "logits" in names and (named or f"{prefix}logits" in arrays):
        found["logits"] = scores.read(path, arrays, **named, prefix=prefix, trusted=ours)
    rows = {len(array) for array in found.values() if array.ndim}
    key = f"{prefix}{labels_key}" if f"{prefix}{labels_key}" in arrays else f"{prefix}labels"
    if "labels" in names and key in arrays:
        found["labels"], _ = scores.plain_labels(f"{path}: {key}", arrays[key], classes)
        checks.check_labels(f"{path}: {prefix}", found["labels"], classes)
        rows.add(len(found["labels"]))
    if len(rows) > 1:
        shapes = ", ".join(f"{prefix}{n} {list(a.shape)}" for n, a in found.items())
        raise DataError(f"{path}: {shapes} are not of the same rows", "give each one row an example")
    return found


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays of a .safetensors, .npz or .npy file, and our document where there is one. Raises DataError."""
    if path.suffix == ".safetensors":
        return arrayfile.load_arrays(path)
    if path.suffix not in (".npz", ".npy"):
        raise DataError(
            f"{path} is no file of arrays", "expected .safetensors, .npz or .npy, a run folder or a checkpoint"
        )
    return arrayfile.load_numpy(path), None


def join(parts: Iterable[Outputs]) -> Outputs:
    """One Outputs that has what any of the parts has, the first's where several do."""
    first, *rest = parts
    for other in rest:
        missing = {f.name: getattr(other, f.name) for f in fields(other) if getattr(first, f.name) is None}
        first = replace(first, **missing)
    return first


def _typed(outputs: Outputs, source: str) -> Outputs:
    for name, array in outputs.arrays().items():
        checks.check_shape(source, name, array)
    floats = {n: a.astype(np.float32) for n, a in outputs.arrays().items() if a.dtype.kind == "f" and n != "targets"}
    whole = {n: getattr(outputs, n) for n in ("labels", "index")}
    integers = {n: a.astype(np.int64) for n, a in whole.items() if a is not None and np.issubdtype(a.dtype, np.integer)}
    if outputs.logits.dtype.kind not in "fiu":
        raise DataError(f"logits are {outputs.logits.dtype}, expected numbers")
    return replace(outputs, **({"logits": outputs.logits.astype(np.float32)} | floats | integers))

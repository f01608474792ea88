"""Outputs: the arrays a model leaves behind on a split. Before it torch, after it numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import arrayfile
from fierce_tools.errors import DataError, UsageError

# Arrays too large to be kept with every split: each lies in a file of its own, made when asked for.
APART = ("features", "images", "draws")
# Larger logits overflow when they are subtracted or divided by a temperature.
LARGEST = 1e30
ROWS = ("logits", "labels", "index", "features", "targets", "images")


@dataclass(frozen=True)
class Outputs:
    """logits [N,C] f32, labels [N] i64, index [N] i64 (position in the original file), features [N,D] f32,
    head_weight [C,D], head_bias [C], targets [N] or [N,P], anchors [M,K,D], draws [L,N,C], images [N,H,W,c] u8,
    and the names of the classes. What is absent is None; `document` holds what is known of their making.
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

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array there is, by name."""
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in named.items() if isinstance(value, np.ndarray)}

    def get(self, name: str, *, source: str = "these outputs") -> Any:
        """An array or the class names. Raises DataError where it is absent, saying how to make it."""
        value = getattr(self, name)
        if value is None:
            raise DataError(f"{source} has no {name}; it holds {', '.join(self.arrays())}", _HOW.get(name, ""))
        return value


_HOW = {
    "labels": "add an array `labels` [N] of class numbers to the file",
    "features": "add an array `features` [N, D], or ask a fierce checkpoint",
    "head_weight": "add `head_weight` [C, D] and `head_bias` [C], or ask a fierce checkpoint",
    "targets": "the dataset has none; give train_targets and test_targets in an arrays: file",
    "anchors": "only a model trained with --loss fierce has anchors",
}


def validate(outputs: Outputs, *, source: str = "outputs") -> Outputs:
    """The same outputs, checked: shapes that fit, finite logits, labels in range. Raises DataError saying where."""
    logits = outputs.logits
    if logits.ndim != 2 or logits.shape[1] < 2 or logits.shape[0] < 1:
        raise DataError(f"{source}: logits have shape {list(logits.shape)}, expected [N, C] with C of 2 or more")
    for name in ("logits", "features"):
        array = getattr(outputs, name)
        if array is not None and not np.isfinite(array).all():
            bad = np.argwhere(~np.isfinite(array))
            value = array[tuple(bad[0])]
            raise DataError(
                f"{source}: {name}{bad[0].tolist()} is {value}, and {len(bad) - 1} more values are not finite"
            )
    if np.abs(logits).max() > LARGEST:
        raise DataError(f"{source}: logits reach {np.abs(logits).max():.3g}, expected at most {LARGEST:g} in size")
    for name in ROWS:
        array = getattr(outputs, name)
        if array is not None and array.ndim == 0:
            raise DataError(f"{source}: {name} is a single value, expected one for each of {len(logits)} rows")
        if array is not None and len(array) != len(logits):
            raise DataError(f"{source}: {name} has {len(array)} rows, logits have {len(logits)}")
    labels = outputs.labels
    if labels is not None:
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(f"{source}: labels are {labels.dtype} {list(labels.shape)}, expected whole numbers [N]")
        bad_rows = np.flatnonzero((labels < 0) | (labels >= logits.shape[1]))
        if len(bad_rows):
            raise DataError(
                f"{source}: labels[{bad_rows[0]}] is {labels[bad_rows[0]]}, expected 0 to {logits.shape[1] - 1}"
            )
    if outputs.class_names is not None and len(outputs.class_names) != logits.shape[1]:
        raise DataError(f"{source}: {len(outputs.class_names)} class names for {logits.shape[1]} classes")
    return outputs


def save(path: str | Path, outputs: Outputs | None = None, **arrays: Any) -> Path:
    """Write outputs to one .safetensors file: `save("mine.safetensors", logits=z, labels=y)`.

    Arrays are numpy's or anything `numpy.asarray` takes. Raises DataError where they do not fit together.
    """
    if outputs is None:
        names = arrays.pop("class_names", None)
        typed: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
        unknown = set(typed) - {f.name for f in fields(Outputs)}
        if "logits" not in typed or unknown:
            raise UsageError(f"outputs need logits and know no {', '.join(sorted(unknown)) or 'other arrays'}")
        outputs = Outputs(**typed, class_names=tuple(map(str, names)) if names is not None else None)
    outputs = validate(_typed(outputs), source=str(path))
    document = {**outputs.document, "format": "outputs", "version": 1}
    if outputs.class_names is not None:
        document["class_names"] = list(outputs.class_names)
    arrayfile.save_arrays(Path(path), outputs.arrays(), document)
    return Path(path)


def load(path: str | Path, *, logits_key: str | None = None, probabilities_key: str | None = None) -> Outputs:
    """Outputs from anybody's .safetensors, .npz or .npy file. `logits_key` names the array of logits.

    `probabilities_key` names one of probabilities instead, whose logarithms are then the logits; which of the two an
    array holds is never guessed. Raises DataError for a file that is missing, damaged, holds Python objects or has no
    such array, or probabilities whose rows do not sum to 1.
    """
    path = Path(path)
    arrays, document = read_arrays(path)
    if probabilities_key is not None:
        logits_key = "logits of probabilities"
        arrays = {**arrays, logits_key: _log_probabilities(path, arrays, probabilities_key)}
    key = logits_key or ("" if "" in arrays else "logits")
    if key not in arrays:
        raise DataError(
            f"{path} has no array {key!r}; it holds {', '.join(sorted(arrays)) or 'nothing'}", "name one with --logits"
        )
    known = {f.name for f in fields(Outputs)} - {"document", "class_names", "logits"}
    names = (document or {}).get("class_names", arrays.get("class_names"))
    if names is not None and np.ndim(names) != 1:
        raise DataError(f"{path}: class_names is {names!r}, expected a list of names")
    outputs = Outputs(
        logits=arrays[key],
        class_names=tuple(map(str, names)) if names is not None else None,
        document=document or {},
        **{name: array for name, array in arrays.items() if name in known},
    )
    return validate(_typed(outputs), source=str(path))


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays of a .safetensors, .npz or .npy file, and our document where there is one. Raises DataError."""
    if path.suffix == ".safetensors":
        return arrayfile.load_arrays(path)
    if path.suffix not in (".npz", ".npy"):
        raise DataError(
            f"{path} is no file of arrays", "expected .safetensors, .npz or .npy, a run folder or a checkpoint"
        )
    return arrayfile.load_numpy(path), None


def _log_probabilities(path: Path, arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    key = "" if "" in arrays else name
    if key not in arrays:
        raise DataError(f"{path} has no array {name!r}; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    p = arrays[key]
    if p.ndim != 2 or p.dtype.kind != "f":
        raise DataError(f"{path}: {name} are {p.dtype} {list(p.shape)}, expected probabilities [N, C]")
    off = np.flatnonzero(~(np.abs(p.sum(axis=1, dtype=np.float64) - 1) < 1e-2) | (p < 0).any(axis=1))
    if len(off):
        total = p[off[0]].sum(dtype=np.float64)
        raise DataError(f"{path}: row {off[0]} of {name} sums to {total:.4g}, expected 1", "name logits with --logits")
    # A probability of 0 is taken as the smallest a float32 holds, so that its logarithm is finite.
    return np.log(np.maximum(p, np.finfo(np.float32).tiny))


def join(parts: Iterable[Outputs]) -> Outputs:
    """One Outputs that has what any of the parts has, the first's where several do."""
    first, *rest = parts
    for other in rest:
        missing = {f.name: getattr(other, f.name) for f in fields(other) if getattr(first, f.name) is None}
        first = replace(first, **missing)
    return first


def _typed(outputs: Outputs) -> Outputs:
    floats = {n: a.astype(np.float32) for n, a in outputs.arrays().items() if a.dtype.kind == "f" and n != "targets"}
    whole = {n: getattr(outputs, n) for n in ("labels", "index")}
    integers = {n: a.astype(np.int64) for n, a in whole.items() if a is not None and np.issubdtype(a.dtype, np.integer)}
    if outputs.logits.dtype.kind not in "fiu":
        raise DataError(f"logits are {outputs.logits.dtype}, expected numbers")
    return replace(outputs, **({"logits": outputs.logits.astype(np.float32)} | floats | integers))

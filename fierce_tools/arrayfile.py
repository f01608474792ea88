"""Named arrays in one safetensors file, with a JSON document and a content hash."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools.errors import DataError
from fierce_tools.files import DOCUMENT, read_header, replacing

_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2",
    "I32": "<i4", "U32": "<u4", "F32": "<f4", "F64": "<f8", "I64": "<i8", "U64": "<u8",
}  # fmt: skip
_CODES = {np.dtype(v): k for k, v in _DTYPES.items()}


def content_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the names, types, shapes and bytes of `arrays`, in the order of their names (hexadecimal)."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name}\0{_CODES[array.dtype]}\0{list(array.shape)}\0".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], document: Mapping[str, Any]) -> str:
    """Write `arrays` to a safetensors file with `document` as its metadata; returns the content hash it adds to it."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    digest = content_sha256(plain)
    metadata = {DOCUMENT: json.dumps({**document, "content_sha256": digest}, ensure_ascii=False)}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, metadata=metadata)
        except SafetensorError as error:  # it hides the system's own error, such as a full disk, in its text
            number = re.search(r"os error (\d+)", str(error))
            code = int(number[1]) if number else errno.EIO
            raise OSError(code, os.strerror(code), str(path)) from None
    return digest


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The arrays of a safetensors file and our document where there is one; the content hash is checked.

    Raises DataError for a damaged file, a type numpy lacks, or contents that are not those that were saved.
    """
    from safetensors.numpy import load_file

    tensors, document = read_header(path)
    for name, (dtype, _) in tensors.items():
        if dtype not in _DTYPES:
            raise DataError(f"{path}: tensor {name!r} is {dtype}, which numpy has not", "save it as float32")
    try:
        arrays = load_file(path)
    except Exception as error:  # safetensors raises its own and plain ones alike
        raise DataError(f"{path} is not a readable safetensors file: {error}", "copy it again") from None
    if document is not None and "content_sha256" in document:
        digest = content_sha256(arrays)
        if digest != document["content_sha256"]:
            raise DataError(
                f"{path}: its contents are not those that were saved "
                f"(sha256 {digest[:12]}…, the header says {str(document['content_sha256'])[:12]}…)",
                "it was changed or damaged after it was written; copy or train it again",
            )
    return arrays, document


def load_numpy(path: Path, *, only: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, or of a .npy file under the name "". Objects are never unpickled. Raises DataError."""
    with _readable(path):
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files if only is None or name in only}


def array_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays of a .npz file, as they stand in it; "" for that of a .npy file. Raises DataError."""
    with _readable(path):
        loaded = np.load(path, allow_pickle=False, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            return ("",)
        with loaded:
            return tuple(loaded.files)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path.absolute()} does not exist", "check the path") from None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        pickled = "pickle" in str(error).lower()  # numpy says so of anything it does not know
        reason = "it is no numpy file, or holds Python objects" if pickled else str(error)
        raise DataError(f"{path} is not readable: {reason}", "write it with numpy.save or numpy.savez") from None


def name_of(values: Mapping[str, Any]) -> str:
    """A short name for plain values, the same whenever they are (16 hexadecimal digits)."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

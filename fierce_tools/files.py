"""Files that are either whole or not there; and what a safetensors file says of itself."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fierce_tools.errors import DataError

DOCUMENT = "fierce_tools"
_MAX_HEADER = 100_000_000


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; when the block ends well it is flushed to the disk and renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read_header(path: Path) -> tuple[dict[str, tuple[str, tuple[int, ...]]], dict[str, Any] | None]:
    """Tensor names with type and shape, and our document where there is one, without reading any tensor.

    Raises DataError for a file that is missing, truncated or no safetensors file.
    """
    wrong = f"{path} is not a whole safetensors file"
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            start = file.read(8)
            if len(start) < 8:
                raise DataError(f"{wrong}: {size} bytes, a header needs at least 8", "copy or train it again")
            (length,) = struct.unpack("<Q", start)
            if length > min(_MAX_HEADER, size - 8):
                raise DataError(
                    f"{wrong}: its header claims {length:,} bytes and the file has {size:,}",
                    "it is truncated or of another format",
                )
            header = json.loads(file.read(length))
        metadata = header.pop("__metadata__", {})
        tensors = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        document = json.loads(metadata[DOCUMENT]) if DOCUMENT in metadata else None
        if not isinstance(document, dict | None):
            raise ValueError(f"its {DOCUMENT} is no JSON object")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "check the path; `fierce runs` lists what there is") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, expected a .safetensors file") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise DataError(f"{wrong}: its header is unreadable ({error})", "it is damaged or of another format") from None
    if size != end:
        raise DataError(
            f"{wrong}: {size:,} bytes, its header says {end:,}", "it was truncated or appended to; copy it again"
        )
    return tensors, document


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of a file (hexadecimal)."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

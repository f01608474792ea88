"""Somebody's file of weights as named tensors. Pickled code is never run."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fierce_tools import files
from fierce_tools.errors import DataError

PICKLED = (".pt", ".pth", ".ckpt", ".bin")
UNDER = ("state_dict", "model_state_dict", "model")
# What DataParallel, torch.compile and Lightning's habit put before every name.
PREFIXES = ("module.", "_orig_mod.", "model.")


@dataclass(frozen=True)
class Weights:
    """A state dict, and under which key of the file it lay."""

    tensors: dict[str, Tensor]
    unwrapped: str | None


def read(path: Path) -> Weights:
    """The state dict of a .safetensors file, or of torch's own with nothing in it but tensors and plain values.

    Raises DataError for a file that is missing, damaged, holds Python objects, or no state dict.
    """
    if path.suffix == ".safetensors":
        return Weights(_checked(path, _safetensors(path)), None)
    if path.suffix not in PICKLED:
        raise DataError(f"{path} is no file of weights", f"expected .safetensors, {', '.join(PICKLED)}")
    found, under = _torch(path), []
    while isinstance(found, Mapping) and not _is_state(found):
        key = next((k for k in UNDER if isinstance(found.get(k), Mapping)), None)
        if key is None:
            break
        found = found[key]
        under.append(key)
    if not isinstance(found, Mapping):
        raise DataError(f"{path} holds a {type(found).__name__}, expected a state dict", _HOW)
    if not _is_state(found):
        others = [str(k) for k, v in found.items() if not isinstance(k, str) or not isinstance(v, Tensor)]
        raise DataError(f"{path} holds no state dict: {shown(others) or 'it is empty'} is no tensor", _HOW)
    return Weights(_checked(path, dict(found)), ".".join(under) or None)


_HOW = "write one with torch.save(model.state_dict(), FILE)"


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    _, document = files.read_header(path)
    if document is not None:
        kind = document.get("format")
        raise DataError(f"{path} is a fierce {kind} file already", "ask it: fierce analyze entropy " + str(path))
    try:
        return load_file(path)
    except Exception as error:  # safetensors raises its own and plain ones alike
        raise DataError(f"{path} is not a readable safetensors file: {error}", "copy it again") from None


def _torch(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}", "check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is in the errors
            return torch.load(path, weights_only=True, map_location="cpu")
    except MemoryError:
        raise
    except Exception as error:  # torch raises many kinds for what is damaged or not allowed
        raise _refusal(path, str(error)) from None


def _refusal(path: Path, said: str) -> DataError:
    """Why torch did not read a file, in one line."""
    code = re.search(r"GLOBAL (\S+)", said)
    if code:
        return DataError(f"{path} holds Python objects ({code[1]}), and to read those is to run code", _HOW)
    if "TorchScript" in said:
        return DataError(f"{path} is a TorchScript program, expected a state dict", _HOW)
    if "Weights only" in said:  # torch's own advice is to run it
        return DataError(f"{path} is no file that torch.save wrote", _HOW)
    reason = f": {said.partition('. ')[0].splitlines()[0]}" if said else ""
    return DataError(f"{path} is not a whole file of torch's{reason}", "copy it again")


def _is_state(found: Mapping[Any, Any]) -> bool:
    return bool(found) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in found.items())


def _checked(path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise DataError(f"{path}: {name} is sparse, quantised or complex", "convert it to float32 first")
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise DataError(f"{path}: {name} holds NaN or infinite values", "these weights are of a broken training")
    return tensors


def unprefixed(tensors: Mapping[str, Tensor], own: Collection[str]) -> tuple[dict[str, Tensor], str | None]:
    """The tensors by the names a module has, without a prefix that all of them have and the module's do not.

    Also gives that prefix.
    """
    for prefix in PREFIXES:
        if all(n.startswith(prefix) for n in tensors) and not all(n.startswith(prefix) for n in own):
            return {n.removeprefix(prefix): t for n, t in tensors.items()}, prefix
    return dict(tensors), None


def shown(names: Collection[str], most: int = 5) -> str:
    """The first names of many."""
    return ", ".join([*names][:most]) + (", …" if len(names) > most else "")

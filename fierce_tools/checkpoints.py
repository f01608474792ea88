"""Weights, anchors and normalisation in one safetensors file, with all that is known of their making."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fierce_tools import __version__, arrayfile, files, recipe
from fierce_tools.errors import DataError, FierceError, UsageError
from fierce_tools.menu import MODELS, split
from fierce_tools.models._bottleneck import narrow
from fierce_tools.models._classifier import Classifier

VERSION = 1
PREFIX = "model."


@dataclass(frozen=True)
class Checkpoint:
    """A model in eval mode on a device, and what it was trained with; `mean` and `std` normalise its inputs."""

    model: Classifier
    recipe: recipe.Recipe
    class_names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    anchors: np.ndarray | None
    document: Mapping[str, Any]

    @property
    def content_sha256(self) -> str:
        """Hash of names, types, shapes and bytes of every tensor."""
        return str(self.document["content_sha256"])


def save(
    path: Path,
    model: Classifier,
    made: recipe.Recipe,
    *,
    shape: tuple[int, ...],
    class_names: tuple[str, ...],
    mean: np.ndarray,
    std: np.ndarray,
    anchors: np.ndarray | None = None,
    fingerprint: str = "",
    source: str = "",
    epoch: int | None = 0,
    metrics: Mapping[str, Any] | None = None,
    known: tuple[str, ...] = recipe.SECTIONS,
    distillation: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> str:
    """Write a checkpoint, whole or not at all; returns its content hash.

    `fingerprint` is that of the data, `source` that of the data as they were loaded, before classes, coarse labels or
    noise. Of a student `distillation` says how it was taught and by whom. Of weights trained elsewhere only some
    sections of the recipe are `known`, and `origin` says where they are from and what they were trained on.
    """
    arrays = {PREFIX + name: value.detach().float().cpu().contiguous().numpy() if value.is_floating_point() else
              value.detach().cpu().contiguous().numpy() for name, value in model.state_dict().items()}  # fmt: skip
    arrays |= {"normalization.mean": mean, "normalization.std": std}
    if anchors is not None:
        arrays["anchors"] = anchors
    sections = {s: t for s, t in made.as_dict().items() if s in (*known, *recipe.OPTIONAL)}
    document = {
        "format": "checkpoint", "version": VERSION, "recipe": sections,
        "input_shape": list(shape), "class_names": list(class_names), "head": "head", "dataset_sha256": fingerprint,
        "seed": made.train["seed"] if "train" in known else None, "epoch": epoch, "metrics": dict(metrics or {}),
        "distillation": dict(distillation or {}), "origin": dict(origin or {}), "versions": versions(),
        **({"source_sha256": source} if source and source != fingerprint else {}),
    }  # fmt: skip
    return arrayfile.save_arrays(path, arrays, document)


def read_document(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without its tensors. Raises DataError for a foreign or newer file."""
    tensors, document = files.read_header(path)
    if document is None or document.get("format") != "checkpoint":
        kind = (
            f"a fierce {document.get('format')} file" if document else f"of other making, with {len(tensors)} tensors"
        )
        raise DataError(
            f"{path} is no fierce checkpoint: it is {kind}",
            "a checkpoint is written by `fierce train`, or made of others' weights by `fierce import`",
        )
    if not isinstance(document.get("version"), int) or document["version"] > VERSION:
        raise DataError(
            f"{path} has format version {document.get('version')}, this fierce {__version__} reads up to {VERSION}",
            "install a newer fierce-tools",
        )
    missing = [key for key in ("content_sha256", "dataset_sha256") if not isinstance(document.get(key), str)]
    if missing:
        raise DataError(f"{path} lacks {' and '.join(missing)} in its metadata", "it was changed after it was written")
    return document


def load(path: Path, device: torch.device | str = "cpu", *, trusted: str | None = None) -> Checkpoint:
    """A checkpoint with its model on `device`, in eval mode; the content hash is checked.

    A factory that its recipe names is imported only if it is the one in `trusted` (package.module:function).
    Raises DataError for a file that is missing, truncated, foreign, newer or changed, or that its recipe does not fit.
    """
    document = read_document(path)
    arrays, _ = arrayfile.load_arrays(path)
    try:
        made = recipe.resolve(document["recipe"])
        shape, class_names = tuple(document["input_shape"]), tuple(document["class_names"])
        model: Classifier = build(made, shape, len(class_names), trusted=trusted)
        tensors = {n.removeprefix(PREFIX): torch.from_numpy(a) for n, a in arrays.items() if n.startswith(PREFIX)}
        state = (
            model.state_dict()
        )  # its metadata stays: some modules of torchvision refuse a state without their version
        state.clear()
        state.update(tensors)
        model.load_state_dict(state)
        mean, std = arrays["normalization.mean"], arrays["normalization.std"]
    except DataError as error:
        raise DataError(f"{path}: {error.message}", error.hint) from None
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, FierceError) as error:
        reason, hint = (error.message, error.hint) if isinstance(error, FierceError) else (str(error), "")
        raise DataError(
            f"{path}: its tensors and its recipe do not fit together: {(reason.splitlines() or [''])[0]}",
            hint or "it was changed after training, or made by another version of fierce-tools",
        ) from None
    return Checkpoint(model.to(device).eval(), made, class_names, mean, std, arrays.get("anchors"), document)


def build(made: recipe.Recipe, shape: tuple[int, ...], classes: int, *, trusted: str | None = None) -> Classifier:
    """The recipe's model with fresh weights for inputs of `shape` and that many classes.

    Recipes come from anywhere, in checkpoints too, and importing code is running it: a factory is imported only if a
    person named it, as `trusted`. Raises DataError where nobody did, UsageError for what does not fit.
    """
    name, argument = split(made.model["name"])
    if name == "factory" and (trusted is None or argument != trusted.removeprefix("factory:")):
        raise DataError(
            f"its model is made by {argument}, code that is imported only if you name it yourself",
            f"if you trust it, add --factory {argument}",
        )
    extra = () if argument is None else (argument,)
    try:
        model: Classifier = MODELS.get(made.model["name"])(shape, classes, *extra, **made.options("model"))
        return narrow(model, bottleneck=made.model["bottleneck"], linear_bottleneck=made.model["linear_bottleneck"])
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"model {made.model['name']} cannot be built of these options: {str(error).splitlines()[0]}",
            f"`fierce list models` says what they are; they were {made.options('model')}",
        ) from None


def versions() -> dict[str, str]:
    """Versions of what made a file."""
    return {"fierce_tools": __version__, "torch": str(torch.__version__), "numpy": np.__version__}

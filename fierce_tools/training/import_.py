"""Weights that were trained anywhere, as a checkpoint that can be asked."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from torch import Tensor, nn

from fierce_tools import binding, checkpoints, files
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._splits import split as cut
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import MODELS, split, unknown
from fierce_tools.models._foreign import find_head, wrap
from fierce_tools.models.torchvision import MEAN, STD
from fierce_tools.recipe import resolve
from fierce_tools.training._weights import read, shown, unprefixed
from fierce_tools.training.train import dataset

SUFFIX = ".fierce.safetensors"
# A count of training batches, of no weight for what a model computes; torchvision's older files have none.
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Imported:
    """What was made of which weights; `mean` and `std` are of inputs from 0 to 1, or of vectors as they are."""

    checkpoint: str
    model: str
    parameters: int
    head: str
    features: int
    classes: int
    input_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    unwrapped: str | None
    prefix: str | None
    dataset_sha256: str
    trained_on: str


def import_weights(
    weights: Path,
    choice: str,
    data: Mapping[str, Any],
    out: Path | None,
    *,
    head: Annotated[str | None, "dotted name of the layer that makes the logits; else the last that fits"] = None,
    shape: Annotated[str | None, "shape of one example where no data are named: HxWxC, or D"] = None,
    classes: Annotated[
        int | None, "how many classes, else as many as the head has; with --data, which of theirs"
    ] = None,
    mean: Annotated[
        tuple[float, ...], "subtracted from inputs of 0 to 1, by channel; else 0, for torchvision ImageNet's"
    ] = (),
    std: Annotated[tuple[float, ...], "what they are then divided by; else 1, for torchvision ImageNet's"] = (),
    trained_on: Annotated[
        Literal["all", "train", "none", "unknown"],
        "what it was trained on. train: the training split as fierce cuts it, validation not seen; all: validation "
        "examples too, such as a whole official training set, the test split not; none: other data. Of all and unknown "
        "figures that need a choice on validation, such as T*, are left out",
    ] = "unknown",
) -> Imported:
    """Write a checkpoint of somebody's weights; without `out` it goes beside them.

    `choice` names the model, `data` is the data section of a recipe, empty where nobody says. A module that is not of
    fierce's making is asked random inputs before and after it is taken apart, and must say the same. No file is ever
    overwritten. Raises UsageError and DataError for whatever does not fit.
    """
    target = _target(weights, out)
    choice = _named(choice)
    found = read(weights)
    source = _data(data, shape, classes)
    size = _shape(shape) if source is None else source.shape
    count = source.classes if source is not None else classes
    if count is None:
        count = _rows(found.tensors, weights, choice, size, head)
    if count < 2:
        raise UsageError(f"a classifier has 2 classes or more, not {count}", "name another --head, or its --classes")
    net, name = _module(choice, size, count, head)
    subtracted, divided = _normalization(choice, size, mean, std)
    tensors, prefix = unprefixed(found.tensors, net.state_dict())
    missing, unexpected = _load(net, tensors, f"{choice} with {count} classes", weights)
    model = wrap(net, name, size, choice) if _foreign(choice) else net
    section = {"name": choice, "head": name} if _foreign(choice) else {"name": choice}
    made = resolve({"model": section, "data": dict(data)})
    fingerprint = "" if source is None else source.fingerprint()
    top = 255.0 if len(size) == 3 else 1.0
    checkpoints.save(
        target,
        model,
        made,
        shape=size,
        class_names=tuple(str(n) for n in range(count)) if source is None else source.class_names,
        mean=(top * np.asarray(subtracted)).astype(np.float32),
        std=(top * np.asarray(divided)).astype(np.float32),
        fingerprint=fingerprint,
        source="" if source is None else source.source_sha256,
        epoch=None,
        known=("model",) if source is None else ("data", "model"),
        origin={"file": weights.name, "sha256": files.file_sha256(weights), "trained_on": trained_on},
    )
    parameters = sum(p.numel() for p in model.parameters())
    return Imported(
        str(target), choice, parameters, name, model.head.in_features, count, size, subtracted, divided,
        missing, unexpected, found.unwrapped, prefix, fingerprint, trained_on,
    )  # fmt: skip


def _target(weights: Path, out: Path | None) -> Path:
    target = weights.with_name(weights.stem + SUFFIX) if out is None else out
    if target.suffix != ".safetensors":
        raise UsageError(f"--out {target}: a checkpoint is written as .safetensors", "name it FILE.safetensors")
    if target.exists():
        raise UsageError(f"{target} exists already", "give another --out, or move it away")
    return target


def _named(choice: str) -> str:
    """The choice of model; what has a colon and is not in the menu is somebody's function."""
    name, argument = split(choice)
    if name in MODELS.names():
        binding.read(MODELS, choice)
        return choice
    here = Path(f"{name}.py").exists() or Path(name).is_dir()
    if argument is None or (not here and difflib.get_close_matches(name, MODELS.names(), n=1, cutoff=0.8)):
        raise unknown("model", name, MODELS.names(), "fierce list models")
    return f"factory:{choice}"


def _data(data: Mapping[str, Any], shape: str | None, classes: int | None) -> Dataset | None:
    if "name" not in data:
        if data:
            raise UsageError(f"--{next(iter(data)).replace('_', '-')} is of no use without data", "add --data NAME")
        return None
    if shape is not None or classes is not None:
        raise UsageError("--data says which shape and classes there are", "leave out --shape and --classes")
    made = resolve({"data": dict(data)})
    found = dataset(made)
    cut(found, val_fraction=made.data["val_fraction"], split_seed=made.data["split_seed"])  # a bad fraction is said now
    return found


def _shape(text: str | None) -> tuple[int, ...]:
    if text is None:
        raise UsageError("nobody says what the model's inputs are", "add --data NAME, or --shape HxWxC")
    size = tuple(int(n) if n.isdecimal() else 0 for n in text.split("x"))
    if len(size) not in (1, 3) or min(size) < 1:
        raise UsageError(f"--shape is {text!r}, expected HxWxC, or D for vectors", "for example --shape 32x32x3")
    return size


def _normalization(
    choice: str, shape: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation for each channel of images from 0 to 1, or each column of vectors."""
    usual = (MEAN, STD) if split(choice)[0] == "torchvision" else ((0.0,), (1.0,))
    made = []
    for flag, given, default in (("--mean", mean, usual[0]), ("--std", std, usual[1])):
        values = tuple(float(v) for v in given or default)
        if len(values) not in (1, shape[-1]):
            raise UsageError(f"{flag} has {len(values)} values, expected 1 or {shape[-1]}")
        if len(shape) == 3 and not all(0 <= v <= 1 for v in values):
            raise UsageError(
                f"{flag} is {max(values, key=abs):g}, expected 0 to 1", "divide it by 255 if it is of bytes"
            )
        made.append(values if len(values) == shape[-1] else values * shape[-1])
    if min(made[1]) <= 0:
        raise UsageError(f"--std is {min(made[1]):g}, expected above 0")
    return made[0], made[1]


def _foreign(choice: str) -> bool:
    """Whether the model is a module of others: its file then makes the module itself, as `module`."""
    return hasattr(MODELS.module(choice), "module")


def _module(choice: str, shape: tuple[int, ...], classes: int | None, head: str | None) -> tuple[Any, str]:
    """The model as it was made, and the name of its head; with its own number of classes where they are None."""
    argument = split(choice)[1]
    if _foreign(choice):
        net = MODELS.module(choice).module(argument, shape, classes)
        return net, find_head(net, classes, head, choice)
    if head is not None:
        raise UsageError(f"--head is for models of others; that of {choice} is known", "leave out --head")
    return MODELS.get(choice)(shape, classes or 2, *(() if argument is None else (argument,))), "head"


def _rows(tensors: Mapping[str, Tensor], weights: Path, choice: str, shape: tuple[int, ...], head: str | None) -> int:
    """How many classes the head has in the file."""
    net, name = _module(choice, shape, None, head)
    weight = f"{name}.weight" if name else "weight"
    found = unprefixed(tensors, net.state_dict())[0].get(weight)
    if found is None or found.dim() != 2:
        raise DataError(f"{weights} has no matrix {weight} to count classes by", "say --classes, or --data")
    return len(found)


def _load(
    net: nn.Module, tensors: Mapping[str, Tensor], what: str, weights: Path
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Put the tensors into the module; gives the names that were not there, counters alone, and those left over."""
    state = net.state_dict()
    own = {n: t for n, t in state.items() if isinstance(t, Tensor)}
    absent = [n for n in own if n not in tensors]
    missing = [n for n in absent if not n.endswith(COUNTER)]
    unexpected = [n for n in tensors if n not in own]
    if missing:
        rest = f", and has {len(unexpected)} that are not of it: {shown(unexpected)}" if unexpected else ""
        raise DataError(
            f"{weights} lacks {len(missing)} of the {len(own)} tensors of {what}: {shown(missing)}{rest}",
            "is this the --model they were trained as?",
        )
    wrong = [n for n in own if n in tensors and tensors[n].shape != own[n].shape]
    if wrong:
        first = wrong[0]
        more = f", and {len(wrong) - 1} more do not fit" if len(wrong) > 1 else ""
        raise DataError(
            f"{weights}: {first} is {list(tensors[first].shape)}, in {what} it is {list(own[first].shape)}{more}",
            "are --model, the number of classes and the shape those it was trained with?",
        )
    state.update({n: tensors[n] for n in own if n in tensors})
    net.load_state_dict(state)
    return tuple(n for n in absent if n not in missing), tuple(unexpected)

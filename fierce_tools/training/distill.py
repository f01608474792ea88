"""Distillation: what teachers say of the examples of a step, brought to the loss as `teacher_logits`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from fierce_tools import binding, files
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._known import as_trained
from fierce_tools.data._splits import Split, Splits
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import LOSSES
from fierce_tools.outputs import read_arrays
from fierce_tools.recipe import Recipe
from fierce_tools.same import refuse_conflicts, same_source
from fierce_tools.training._taught import Asked, Taught, combined, renormalize
from fierce_tools.training._teachers import SoftLabels, Teacher, load_soft_labels, load_teacher
from fierce_tools.training._transfer import class_number
from fierce_tools.training.batches import Examples, Normalization
from fierce_tools.training.infer import infer

# The loss of each method; `none` is the student alone, on its labels.
METHODS = {
    "kd": "kd", "logits": "logit-matching", "dkd": "dkd", "self": "kd", "virtual-teacher": "virtual-teacher",
    "smoothed-labels": "smoothed-labels", "noisy": "noisy-labels", "none": "ce",
}  # fmt: skip


@dataclass
class Teachers:
    """Whatever teaches a student: models, soft labels of a file, or nothing but the labels themselves.

    `dropped` are the classes, by name, of which the student sees no example. `cached` says for each split whether
    outputs were computed once; it is known when they were brought. `matched`: the student learns their logits.
    `other_data` says that the transfer set was chosen on data of another fingerprint.
    """

    models: tuple[Teacher, ...]
    soft_labels: SoftLabels | None
    splits: Splits
    combine: str
    cache: str
    temperature: float
    transfer_set: dict[str, Any] | None
    dropped: dict[str, int] = field(default_factory=dict)
    cached: dict[str, bool] = field(default_factory=dict)
    matched: bool = False
    other_data: str = ""

    def __bool__(self) -> bool:
        return bool(self.models) or self.soft_labels is not None

    def named(self) -> list[dict[str, Any]]:
        """Path, content hash and run of each."""
        return [t.named() for t in self.models] + ([self.soft_labels.named()] if self.soft_labels is not None else [])

    def written(self) -> dict[str, Any]:
        """What a run and its checkpoint say of them: who they are, and how their outputs came."""
        found: dict[str, Any] = {}
        if self:
            how = "given" if self.soft_labels is not None else "once" if self.cached["train"] else "in the loop"
            found = {"teachers": self.named(), "teacher_outputs": how}
        return found | ({"transfer_set": self.transfer_set} if self.transfer_set is not None else {})

    def label(self) -> str:
        """Their names, for people."""
        names = [t.label for t in self.models]
        return " + ".join(names + ([Path(self.soft_labels.path).name] if self.soft_labels is not None else []))

    def notes(self) -> list[str]:
        """How the classes of teachers and student were matched, where they are not the same in the same order."""
        said = [t.columns.note for t in self.models if t.columns is not None]
        said += [self.soft_labels.note] if self.soft_labels is not None else []
        return list(dict.fromkeys(note for note in said if note))

    def warnings(self) -> list[str]:
        """What a person should know before a student is trained."""
        found = [self.other_data] if self.other_data else []
        lacking = self._lacking()
        return [*found, f"{lacking}: there is no validation loss"] if lacking else found

    def check_patience(self, patience: int | None) -> None:
        """Raises UsageError for patience where there can be no validation loss."""
        lacking = self._lacking()
        if patience is not None and lacking:
            raise UsageError(
                f"--patience {patience} waits for the validation loss, and there is none: {lacking}",
                "leave --patience out (--save-best goes by accuracy), or learn from the model with --teacher CKPT",
            )

    def _lacking(self) -> str:
        """Of how many validation examples a file has soft labels, in words; empty where it has all."""
        if self.soft_labels is None or len(self.splits.val) == 0:
            return ""
        covered = ~np.isnan(self.soft_labels.of(self.splits.val)).any(axis=1)
        if covered.all():
            return ""
        return f"{self.label()} has soft labels of {covered.sum()} of the {len(covered)} validation examples"

    def logits(self, split: Split, temperature: float | None = None) -> np.ndarray:
        """What they say of a split f32 [N, C], float32 and unaugmented; NaN where a file says nothing.

        Several are averaged at the distillation's temperature, or at the one given.
        """
        if self.soft_labels is not None:
            return self.soft_labels.of(split)
        names = self.splits.class_names
        said = [torch.from_numpy(t.matched(infer(t.model, split, t.normalization, names).logits)) for t in self.models]
        return combined(said, self.combine, self.temperature if temperature is None else temperature).numpy()

    def bring(self, train: Examples, val: Examples | None, normalization: Normalization) -> Taught:
        """What they say of a batch, as `training.train.setup` asks for it; the models go to the device."""
        own: list[Asked] = []
        for teacher in self.models:
            model = teacher.model.to(train.device)
            if any(isinstance(m, nn.Conv2d) for m in model.modules()):
                model.to(memory_format=torch.channels_last)
            moved = teacher.columns is not None and teacher.columns.moves
            columns = torch.from_numpy(teacher.columns.number).to(train.device) if moved else None  # type: ignore[union-attr]
            own.append(Asked(model, renormalize(normalization, teacher.normalization, train), columns))
        known: dict[str, Tensor] = {}
        for examples, split in ((train, self.splits.train), (val, self.splits.val)):
            if examples is None:
                continue
            once = self.soft_labels is not None or self.cache == "yes"
            once = once or (self.cache == "auto" and not (examples.augmented and examples.split == "train"))
            self.cached[examples.split] = once
            if once:
                known[examples.split] = torch.from_numpy(self.logits(split)).to(train.device)
        return Taught(own, known, self.combine, self.temperature, self.matched)


def teach(
    recipe: Recipe,
    data: Dataset,
    splits: Splits,
    *,
    trusted: str | None = None,
    method: Annotated[
        Literal["kd", "logits", "dkd", "self", "virtual-teacher", "smoothed-labels", "noisy", "none"],
        "how the student learns; self: from a finished run of its own architecture; none: alone, on its labels",
    ] = "kd",
    teachers: Annotated[tuple[str, ...], "checkpoints or runs; of several the mean is learned"] = (),
    combine: Annotated[Literal["probabilities", "logits"], "of several teachers, what is averaged"] = "probabilities",
    teacher_outputs: Annotated[str | None, "file of soft labels of training examples, aligned by its `index`"] = None,
    teacher_logits: Annotated[str | None, "the array of logits in that file; none: logits"] = None,
    teacher_probabilities: Annotated[str | None, "the array of probabilities in that file, instead"] = None,
    teacher_counts: Annotated[str | None, "the array of counts in that file, instead, such as people's votes"] = None,
    cache: Annotated[
        Literal["auto", "yes", "no"], "compute teacher outputs once; auto: unless training images are augmented"
    ] = "auto",
    unlabelled: Annotated[bool, "use no label: the weight of the cross-entropy is 0"] = False,
    transfer_set: str | None = None,
    drop_class: tuple[str, ...] = (),
) -> Teachers:
    """The teachers of a recipe with a distill section, loaded and checked against the student's data.

    Raises UsageError for what does not go together, DataError for teachers that are missing, damaged or of other
    classes or image shapes.
    """
    if METHODS[method] != recipe.loss["name"]:
        raise UsageError(
            f"method {method} trains with loss {METHODS[method]}, and the recipe's is {recipe.loss['name']}",
            f"write loss.name = {METHODS[method]!r}, or another method",
        )
    wanted = needs_teacher(recipe)
    if wanted and not teachers and teacher_outputs is None:
        raise UsageError(f"method {method} learns from a teacher", "say which: --teacher CHECKPOINT")
    if not wanted and (teachers or teacher_outputs is not None):
        raise UsageError(f"method {method} has no teacher of its own", "leave the teacher out, or try --method kd")
    if teachers and teacher_outputs is not None:
        raise UsageError("teachers are checkpoints or a file of soft labels, not both at once", "leave one out")
    if len(teachers) > 1 and combine == "probabilities" and method == "logits":
        raise UsageError("mean probabilities have no logits to match", "add --combine logits")
    if unlabelled and (not wanted or method == "dkd" or recipe.loss.get("ce_weight", 1) != 0):
        raise UsageError(
            f"without labels there is no cross-entropy: --unlabelled goes with a weight of 0 of it (it is "
            f"{recipe.loss.get('ce_weight', 1):g}) and a teacher's soft labels, by method kd, logits, self or noisy",
            "leave --ce-weight out",
        )
    models = tuple(load_teacher(text, data, trusted=trusted) for text in teachers)
    unnamed = [(t.label, t.columns.others) for t in models if t.columns is not None and t.columns.by_position]
    if unnamed:
        refuse_conflicts(f"the student's data {data.name}", unnamed, "add class_names to the data")
    if method == "self":
        _check_self(models, recipe)
    soft_labels = None
    if teacher_outputs is not None:
        keys = {"logits": teacher_logits, "probabilities": teacher_probabilities, "counts": teacher_counts}
        soft_labels = load_soft_labels(teacher_outputs, data, **keys, section=recipe.as_dict()["data"])
        missing = splits.train.index[np.isnan(soft_labels.of(splits.train)).all(axis=1)]
        if len(missing):
            raise DataError(
                f"{teacher_outputs} has no soft labels of {len(missing)} of the {len(splits.train)} training examples, "
                f"such as {missing[0]}",
                "make them of the whole training split, or name a --transfer-set that is covered",
            )
        if method == "logits" and (soft_labels.logits == -np.inf).any():
            raise DataError(
                f"{teacher_outputs} gives classes a probability of 0, whose logit is -inf and cannot be matched",
                "use --method kd or dkd",
            )
    elif any(key is not None for key in (teacher_logits, teacher_probabilities, teacher_counts)):
        raise UsageError(
            "--teacher-logits, --teacher-probabilities and --teacher-counts name an array of a file",
            "add --teacher-outputs FILE",
        )
    chosen, other_data = None, ""
    if transfer_set is not None:
        path = Path(transfer_set).expanduser()
        document = read_arrays(path)[1] or {}
        own = {"dataset_sha256": data.fingerprint(), "source_sha256": data.source, "data": recipe.as_dict()["data"]}
        known, alike = document.get("dataset_sha256"), same_source(document, own)
        if known and not alike and known != as_trained(data, known).fingerprint():
            other_data = (
                f"{path.name} was chosen on data of another fingerprint ({str(known)[:12]}…): its examples go by "
                "their position alone"
            )
        chosen = {"path": str(path.absolute()), "sha256": files.file_sha256(path), "examples": len(splits.train)}
    temperature = float(recipe.loss.get("temperature", 1.0))
    numbers = [class_number(text, splits.class_names) for text in drop_class]
    dropped = {splits.class_names[number]: number for number in numbers}
    return Teachers(
        models,
        soft_labels,
        splits,
        combine,
        cache,
        temperature,
        chosen,
        dropped,
        matched=method == "logits",
        other_data=other_data,
    )


def needs_teacher(recipe: Recipe) -> bool:
    """Whether the recipe's loss wants `teacher_logits`, with these options."""
    spec = binding.read(LOSSES, recipe.loss["name"])
    optional = "teacher_logits" in spec.optional_arrays and recipe.loss.get("noise_on") == "teacher"
    return "teacher_logits" in spec.arrays or optional


def formula(recipe: Recipe) -> str | None:
    """What a recipe's loss computes, with its weights, T and T² or not; None for losses that distil nothing."""
    module = LOSSES.module(recipe.loss["name"])
    return module.formula(**recipe.options("loss")) if hasattr(module, "formula") else None


def hints(recipe: Recipe) -> list[str]:
    """What a person should know of a recipe's distillation before it is trained."""
    warm, epochs = recipe.loss.get("dkd_warmup") or 0, recipe.train["epochs"]
    if warm <= epochs:
        return []
    return [
        f"--dkd-warmup {warm} is not over in {epochs} epochs: the teacher's terms reach {epochs / warm:.0%} of their "
        "weights"
    ]


def _check_self(models: tuple[Teacher, ...], recipe: Recipe) -> None:
    """Raises UsageError unless there is one teacher, a finished run's, of the student's architecture."""
    if len(models) != 1:
        raise UsageError(f"method self has one teacher, got {len(models)}", "say --teacher RUN")
    (teacher,) = models
    if dict(teacher.recipe.model) != dict(recipe.model):
        raise UsageError(
            f"method self teaches a student of its own architecture: {teacher.label} is "
            f"{_shown(teacher.recipe.model)}, the student {_shown(recipe.model)}",
            "use --method kd, or leave --student out",
        )
    if not teacher.finished:
        raise UsageError(
            f"method self has a finished run as its teacher, and {teacher.path} is not what one ended with",
            "give the run, or use --method kd",
        )


def _shown(model: Any) -> str:
    options = ", ".join(f"{k} {v}" for k, v in model.items() if k != "name" and v is not None)
    return f"{model['name']}" + (f" ({options})" if options else "")

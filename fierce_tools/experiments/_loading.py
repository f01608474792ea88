"""A checkpoint's outputs on its own data or others: those that were kept beside it, or made now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fierce_tools import arrayfile, binding, files, sources
from fierce_tools.errors import DataError
from fierce_tools.menu import DATASETS
from fierce_tools.menu import split as choice
from fierce_tools.outputs import Outputs
from fierce_tools.recipe import Recipe, resolve
from fierce_tools.same import Columns, match_classes, names_classes, numbered
from fierce_tools.sources import Source

if TYPE_CHECKING:
    import numpy as np

    from fierce_tools.checkpoints import Checkpoint
    from fierce_tools.data._dataset import Dataset
    from fierce_tools.data._splits import Splits

    Load = Callable[[], "Loaded"]

# What holds for other data than those trained on.
KEPT = ("val_fraction", "split_seed", "coarse", "bins", "classes")
# In the document of outputs whose labels are of classes that the model does not know.
FOREIGN = "other_classes"
# In the document of outputs on data that name no classes, or of a model that names none.
BY_POSITION = "classes_by_position"


@dataclass(frozen=True)
class Places:
    """Where the data lie and where to compute: `data` replaces the recipe's dataset, `data_root` only its folder.

    `factory` is the one function that may be imported to make a model (package.module:function); `fresh` leaves aside
    what was kept; `say` is told what a person should know of the data.
    """

    data: str | None = None
    data_root: str | None = None
    download: bool = False
    device: str = "auto"
    factory: str | None = None
    fresh: bool = False
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Loaded:
    """A checkpoint and the data it is asked about, in the data's own classes.

    `columns` are where those lie among the model's, None where the model knows others; `fingerprint` is the data's,
    `source` that of the data before options made others of them, `data` the section of a recipe that names them,
    `notes` what a person should know of them.
    """

    checkpoint: Checkpoint
    splits: Splits
    columns: Columns | None
    fingerprint: str
    source: str
    data: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def matched(self, made: Outputs, split: str) -> Outputs:
        """Outputs on the split with labels that are numbers of the model's classes, and what is known of the data."""
        of = {"dataset_sha256": self.fingerprint, "source_sha256": self.source, "data": dict(self.data)}
        document = {**made.document, **of, "split": split}
        if self.columns is None:
            return replace(made, class_names=self.splits.class_names, document={**document, FOREIGN: True})
        assert made.labels is not None
        labels, notes = self.columns.lifted(made.labels), (self.columns.note,) if self.columns.note else ()
        document |= {BY_POSITION: True} if self.columns.by_position else {}
        return replace(made, labels=labels, class_names=self.columns.others, document=document, notes=notes)


def outputs_of(
    source: Source, split: str, wanted: set[str], places: Places, *, fresh: bool = False, load: Load | None = None
) -> Outputs:
    """A checkpoint's outputs on a split: those that were kept, or made now and kept.

    `load` brings the checkpoint and its data, else with_data does. Labels of other data are numbers of the model's
    classes; where the model knows none of them, labels and class names are the data's. Raises DataError
    where the data are missing, or are not those it was trained on.
    """
    if not (fresh or places.fresh) and "images" not in wanted and places.data is None:
        found = sources.kept(source, split, wanted)
        if found is not None:
            return replace(found, document={**found.document, **of_data(source)})
    made = _infer(split, wanted, load or (lambda: with_data(source, places)))
    if places.data is None:
        with contextlib.suppress(OSError):  # an answer that cannot be kept is still an answer
            sources.keep(source, split, replace(made, images=None))
    return made


def images_of(source: Source, split: str, wanted: Sequence[int], places: Places) -> dict[int, np.ndarray]:
    """Images u8 [H, W, c] of a split by their index in the original file. Raises DataError where there are none."""
    found = outputs_of(source, split, {"index", "images"}, places)
    pixels = found.get("images", source=f"{source.label} ({split})")
    position = {int(i): row for row, i in enumerate(found.get("index"))}
    return {i: pixels[position[i]] for i in wanted}


@cache
def _data_of(path: str, sha256: str) -> dict[str, Any]:
    document = files.read_header(Path(path))[1] or {}
    recipe = document.get("recipe")
    section = recipe.get("data") if isinstance(recipe, dict) else None
    return {**{k: document.get(k) for k in ("dataset_sha256", "source_sha256")}, "data": section}


def of_data(source: Source) -> dict[str, Any]:
    """The data that a checkpoint was trained on, fingerprint and name, as outputs have them in their document."""
    return {k: v for k, v in _data_of(str(source.path), source.sha256).items() if v}


def with_data(source: Source, places: Places, *, any_classes: bool = False) -> Loaded:
    """A checkpoint and the data it was trained on, or others, cut as they were. Raises DataError where they differ.

    The model must know the classes of other data by name, unless `any_classes`.
    """
    from fierce_tools import checkpoints
    from fierce_tools.data._known import as_trained
    from fierce_tools.data._splits import split as cut
    from fierce_tools.training.train import dataset, pick_device

    checkpoint = checkpoints.load(source.path, pick_device(places.device), trusted=places.factory)
    if places.data is None and not checkpoint.document["dataset_sha256"]:
        raise DataError(f"{source.label} was imported without its data", "say which with --data NAME")
    own = places.data is None or _same_name(places.data, checkpoint.recipe.data["name"])
    recipe = checkpoint.recipe if own else _other(checkpoint.recipe, str(places.data))
    takes = {o.name for o in binding.read(DATASETS, recipe.data["name"]).options}
    here = {"data_root": places.data_root, "download": places.download or None}
    recipe = recipe.with_data(**{k: v for k, v in here.items() if k in takes and v is not None})
    found = dataset(recipe, known=None if own else checkpoint.class_names)
    data = as_trained(found, checkpoint.document["dataset_sha256"]) if own else found
    if data is not found:
        places.say(f"{source.label}: {data.notes[-1]}")
    for note in data.notes if places.data is not None else ():
        places.say(note)
    shape = tuple(checkpoint.document["input_shape"])
    if data.shape != shape:
        raise DataError(
            f"{source.label} takes examples of shape {shape}, {data.name} has {data.shape}",
            "give the --data it was trained for",
        )
    columns = _columns(data, checkpoint, source.label, own=own, optional=any_classes and not own)
    fingerprint = data.fingerprint()
    if places.data is None and fingerprint != checkpoint.document["dataset_sha256"]:
        why = f"; if no file was changed since, {data.read_otherwise}" if data.read_otherwise else ""
        raise DataError(
            f"{data.name} as found here is not what {source.label} was trained on (fingerprint "
            f"{fingerprint[:12]}…, expected {checkpoint.document['dataset_sha256'][:12]}…){why}",
            f"to ask it about these data all the same, say --data {data.name}",
        )
    splits = cut(data, val_fraction=recipe.data["val_fraction"], split_seed=recipe.data["split_seed"])
    return Loaded(checkpoint, splits, columns, fingerprint, data.source, recipe.as_dict()["data"], data.notes)


def _columns(data: Dataset, checkpoint: Checkpoint, label: str, *, own: bool, optional: bool) -> Columns | None:
    """Where the data's classes are among the model's; None, if that is `optional`, where they are others."""
    hint = "give the --data it was trained for; of other classes its features alone can be asked, as few-shot and "
    known = bool(checkpoint.document["dataset_sha256"]) and names_classes(checkpoint.recipe.data["name"])
    trusted = known and names_classes(data.name)
    try:
        columns = match_classes(
            data.class_names, checkpoint.class_names, what=data.name, other=label, hint=f"{hint}linear-probe do",
            trusted=trusted,
        )  # fmt: skip
    except DataError:
        if optional:
            return None
        raise
    if not (own or trusted or columns.note) and numbered(data.class_names):
        note = f"{data.name} and {label} name no classes: they are taken by their numbers."
        return replace(columns, note=note, by_position=True)
    return columns


def _same_name(one: str, two: str) -> bool:
    """Whether two names of data are of the same set, or of the same file or folder however its path is written."""
    (kind, path), (other, recorded) = choice(one), choice(two)
    if one == two or kind != other or path is None or recorded is None:
        return one == two
    here = Path(path).expanduser()
    return here.exists() and here.resolve() == Path(recorded).expanduser().resolve()


def _other(made: Recipe, data: str) -> Recipe:
    """The recipe with other data, cut and labelled alike, training left whole; those of one kind are read alike too."""
    kinds = [choice(name)[0] for name in (data, made.data["name"])]
    own = {o.name for o in binding.read(DATASETS, data).options} if kinds[0] == kinds[1] else set()
    kept = {k: v for k, v in made.as_dict()["data"].items() if k in own | set(KEPT)}
    return resolve({**made.as_dict(), "data": {"name": data, **kept}})


def _infer(split: str, wanted: set[str], load: Load) -> Outputs:
    from fierce_tools.training.batches import Normalization
    from fierce_tools.training.infer import infer

    loaded = load()
    checkpoint, examples = loaded.checkpoint, loaded.splits.get(split)
    made = infer(
        checkpoint.model,
        examples,
        Normalization(checkpoint.mean, checkpoint.std),
        checkpoint.class_names,
        anchors=checkpoint.anchors,
        features="features" in wanted,
    )
    made = loaded.matched(made, split)
    return replace(made, images=examples.images) if "images" in wanted and examples.images.ndim == 4 else made


def drawn(source: Source, split: str, options: Mapping[str, Any], places: Places) -> Outputs:
    """Outputs of a sample of a split with `draws` [L, n, C]: those that were kept for these options, or made now."""
    from fierce_tools.training.batches import Normalization
    from fierce_tools.training.draws import draw

    name = f"{split}-draws-{arrayfile.name_of(options)}"
    found = sources.kept(source, name, {"logits", "draws"}) if places.data is None and not places.fresh else None
    if found is not None:
        return found
    loaded = with_data(source, places)
    checkpoint = loaded.checkpoint
    normalization = Normalization(checkpoint.mean, checkpoint.std)
    examples = loaded.splits.get(split)
    made = loaded.matched(draw(checkpoint.model, examples, normalization, checkpoint.class_names, **options), split)
    if places.data is None:
        with contextlib.suppress(OSError):
            sources.keep(source, name, made)
    return made

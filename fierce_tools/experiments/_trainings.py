"""What a checkpoint or a run is a training of: its recipe but for the seed, and the seed."""

from __future__ import annotations

from fierce_tools import checkpoints, same, seeds
from fierce_tools.errors import FierceError
from fierce_tools.runs import Run, state
from fierce_tools.seeds import Training
from fierce_tools.sources import Source


def training_of(source: Source) -> Training:
    """A checkpoint, or a file of arrays, as a training that may be a seed of others."""
    return Training(source.label, seed_of(source), identity_of(source), weights=source.sha256)


def identity_of(source: Source, *, whole: bool = False) -> str:
    """What was trained, but for its seed (seeds.identity), at its snapshot.

    Files of arrays and imported weights are nobody's seeds: their path. With `whole`, of the end of the training
    whatever the snapshot.
    """
    document = checkpoints.read_document(source.path) if source.checkpoint else {}
    if not source.checkpoint or document.get("origin"):
        return f"alone {source.path.resolve()}"
    peer = source.run.info().get("peer") if source.run is not None else None
    epoch = "" if whole or source.epoch is None else source.epoch
    taught = document.get("distillation") or {}
    return seeds.identity(document["recipe"], data=document["dataset_sha256"], taught=taught, peer=peer, more=epoch)


def seed_of(source: Source) -> int | None:
    """The seed a checkpoint was trained with; None where it was imported, or is a file of arrays."""
    document = checkpoints.read_document(source.path) if source.checkpoint else {}
    train = {} if document.get("origin") else document.get("recipe", {}).get("train")
    seed = train.get("seed") if isinstance(train, dict) else None
    return seed if isinstance(seed, int) else None


def unfinished(run: Run) -> Training:
    """A run without weights, known by its recipe alone."""
    try:
        document = run.recipe().as_dict()
    except (FierceError, OSError):
        return Training(run.name, None, f"alone {run.path}", state(run))
    return Training(run.name, document["train"].get("seed"), same.training(document, seed=False), state(run))

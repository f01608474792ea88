"""What a checkpoint or a run is a training of: its recipe but for the seed, and the seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fierce_tools import checkpoints, same, seeds
from fierce_tools.errors import FierceError
from fierce_tools.runs import Run, state
from fierce_tools.seeds import FINISHED, Training
from fierce_tools.sources import Source


def training_of(source: Source) -> Training:
    """A checkpoint, or a file of arrays, as a training that may be a seed of others; snapshots are finished."""
    whole = source.run is not None and source.epoch is None
    how = state(source.run) if whole and source.run is not None else FINISHED
    return Training(source.label, seed_of(source), identity_of(source), how, source.sha256)


def identity_of(source: Source, *, whole: bool = False) -> str:
    """What was trained, but for its seed (seeds.identity), at its snapshot.

    Files of arrays and imported weights are nobody's seeds: their path. With `whole`, of the end of the training
    whatever the snapshot.
    """
    document = checkpoints.read_document(source.path) if source.checkpoint else {}
    if not source.checkpoint or document.get("origin"):
        return f"alone {source.path.resolve()}"
    peer = peer_of(source.run)
    if document["recipe"].get("mutual") and peer is None:  # moved away from the run that says which one it is
        return f"alone {source.path.resolve()}"
    epoch = "" if whole or source.epoch is None else source.epoch
    taught = document.get("distillation") or {}
    return seeds.identity(document["recipe"], data=document["dataset_sha256"], taught=taught, peer=peer, more=epoch)


def seed_of(source: Source) -> int | None:
    """The seed a checkpoint was trained with; None where it was imported, or is a file of arrays."""
    document = checkpoints.read_document(source.path) if source.checkpoint else {}
    train = {} if document.get("origin") else document.get("recipe", {}).get("train")
    seed = train.get("seed") if isinstance(train, dict) else None
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def unfinished(run: Run, of: Mapping[str, Any]) -> Training | None:
    """A run without weights as a training of the recipe, data and teachers that a checkpoint's document `of` names;
    None where it is another. What its run.json does not say yet is not held against it."""
    try:
        document, info = run.recipe().as_dict(), run.info()
    except (FierceError, OSError):
        return None
    others = [(same.training(document, seed=False), same.training(of["recipe"], seed=False))]
    others += [(info["dataset_sha256"], of["dataset_sha256"])] if "dataset_sha256" in info else []
    if info.get("teachers") or info.get("transfer_set"):
        others.append((same.taught(info), same.taught(of.get("distillation") or {})))
    seed = document["train"].get("seed")
    if any(one != other for one, other in others) or not isinstance(seed, int):
        return None
    how = state(run)
    return Training(run.name, seed, "", how if how != FINISHED else "without its weights")


def peer_of(run: Run | None) -> int | None:
    """Which of its group's peers a run is; None where it is none."""
    peer = run.info().get("peer") if run is not None else None
    return peer if isinstance(peer, int) else None

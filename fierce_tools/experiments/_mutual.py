"""A group of peers that is written down: a folder for the group, and for each peer a run of its own.

runs/NAME/          recipe.toml, with [mutual]; run.json, with its peers; metrics.jsonl, means over them; and while it
                    is unfinished state.safetensors, the state of all
runs/NAME-1-MODEL/  an ordinary run, whose run.json names its group; and so on
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import checkpoints, run_names, runs
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments import _record
from fierce_tools.experiments._measured import measure, target_nll
from fierce_tools.experiments._record import Prepared, Snapshots, ending, finish, noted, prepare, same_data
from fierce_tools.losses._mutual import FORMULAS
from fierce_tools.recipe import Recipe
from fierce_tools.runs import Run
from fierce_tools.training.loop import EpochDone, StepDone
from fierce_tools.training.mutual import exchange_of, peer_figures, peer_recipes, setup_peers
from fierce_tools.training.train import train


@dataclass(frozen=True)
class Group:
    """The group's folder and those of its peers, in the order of its models."""

    run: Run
    peers: tuple[Run, ...]


def recipes_of(made: Recipe) -> tuple[Recipe, ...]:
    """The recipe of each peer of a group's recipe. Raises UsageError."""
    assert made.mutual is not None
    return peer_recipes(made, models=made.mutual["models"], model_options=made.mutual["model_options"])


def whole(made: Recipe, model_options: Sequence[str] = ()) -> Recipe:
    """A group's recipe with its peers' names spelled out, and as its model the first peer's. Raises UsageError."""
    assert made.mutual is not None
    section = {**made.mutual, "model_options": (*made.mutual["model_options"], *model_options)}
    peers = peer_recipes(made, models=section["models"], model_options=section["model_options"])
    section["models"] = tuple(one.model["name"] for one in peers)
    return replace(made, model=peers[0].model, mutual=section)


def prepare_peers(made: Recipe, trusted: str | None = None, *, run: Run | None = None) -> Prepared:
    """Load the data and build every peer, of the group of a `run` or a new one; whatever cannot work is said here.

    Raises FierceError.
    """
    return prepare(made, trusted, build=lambda one, splits, **how: setup_peers(recipes_of(one), splits, **how), run=run)


def create(root: Path, made: Recipe, name: str | None = None) -> Group:
    """New folders for a group and its peers. Raises UsageError where a name is taken."""
    run = runs.create(root, made, name)
    names = [run_names.as_name(f"{run.name}-{n}-{one.model['name']}") for n, one in enumerate(recipes_of(made), 1)]
    peers: list[Run] = []
    try:
        for one, chosen in zip(recipes_of(made), names, strict=True):
            peers.append(runs.create(root, one, chosen))
    except UsageError:
        for created in (run, *peers):  # nothing but its recipe is in it
            created.recipe_path.unlink()
            created.path.rmdir()
        raise
    run.update(peers=names)
    for number, created in enumerate(peers, 1):
        created.update(group=run.name, peer=number)
    return Group(run, tuple(peers))


def group_of(run: Run) -> Group:
    """The group of a folder, or of one of its peers. Raises DataError where it or a peer is gone."""
    info = run.info()
    if "group" in info:
        run = runs.find(str(run.path.parent / info["group"]), run.path.parent)
        info = run.info()
    if not isinstance(info.get("peers"), list):
        raise DataError(f"run {run.name} is no group of peers", "`fierce train --resume` goes on with single runs")
    return Group(run, tuple(runs.find(str(run.path.parent / n), run.path.parent) for n in info["peers"]))


def record_peers(
    prepared: Prepared, group: Group, command: list[str]
) -> Generator[StepDone | dict[str, Any], None, None]:
    """Train into the folders of a group; yields each StepDone, after each epoch the group's row with `peers`, those of
    its peers, and last a result with `peers`, the results of each.

    A group that has a saved state goes on from it. Closing the iterator saves the state and marks all of them as
    stopped; an error marks them as failed. Raises UsageError where another process trains this group.
    """
    every = (group.run, *group.peers)
    made = prepared.recipe
    ones = [replace(prepared, recipe=one) for one in recipes_of(made)]
    how = exchange_of(made, len(prepared.splits.class_names))
    keep = _record.options_of(made, _record.record)
    with group.run.lock():
        state_path = group.run.state_path if group.run.state_path.exists() else None
        fingerprint = same_data(prepared, group.run, state_path)
        training = train(prepared.setup, state_path, **prepared.options)
        members: Any = training.model.members
        for run in every:
            run.keep_metrics(training.progress.epoch)
            run.update(
                **runs.started(command, str(prepared.setup.device), checkpoints.versions()),
                dataset_sha256=fingerprint,
                formula=FORMULAS[how.method],
                **noted(prepared, run),
            )
        snapshots = [Snapshots(one, run, fingerprint) for one, run in zip(ones, group.peers, strict=True)]
        saved = time.monotonic()
        with ending(every, lambda: training.save_state(group.run.state_path)):
            for event in training.events:
                waited = time.monotonic() - saved
                if isinstance(event, StepDone):
                    if waited > _record.STEP_STATE_SECONDS:
                        training.save_state(group.run.state_path)
                        saved = time.monotonic()
                    yield event
                    continue
                rows = []
                for number, (one, run) in enumerate(zip(ones, group.peers, strict=True)):
                    row = measure(_of_peer(event, number), one.setup)
                    row["val_loss"] = row["val_nll"]  # on validation a peer's loss is its cross-entropy
                    if "val_target_loss" in row:
                        row["val_target_loss"] = target_nll(event.seen[number].val)
                    run.append(row)
                    snapshots[number].take(members[number], row, **keep)
                    rows.append(row)
                row = means(rows) | how.shown(event.epoch / prepared.epochs)
                group.run.append(row)
                if waited > _record.STATE_SECONDS:
                    training.save_state(group.run.state_path)
                    saved = time.monotonic()
                yield {**row, "peers": rows}
            results = []
            for number, (one, run) in enumerate(zip(ones, group.peers, strict=True)):
                results.append(finish(one, replace(training, model=members[number]), run, fingerprint))
            mean = means(results)
            test = {k: v for k, v in mean.items() if k.startswith("test_")}
            group.run.update(state="done", error=None, finished=runs.now(), test=test)
            group.run.state_path.unlink(missing_ok=True)
    yield {"run": str(group.run.path), "method": how.method, "formula": FORMULAS[how.method], **mean, "peers": results}


def _of_peer(event: EpochDone, number: int) -> EpochDone:
    """What an epoch says of one peer, counted from 0."""
    return replace(event, train=peer_figures(event.train, number + 1), seen=(event.seen[number],))


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over peers of every number that all of them have; None where one of them has none."""
    found: dict[str, Any] = {}
    for key in rows[0]:
        values = [row.get(key) for row in rows]
        if any(isinstance(v, str) for v in values):
            continue
        there = [v for v in values if v is not None]
        mean = float(np.mean(there)) if len(there) == len(values) else None
        found[key] = int(values[0]) if isinstance(values[0], int) and len(set(values)) == 1 else mean
    return found

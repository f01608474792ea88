"""Whether half precision makes a training step faster here, by a short measurement."""

from __future__ import annotations

import copy
import time

import torch
from torch import nn

from fierce_tools.training.batches import Examples
from fierce_tools.training.loop import StepLoss

ROUNDS = 5
BATCH = 128


def bf16_is_faster(model: nn.Module, train: Examples, step_loss: StepLoss) -> bool:
    """Whether a step forward and back is shorter in bfloat16 than in float32: medians of a few, on a copy of the model.

    Both are run in turn, after one that is not counted; torch's generators are left as they were.
    """
    probe = copy.deepcopy(model).train()
    batch = next(train.in_order(min(BATCH, len(train))))
    taken: dict[bool, list[float]] = {False: [], True: []}
    with torch.random.fork_rng():
        for _ in range(ROUNDS + 1):
            for half, times in taken.items():
                _wait(train.device)
                started = time.perf_counter()
                with torch.autocast(train.device.type, torch.bfloat16, enabled=half):
                    loss = step_loss(probe, batch).loss
                loss.backward()
                _wait(train.device)
                times.append(time.perf_counter() - started)
    middle = {half: sorted(times[1:])[ROUNDS // 2] for half, times in taken.items()}
    return middle[True] < middle[False]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

"""Which engine is fastest here, by a few steps of each on copies; and how many students fit into memory."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fierce_tools.errors import UsageError
from fierce_tools.training._banks import Engine, Job, seconds_per_example
from fierce_tools.training._graph import Graph
from fierce_tools.training._sequential import Sequential
from fierce_tools.training._stacked import Stacked, Unfolded, why_not_stacked
from fierce_tools.training._students import Stack
from fierce_tools.training._unfolded import unfold_convolutions

ENGINES: dict[str, Engine] = {"sequential": Sequential, "stacked": Stacked, "unfolded": Unfolded, "graph": Graph}
# Seconds a measurement may take for each engine, and its part of what the whole training will, a few steps aside.
BUDGET, PART = 0.3, 0.005
# Students that are measured together at least.
LEAST = 8


@dataclass(frozen=True)
class Choice:
    """The engine, the seconds an example of a student took in each that was measured, and why others were not."""

    engine: str
    seconds: Mapping[str, float]
    refused: Mapping[str, str]


def refusals(job: Job) -> dict[str, str]:
    """The engines that cannot train this architecture here, each with the reason."""
    found: dict[str, str] = {}
    if job.device.type != "cuda":
        found["graph"] = "it needs a CUDA device"
    reason = why_not_stacked(job)
    if reason is not None:
        found["stacked"] = found["unfolded"] = reason
        return found
    if not unfold_convolutions(job.bare()):
        found["unfolded"] = "the model has no convolutions to unfold"
    elif (reason := why_not_stacked(job, unfolded=True)) is not None:
        found["unfolded"] = reason
    return found


def named(job: Job, engine: str) -> Choice:
    """The engine that was asked for. Raises UsageError where it is none or cannot train this."""
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r} is none", f"choose from auto, {', '.join(ENGINES)}")
    reason = refusals(job).get(engine)
    if reason is not None:
        raise UsageError(f"engine {engine} cannot train these students: {reason}", "use engine auto or sequential")
    return Choice(engine, {}, {})


def fastest(job: Job, stacks: Mapping[str, list[Stack]], examples: int, refused: Mapping[str, str]) -> Choice:
    """The engine with the shortest step for each student, measured on the largest stack it would train.

    Of a stack whose step would take too long a part is measured: its students are by then no longer bound by what a
    step costs beside its arithmetic. `examples` are those of all students over all epochs. torch's generators are
    left as they were.
    """
    refused = dict(refused)
    students = max(len(stack.students) for found in stacks.values() for stack in found)
    if students == 1:
        refused |= {name: "there is one student" for name in ("stacked", "unfolded") if name not in refused}
    left = [name for name in ENGINES if name not in refused]
    if len(left) == 1:
        return Choice(left[0], {}, refused)
    seconds: dict[str, float] = {}
    budget, best = BUDGET, math.inf
    for name in left:
        stack = max(stacks[name], key=lambda s: len(s.students))
        if best < math.inf:
            stack = portion(stack, max(LEAST, int(BUDGET / (4 * best * job.batch_size))))
        with torch.random.fork_rng():
            try:
                seconds[name] = seconds_per_example(ENGINES[name](job, stack), job.device, budget, best)
            except (RuntimeError, MemoryError) as error:
                if name == "sequential":
                    raise
                refused[name] = str(error).splitlines()[0] if str(error) else type(error).__name__
                continue
        best = min(best, seconds[name])
        budget = min(BUDGET, PART * best * examples)
    return Choice(min(seconds, key=lambda n: seconds[n]), seconds, refused)


def portion(stack: Stack, most: int) -> Stack:
    """At most that many students of a stack, of as many of its streams as can be."""
    streams, each = stack.numbers.shape
    kept = min(streams, max(1, most // each))
    return Stack(stack.streams[:kept], stack.numbers[:kept, : max(1, most // kept)])


def most_students(job: Job, memory: float, *, engine: str) -> int:
    """How many students of this architecture and batch size fit side by side into so many bytes, at least 1.

    A student takes what its forward pass keeps for the way back, twice, since gradients come beside it, and its
    parameters five times: gradients, two moments, and one for the update.
    """
    model = job.bare()
    if engine == "unfolded":
        unfold_convolutions(model)
    with torch.random.fork_rng():
        examples = job.examples[engine in ("sequential", "graph")]
        rows = torch.arange(8, device=job.device) % len(examples)
        kept = saved_bytes(model, examples.take(rows).to(job.dtype)) / len(rows)
    own = sum(p.numel() * p.element_size() for p in model.parameters())
    return max(1, int(memory / (2 * kept * job.batch_size + 5 * own)))


def saved_bytes(model: nn.Module, inputs: Tensor) -> int:
    """Bytes that a forward pass keeps for the way back, parameters and inputs aside."""
    aside = {t.untyped_storage().data_ptr() for t in (inputs, *model.parameters(), *model.buffers())}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in aside:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        made = model(inputs)
    del made
    return sum(found.values())


def usable_memory(device: torch.device) -> float:
    """Bytes a stack may take: on CUDA 60 % of what is free, else a quarter of the machine's, at most 2 GB."""
    if device.type == "cuda":
        return 0.6 * torch.cuda.mem_get_info(device)[0]
    try:
        whole = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):  # where the system does not say
        whole = 4e9
    return min(2e9, whole / 4)

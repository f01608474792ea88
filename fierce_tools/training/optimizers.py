"""torch's own optimisers over groups of parameters that decay, or learn, at their own rates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from torch import nn

from fierce_tools.errors import UsageError


def make_optimizer(
    model: nn.Module,
    *,
    optimizer: Annotated[Literal["adam", "adamw", "sgd"], "the optimiser, torch's own"] = "adam",
    momentum: Annotated[float, "momentum of sgd"] = 0.9,
    nesterov: Annotated[bool, "look ahead by the momentum, of sgd"] = False,
    weight_decay: Annotated[float, "weight decay, 0 or more"] = 0.0,
    decay_on: Annotated[
        Literal["weights", "all", "dense"],
        "what decays: kernels and matrices, every parameter, or the dense layers before the head",
    ] = "weights",
    head_lr_scale: Annotated[float, "factor on the learning rate of the head, above 0"] = 1.0,
) -> torch.optim.Optimizer:
    """The optimiser, fused where the device has it; its learning rate is set by each step, times a group's `scale`.

    Raises UsageError for values out of range.
    """
    check(momentum, nesterov, optimizer, weight_decay, head_lr_scale)
    heads = {id(p) for name, m in model.named_modules() if name.split(".")[-1] == "head" for p in m.parameters()}
    dense = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)} - heads
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        decays = {"all": True, "weights": parameter.dim() > 1, "dense": id(parameter) in dense}[decay_on]
        key = (decays or not weight_decay, id(parameter) in heads and head_lr_scale != 1)
        groups.setdefault(key, []).append(parameter)
    listed = [
        {"params": found, "weight_decay": weight_decay * decays, "scale": head_lr_scale if is_head else 1.0}
        for (decays, is_head), found in groups.items()
    ]
    device = next(model.parameters()).device
    common: dict[str, Any] = {"lr": 1.0, "fused": device.type in ("cpu", "cuda")}
    if optimizer == "sgd":
        return torch.optim.SGD(listed, momentum=momentum, nesterov=nesterov, **common)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer](listed, **common)


def check(momentum: float, nesterov: bool, optimizer: str, weight_decay: float, head_lr_scale: float) -> None:
    """Raises UsageError for values out of range."""
    if not weight_decay >= 0 or not 0 <= momentum < 1 or not head_lr_scale > 0:
        raise UsageError(
            f"--weight-decay {weight_decay:g} --momentum {momentum:g} --head-lr-scale {head_lr_scale:g}",
            "expected 0 or more, 0 to below 1, above 0",
        )
    if nesterov and (optimizer != "sgd" or momentum == 0):
        raise UsageError(
            f"--nesterov with --optimizer {optimizer} --momentum {momentum:g}", "it is for sgd with momentum"
        )

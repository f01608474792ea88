"""Anybody's module as a Classifier: its last linear layer becomes the head, all before it the features."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from fierce_tools.errors import UsageError
from fierce_tools.menu import unknown
from fierce_tools.models._classifier import Classifier

TOLERANCE = 1e-5
EXAMPLES = 2


def find_head(module: nn.Module, classes: int | None, name: str | None, what: str) -> str:
    """The dotted name of the head: `name`, or else the last nn.Linear of the module with `classes` outputs.

    Raises UsageError where there is no such layer; `what` is the module in its messages.
    """
    linears = {n: m for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    fitting = [n for n, m in linears.items() if classes is None or m.out_features == classes]
    if name is not None:
        if name not in linears:
            raise unknown(f"linear layer of {what}:", name, tuple([*(fitting or linears)][-5:]))
        outputs = linears[name].out_features
        if classes is not None and outputs != classes:
            raise UsageError(
                f"{what}: {name} has {outputs} outputs, expected one for each of {classes} classes",
                "name another --head, or say how many --classes there are",
            )
        return name
    if not fitting:
        last = ", ".join(f"{n or 'itself'} ({m.out_features})" for n, m in [*linears.items()][-3:])
        raise UsageError(
            f"{what} has no linear layer with {classes} outputs to be its head; it has {last or 'none at all'}",
            "a classifier here ends in an nn.Linear, one output for each class",
        )
    return fitting[-1]


@torch.no_grad()
def wrap(module: nn.Module, head: str, shape: tuple[int, ...], what: str) -> Classifier:
    """The module as a Classifier in float32; its layer `head` is taken out of it, in place.

    Features are what that layer was given, [N, D]; a head without bias gets zeros. Raises UsageError where the module
    does not take inputs of `shape`, or its logits are not what the layer makes (a softmax behind it, say).
    """
    module = module.float()
    linear = module.get_submodule(head)
    assert isinstance(linear, nn.Linear)
    weight, bias = linear.weight.detach().clone(), linear.bias
    probe = None if weight.is_meta else _Probe(module, linear, head, shape, what)
    body = _without(module, head)
    made = Classifier(
        nn.Sequential(OrderedDict(body=body, flatten=nn.Flatten())), linear.in_features, linear.out_features
    )
    made.head.weight = nn.Parameter(weight)
    made.head.bias = nn.Parameter(weight.new_zeros(len(weight)) if bias is None else bias.detach().clone())
    made.train(module.training)
    if probe is not None:
        probe.compare(made)
    return made


def _without(module: nn.Module, head: str) -> nn.Module:
    parent, _, leaf = head.rpartition(".")
    if not leaf:
        return nn.Identity()
    setattr(module.get_submodule(parent), leaf, nn.Identity())
    return module


class _Probe:
    """What a module makes of a random input before it is taken apart, to be compared with what it makes after."""

    def __init__(self, module: nn.Module, linear: nn.Linear, head: str, shape: tuple[int, ...], what: str) -> None:
        self.head, self.what = head, what
        size = (shape[2], *shape[:2]) if len(shape) == 3 else shape
        generator = torch.Generator().manual_seed(0)  # not the global one: weights are a function of the seed alone
        self.x = torch.randn(EXAMPLES, *size, generator=generator).to(linear.weight.device)
        self.logits = self._of(module)
        if self.logits.shape != (EXAMPLES, linear.out_features):
            raise UsageError(
                f"{what} gives {list(self.logits.shape)} for {EXAMPLES} examples, expected logits "
                f"[{EXAMPLES}, {linear.out_features}]",
                f"is {head!r} its head?",
            )
        # Whatever the head is made to say must come out as it is: a ReLU or a softmax behind it would change this.
        said = 10 * torch.randn(EXAMPLES, linear.out_features, generator=generator).to(linear.weight.device)
        hook = linear.register_forward_hook(lambda *_: said)
        try:
            last = torch.equal(self._of(module), said)
        finally:
            hook.remove()
        if not last:
            raise self._not_last()

    def compare(self, made: Classifier) -> None:
        """Raises UsageError where features and head do not give the module's logits."""
        try:
            after = self._of(made)
        except UsageError:  # such as a module that reads its head's weight itself
            raise self._not_last() from None
        scale = max(1.0, float(self.logits.abs().max()))
        if not float((after - self.logits).abs().max()) <= TOLERANCE * scale:
            raise self._not_last()

    def _of(self, module: nn.Module) -> Tensor:
        modes = [(m, m.training) for m in module.modules()]
        module.eval()
        try:
            logits: Any = module(self.x)
        except Exception as error:  # somebody's code: it may raise anything
            reason = (str(error).splitlines() or [""])[0]
            raise UsageError(
                f"{self.what} does not take inputs of shape {list(self.x.shape)}: {type(error).__name__}: {reason}",
                "is the shape of the data the one it was made for?",
            ) from None
        finally:
            for part, mode in modes:
                part.training = mode
        if not isinstance(logits, Tensor):
            raise UsageError(
                f"{self.what} gives a {type(logits).__name__}, expected a tensor of logits",
                "write a factory whose module gives the logits alone",
            )
        return logits.float()

    def _not_last(self) -> UsageError:
        return UsageError(
            f"{self.what}: its logits are not what its layer {self.head!r} makes of features",
            "name the --head that is its last operation; a softmax or a scale behind it must go",
        )

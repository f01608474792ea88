"""A module made by your own function. It is imported, and so run: whoever calls this has named it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Annotated, Any

import torch
from torch import nn

from fierce_tools.errors import UsageError
from fierce_tools.models._classifier import Classifier
from fierce_tools.models._foreign import find_head, wrap


def factory(
    shape: tuple[int, ...],
    classes: int,
    function: Annotated[str, "a function that makes the module, written package.module:function"],
    *,
    head: Annotated[
        str | None, "dotted name of the linear layer that makes the logits; else the last that fits"
    ] = None,
) -> Classifier:
    """What your own function or class makes, as `factory:package.module:function`.

    It is called with nothing, or with the number of classes where it has a parameter `num_classes`, one parameter
    without default, or **options. Modules of the current folder are found. Features are what its last linear layer is
    given. Raises UsageError where there is no such function, it fails, or what it makes is no classifier.
    """
    what = f"factory:{function}"
    net = module(function, shape, classes)
    return wrap(net, find_head(net, classes, head, what), shape, what)


def module(function: str, shape: tuple[int, ...], classes: int | None) -> nn.Module:
    """The module itself; made without a number of classes where they are None. Raises UsageError."""
    path, _, name = function.partition(":")
    if not all(part.isidentifier() for part in (*path.split("."), *name.split("."))):
        raise UsageError(f"{function!r} is no function of a module", "write package.module:function")
    with _here():
        make = _function(path, name)
        arguments, options = _call(make, classes, function)
        net = _attempt(f"{function} failed", lambda: make(*arguments, **options))
    if not isinstance(net, nn.Module):
        raise UsageError(f"{function} gives a {type(net).__name__}, expected a torch.nn.Module")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in net.parameters()):
        size = (2, shape[2], *shape[:2]) if len(shape) == 3 else (2, *shape)
        with torch.no_grad():  # lazy layers take their sizes from a first input
            _attempt(f"{function}'s module does not take inputs of {list(size)}", lambda: net.eval()(torch.zeros(size)))
        net.train()
    return net


@contextlib.contextmanager
def _here() -> Iterator[None]:
    """The current folder is searched first, as by `python -m`, and what is printed goes to stderr."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _function(path: str, name: str) -> Callable[..., Any]:
    try:
        found = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise UsageError(f"{path} needs {error.name}, which is not installed") from None
        raise UsageError(
            f"there is no module {path} here or among what is installed", "go to its folder, or install its package"
        ) from None
    except Exception as error:
        raise _failed(f"{path} cannot be imported", error) from None
    try:
        make = reduce(getattr, name.split("."), found)
    except AttributeError:
        raise UsageError(f"module {path} has no {name}", "write package.module:function") from None
    if not callable(make):
        raise UsageError(f"{path}:{name} is a {type(make).__name__}, expected a function that makes a module")
    return make


def _call(make: Callable[..., Any], classes: int | None, function: str) -> tuple[list[int], dict[str, int]]:
    """What the function is given: nothing, or the number of classes."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return [], {}
    needed = [
        p for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]  # fmt: skip
    named = any(p.name == "num_classes" and p.kind is not p.POSITIONAL_ONLY for p in parameters)
    others = [p for p in needed if p.name != "num_classes"]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY for p in others):
        names = ", ".join(p.name for p in needed)
        raise UsageError(f"{function} needs {names}", "write one that needs nothing, or only the number of classes")
    if classes is None:
        if needed:
            raise UsageError(f"{function} needs the number of classes", "say --classes, or --data")
        return [], {}
    if named or (not needed and any(p.kind is p.VAR_KEYWORD for p in parameters)):
        return [], {"num_classes": classes}
    return ([classes] if needed else []), {}


def _attempt(what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # somebody's code: it may raise anything
        raise _failed(what, error) from None


def _failed(what: str, error: Exception) -> UsageError:
    reason = (str(error).splitlines() or [""])[0]
    return UsageError(f"{what}: {type(error).__name__}: {reason}")

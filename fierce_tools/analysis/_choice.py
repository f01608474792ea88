"""Choices on validation: not for weights that may have seen its examples; what is left out then, and how to get it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fierce_tools.errors import UsageError

SEEN = "the weights may have been trained on validation examples (fierce import --trained-on)"


def check_choice(cross_fit: int | None, fit_on: str | None, examples: int) -> None:
    """Raises UsageError for a number of folds out of range, or both ways of choosing at once."""
    if cross_fit is not None and fit_on is not None:
        raise UsageError("--cross-fit and --fit-on val both say on which examples to choose", "give one of them")
    if cross_fit is not None and not 2 <= cross_fit <= examples:
        raise UsageError(f"--cross-fit is {cross_fit}, expected 2 to {examples}", "for example --cross-fit 5")


def left_out(what: str, missing: Sequence[str], *, seen: bool) -> str:
    """The one line on figures that need validation: the weights may have seen it, or there is none of these arrays."""
    if seen:
        return f"Left out: {what}, because {SEEN}; --cross-fit 5 fits on this split, --fit-on val on validation anyway."
    return f"Left out: {what}, because there are no {listed(missing)}; --cross-fit 5 fits on this split."


def listed(names: Sequence[str]) -> str:
    """One name, `a and b`, or `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def insisted(what: str) -> str:
    """The line on figures that were chosen on validation although the weights may have seen it."""
    return f"{what} fitted on validation examples that the weights may have seen (--fit-on val)."


def cut(examples: int, folds: int, seed: int) -> list[np.ndarray]:
    """The rows of each of `folds` parts, drawn at random and as equal as can be."""
    return [np.sort(part) for part in np.array_split(np.random.default_rng(seed).permutation(examples), folds)]


def by_folds(hits: np.ndarray, folds: Sequence[np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """For each example [N] the hit of the setting that has most hits in the other folds, and each fold's setting.

    hits [S, N] holds a row for each setting; the first of equals is taken.
    """
    chosen = [int(np.delete(hits, fold, axis=1).sum(axis=1).argmax()) for fold in folds]
    found = np.empty(hits.shape[1], dtype=hits.dtype)
    for fold, setting in zip(folds, chosen, strict=True):
        found[fold] = hits[setting, fold]
    return found, chosen


def commonest(settings: Sequence[int]) -> int:
    """The setting that most folds chose, the first of equals."""
    return int(np.bincount(settings).argmax())

"""Whether every name in a study exists: sections, options, analyses, steps, keys of rows, expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fierce_tools import binding, recipe
from fierce_tools.binding import Option
from fierce_tools.errors import UsageError
from fierce_tools.menu import ANALYSES, EXPERIMENTS, unknown
from fierce_tools.recipe import Recipe
from fierce_tools.study.forms import SECTIONS, TRAINS, stem

KINDS = (*TRAINS, "analyze", "compare")
ASKED = (
    "kind",
    "analysis",
    "of",
    "split",
    "epochs",
    "data",
    "teacher",
    "options",
    "settings",
    "figure",
    "lost",
    "skip",
)
ASKED_OF = ("kind", "of", "split", "temperature", "skip", "figure", "lost")
SPLITS = ("train", "val", "test")


def options_of(analysis: str) -> dict[str, Option]:
    """The options of an analysis or experiment by name, with those of the students and runs it trains."""
    if analysis not in EXPERIMENTS.names():
        spec = binding.read(ANALYSES, analysis)
        more = binding.draws().options if "draws" in spec.arrays else ()
        return {o.name: o for o in (*spec.options, *more)}
    spec = binding.read(EXPERIMENTS, analysis)
    students = binding.students(spec).options if "lab" in spec.arrays else ()
    training = recipe.training_options(spec) if "workshop" in spec.arrays else ()
    return {o.name: o for o in (*spec.options, *students, *training)}


def trains_runs(analysis: str) -> bool:
    """Whether an experiment trains its own ordinary runs."""
    return analysis in EXPERIMENTS.names() and "workshop" in binding.read(EXPERIMENTS, analysis).arrays


def once(step: Mapping[str, Any]) -> bool:
    """Whether a step is done once, with seeds of its own, rather than for each seed of the study."""
    return step["kind"] == "analyze" and not step.get("of")


def check_step(name: str, step: Mapping[str, Any], before: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises UsageError where a step says what does not exist; `before` are the steps before it."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UsageError(f"step {name!r} is no plain name", "use a-z, 0-9 and _, a letter first")
    kind = step.get("kind")
    if kind not in KINDS:
        raise unknown(f"kind of step {name}:", str(kind), KINDS)
    if kind in TRAINS:
        _check_training(name, step, before)
        return
    known = ASKED if kind == "analyze" else ASKED_OF
    for key in step:
        if key not in known:
            raise unknown(f"key of step {name}:", key, known)
    if step.get("split", "test") not in SPLITS:
        raise unknown(f"split of step {name}:", str(step["split"]), SPLITS)
    for reference in (*step.get("of", ()), *([step["teacher"]] if "teacher" in step else [])):
        check_reference(name, reference, before)
    if kind == "compare":
        if not step.get("of"):
            raise UsageError(f"step {name} compares nothing", 'say which steps: of = ["a", "b"]')
        return
    _check_asking(name, step)


def _check_asking(name: str, step: Mapping[str, Any]) -> None:
    analysis = str(step.get("analysis"))
    if analysis not in (*ANALYSES.names(), *EXPERIMENTS.names()):
        raise unknown(f"analysis of step {name}:", analysis, (*ANALYSES.names(), *EXPERIMENTS.names()))
    known = options_of(analysis)
    for key, value in step.get("options", {}).items():
        plain = key.replace("-", "_")
        if plain not in known:
            raise unknown(f"option of {analysis} in step {name}:", key, tuple(known))
        known[plain].convert(value, where=f"option {key} of step {name}")
    if not step.get("of") and analysis not in EXPERIMENTS.names():
        raise UsageError(f"step {name} asks nothing", 'say which steps: of = ["a"]')
    if step.get("of") and trains_runs(analysis):
        raise UsageError(f"step {name}: {analysis} trains its own runs", "leave out `of`")


def _check_training(name: str, step: Mapping[str, Any], before: Mapping[str, Mapping[str, Any]]) -> None:
    for key in step:
        if key not in (*SECTIONS, "kind", "lost"):
            raise unknown(f"section in step {name}:", key, SECTIONS)
    for reference in step.get("distill", {}).get("teachers", ()):
        check_reference(name, reference, before)
    for kind, section in (("distill", "distill"), ("mutual", "mutual")):
        if (step["kind"] == kind) != (section in step):
            raise UsageError(
                f"step {name} is of kind {step['kind']} and has {'a' if section in step else 'no'} [{section}]",
                f'{section}.… goes with kind = "{kind}"',
            )
    try:
        made_of(step, _files(step), 0)
    except UsageError as error:
        raise UsageError(f"step {name}: {error.message}", error.hint) from None


def made_of(step: Mapping[str, Any], teachers: list[str], seed: int, device: str = "auto") -> Recipe:
    """The recipe of a training step: with the files of its teachers, a seed and a device. Raises UsageError."""
    document = {k: dict(v) for k, v in step.items() if k in SECTIONS}
    if teachers:
        document["distill"]["teachers"] = teachers
    if "mutual" in document:
        document.pop("model", None)
    return recipe.resolve(document, {"train.seed": seed, "train.device": device})


def check_reference(name: str, reference: Any, before: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises UsageError where a step speaks of one that is not before it, or of a snapshot that it does not keep."""
    target = stem(reference)
    if target not in before or before[target]["kind"] not in TRAINS:
        trained = tuple(k for k, v in before.items() if v["kind"] in TRAINS)
        raise unknown(f"training step in {name}, among those before it:", str(reference), trained)
    _, at, epoch = str(reference).partition("@")
    _check_peer(name, str(reference).partition("@")[0], before[target])
    made = made_of(before[target], _files(before[target]), 0).train
    kept = {str(e) for e in made["save_at"]} | ({"best"} if made["save_best"] else set()) | {str(made["epochs"])}
    every = made["save_every"]
    on_the_way = every and epoch.isdecimal() and int(epoch) % every == 0 and 0 < int(epoch) <= made["epochs"]
    if at and epoch not in kept and not on_the_way:
        raise UsageError(
            f"step {name} speaks of {reference}, which {target} does not keep", f"say train.save_at = [{epoch}] there"
        )


def _check_peer(name: str, run: str, step: Mapping[str, Any]) -> None:
    """Raises UsageError where a group of peers is named without a number of one, or a single run with one."""
    target, dot, peer = run.partition(".")
    peers = len(step.get("mutual", {}).get("models", ("", "")))
    if step["kind"] != "mutual" and dot:
        raise UsageError(f"step {name} speaks of {run}, and {target} is one run", f"write {target}")
    if step["kind"] == "mutual" and (not peer.isdecimal() or not 1 <= int(peer) <= peers):
        hint = f"write {target}.1 to {target}.{peers}"
        raise UsageError(f"step {name} speaks of {run}, and {target} is {peers} peers", hint)


def _files(step: Mapping[str, Any]) -> list[str]:
    return [f"{ref}.safetensors" for ref in step.get("distill", {}).get("teachers", ())]


def check_expression(name: str, expression: Any) -> None:
    """Raises UsageError where an expression is no JMESPath."""
    import jmespath

    try:
        jmespath.compile(str(expression))
    except jmespath.exceptions.JMESPathError as error:
        first = str(error).partition("\n")[0]
        raise UsageError(f"{name}: {expression!r} is no JMESPath expression ({first})", "see jmespath.org") from None

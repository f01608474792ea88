"""Experiments say where `fierce distill` trains otherwise by default, and whether seeds vary the student alone."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fierce_tools import binding, recipe, sources
from fierce_tools.experiments import _defaults, _teacher_seeds, temperature_sweep
from fierce_tools.experiments._lab import lab
from fierce_tools.experiments._loading import Places
from fierce_tools.menu import EXPERIMENTS
from fierce_tools.sources import Source

OF_STUDENTS = tuple(name for name in EXPERIMENTS.names() if "lab" in binding.read(EXPERIMENTS, name).arrays)
# What is known to differ, and is printed; anything else is a new difference that somebody should mean.
KNOWN = {"epochs": (20, 30), "batch_size": (128, 64)}
OWN = {"smoothing-sweep": {"kd_weight": (1.0, 0.99), "ce_weight": (0.0, 0.01)}}
ALONE = "sd is over the students' seeds alone"


@pytest.mark.parametrize("experiment", OF_STUDENTS)
def test_what_differs_from_distill_is_known(experiment: str) -> None:
    found = {name: (own.default, theirs.default) for name, (own, theirs) in _defaults.differing(experiment).items()}
    assert found == KNOWN | OWN.get(experiment, {})


@pytest.mark.parametrize("experiment", OF_STUDENTS)
def test_the_sentence_says_what_the_functions_default_to(experiment: str) -> None:
    """Against the functions as Python sees them, not their source."""
    from fierce_tools.losses import kd
    from fierce_tools.training.optimizers import make_optimizer
    from fierce_tools.training.schedules import learning_rate
    from fierce_tools.training.train import setup, train

    def defaults(*functions: Callable[..., Any]) -> dict[str, Any]:
        parameters = [p for f in functions for p in inspect.signature(f).parameters.values()]
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    own, theirs = defaults(lab, EXPERIMENTS.get(experiment)), defaults(kd, train, setup, make_optimizer, learning_rate)
    assert {"epochs", "batch_size", "optimizer", "lr", "schedule", "weight_decay", "momentum", "normalization"} <= {
        *own
    } & {*theirs}
    said = _defaults.note(experiment)
    for name in own.keys() & theirs.keys():
        flag = f"--{name.replace('_', '-')} "
        expected = f"{flag}{theirs[name]:g} instead of {own[name]:g}" if own[name] != theirs[name] else ""
        assert expected in said
        assert bool(expected) is (flag in said)


def test_what_was_said_otherwise_is_no_default() -> None:
    used = {"epochs": 20, "batch_size": 64}
    assert _defaults.note("missing-class", used) == "The defaults of fierce distill differ: --epochs 30 instead of 20."
    assert _defaults.note("missing-class", {"epochs": 30, "batch_size": 64}) == ""
    assert _defaults.note("batch-epochs") == "", "its runs are those of fierce train"


def test_the_student_and_the_validation_split_are_distills(taught: Path, places: Places, tmp_path: Path) -> None:
    (source,) = sources.locate("hard", taught)
    made = lab([source], places, tmp_path)
    document = {"data": made.made.as_dict()["data"], "distill": {"teachers": [str(source.path)]}}
    distilled = recipe.resolve(document)
    assert made.made.model == distilled.model
    assert made.made.data["val_fraction"] == distilled.data["val_fraction"]
    assert recipe.resolve({"distill": {}}).data["val_fraction"] == lab([], places, tmp_path).made.data["val_fraction"]


@pytest.mark.parametrize("experiment", ["missing-class", "smoothing-sweep"])
def test_help_says_it(fierce, experiment: str) -> None:
    code, out, _ = fierce("analyze", experiment, "--help")
    assert code == 0
    assert _defaults.note(experiment) in " ".join(out.replace("│", " ").split())


@pytest.fixture
def several(taught: Path, train_run: Callable[..., Source], tmp_path: Path) -> Path:
    """Hard and smooth of seed 0, hard of seed 3 and a copy of it, and an import."""
    root = tmp_path / "several"
    shutil.copytree(taught, root)
    train_run(root, "third", "--seed", "3")
    shutil.copytree(root / "third", root / "again")
    return root


def test_teachers_are_one_seed_or_several(several: Path) -> None:
    def said(*names: str) -> str:
        return _teacher_seeds.note([sources.locate(name, several)[0] for name in names])

    assert said("hard") == f"Teacher: one seed (seed 0); {ALONE}."
    assert said("hard", "smooth") == f"Teachers: one seed each (seed 0); {ALONE}."
    each = f"{ALONE}, for each teacher."
    assert said("hard", "third") == f"Teachers: hard, third: 2 seeds of one recipe (seeds 0, 3); {each}"
    expected = f"Teachers: smooth: one seed (seed 0); hard, third: 2 seeds of one recipe (seeds 0, 3); {each}"
    assert said("smooth", "hard", "third") == expected
    expected = f"Teachers: third, again: 2 checkpoints of one seed of one recipe (seed 3); {each}"
    assert said("third", "again") == expected, "a copy is no further seed"
    assert said("smooth", "third") == f"Teachers: smooth: one seed (seed 0); third: one seed (seed 3); {each}"


def test_an_imported_checkpoint_has_no_seed(fierce, taught: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(taught / "hard" / "model.safetensors")
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    save_file(weights, "weights.safetensors")
    arguments = ("--model", "mlp:24", "--data", "digits", "--out", "imported.safetensors")
    code, _, err = fierce("import", "weights.safetensors", *arguments)
    assert code == 0, err
    (imported,) = sources.locate("imported.safetensors", Path())
    assert _teacher_seeds.note([imported]) == f"Teacher: one checkpoint, of unknown seed; {ALONE}."
    (hard,) = sources.locate("hard", taught)
    assert "imported: one checkpoint, of unknown seed" in _teacher_seeds.note([hard, imported])


def test_many_recipes_of_one_checkpoint_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    every = [Source(f"t{n}", Path(f"t{n}"), True, "", None) for n in range(9)]
    monkeypatch.setattr(_teacher_seeds, "same_training", lambda sources: [[s] for s in sources])
    monkeypatch.setattr(_teacher_seeds, "seed_of", lambda source: int(source.label[1:]) % 2)
    assert _teacher_seeds.note(every) == f"Teachers: 9 recipes: one seed each (seeds 0, 1); {ALONE}, for each teacher."


def test_reports_say_both(teachers: list[Source], places: Places, tmp_path: Path) -> None:
    made = lab(teachers, places, tmp_path, student="mlp:4", epochs=1, seeds=1)
    notes = temperature_sweep(made.teachers, made, temperatures=(1,)).report().notes
    assert f"Teachers: one seed each (seed 0); {ALONE}." in notes
    assert "The defaults of fierce distill differ: --batch-size 64 instead of 128." in notes


def test_experiments_that_train_their_teachers_name_their_seeds(fierce) -> None:
    small = ("--epochs", "1", "--device", "cpu", "--progress", "off")
    code, out, err = fierce("analyze", "batch-epochs", "--model", "mlp:4", "--batch-sizes", "64", *small)
    assert code == 0, err
    assert ", one seed (0). A larger batch" in " ".join(out.split())
    own = ("--teacher-model", "mlp:4", "--student", "mlp:4", "--alphas", "0", "--temperatures", "1", "--seeds", "2")
    code, out, err = fierce("analyze", "smoothing-sweep", *own, "--teacher-epochs", "1", *small)
    assert code == 0, err
    said = " ".join(out.split())
    assert (
        "A student has the teacher of its own seed, seeds 0, 1: sd is over seeds of teacher and student together"
        in said
    )
    assert ALONE not in said

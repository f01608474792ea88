"""What the README says is run: its commands, its programs, its promise that an addition is one file."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fierce_tools.errors import EXIT_CODES
from fierce_tools.menu import ANALYSES, EXPERIMENTS, LOSSES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def tour() -> list[list[str]]:
    """The arguments of each command that the README shows."""
    commands = [shlex.split(line[2:]) for block in blocks("console") for line in block.strip().split("\n")]
    assert len(commands) > 10
    assert {program for program, *_ in commands} == {"fierce"}
    return [arguments for _, *arguments in commands]


def test_every_command_of_the_tour_is_one_that_can_be_said() -> None:
    """Its commands and flags exist; `make test-slow` runs them all."""
    import typer.main

    from fierce_tools.cli.app import build

    for arguments in tour():
        command = typer.main.get_command(build(arguments[0]))
        context = command.make_context("fierce", list(arguments))
        while hasattr(command, "commands") and (rest := [*context._protected_args, *context.args]):
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)


@pytest.mark.slow
def test_every_command_of_the_tour_works(fierce, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    for arguments in tour():
        command = shlex.join(arguments)
        code, out, err = fierce(*arguments)
        assert code == 0, f"{command}\n{err}"
        assert out, command


def test_every_program_works(tmp_path: Path) -> None:
    programs = [p for p in blocks("python") if not p.startswith('"""')]
    assert len(programs) == 2
    for program in programs:
        exec(compile(program, "README", "exec"), {})
    assert (tmp_path / "mine.safetensors").is_file()


@pytest.mark.slow
def test_a_loss_is_one_file(tmp_path: Path) -> None:
    """The README's own example, put where it says, is in the listing, the help and a training."""
    (program,) = [p for p in blocks("python") if p.startswith('"""')]
    shutil.copytree(ROOT / "fierce_tools", tmp_path / "fierce_tools", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "fierce_tools" / "losses" / "focal.py").write_text(program)
    code = (
        "import sys\nfrom fierce_tools.cli import main\n"
        "for command in ('list losses', 'train --help', 'train --loss focal --gamma 1 --epochs 1 --model linear'):\n"
        "    try:\n        main(command.split())\n    except SystemExit as end:\n        assert not end.code, end.code\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    for words in ("focal", "--gamma", "runs/digits-linear-focal-gamma1-s0/model.safetensors"):
        assert words in done.stdout


def test_the_exit_codes_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+?) \|$", README, re.MULTILINE))
    assert rows == {str(code): what for code, what in EXIT_CODES.items()}


def test_every_loss_analysis_and_experiment_is_in_a_table() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)` \|", README, re.MULTILINE))
    assert rows - {"--loss", "--method", "fierce analyze"} == {*LOSSES.names(), *ANALYSES.names(), *EXPERIMENTS.names()}


def test_the_json_it_describes_is_what_is_printed(fierce, digits_run: Path) -> None:
    import json

    (shape,) = [b for b in re.findall(r"```\n(\{.*?)```", README, re.DOTALL) if '"analysis"' in b]
    document = json.loads(fierce("analyze", "confusion", str(digits_run), "--format", "json")[1])
    assert set(document) | set(document["results"][0]) == set(re.findall(r'"(\w+)":', shape))


def test_files_it_names_are_there() -> None:
    for path in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / path).exists(), path
    assert (ROOT / "LICENSE").exists()
    assert (ROOT / "CHANGELOG.md").exists()


def test_the_make_targets_it_names_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_every_recipe_of_one_training_names_what_there_is() -> None:
    from fierce_tools import recipe

    recipes = [path for path in (ROOT / "recipes").glob("*.toml") if "study" not in recipe.load(path)]
    assert recipes
    for path in recipes:
        recipe.resolve(recipe.load(path))
        assert path.read_text().startswith("# "), "a header that says what it is"


def test_the_smoke_recipe_trains(fierce) -> None:
    code, out, err = fierce("train", str(ROOT / "recipes" / "smoke.toml"), "--format", "json")
    assert code == 0, err
    import json

    assert json.loads(out)["val_accuracy"] > 0.4

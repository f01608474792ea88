from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fierce_tools import recipe
from fierce_tools.errors import DataError, UsageError


def test_defaults_are_spelled_out() -> None:
    made = recipe.resolve({})
    assert made.data["name"] == "digits"
    assert made.model["name"] == "cnn"
    assert made.loss == {"name": "ce"}
    assert made.train["lr"] == 0.001
    assert recipe.resolve({}, {"data.name": "mnist"}).model["name"] == "mnist-student"


def test_toml_goes_out_and_in() -> None:
    made = recipe.resolve(
        {"loss": {"name": "fierce", "preset": "few-shot"}, "train": {"save_at": "1,5"}}, {"loss.lam": 2}
    )
    again = recipe.resolve(tomllib.loads(made.to_toml()))
    assert again == made
    assert again.loss["lam"] == 2.0
    assert again.train["save_at"] == (1, 5)


@given(lam=st.floats(0, 1e6), seed=st.integers(0, 2**53), lr=st.floats(1e-12, 1e3))
def test_numbers_survive_toml_to_the_bit(lam: float, seed: int, lr: float) -> None:
    made = recipe.resolve({}, {"loss.name": "fierce", "loss.lam": lam, "train.seed": seed, "train.lr": lr})
    assert recipe.resolve(tomllib.loads(made.to_toml())) == made


def test_another_choice_drops_the_first_ones_options() -> None:
    made = recipe.resolve({"loss": {"name": "fierce", "lam": 3.0}}, {"loss.name": "ce"})
    assert made.loss == {"name": "ce"}


def test_what_is_said_is_kept_in_any_order() -> None:
    document = {"loss": {"name": "fierce", "lam": 3.0, "codebooks": 2}}
    made = recipe.resolve(document, {"loss.alpha": "0.7", "loss.name": "label-smoothing"})
    assert made.loss["alpha"] == 0.7
    made = recipe.resolve(document, {"loss.preset": "few-shot"})
    assert (made.loss["lam"], made.loss["codebooks"]) == (1.5, 2), "a flag goes above the recipe"
    made = recipe.resolve(document, {"loss.lam": "7", "loss.preset": "few-shot"})
    assert made.loss["lam"] == 7
    spelled = {"loss": dict(made.loss)}
    assert recipe.resolve(spelled, {"loss.preset": "hyperspectral"}).loss["similarity"] == "dot"


@pytest.mark.parametrize(
    ("document", "overrides", "said"),
    [
        ({"losses": {}}, {}, "did you mean 'loss'"),
        ({"loss": {"name": "fierce", "lambda": 1}}, {}, "lam"),
        ({"loss": "fierce"}, {}, "expected a table"),
        ({}, {"lam": 1}, "SECTION.OPTION"),
        ({}, {"train.epoch": 1}, "did you mean 'epochs'"),
        ({}, {"train.epochs": "many"}, "whole number"),
        ({}, {"model.name": "mnist-smal"}, "did you mean 'mnist-small'"),
        ({}, {"data.name": "arrays"}, "arrays:FILE"),
    ],
)
def test_what_is_wrong_is_named(document: dict, overrides: dict, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.resolve(document, overrides)
    assert said in str(caught.value)


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        recipe.load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[loss\n")
    with pytest.raises(DataError, match="not TOML"):
        recipe.load(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not TOML"):
        recipe.load(tmp_path / "bytes.toml")

"""Every experiment on checkpoints: students of a seed are the same whichever seeds are asked for beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fierce_tools import binding, sources
from fierce_tools.errors import UsageError
from fierce_tools.experiments._inquire import inquire
from fierce_tools.experiments._loading import Places
from fierce_tools.menu import EXPERIMENTS

FEW: dict[str, Mapping[str, Any]] = {
    "missing-class": {"drop": "3", "temperatures": "9"},
    "transfer-curve": {"sizes": "5"},
    "temperature-sweep": {"temperatures": "9"},
    "noise": {"scales": "0.1", "sizes": "5"},
    "predictors": {"skip": "mi", "bootstrap": "100"},
}
ASKED = [n for n in EXPERIMENTS.names() if binding.read(EXPERIMENTS, n).arrays == ("checkpoints", "lab")]


def test_all_of_them_are_asked() -> None:
    assert set(ASKED) == set(FEW)


@pytest.mark.parametrize("name", ASKED)
def test_first_seed(name: str, digits_run: Path, tmp_path: Path) -> None:
    paths = [
        digits_run / "epochs" / "0001.safetensors",
        digits_run / "epochs" / "0002.safetensors",
        digits_run / "model.safetensors",
    ]
    found = [sources.locate(str(p), tmp_path)[0] for p in (paths if name == "predictors" else paths[-1:])]
    own = {**FEW[name], "student": "mlp:8", "epochs": 1, "engine": "sequential"}

    def students(**seeds: int) -> list[dict[str, Any]]:
        root = tmp_path / "-".join(map(str, seeds.values()))
        _, document = inquire(name, found, {**own, **seeds}, places=Places(device="cpu"), root=root)
        values = document["results"][0]["values"]
        return list(values.get("found", values.get("teachers")))

    both, second = students(seeds=2), students(seeds=1, first_seed=1)
    if name == "predictors":  # its values are means over seeds
        first = students(seeds=1, first_seed=0)
        for teacher in range(3):
            mean = (first[teacher]["accuracy"] + second[teacher]["accuracy"]) / 2
            assert both[teacher]["accuracy"] == pytest.approx(mean)
        return
    assert [e for e in both if e["seed"] == 1] == second


def test_no_seed_is_below_0(digits_run: Path, tmp_path: Path) -> None:
    found = sources.locate(str(digits_run), tmp_path)
    with pytest.raises(UsageError, match="--first-seed -1"):
        inquire("missing-class", found, {"first_seed": -1}, places=Places(device="cpu"), root=tmp_path)

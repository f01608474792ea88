"""Which trainings are seeds of one recipe, and the mean over them, worked by hand."""

from __future__ import annotations

import math

import pytest

from fierce_tools import seeds
from fierce_tools.seeds import Training


def one(name: str, seed: int | None, *, identity: str = "a", state: str = "done", weights: str = "") -> Training:
    return Training(name, seed, identity, state, weights)


def test_distinct_seeds_of_finished_runs_of_one_identity_count() -> None:
    found = seeds.grouped(
        [
            one("s2", 2),
            one("s0", 0, weights="x"),
            one("copy", 0, weights="x"),
            one("again", 0, weights="y"),
            one("s1", 1, state="failed"),
            one("s3", 3, state="running"),
            one("other", 0, identity="b"),
        ]
    )
    assert [g.identity for g in found] == ["a", "b"]
    assert [t.name for t in found[0].counted] == ["s0", "s2"]
    assert [t.seed for t in found[0].counted] == [0, 2]
    assert found[0].planned == 4  # 0, 1, 2, 3: copies are no further seeds
    assert found[0].left_out == {
        "copy": "a copy of s0, of the same weights",
        "again": "seed 0 counts once, as s0",
        "s1": "it failed",
        "s3": "it is running",
    }


def test_a_finished_run_counts_before_an_unfinished_one_of_its_seed() -> None:
    (group,) = seeds.grouped([one("stopped", 0, state="stopped"), one("done", 0)])
    assert [t.name for t in group.counted] == ["done"]
    assert group.planned == 1


def test_without_a_known_seed_nothing_is_a_seed_of_another() -> None:
    found = seeds.grouped([one("x", None), one("y", None)])
    assert [[t.name for t in g.counted] for g in found] == [["x"], ["y"]]


def test_identity_knows_data_teachers_and_the_place_among_peers() -> None:
    recipe = {"train": {"seed": 0, "epochs": 3, "device": "cpu"}, "loss": {"name": "ce"}}

    def of(document: dict = recipe, data: str = "d", taught: dict | None = None, peer: int | None = None) -> str:
        return seeds.identity(document, data=data, taught=taught or {}, peer=peer)

    other_seed = {**recipe, "train": {"seed": 7, "epochs": 3, "device": "cuda"}}
    assert of(other_seed) == of()
    assert len({of(), of(data="e"), of(taught={"teachers": [{"sha256": "t"}]}), of(peer=1), of(peer=2)}) == 5
    assert of({**recipe, "train": {"seed": 0, "epochs": 4}}) != of()


def test_mean_and_standard_deviation_by_hand() -> None:
    found = seeds.mean_sd([1.0, 2.0, None, 6.0])
    assert (found.mean, found.n, found.planned, found.count) == (3.0, 3, 4, "3 of 4")
    assert found.sd == pytest.approx(math.sqrt(7))  # (4 + 1 + 9) / 2
    assert seeds.mean_sd([2.0]).sd is None
    assert seeds.mean_sd([None, float("nan")]) == seeds.Mean(None, None, 0, 2)
    assert seeds.mean_sd([1.0, 1.0], planned=3).count == "2 of 3"
    assert seeds.mean_sd([1.0, float("inf")]) == seeds.Mean(float("inf"), None, 2, 2)
    assert math.isnan(seeds.mean_sd([-float("inf"), float("inf")]).mean)
    assert seeds.show([1.0, 3.0]) == "2 ± 1.4"
    assert seeds.show([0.5]) == 0.5
    assert seeds.show([]) is None


def test_entries_of_one_seed_are_one_value() -> None:
    entries = [{"seed": 0, "x": 1.0}, {"seed": 0, "x": 3.0}, {"seed": 1, "x": 6.0}, {"seed": 2, "x": None}]
    infinite = [{"seed": 0, "x": -math.inf}, {"seed": 0, "x": math.inf}, {"seed": 1, "x": 1.0}]
    assert seeds.by_seed(infinite, "x").count == "1 of 2"
    found = seeds.by_seed(entries, "x")
    assert (found.mean, found.count) == (4.0, "2 of 3")
    assert found.sd == pytest.approx(math.sqrt(8))

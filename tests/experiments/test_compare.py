"""Comparison: rows of seeds, differences example by example, figures against the analyses they come from."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from building import command, shared

from fierce_tools import outputs, recipe, sources
from fierce_tools.analysis import stability
from fierce_tools.experiments import _compare
from fierce_tools.experiments._compare import compare, grouped, mean_sd, spread
from fierce_tools.experiments._paired import PAIRED


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds each of cross-entropy and label smoothing, small and short."""

    def build(root: Path) -> None:
        for loss in ("ce", "label-smoothing"):
            for seed in ("0", "1"):
                options = ("--model", "mlp:16", "--epochs", "2", "--loss", loss, "--seed", seed, "--device", "cpu")
                command("train", *options, "--progress", "off", "--runs-dir", str(root / "runs"))

    return shared(tmp_path_factory, "compared", build) / "runs"


def located(root: Path) -> list[sources.Source]:
    return [s for path in sorted(root.iterdir()) for s in sources.locate(str(path), root)]


def test_seeds_share_a_row(trained: Path) -> None:
    groups = grouped(located(trained), "seed")
    assert {k: len(v) for k, v in groups.items()} == {"ce": 2, "label-smoothing": 2}
    assert set(grouped(located(trained), "train.seed")) == {"train.seed 0", "train.seed 1"}


def test_device_and_saving_make_no_row_of_their_own(tmp_path: Path) -> None:
    """Nor do folders of data; imported weights, and runs on data that changed under their name, do."""
    from fierce_tools import arrayfile

    def checkpoint(name: str, *, sha: str = "a", origin: dict[str, str] | None = None, **train: object) -> None:
        made = recipe.resolve({}, {"train.epochs": 2, **{f"train.{k}": v for k, v in train.items()}}).as_dict()
        document = {"format": "checkpoint", "version": 1, "recipe": made, "dataset_sha256": sha, "epoch": 2}
        arrays = {"w": np.zeros(1, np.float32)}
        arrayfile.save_arrays(tmp_path / f"{name}.safetensors", arrays, {**document, "origin": origin or {}})

    checkpoint("a")
    checkpoint("b", seed=1, device="cpu", save_at=(1,))
    checkpoint("c", seed=2, save_best=True)
    checkpoint("other-data", sha="b", seed=3)
    for name in ("weights", "more-weights"):
        checkpoint(name, origin={"file": f"{name}.pt"})
    found = [s for p in sorted(tmp_path.glob("*.safetensors")) for s in sources.locate(str(p), tmp_path)]
    groups = sorted(sorted(s.label for s in members) for members in grouped(found, "seed").values())
    assert groups == [["a", "b", "c"], ["more-weights"], ["other-data"], ["weights"]]


def test_the_figures_are_the_analyses(trained: Path) -> None:
    made = compare(located(trained), skip=("mi", "probe"), bootstrap=200)
    row = made.rows[0]
    assert set(row.figures) == set(_compare.FIGURES) - {"mi", "probe"}
    kept = [sources.kept(s, "test", {"logits"}) for s in located(trained)[:2]]
    values = [stability(o.logits, o.labels).stability for o in kept if o is not None]
    assert row.figures["stability"] == pytest.approx(values)
    assert row.figures["accuracy"] == pytest.approx(
        [(o.logits.argmax(1) == o.labels).mean() for o in kept if o is not None]
    )
    at, low, high = made.differences["label-smoothing"]["entropy"]
    assert at == pytest.approx(np.mean(made.rows[1].figures["entropy"]) - np.mean(row.figures["entropy"]))
    assert low <= at <= high
    assert low > 0, "two epochs of label smoothing leave softer labels"


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(60, 4)), rng.integers(0, 4, 60)
    for name in ("a", "b"):
        outputs.save(tmp_path / f"{name}.safetensors", logits=z, labels=y)
    outputs.save(tmp_path / "c.safetensors", logits=z[:50], labels=y[:50])
    found = [s for n in "abc" for s in sources.locate(str(tmp_path / f"{n}.safetensors"), tmp_path)]
    made = compare(found, bootstrap=50)
    assert made.differences["b.safetensors"] == dict.fromkeys(PAIRED, (0.0, 0.0, 0.0))
    assert "c.safetensors" not in made.differences
    assert any("not the same examples" in note for note in made.notes)
    assert any("a.safetensors: Left out: T* and" in note for note in made.notes), "what a file has not is named"
    assert made.rows[0].figures["tstar"] == made.rows[0].figures["ece-tstar"] == (None,)


def test_every_format(fierce, trained: Path) -> None:
    paths = [str(p) for p in sorted(trained.iterdir())]
    more = ("--skip", "probe,mi", "--bootstrap", "50")
    code, out, err = fierce("compare", *paths, *more)
    assert code == 0, err
    assert "Difference to ce, 95 % paired bootstrap" in out
    assert "| label-smoothing | 2 |" in fierce("compare", *paths, *more, "--format", "markdown")[1]
    heads, *rows = csv.reader(io.StringIO(fierce("compare", *paths, *more, "--format", "csv")[1]))
    assert heads[:4] == ["model", "n", "accuracy mean", "accuracy sd"]
    assert len(rows) == 2
    document = json.loads(fierce("compare", *paths, *more, "--format", "json")[1])
    assert float(rows[0][2]) == pytest.approx(np.mean(document["rows"][0]["figures"]["accuracy"]))
    code, _, err = fierce("compare", *paths, "--skip", "prob")
    assert (code, "did you mean 'probe'" in err) == (2, True)
    code, _, err = fierce("compare", *paths, "--group-by", "loss.lamb")
    assert code == 2


def test_means_and_deviations() -> None:
    assert mean_sd([1.0, 3.0, None]) == (2.0, pytest.approx(2**0.5))
    assert mean_sd([None]) == (None, None)
    assert spread([0.5]) == 0.5
    assert spread([0.9, 0.94]) == "0.92 ± 0.028"

"""Comparison: rows of seeds, differences example by example, figures against the analyses they come from."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from building import command, shared
from scipy import stats

from fierce_tools import outputs, recipe, runs, sources
from fierce_tools.analysis import stability
from fierce_tools.experiments._compare import compare
from fierce_tools.experiments._comparison import FIGURES
from fierce_tools.experiments._differences import OF_MODELS, Side, differences
from fierce_tools.experiments._paired import PAIRED, judge, resample
from fierce_tools.experiments._rows import grouped, rows


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
    assert set(row.figures) == set(FIGURES) - {"mi", "probe"}
    kept = [sources.kept(s, "test", {"logits"}) for s in located(trained)[:2]]
    values = [stability(o.logits, o.labels).stability for o in kept if o is not None]
    assert row.figures["stability"] == pytest.approx(values)
    assert row.figures["accuracy"] == pytest.approx(
        [(o.logits.argmax(1) == o.labels).mean() for o in kept if o is not None]
    )


def test_several_seeds_are_compared_over_seeds_as_scipy_does(trained: Path) -> None:
    made = compare(located(trained), skip=("mi", "probe"), bootstrap=0)
    assert [(r.seeds, r.count) for r in made.rows] == [((0, 1), 2), ((0, 1), 2)]
    found = made.intervals["label-smoothing"]
    assert (found["accuracy"].at, found["accuracy"].low) == (0, None), "so short a training changes no prediction"
    assert made.differences["label-smoothing"]["accuracy"] is None
    assert any("No interval where seeds, or" in note for note in made.notes)
    assert made.differences["label-smoothing"]["ece"] is None, "its bias would be compared"
    assert found["ece_debiased"].method == "paired t, widened by bias"
    for key in ("nll", "entropy", "gamma", "tightness"):
        theirs = stats.ttest_rel(made.rows[1].figures[key], made.rows[0].figures[key])
        assert (found[key].low, found[key].high) == pytest.approx([*theirs.confidence_interval(0.95)])
        assert (found[key].df, found[key].n, found[key].method) == (1, (2,), "paired t")
        assert made.differences["label-smoothing"][key] == (found[key].at, found[key].low, found[key].high)
    # Seeds that are not the same on both sides do not pair.
    one, two, three, _ = located(trained)
    other = compare([one, two, three], skip=("mi", "probe", "gamma", "stability", "tightness"), bootstrap=100)
    assert {e.method for e in other.intervals[three.label].values()} == set(OF_MODELS)
    assert any("two seeds of one recipe may differ as much" in note for note in other.notes)


def test_with_one_seed_the_interval_is_of_these_models(trained: Path) -> None:
    one, _, three, _ = located(trained)
    made = compare([one, three], skip=("mi", "probe"), bootstrap=300)
    found = made.intervals[three.label]["entropy"]
    assert (found.n, found.df, found.method) == ((1, 1), None, "bootstrap over examples")
    assert found.low <= found.at <= found.high
    titles = [b.title for b in made.report().blocks]
    assert f"Difference to {one.label}, 95 % over examples: of these two models, not of the recipes" in titles


def test_welchs_t_where_seeds_do_not_pair(trained: Path) -> None:
    """Of other seeds: 0 and 1 against 0 and 1 of which one is renumbered."""
    ce, ls = located(trained)[:2], located(trained)[2:]
    sides = [
        Side(label, tuple(judge(scores(s), s.label, 9.0) for s in of), seeds, True, {"accuracy": values})
        for label, of, seeds, values in (("ce", ce, (0, 1), (0.5, 0.7)), ("ls", ls, (0, 2), (0.6, None)))
    ]
    assert differences(sides, 0, False, {})["ls"]["accuracy"].low is None  # one value is no spread
    sides[1] = replace(sides[1], figures={"accuracy": (0.6, 0.9)})
    found = differences(sides, 0, False, {})["ls"]["accuracy"]
    theirs = stats.ttest_ind((0.6, 0.9), (0.5, 0.7), equal_var=False)
    assert (found.low, found.high) == pytest.approx([*theirs.confidence_interval(0.95)])
    assert (found.method, found.df) == ("Welch's t", pytest.approx(theirs.df))


def scores(source: sources.Source) -> outputs.Outputs:
    made = sources.kept(source, "test", {"logits"})
    assert made is not None
    return made


def test_two_levels_reach_further_than_seeds_alone(trained: Path) -> None:
    skip = ("mi", "probe", "stability", "tightness")
    seeds = compare(located(trained), skip=skip, bootstrap=200).intervals["label-smoothing"]
    both = compare(located(trained), skip=skip, bootstrap=200, two_level=True).intervals["label-smoothing"]
    methods = {k: "two-level" if k in PAIRED else "paired t" for k in seeds}  # γ is of no resampled examples
    assert {k: e.method for k, e in both.items()} == {**methods, "ece_debiased": "two-level, widened by bias"}
    for key in ("nll", "ece_debiased", "entropy"):
        assert both[key].low <= seeds[key].low <= seeds[key].high <= both[key].high


SETS = 2000


def model_of(rng: np.random.Generator, labels: np.ndarray, gap: float, sure: float) -> outputs.Outputs:
    """Of two classes one is predicted with a confidence about `sure`, and right so much less often."""
    confidence = np.clip(rng.normal(sure, 0.08, len(labels)), 0.55 + gap, 0.99)
    right = rng.random(len(labels)) < confidence - gap
    logit = np.log(confidence / (1 - confidence)) * np.where(right == (labels == 0), 1, -1)
    return outputs.Outputs(np.column_stack([logit, np.zeros(len(labels))]), labels)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"), [((0.0, 0.8), (0.0, 0.8)), ((0.1, 0.8), (0.0, 0.9)), ((0.05, 0.6), (0.05, 0.9))]
)
def test_intervals_of_two_models_cover_the_difference_of_these_two(
    first: tuple[float, float], second: tuple[float, float]
) -> None:
    """Two models of a population: their gap of confidence and accuracy, and how sure they are."""
    rng = np.random.default_rng(3)
    labels = rng.integers(2, size=200_000)
    population = [model_of(rng, labels, *model) for model in (first, second)]
    truth = {k: judge(population[0], "a", 1.0).figures[k] - judge(population[1], "b", 1.0).figures[k] for k in PAIRED}
    truth["ece"] = first[0] - second[0]
    hits = dict.fromkeys(PAIRED, 0)
    for _ in range(SETS):
        rows = rng.integers(len(labels), size=400)
        models = [judge(outputs.Outputs(o.logits[rows], o.labels[rows]), str(n), 1.0) for n, o in enumerate(population)]
        b, a = (Side(m.label, (m,), (0,), True, dict.fromkeys(PAIRED, (0.0,))) for m in models)
        found = differences([a, b], 150, False, {})[b.label]
        for key in PAIRED:
            one = found["ece_debiased" if key == "ece" else key]
            assert one.low is not None
            assert one.high is not None
            hits[key] += one.low <= truth[key] <= one.high
    for key in PAIRED:
        assert 0.93 <= hits[key] / SETS <= (1 if key == "ece" else 0.97), (key, hits[key] / SETS)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(("gaps", "least"), [((0.0, 0.0), 0.93), ((0.03, 0.03), 0.93), ((0.05, 0.0), 0.93)])
def test_calibration_of_two_recipes_is_compared_without_its_bias(
    seeds: int, gaps: tuple[float, float], least: float
) -> None:
    """One recipe is sure of itself, one is not, so that the plain ECE of the second is the larger whatever is true."""
    rng = np.random.default_rng(seeds)
    hits, sets = 0, 400
    for _ in range(sets):
        labels = rng.integers(2, size=500)
        sides = []
        for name, gap, sure in (("a", gaps[0], 0.93), ("b", gaps[1], 0.68)):
            models = tuple(judge(model_of(rng, labels, gap, sure), f"{name}{k}", 1.0) for k in range(seeds))
            sides.append(Side(name, models, tuple(range(seeds)), True, {"ece": (0.0,) * seeds}))
        found = differences(sides, 0, False, {})["b"]["ece_debiased"]
        if found.low is None or found.high is None:  # all of them 0: nothing is said
            assert found.at == 0
            hits += 1
        else:
            hits += found.low <= gaps[1] - gaps[0] <= found.high
    assert hits / sets >= least


def test_resampled_figures_are_those_of_the_drawn_examples() -> None:
    rng = np.random.default_rng(1)
    z, y = rng.normal(size=(80, 5)), rng.integers(0, 5, 80)
    model = judge(outputs.Outputs(z, y), "a", 4.0)
    found = resample([model, model], 3, seed=7)
    draws = np.random.default_rng(7)
    for number in range(3):
        rows = draws.integers(80, size=80)
        again = judge(outputs.Outputs(z[rows], y[rows]), "a", 4.0)
        for key in PAIRED:
            assert found[key][number] == pytest.approx([again.figures[key]] * 2, abs=1e-6)


def test_copies_and_seeds_without_weights_are_said(fierce, trained: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(trained, root)
    first, second, third, fourth = sorted(p.name for p in root.iterdir())
    shutil.copytree(root / first, root / "copy")
    shutil.copytree(root / second, root / "failed")
    (root / "failed" / "model.safetensors").unlink()
    recipe_path = root / "failed" / "recipe.toml"
    recipe_path.write_text(recipe_path.read_text().replace("seed = 1", "seed = 2"))
    info = root / "failed" / "run.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "state": "failed"}))
    asked = (first, second, "copy", "failed", third, fourth, "--runs-dir", str(root), "--skip", "mi,probe,gamma")
    code, out, err = fierce("compare", *asked, "--format", "json")
    assert code == 0, err
    document = json.loads(out)
    assert [(r["members"], r["planned"]) for r in document["rows"]] == [([first, second], 3), ([third, fourth], 2)]
    assert document["rows"][0]["left_out"] == {
        "copy": f"a copy of {first}, of the same weights", "failed": "it failed"
    }  # fmt: skip
    out = fierce("compare", *asked)[1]
    assert "2 of 3" in out
    assert f"copy does not count in ce: a copy of {first}, of the same weights." in out
    assert "failed does not count in ce: it failed." in out
    code, _, err = fierce("compare", "failed", "--runs-dir", str(root))
    assert (code, "has no model.safetensors" in err) == (3, True)


def test_rows_of_several_recipes_have_no_interval_over_seeds(trained: Path) -> None:
    made = compare(located(trained), group_by="train.seed", skip=("mi", "probe"), bootstrap=100)
    assert [r.one for r in made.rows] == [False, False]
    assert {e.method for e in made.intervals["train.seed 1"].values()} == set(OF_MODELS)
    assert any("differ in more than their seed" in note for note in made.notes)


def test_a_model_does_not_differ_from_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(60, 4)), rng.integers(0, 4, 60)
    for name in ("a", "b"):
        outputs.save(tmp_path / f"{name}.safetensors", logits=z, labels=y)
    outputs.save(tmp_path / "c.safetensors", logits=z[:50], labels=y[:50])
    found = [s for n in "abc" for s in sources.locate(str(tmp_path / f"{n}.safetensors"), tmp_path)]
    made = compare(found, bootstrap=50)
    found = made.intervals["b.safetensors"]
    assert {found[k].at for k in ("accuracy", "nll", "entropy", "ece_debiased")} == {0}
    assert {found[k].low for k in ("accuracy", "nll", "entropy")} == {None}, "nothing to resample is no certainty"
    ece = found["ece_debiased"]
    assert ece.low + ece.high == pytest.approx(0), "its interval is made of both models' own"
    assert ece.low < 0
    assert made.differences["b.safetensors"] == {
        **dict.fromkeys(PAIRED), "ece_debiased": (0, ece.low, ece.high)
    }  # fmt: skip
    assert "c.safetensors" not in made.differences
    assert any("not the same examples" in note for note in made.notes)
    assert any("a.safetensors: Left out: T* and" in note for note in made.notes), "what a file has not is named"
    assert made.rows[0].figures["tstar"] == made.rows[0].figures["ece-tstar"] == (None,)


def test_every_format(fierce, trained: Path) -> None:
    paths = [str(p) for p in sorted(trained.iterdir())]
    more = ("--skip", "probe,mi", "--bootstrap", "50")
    code, out, err = fierce("compare", *paths, *more)
    assert code == 0, err
    assert "Difference to ce, 95 % over seeds" in out
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
    for wrong in ("some", "-1", "two-level:1", "1", "49", "two-level:0", "9" * 5000):
        code, _, err = fierce("compare", *paths, "--bootstrap", wrong)
        assert (code, "50 resamples or more" in err) == (2, True)


def edited(root: Path, name: str, **info: object) -> None:
    path = root / name / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **info}))


def test_named_runs_never_vanish(fierce, trained: Path, tmp_path: Path) -> None:
    """A run without weights that fits no row is named; one that failed counts only where nothing else does."""
    root = tmp_path / "runs"
    shutil.copytree(trained, root)
    first, second, third, _ = sorted(p.name for p in root.iterdir())
    options = ("--runs-dir", str(root), "--skip", "mi,probe,gamma,stability,tightness")
    (root / third / "model.safetensors").unlink()
    edited(root, third, state="stopped")
    out = fierce("compare", first, second, third, *options)[1]
    assert f"{third} is left out: it is stopped and has no weights." in out
    edited(root, second, state="failed")
    document = json.loads(fierce("compare", first, second, *options, "--format", "json")[1])
    assert [(r["members"], r["planned"], r["left_out"]) for r in document["rows"]] == [
        ([first], 2, {second: "it failed"})
    ]
    document = json.loads(fierce("compare", second, *options, "--format", "json")[1])
    assert document["rows"][0]["members"] == [second]
    assert any("failed; its weights are compared" in note for note in document["notes"])
    # A damaged file is no run that is not finished yet.
    (root / second / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{")
    code, _, err = fierce("compare", first, second, *options)
    assert (code, second in err) == (3, True)


def test_a_missing_run_of_other_data_or_teachers_is_of_no_row(trained: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(trained, root)
    first, second = sorted(p.name for p in root.iterdir())[:2]
    (root / second / "model.safetensors").unlink()
    (one,) = sources.locate(first, root)
    lost = runs.Run(root / second)
    assert rows([one], "seed", [lost])[0]["digits-mlp-16-ce-s0"].planned == 2
    edited(root, second, dataset_sha256="f" * 64)
    found, strange = rows([one], "seed", [lost])
    assert (found[first].planned, strange) == (1, [lost])
    edited(root, second, dataset_sha256=None, teachers=[{"path": "t", "sha256": "1"}])
    assert rows([one], "seed", [lost])[1] == [lost]


def test_rows_without_words_are_called_by_the_run_without_its_seed(trained: Path) -> None:
    one, two, *_ = located(trained)
    names = (("resnet-20", "resnet-20-s1", "resnet-20"), ("a-s0", "a-s1", "a"), ("x@0010", "y", "x@0010"))
    for first, second, name in names:
        ((label, _),) = rows([replace(one, label=first), replace(two, label=second)], "seed")[0].items()
        assert label == name


def test_two_sources_of_one_name_are_two(trained: Path) -> None:
    one, two, *_ = located(trained)
    found, _ = rows([replace(one, label="x"), replace(two, label="x")], "seed")
    ((_, members),) = found.items()
    assert [s.path for s in members.sources] == [one.path, two.path]


def test_a_label_that_is_taken_hides_no_row(trained: Path) -> None:
    one, two, three, four = located(trained)
    named = grouped([one, two, replace(three, label="ce"), replace(four, label="other")], "seed")
    assert sorted(map(len, named.values())) == [2, 2]
    alone = grouped([replace(three, label="ce"), one, two], "seed")
    assert sorted(map(len, alone.values())) == [1, 2]


def test_peers_that_were_moved_are_no_seeds_of_one_another(fierce, tmp_path: Path) -> None:
    command = ("mutual", "--models", "mlp:4", "mlp:4", "--epochs", "1", "--name", "p", "--progress", "off")
    assert fierce(*command, "--device", "cpu")[0] == 0
    for number in "12":
        shutil.copy(f"runs/p-{number}-mlp-4/model.safetensors", f"g{number}.safetensors")
    found = [s for n in "12" for s in sources.locate(f"g{n}.safetensors", tmp_path)]
    members, _ = rows(found, "seed")
    assert [m.left_out for m in members.values()] == [{}, {}]
    inside = sources.locate("runs/p", tmp_path)
    assert len(rows(inside, "seed")[0]) == 2, "peers of one group are two trainings"


def test_an_option_that_a_row_has_not_is_said_so(fierce, trained: Path) -> None:
    paths = [str(p) for p in sorted(trained.iterdir())]
    code, _, err = fierce("compare", *paths, "--group-by", "loss.alpha")
    assert (code, "has no loss.alpha to group by (its loss is ce)" in err) == (2, True)

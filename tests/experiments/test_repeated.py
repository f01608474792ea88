"""Teachers of a recipe with other seeds: which runs go with a checkpoint, what is trained, what cannot be repeated."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import command, shared
from processes import EPOCH, Job

from fierce_tools import checkpoints, runs, sources
from fierce_tools.errors import DataError, TrainingError, UsageError
from fierce_tools.experiments import _pooled, missing_class, noise, predictors, temperature_sweep, transfer_curve
from fierce_tools.experiments._cells import Ended
from fierce_tools.experiments._lab import lab
from fierce_tools.experiments._loading import Places
from fierce_tools.experiments._repeated import repeated
from fierce_tools.experiments._workshop import Workshop
from fierce_tools.report import Heat, Lines, Table
from fierce_tools.sources import Source
from fierce_tools.study.check import options_of

SMALL: dict[str, Any] = {"student": "mlp:4", "epochs": 1, "engine": "sequential"}
FLAGS = ("--student", "mlp:4", "--epochs", "1", "--seeds", "2", "--engine", "sequential", "--device", "cpu")


def train(root: Path, name: str, *options: str) -> None:
    small = ("--model", "mlp:4", "--epochs", "1", "--save-at", "1", "--device", "cpu", "--progress", "off")
    command("train", *small, "--name", name, *options, "--runs-dir", str(root))


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recipe of seeds 5, 0 and 3, a copy of the last, and another recipe of seed 1."""

    def build(root: Path) -> None:
        train(root, "a", "--seed", "5")
        train(root, "zero")
        train(root, "a-s3", "--seed", "3")
        train(root, "b-s1", "--seed", "1", "--loss", "label-smoothing", "--alpha", "0.3")
        shutil.copytree(root / "a-s3", root / "copy")

    return shared(tmp_path_factory, "recipes", build)


def found(root: Path, *names: str) -> list[Source]:
    return [sources.locate(name, root)[0] for name in names]


def test_finished_runs_of_the_recipe_go_with_a_checkpoint(recipes: Path, places: Places) -> None:
    """The named one first, then by seed; copies, other recipes and other seeds of those that are named do not count."""

    def never(event: Any) -> None:
        raise AssertionError(event)

    (group,) = repeated(found(recipes, "a"), 3, recipes, places, never)
    assert group.label == "a"
    assert [s.label for s in group.sources][:2] == ["a", "zero"]
    assert group.sources[2].label in ("a-s3", "copy")
    assert len(group.sources) == 3
    (group,) = repeated(found(recipes, "a-s3", "a"), 2, recipes, places, never)
    assert [s.label for s in group.sources] == ["a-s3", "a"], "several of one recipe are its seeds"
    groups = repeated(found(recipes, "b-s1", "a"), 1, recipes, places, never)
    assert [[s.label for s in g.sources] for g in groups] == [["b-s1"], ["a"]]


def test_a_copy_that_is_named_is_left_out_with_a_line(recipes: Path) -> None:
    said: list[str] = []
    where = Places(device="cpu", say=said.append)
    (group,) = repeated(found(recipes, "a-s3", "copy"), 2, recipes, where, lambda event: None)
    assert [s.label for s in group.sources] == ["a-s3", "zero"]
    assert said == ["copy is left out: seed 3 of its recipe counts once, as a-s3."]


def test_what_is_missing_is_trained_once_with_the_smallest_seeds(recipes: Path, places: Places, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for name in ("a", "zero", "b-s1"):
        shutil.copytree(recipes / name, root / name)
    events: list[Any] = []
    groups = repeated(found(root, "a", "b-s1"), 3, root, places, events.append)
    assert [[s.label for s in g.sources] for g in groups] == [["a", "zero", "a-s1"], ["b-s1", "b-s0", "b-s2"]]
    assert [type(e).__name__ for e in events if type(e).__name__ in ("Found", "Ended")] == ["Found", *["Ended"] * 3]
    made = groups[1].sources[1].run
    assert made is not None
    recipe = made.recipe()
    assert recipe.loss == found(root, "b-s1")[0].run.recipe().loss  # type: ignore[union-attr]
    assert recipe.train["seed"] == 0
    assert made.info()["state"] == "done"
    events.clear()
    again = repeated(found(root, "a", "b-s1"), 3, root, Places(device="cpu", fresh=True), events.append)
    assert again == groups
    assert events == [], "--fresh is of students"


def test_labels_stay_apart(recipes: Path, places: Places, tmp_path: Path) -> None:
    """A run of another folder that has the name of one in this one."""
    root = tmp_path / "runs"
    shutil.copytree(recipes / "zero", root / "a")
    (group,) = repeated(found(recipes, "a"), 2, root, places, lambda event: None)
    assert [s.label for s in group.sources] == ["a", str(root / "a" / "model.safetensors")]


def test_a_checkpoint_without_its_run_is_repeated_too(recipes: Path, places: Places, tmp_path: Path) -> None:
    shutil.copy(recipes / "a" / "model.safetensors", tmp_path / "bare.safetensors")
    (bare,) = sources.locate(str(tmp_path / "bare.safetensors"), recipes)
    (group,) = repeated([bare], 2, recipes, places, lambda event: None)
    assert [s.label for s in group.sources] == ["bare", "zero"]


def test_snapshots_go_with_the_same_snapshots(recipes: Path, places: Places, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for name in ("a", "zero"):
        shutil.copytree(recipes / name, root / name)
    early = sources.locate("a", root, epochs="1")
    (group,) = repeated(early, 3, root, places, lambda event: None)
    assert [s.label for s in group.sources] == ["a@0001", "zero@0001", "a-s1@0001"], "a new one keeps them too"
    assert {s.epoch for s in group.sources} == {"0001"}
    (root / "zero" / "epochs" / "0001.safetensors").unlink()
    (group,) = repeated(early, 2, root, places, lambda event: None)
    assert [s.label for s in group.sources] == ["a@0001", "a-s1@0001"]
    with pytest.raises(UsageError, match=r"run zero is of the recipe .* keeps no snapshot 0001.*--save-at 1"):
        repeated(early, 3, root, places, lambda event: None)


def test_other_data_or_teachers_are_another_recipe(
    recipes: Path, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose checkpoint says another fingerprint does not go with it, nor one that was trained so just now."""
    (a, zero) = found(recipes, "a", "zero")
    real = checkpoints.read_document

    def changed(path: Path) -> dict[str, Any]:
        return {**real(path), **({"dataset_sha256": "f" * 64} if path == zero.path else {})}

    monkeypatch.setattr("fierce_tools.checkpoints.read_document", changed)
    (group,) = repeated([a], 2, recipes, places, lambda event: None)
    assert group.sources[1].label in ("a-s3", "copy")
    taught = {"distillation": {"teachers": [{"sha256": "1"}]}}
    monkeypatch.setattr(
        "fierce_tools.checkpoints.read_document", lambda p: {**real(p), **(taught if p == a.path else {})}
    )
    shutil.copytree(recipes / "zero", tmp_path / "zero")
    with pytest.raises(DataError, match="trained on other data or by other teachers than a; "):
        repeated([a], 2, tmp_path, places, lambda event: None)


def test_what_has_no_recipe_is_refused(recipes: Path, places: Places, tmp_path: Path, fierce: Any) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(recipes / "a" / "model.safetensors")
    save_file({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}, "w.safetensors")
    code, _, err = fierce("import", "w.safetensors", "--model", "mlp:4", "--data", "digits", "--out", "i.safetensors")
    assert code == 0, err
    with pytest.raises(UsageError, match="cannot repeat i: it was imported"):
        repeated(sources.locate("i.safetensors", recipes), 2, recipes, places, lambda event: None)
    np.save("logits.npy", np.zeros((4, 10), np.float32))
    with pytest.raises(DataError, match="is a file of arrays, a teacher is a checkpoint"):
        repeated(sources.locate("logits.npy", recipes), 2, recipes, places, lambda event: None)
    command("mutual", "--models", "mlp:4,linear", "--epochs", "1", "--name", "pair", "--device", "cpu",
            "--progress", "off", "--runs-dir", str(tmp_path / "runs"))  # fmt: skip
    with pytest.raises(UsageError, match="one peer of a group"):
        repeated(sources.locate("pair", tmp_path / "runs")[:1], 2, recipes, places, lambda event: None)
    for count, names, said in ((0, ["a"], "is 0, expected 1"), (2, [], "none is named"),
                               (1, ["a", "zero"], "2 seeds of the recipe of a are named; say --teacher-seeds 2")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            repeated(found(recipes, *names), count, recipes, places, lambda event: None)


def test_a_teacher_that_cannot_be_trained_is_told_of(
    recipes: Path, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: Workshop, number: int, cells: Any, run: Any) -> Ended:
        return Ended(number, len(cells), cells[number], None, error=TrainingError("the loss became NaN"))

    monkeypatch.setattr(Workshop, "_train", failing)
    with pytest.raises(TrainingError, match="teacher a, seed 0: the loss became NaN; its students cannot be trained"):
        repeated(found(recipes, "a"), 2, tmp_path, places, lambda event: None)


def test_an_interrupted_teacher_goes_on_with_fresh_too(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    shutil.copytree(recipes / "zero", root / "a-s0")
    (root / "a-s0" / "model.safetensors").unlink()
    run = runs.find("a-s0", root)
    run.update(state="stopped")
    begun: list[str] = []

    def training(self: Workshop, number: int, cells: Any, run: Any) -> Ended:
        begun.append(run.name)
        return Ended(number, len(cells), cells[number], run, error=TrainingError("enough"))

    monkeypatch.setattr(Workshop, "_train", training)
    with pytest.raises(TrainingError, match="enough"):
        repeated(found(recipes, "a"), 2, root, Places(device="cpu", fresh=True), lambda event: None)
    assert begun == ["a-s0"]


def test_studies_may_name_the_option() -> None:
    assert options_of("missing-class")["teacher_seeds"].convert(3) == 3
    assert "teacher_seeds" not in options_of("smoothing-sweep")
    assert "teacher_seeds" not in options_of("entropy")


def test_reports_pool_the_teachers_of_a_recipe(recipes: Path, places: Places, tmp_path: Path) -> None:
    made = lab(found(recipes, "a", "b-s1"), places, recipes, teacher_seeds=1, seeds=2, **SMALL)
    assert [t.recipe for t in made.teachers] == ["a", "b-s1"]
    made = lab(found(recipes, "a"), places, recipes, teacher_seeds=3, seeds=2, **SMALL)
    result = missing_class(made.teachers, made, temperatures=(3, 9), drop=("1", "2"), bias_correction=True)
    assert {e["recipe"] for e in result.found} == {"a"}
    assert {(e["teacher"], e["teacher_seed"]) for e in result.found} >= {("a", 5), ("zero", 0)}
    own = [[np.mean([e["overall"] for e in result.found if (e["teacher"], e["seed"], e["temperature"]) == (t, s, 9)])
            for s in (0, 1)] for t in dict.fromkeys(e["teacher"] for e in result.found)]  # fmt: skip
    (row,) = [r for r in result.pooled if (r["temperature"], r["figure"]) == (9, "overall")]
    assert row["mean"] == pytest.approx(np.mean(own))
    assert row["sd_means"] == pytest.approx(np.std(np.mean(own, axis=1), ddof=1))
    assert row["sd_students"] == pytest.approx(np.sqrt(np.mean(np.var(own, axis=1, ddof=1))))
    assert (row["teachers"], row["students"]) == (3, 2)
    report = result.report()
    assert [h.title.partition(":")[0] for h in report.blocks if isinstance(h, Heat)] == ["a", "a, with bias"]
    (chart,) = [b for b in report.blocks if isinstance(b, Lines)]
    (_, overall, *more) = [b for b in report.blocks if isinstance(b, Table)]
    assert overall.title == "Accuracy on all classes, 3 teachers × 2 students"
    assert overall.columns == ("recipe", "T", "overall", "sd teachers", "sd students", "95 % over both")
    assert overall.rows[1][:3] == ("a", 9, pytest.approx(row["mean"], abs=1e-4))
    assert overall.rows[1][5] == f"{max(row['low'], 0):.4f} … {min(row['high'], 1):.4f}", "no share is below 0"
    assert len(more) == 3
    (plain, _) = chart.series
    missing = next(r for r in result.pooled if (r["temperature"], r["figure"]) == (3, "missing"))
    assert plain.low[0] == pytest.approx(missing["mean"] - missing["sd_means"])
    assert any(
        n.startswith("Teachers: a: 3 teachers of one recipe (seeds 5, 0, 3), 2 students of each") for n in report.notes
    )
    assert not any("alone" in n for n in report.notes)


def test_every_experiment_pools(recipes: Path, places: Places) -> None:
    made = lab(found(recipes, "a", "b-s1"), places, recipes, seeds=1, teacher_seeds=1, **SMALL)
    both = lab(found(recipes, "a"), places, recipes, seeds=2, teacher_seeds=2, **SMALL)
    sweep = temperature_sweep(both.teachers, both, temperatures=(1, 9))
    tables = [b for b in sweep.report().blocks if isinstance(b, Table)]
    assert [t.rows[-1][0] for t in tables] == ["labels alone", "a", "a"]
    assert [len(t.rows) for t in tables] == [3, 2, 2]
    (own,) = [note for note in sweep.report().notes if "Teachers' own accuracy: a " in note]
    assert "±" in own
    curve = transfer_curve(both.teachers, both, sizes=(5, 10), select=("entropy", "random"), target=0.1)
    assert [(n["teacher"], n["recipe"], n["select"]) for n in curve.needed] == [
        ("a", "a", "entropy"),
        ("a", "a", "random"),
    ]
    assert len(curve.pooled) == 2 * 2 + 1
    assert [b.title for b in curve.report().blocks][1] == "Student accuracy, 2 teachers × 2 students"
    noisy = noise(both.teachers, both, scales=(0, 0.2))
    (table,) = [b for b in noisy.report().blocks if isinstance(b, Table) and b.title.startswith("Soft")]
    entropies = [v["entropy"] for v in noisy.variances if v["noise_scale"] == 0.2]
    assert len(entropies) == 2
    assert table.rows[1][3] == pytest.approx(np.mean(entropies), abs=1e-4)
    (chart,) = [b for b in noisy.report().blocks if isinstance(b, Lines)]
    pooled = noisy.pooled[1]
    assert chart.series[0].low[1] == pytest.approx(pooled["mean"] - pooled["sd_means"])
    smooth = noise(both.teachers, both, labels="smoothed", scales=(0, 0.2))
    assert {r["recipe"] for r in smooth.pooled} == {"a", "smoothed as a"}
    given = noise(both.teachers, both, labels="smoothed", alpha=0.5, scales=(0.2,))
    last = given.report().blocks[-1]
    assert isinstance(last, Table)
    assert last.rows[-1][:3] == ("smoothed α=0.5", "all", 0.2)
    with pytest.raises(UsageError, match="predictors rank recipes, and there are 2; name 3"):
        predictors(made.teachers, made)


def test_a_point_of_predictors_is_a_recipe(recipes: Path, places: Places, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    shutil.copytree(recipes, root)
    train(root, "c", "--loss", "label-smoothing", "--alpha", "0.6")
    made = lab(found(root, "a", "b-s1", "c"), places, root, seeds=2, teacher_seeds=2, **SMALL)
    assert len(made.teachers) == 6
    result = predictors(made.teachers, made, skip=("mi",), bootstrap=100)
    assert [r["recipe"] for r in result.pooled] == ["a", "b-s1", "c"]
    of = [t for t in result.teachers if t["recipe"] == "c"]
    assert len(of) == 2
    assert result.pooled[2]["statistics"]["gamma"] == pytest.approx(np.mean([t["statistics"]["gamma"] for t in of]))
    assert result.pooled[2]["mean"] == pytest.approx(np.mean([t["accuracy"] for t in of]))
    assert result.ranks["gamma"] is not None
    assert result.ranks["gamma"].n == 3
    report = result.report()
    tables = [b for b in report.blocks if isinstance(b, Table)]
    assert [len(t.rows) for t in tables] == [7, 3, 3]
    assert "±" in str(tables[1].rows[0][1])
    assert tables[2].columns == ("recipe", "accuracy", "sd teachers", "sd students", "95 % over both")
    assert any("n = 3 recipes" in n for n in report.notes)


def test_the_command_finds_what_was_kept(fierce: Any, recipes: Path, tmp_path: Path) -> None:
    """Students of a and zero, asked for one by one, are those of --teacher-seeds 2, and an older answer still opens."""
    root = tmp_path / "runs"
    for name in ("a", "zero"):
        shutil.copytree(recipes / name, root / name)
    asked = ("analyze", "missing-class", "--drop", "1", "--temperatures", "9", *FLAGS, "--runs-dir", str(root))
    assert fierce(*asked, "a", "zero")[0] == 0
    assert fierce(*asked, "a")[0] == 0
    (source,) = found(root, "a")
    (path,) = (source.home / "analyses").glob("missing-class-*.json")
    document = json.loads(path.read_text())
    del document["identity"]["options"]["teacher_seeds"]  # as before there was such an option
    path.write_text(json.dumps(document))
    code, out, err = fierce(*asked, "a", "--teacher-seeds", "2", "--progress", "jsonl", "--format", "json")
    assert code == 0, err
    assert [json.loads(line) for line in err.splitlines()] == [{"event": "reused", "reused": 4, "students": 4}]
    (result,) = json.loads(out)["results"]
    assert [s["source"] for s in result["sources"]] == ["a", "zero"]
    assert len(result["values"]["pooled"]) == 2
    kept = sources.answers(source, "missing-class")
    assert len(kept) == 2
    assert [k["identity"]["options"].get("teacher_seeds") for k in kept] == [2, None]


@pytest.mark.parametrize(("more", "said"), [
    (("a", "--teacher-seeds", "0"), "--teacher-seeds is 0, expected 1 or more"),
    (("--teacher-seeds", "2"), "none is named"),
    (("a", "--teacher-seeds", "2", "--labels", "smoothed"), "no teacher for --teacher-seeds"),
    (("a", "--teacher-seeds", "2.5"), "expected a whole number"),
])  # fmt: skip
def test_the_command_says_what_is_wrong(fierce: Any, recipes: Path, more: tuple[str, ...], said: str) -> None:
    code, out, err = fierce("analyze", "missing-class", *more, "--runs-dir", str(recipes))
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1]


def test_experiments_that_train_their_own_runs_have_no_such_option(fierce: Any) -> None:
    assert "--teacher-seeds" not in fierce("analyze", "smoothing-sweep", "--help")[1]
    assert "--teacher-seeds" in fierce("analyze", "noise", "--help")[1]


@pytest.mark.slow
def test_ctrl_c_saves_the_teacher_and_the_same_command_goes_on(
    tmp_path: Path, train_run: Callable[..., Source], fierce: Any
) -> None:
    root = tmp_path / "runs"
    train_run(root, "t", "--epochs", "4", "--model", "mlp:4")
    asked = ("analyze", "missing-class", "t", "--teacher-seeds", "2", "--drop", "3", "--temperatures", "4", *FLAGS)
    job = Job(*asked, "--runs-dir", str(root), "--progress", "jsonl", hold=(EPOCH, 2)).held()
    job.send(signal.SIGINT)
    assert job.end() == 130
    assert "stopped in run 1 of 1; everything is saved; say the same command again" in job.err.splitlines()[-1]
    assert (root / "t-s1" / "state.safetensors").exists()
    assert not (root / ".experiments").exists()
    code, _, err = fierce(*asked, "--runs-dir", str(root), "--progress", "jsonl")
    assert code == 0, err
    begun = next(json.loads(line) for line in err.splitlines() if json.loads(line)["event"] == "run")
    assert (begun["run"], begun["epoch"]) == ("t-s1", 2)
    assert sorted(p.name for p in root.iterdir() if not p.name.startswith(".")) == ["t", "t-s1"]


def test_intervals_are_cut_to_what_a_figure_can_be() -> None:
    row = {"mean": 3.2, "sd_teachers": 0.1, "sd_students": 0.1, "low": -0.5, "high": 3.8}
    assert _pooled.cells({**row, "figure": "bias"})[-1] == "-0.5000 … 3.8000"
    assert _pooled.cells({**row, "figure": "kl"})[-1] == "0.0000 … 3.8000"
    assert _pooled.cells({**row, "figure": "missing"})[-1] == "0.0000 … 1.0000"
    assert any("says nothing" in n for n in _pooled.notes([{**row, "figure": "missing", "students": 2}]))
    assert not any("says nothing" in n for n in _pooled.notes([{**row, "figure": "kl", "students": 2}]))

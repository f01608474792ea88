"""`fierce reproduce`: a whole small study on digits, again, stopped, wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image
from sklearn.datasets import load_digits

TRAIN = {"epochs": 2}
STUDY = {
    "study": {
        "title": "Peers and a teacher", "source": "nobody", "data": "digits", "claim": "C", "expected": "E",
        "cost": {"cpu": "seconds", "gpu": "not yet measured"}, "val_fraction": 0.1, "seeds": 2,
    },
    "common": {"data": {"name": "digits"}, "model": {"name": "mlp:16"}, "train": TRAIN},
    "steps": {
        "hard": {"kind": "train", "train": {"save_at": [1]}},
        "student": {"kind": "distill", "distill": {"teachers": ["hard@1"]}},
        "pair": {"kind": "mutual", "mutual": {"models": ["mlp:8", "mlp:8"]}},
        "soft": {
            "kind": "analyze", "analysis": "entropy", "of": ["hard", "pair.2"], "epochs": "all",
            "options": {"temperatures": [1, 9]}, "figure": True,
        },
        "softest": {
            "kind": "analyze", "analysis": "transfer-set", "of": ["hard", "student"], "split": "train",
            "options": {"balanced": False, "total": 10}, "figure": True,
        },
        "missing": {
            "kind": "analyze", "analysis": "missing-class", "of": ["hard"],
            "options": {"drop": "3", "temperatures": [9], "student": "mlp:8", "epochs": 1},
        },
        "sweep": {
            "kind": "analyze", "analysis": "batch-epochs", "options": {"batch_sizes": [64, 256], "epochs": [1], "model": ["mlp:8"]},
            "settings": {"train.lr": 0.01},
        },
        "side": {"kind": "compare", "of": ["hard", "student"], "skip": ["mi", "probe"]},
    },
    "rows": [
        {"name": "teacher (%)", "key": "hard", "from": "hard", "ours": "test_accuracy", "scale": 100, "paper": 50, "within": 100},
        {"name": "teacher, beside", "key": "beside", "from": "side", "ours": "hard.accuracy"},
        {"name": "error of a peer (%)", "key": "peer", "from": "pair", "ours": "\"2\".test_accuracy", "scale": -100, "offset": 100},
        {"name": "entropy at T=9", "key": "h9", "from": "soft", "ours": "hard[-1].mean[1]"},
        {"name": "at T=1", "key": "h1", "from": "soft", "ours": "hard[-1].mean[0]"},
        {"name": "missing", "key": "missing", "from": "missing", "ours": "avg(found[?teacher=='hard'].missing)"},
        {"name": "by batch", "key": "batch", "from": "sweep", "ours": "found[?batch==`64`].entropy"},
    ],
    "claims": [
        {"says": "entropy rises with T", "holds": "h1 < h9"},
        {"says": "it falls", "holds": "h9 < h1"},
        {"says": "asked twice, the same", "holds": "hard - 100 * beside <= 0.0001"},
    ],
    "plots": [
        {"title": "Entropy", "x_label": "epoch", "y_label": "nats",
         "lines": [{"label": "hard", "from": "soft", "x": "hard[].epoch", "y": "hard[].mean[1]"}]},
        {"title": "Plane", "x_label": "x", "y_label": "y", "points": [["teacher", "h9", "hard"]]},
    ],
    "quick": {"about": "one seed", "seeds": 1, "options": {"batch_sizes": [64]}},
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "peers.toml"
    path.write_text(tomli_w.dumps(STUDY), encoding="utf-8")
    return path


def test_a_study_gives_one_table_and_is_found_again(fierce, study: Path, tmp_path: Path) -> None:
    code, out, err = fierce("reproduce", str(study), "--full")
    assert code == 0, err
    for word in (
        "teacher (%)",
        "holds (±100, in 2 of 2 seeds)",
        "The paper's claims",
        "1. entropy",
    ):
        assert word in out
    document = json.loads((tmp_path / "results" / "peers.json").read_text(encoding="utf-8"))
    rows = {row["key"]: row for row in document["rows"]}
    assert document["made"]["command"] == f"fierce reproduce {study} --seeds 2"
    # Independent truths: the runs' own files, and the analysis of one of them.
    runs = [tmp_path / "runs" / f"peers-hard-s{seed}" for seed in (0, 1)]
    own = [100 * json.loads((run / "run.json").read_text())["test"]["test_accuracy"] for run in runs]
    assert rows["hard"]["ours"] == pytest.approx(own)
    assert rows["hard"]["mean"] == pytest.approx(sum(own) / 2)
    _, answer, _ = fierce("analyze", "entropy", "peers-hard-s1", "--temperatures", "1,9", "--format", "json")
    assert rows["h9"]["ours"][1] == pytest.approx(json.loads(answer)["results"][0]["values"]["mean"][1])
    peer = json.loads((tmp_path / "runs" / "peers-pair-s0-2-mlp-8" / "run.json").read_text())
    assert rows["peer"]["ours"][0] == pytest.approx(100 - 100 * peer["test"]["test_accuracy"])
    assert rows["batch"]["n"] == 2
    assert [c["verdict"] for c in document["claims"]] == ["holds", "does not hold", "holds"]
    assert document["steps"]["hard"]["runs"] == ["peers-hard-s0", "peers-hard-s1"]
    text = (tmp_path / "results" / "peers.md").read_text(encoding="utf-8")
    assert "| teacher (%) | 50 |" in text
    for chart in ("peers.svg", "peers-soft.svg"):
        assert (tmp_path / "results" / chart).read_text(encoding="utf-8").startswith("<?xml")
    # The first picture is the softest image of the first of two teachers, every pixel 14 wide.
    sheet = np.asarray(Image.open(tmp_path / "results" / "peers-softest.png"))
    _, answer, _ = fierce(
        "analyze", "transfer-set", "peers-hard-s0", *["--no-balanced", "--total", "10", "--format", "json"]
    )
    index = json.loads(answer)["results"][0]["values"]["index"][0]
    pixels = np.rint(load_digits().images[index] * (255 / 16))
    assert np.array_equal(sheet[12 : 12 + 8 * 14 : 14, 12 : 12 + 8 * 14 : 14, 0], pixels)
    assert sheet.shape[0] == 12 + 2 * (8 * 14 + 46)

    # Judged again from its own figures, whatever its verdicts were, it is the same; nothing is trained.
    kept = tmp_path / "results" / "peers.json"
    older = {**document, "claims": [{**c, "verdict": "?", "gaps": []} for c in document["claims"]]}
    kept.write_text(json.dumps(older), encoding="utf-8")
    (tmp_path / "results" / "peers.md").unlink()
    code, out, err = fierce("reproduce", str(study), "--rejudge", "results/peers.json")
    assert code == 0, err
    assert json.loads(kept.read_text(encoding="utf-8")) == document
    assert (tmp_path / "results" / "peers.md").read_text(encoding="utf-8") == text
    code, out, _ = fierce("reproduce", str(study), *["--rejudge", "results/peers.json"] * 2, "--format", "json")
    assert json.loads(out) == [document, document]
    code, _, err = fierce("reproduce", "--rejudge", "results/peers.json")
    assert (code, "name its file: fierce reproduce STUDY.toml" in err) == (2, True)
    code, _, err = fierce("reproduce", str(study), "--rejudge", "results/peers.json", "--seeds", "3")
    assert (code, "leave out what says how to carry out a study" in err) == (2, True)
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    code, _, err = fierce("reproduce", str(study), "--rejudge", "deep.json")
    assert (code, "not a JSON document" in err) == (3, True)
    code, _, err = fierce("reproduce", "--rejudge", str(study))
    assert (code, "not a JSON document" in err) == (3, True)
    code, _, err = fierce("reproduce", "smoke", "--rejudge", "results/peers.json")
    assert code == 2, "a recipe of one training is no study"

    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").glob("*/model.safetensors")}
    code, again, err = fierce("reproduce", str(study), "--full", "--format", "json")
    assert code == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").glob("*/model.safetensors")} == before
    assert "2 of 2 runs were done before" in err
    assert json.loads(again)["rows"] == document["rows"]


@pytest.mark.slow
def test_more_seeds_train_only_what_is_new(fierce, study: Path, tmp_path: Path) -> None:
    assert fierce("reproduce", str(study), "--quick", "--out", "here")[0] == 0
    assert (tmp_path / "here" / "peers-quick.json").is_file()
    code, out, err = fierce("reproduce", str(study), "--quick", "--seeds", "2", "--out", "here", "--format", "json")
    assert code == 0
    assert "1 of 2 runs were done before" in err
    assert json.loads(out)["rows"][0]["n"] == 2
    assert "--quick --seeds 2" in json.loads(out)["made"]["command"]


def test_a_step_that_fails_is_told_of_and_the_others_go_on(fierce, tmp_path: Path) -> None:
    steps = {
        "there": {"kind": "train"},
        "gone": {"kind": "train", "data": {"name": "arrays:nowhere.npz"}},
        "soft": {"kind": "analyze", "analysis": "entropy", "of": ["gone"]},
    }
    rows = [
        {"name": "there", "key": "there", "from": "there", "ours": "test_accuracy"},
        {"name": "gone", "key": "gone", "from": "soft", "ours": "gone.mean[0]"},
    ]
    document = {"study": STUDY["study"], "common": STUDY["common"], "steps": steps, "rows": rows}
    path = tmp_path / "half.toml"
    path.write_text(tomli_w.dumps(document), encoding="utf-8")
    code, out, err = fierce("reproduce", str(path), "--seeds", "1")
    assert code == 3
    assert "2 of 3 steps failed: gone, soft" in err
    assert "nowhere.npz" in out
    assert "gone is not there" in out
    kept = json.loads((tmp_path / "results" / "half.json").read_text(encoding="utf-8"))
    assert [row["n"] for row in kept["rows"]] == [1, 0]


def test_a_changed_file_of_data_is_trained_on_anew(fierce, arrays_file: Path, tmp_path: Path) -> None:
    document = {
        "study": STUDY["study"],
        "steps": {"a": {"kind": "train", "data": {"name": f"arrays:{arrays_file}"}, "train": {"epochs": 1}}},
        "rows": [{"name": "a", "key": "a", "from": "a", "ours": "test_accuracy"}],
    }
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(document), encoding="utf-8")
    assert fierce("reproduce", str(path), "--seeds", "1")[0] == 0
    assert "1 of 1 runs were done before" in fierce("reproduce", str(path), "--seeds", "1")[2]
    with np.load(arrays_file) as found:
        arrays = dict(found)
    np.savez(arrays_file, **{**arrays, "train_images": 255 - arrays["train_images"]})
    assert "were done before" not in fierce("reproduce", str(path), "--seeds", "1")[2]
    assert (tmp_path / "runs" / "mine-a-s0-2").is_dir()


def rows_of(fierce, tmp_path: Path, *rows: dict[str, str]) -> tuple[int, dict[str, dict[str, object]], str]:
    """A study of one short training with these rows: exit code, its rows by key, stderr."""
    document = {"study": STUDY["study"], "common": STUDY["common"], "steps": {"a": {"kind": "train"}}}
    document["rows"] = [{"name": row["key"], "from": "a", **row} for row in rows]  # type: ignore[assignment]
    path = tmp_path / "rows.toml"
    path.write_text(tomli_w.dumps(document), encoding="utf-8")
    code, out, err = fierce("reproduce", str(path), "--format", "json")
    return code, {row["key"]: row for row in json.loads(out)["rows"]}, err


def test_whatever_an_expression_gives_the_table_is_kept(fierce, tmp_path: Path) -> None:
    code, rows, err = rows_of(
        fierce, tmp_path,
        {"key": "fine", "ours": "test_accuracy"},
        {"key": "several", "ours": "history[].val_accuracy"},
        {"key": "kind", "ours": "max(@)"},
        {"key": "step", "ours": "history[::0]"},
        {"key": "word", "ours": "run"},
        {"key": "one_seed", "ours": "to_number(run != 'rows-a-s0' && '1' || 'x')"},
    )  # fmt: skip
    assert code == 2
    assert rows["fine"]["n"] == 2
    assert "2 numbers of one seed" in str(rows["several"]["why"])
    assert (rows["one_seed"]["ours"], rows["one_seed"]["n"]) == ([None, 1.0], 1), "so that rows pair by their seeds"
    assert "4 rows found nothing: several, kind, step, word" in err


def test_the_folder_of_results_is_looked_at_first(fierce, study: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    code, out, _ = fierce("reproduce", str(study), "--out", "taken")
    assert (code, out) == (1, "")
    assert not (tmp_path / "runs").exists()


def test_an_expression_that_finds_nothing_is_told_what_there_is(fierce, study: Path, tmp_path: Path) -> None:
    rows = [{"name": "lost", "key": "lost", "from": "hard", "ours": "accurracy"}]
    plots = [
        {**STUDY["plots"][0], "lines": [{"label": "a", "from": "hard", "x": "history[].epoch", "y": "history[].x"}]}
    ]  # type: ignore[index]
    document = {**STUDY, "steps": {"hard": {"kind": "train"}}, "rows": rows, "claims": [], "plots": plots}
    document.pop("quick")
    study.write_text(tomli_w.dumps(document), encoding="utf-8")
    code, out, err = fierce("reproduce", str(study), "--seeds", "1")
    assert code == 2
    assert "test_accuracy" in out
    assert "plot 'Entropy'" in out
    assert "1 rows found nothing: lost" in err or "1 row found nothing: lost" in err
    assert (tmp_path / "results" / "peers.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "which study?"),
        (("nothing-like-it",), 2, "unknown study"),
        (("peers.toml", "--quick", "--full"), 2, "two forms"),
        (("peers.toml", "--seeds", "0"), 2, "expected 1 or more"),
        (("peers.toml", "--device", "cuda"), 2, "sees none here"),
        (("none.toml",), 3, "does not exist"),
    ],
)
def test_wrong_words(fierce, study: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("needs no GPU")
    got, out, err = fierce("reproduce", *arguments)
    assert (got, out) == (code, "")
    assert says in err


def test_a_study_is_no_recipe_for_train(fierce, study: Path) -> None:
    code, _, err = fierce("train", str(study))
    assert code == 2
    assert "fierce reproduce" in err


def test_the_list_says_source_data_cost_and_claim(fierce) -> None:
    code, out, _ = fierce("reproduce", "--list")
    assert code == 0
    code, listed, _ = fierce("reproduce", "--list", "--format", "json")
    assert code == 0
    for study in json.loads(listed)["studies"]:
        assert study["study"] in out
        assert study["claim"] in out
        assert set(study["cost"]) == {"cpu", "gpu"}


@pytest.mark.slow
def test_the_time_of_an_answer_is_not_that_of_reading_it(fierce, study: Path, tmp_path: Path) -> None:
    path = tmp_path / "runs" / ".studies" / "peers.json"
    assert fierce("reproduce", str(study), "--quick")[0] == 0
    first = json.loads(path.read_text(encoding="utf-8"))
    asking = [name for name, step in STUDY["steps"].items() if step["kind"] in ("analyze", "compare")]  # type: ignore[attr-defined]
    assert [key.split()[0] for key in first] == asking
    path.write_text(json.dumps(dict.fromkeys(first, 1000.0)), encoding="utf-8")
    code, out, _ = fierce("reproduce", str(study), "--quick", "--format", "json")
    assert code == 0
    minutes = float(json.loads(out)["made"]["time"].removesuffix(" min"))
    assert minutes == pytest.approx(len(asking) * 1000 / 60, abs=0.5)
    code, out, _ = fierce("reproduce", str(study), "--quick", "--fresh", "--format", "json")
    assert code == 0
    assert max(json.loads(path.read_text(encoding="utf-8")).values()) < 1000
    path.write_text("[]", encoding="utf-8")
    assert fierce("reproduce", str(study), "--quick")[0] == 0

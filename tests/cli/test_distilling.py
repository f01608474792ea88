"""`fierce distill` and `fierce distill-chain` as a person uses them."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import arrayfile, recipe, runs

QUICK = ("--student", "mlp:8", "--epochs", "2", "--device", "cpu")


@pytest.fixture
def teacher(digits_run: Path) -> str:
    return str(digits_run)


def document(run: str) -> dict:
    found = arrayfile.load_arrays(Path("runs") / run / "model.safetensors")[1]
    assert found is not None
    return found


def test_a_student_beside_its_teacher(fierce, teacher: str) -> None:
    code, out, err = fierce("distill", "--teacher", teacher, *QUICK)
    assert code == 0, err
    name = "digits-mlp-8-kd-temperature9-from-demo-s0"
    assert out.strip().split("\n")[-1] == f"runs/{name}/model.safetensors"
    assert "loss: 0.99·T²·KL(teacher ‖ student), T=9 (T²=81) + 0.01·CE" in err
    assert "teacher: demo; its outputs are computed once" in err
    for row in ("accuracy", "agreement with the teacher", "KL(teacher ‖ ·), T=9 (nats)"):
        assert row in out
    run = runs.Run(Path("runs") / name)
    info, made = run.info(), document(name)
    sha = arrayfile.load_arrays(Path(teacher) / "model.safetensors")[1]["content_sha256"]  # type: ignore[index]
    for written in (info, made["distillation"]):
        assert written["teachers"] == [{"path": f"{teacher}/model.safetensors", "sha256": sha, "run": "demo"}]
        assert written["formula"] == "0.99·T²·KL(teacher ‖ student), T=9 (T²=81) + 0.01·CE"
        assert written["teacher_outputs"] == "once"
    assert made["recipe"]["distill"]["teachers"] == [f"{teacher}/model.safetensors"]
    listed = json.loads(fierce("runs", "--format", "json")[1])
    assert [row["teacher"] for row in listed] == ["demo"]
    assert "teacher" in fierce("runs", "--filter", "teacher:demo")[1]
    shown = fierce("runs", "show", name)[1]
    assert f"lineage          {name} ← demo" in shown
    assert f"content {sha[:12]}…" in shown
    code, out, err = fierce("analyze", "agreement", name, "--teacher", teacher, "--format", "json")
    assert code == 0, err


def test_the_table_says_what_the_analysis_says(fierce, teacher: str) -> None:
    code, out, err = fierce("distill", "--teacher", teacher, *QUICK, "--name", "s", "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    student, teacher_row = (found["distillation"]["models"][k] for k in ("student", "teacher"))
    assert student["accuracy"] == found["test_accuracy"]
    assert teacher_row["accuracy"] == runs.Run(Path(teacher)).info()["test"]["test_accuracy"]
    for temperature, key in ((1, "kl"), (9, "kl_at_t")):
        words = ("analyze", "agreement", "s", "--teacher", teacher, "--temperature", str(temperature))
        answer = json.loads(fierce(*words, "--format", "json")[1])["results"][0]["values"]
        assert student[key] == pytest.approx(answer["kl"], abs=1e-5)
        assert student["agreement"] == answer["top1"]


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("kd", ("--no-t2", "--student-temperature", "1", "--temperature", "4")),
        ("logits", ("--kd-weight", "0.6", "--ce-weight", "0.4")),
        ("dkd", ("--dkd-warmup", "1")),
        ("noisy", ("--noise", "normal", "--noise-scale", "0.05")),
        ("virtual-teacher", ()),
        ("smoothed-labels", ("--alpha", "0.4", "--convention", "others")),
        ("noisy", ("--noise-on", "smoothed")),
        ("none", ()),
    ],
)
def test_every_method_trains(fierce, teacher: str, method: str, more: tuple[str, ...]) -> None:
    alone = method in ("virtual-teacher", "smoothed-labels", "none") or "smoothed" in more
    words = () if alone else ("--teacher", teacher)
    code, out, err = fierce("distill", *words, *QUICK, "--method", method, *more, "--format", "json", "--name", "m")
    assert code == 0, err
    found = json.loads(out)
    assert np.isfinite(found["train_loss"])
    assert ("teacher" in found["distillation"]["models"]) == (not alone)
    assert document("m")["recipe"]["distill"]["method"] == method


def test_self_distillation_takes_its_own_architecture(fierce, teacher: str) -> None:
    code, _, err = fierce("distill", "--teacher", teacher, "--method", "self", "--epochs", "1", "--name", "again")
    assert code == 0, err
    assert document("again")["recipe"]["model"] == document_of(teacher)["recipe"]["model"]


def document_of(path: str) -> dict:
    found = arrayfile.load_arrays(Path(path) / "model.safetensors")[1]
    assert found is not None
    return found


def test_losses_without_a_teacher_train_plainly(fierce) -> None:
    code, _, err = fierce("train", "--model", "mlp:8", "--epochs", "1", "--loss", "virtual-teacher", "--name", "v")
    assert code == 0, err
    assert "loss: 0.99·KL(virtual teacher, a=0.99 ‖ student), T=20, no T² + 0.01·CE" in err
    assert runs.Run(Path("runs/v")).recipe().distill is None
    assert runs.Run(Path("runs/v")).info()["formula"].startswith("0.99·KL(virtual")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "method kd learns from a teacher; say which: --teacher CHECKPOINT"),
        (("--teacher", "nobody"), 3, "unknown run 'nobody'"),
        (("--teacher", "TEACHER", "--method", "kdd"), 2, "did you mean 'kd'"),
        (("--teacher", "TEACHER", "--method", "self"), 2, "the student mlp:8"),
        (("--teacher", "TEACHER", "--data", "arrays:two.npz"), 3, "teacher demo takes examples of shape [8, 8, 1]"),
        (("--teacher", "TEACHER", "--noise", "normal"), 2, "and the loss is kd; add --method noisy"),
        (("--teacher", "TEACHER", "--method", "logits", "--no-t2"), 2, "the loss is logit-matching; add --method kd"),
        (("--teacher", "TEACHER", "--patience", "2", "--val-fraction", "0"), 2, "there is no validation split"),
        (("--teacher", "TEACHER", "--student-temperature", "1"), 2, "add --no-t2"),
        (("--teacher", "TEACHER", "--temperature", "0"), 2, "expected a number above 0"),
        (("--teacher", "TEACHER", "--unlabelled", "--ce-weight", "1"), 2, "leave --ce-weight out"),
        (("--teacher", "TEACHER", "--drop-class", "eleven"), 2, "unknown class in --drop-class"),
        (("--teacher", "TEACHER", "--transfer-set", "none.npz"), 3, "none.npz does not exist"),
        (("--teacher-outputs", "none.npz"), 3, "none.npz does not exist"),
        (("--teacher", "two.npz"), 2, "soft labels in a file are --teacher-outputs FILE"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    fierce, teacher: str, arrays_file: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    words = [teacher if word == "TEACHER" else word for word in arguments]
    got, out, err = fierce("distill", *QUICK, *words)
    line = err.strip().split("\n")[-1]
    assert (got, said in line) == (code, True), err
    assert line.startswith("fierce: ")
    assert not out
    assert not Path("runs").exists()


def test_train_has_no_teacher_to_give(fierce) -> None:
    code, _, err = fierce("train", "--loss", "kd", "--epochs", "1")
    assert (code, "fierce distill --teacher" in err) == (2, True)


def test_the_baseline_is_a_plain_training(fierce, teacher: str) -> None:
    code, out, err = fierce("distill", "--teacher", teacher, *QUICK, "--baseline", "--name", "s", "--format", "json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found["distillation"]["models"]) == ["student", "student alone", "teacher"]
    assert found["baseline"]["run"] == "runs/s-alone"
    assert fierce("train", "--model", "mlp:8", "--epochs", "2", "--device", "cpu", "--name", "plain")[0] == 0
    assert document("plain")["content_sha256"] == document("s-alone")["content_sha256"]
    assert "teacher" in fierce("runs")[1]


def stopped(made: recipe.Recipe, name: str, events: int) -> runs.Run:
    """A run that was stopped after so many steps or epochs."""
    from fierce_tools.experiments._record import options_of, prepare, record

    run = runs.create(Path("runs"), made, name)
    training = record(prepare(made), run, [], **options_of(made, record))
    for _ in range(events):
        next(training)
    training.close()
    return run


@pytest.mark.parametrize("command", ["train", "distill"])
def test_a_stopped_distillation_goes_on_to_the_same_weights(fierce, teacher: str, command: str) -> None:
    """Noise is drawn at every step, augmentation and the teacher in the loop go on, too."""
    more = ("--method", "noisy", "--augment", "shift:1")
    code, _, err = fierce("distill", "--teacher", teacher, *QUICK, *more, "--name", "whole")
    assert code == 0, err
    assert "its outputs are computed in the loop" in err
    stopped(runs.Run(Path("runs/whole")).recipe(), "cut", 30)
    code, _, err = fierce(command, "--resume", "cut")
    assert code == 0, err
    assert document("cut")["content_sha256"] == document("whole")["content_sha256"]
    assert document("cut")["distillation"]["teacher_outputs"] == "in the loop"


def test_a_teacher_that_changed_ends_it(fierce, teacher: str) -> None:
    shutil.copytree(teacher, "own")
    code, _, err = fierce("distill", "--teacher", "own", *QUICK, "--name", "first")
    assert code == 0, err
    run = stopped(runs.Run(Path("runs/first")).recipe(), "cut", 3)
    shutil.copy("own/epochs/0001.safetensors", "own/model.safetensors")
    code, _, err = fierce("distill", "--resume", "cut")
    assert (code, "own/model.safetensors (sha256" in err, "is not what cut has been distilled with" in err) == (
        3,
        True,
        True,
    )
    assert run.info()["state"] == "stopped"
    shutil.copy(f"{teacher}/model.safetensors", "own/model.safetensors")
    assert fierce("distill", "--resume", "cut")[0] == 0


@pytest.mark.slow
def test_transfer_sets_dropped_classes_and_no_labels(fierce, teacher: str) -> None:
    words = ("analyze", "transfer-set", teacher, "--per-class", "5", "--save", "softest.safetensors")
    assert fierce(*words)[0] == 0
    more = ("--transfer-set", "softest.safetensors", "--drop-class", "3", "--unlabelled")
    longer = ("--epochs", "80", "--lr", "0.01", "--batch-size", "9", "--baseline", "--name", "few", "--format", "json")
    code, out, err = fierce("distill", "--teacher", teacher, "--student", "mlp:8", *more, *longer)
    assert code == 0, err
    assert "(45 train, 143 validation, 360 test)" in err
    assert "+ 0·CE" in err
    found = json.loads(out)["distillation"]["models"]
    assert found["student alone"]["unseen"] == {"3": 0.0}, "nothing can have told it of a 3"
    assert 0 <= found["student"]["unseen"]["3"] <= 1
    made = document("few")
    assert made["distillation"]["transfer_set"]["examples"] == 45
    assert Path(made["recipe"]["distill"]["transfer_set"]).is_absolute()
    assert document("few-alone")["recipe"]["distill"]["method"] == "none"
    stopped(runs.Run(Path("runs/few")).recipe(), "cut", 1)
    index = arrayfile.load_arrays(Path("softest.safetensors"))[0]["index"]
    arrayfile.save_arrays(Path("softest.safetensors"), {"index": index[1:]}, {})
    code, _, err = fierce("distill", "--resume", "cut")
    assert (code, "softest.safetensors (sha256" in err) == (3, True)


def test_soft_labels_of_people(fierce) -> None:
    """A file of label distributions teaches without any checkpoint, and rules classes out."""
    from fierce_tools.data import digits

    data = digits()
    p = np.eye(10)[data.train_labels] * 0.9 + np.eye(10)[(data.train_labels + 1) % 10] * 0.1
    np.savez("people.npz", people=p, index=data.train_index)
    words = ("--teacher-outputs", "people.npz", "--teacher-probabilities", "people", "--no-t2", "--temperature", "1")
    code, out, err = fierce("distill", *QUICK, *words, "--name", "p")
    assert code == 0, err
    assert "teacher: people.npz; its soft labels are the file's" in err
    assert "Student and teacher (val)" in out
    (named,) = document("p")["distillation"]["teachers"]
    assert named["path"] == str(Path("people.npz").absolute())
    kept = np.isin(data.train_index, data.train_index[:1437:2])
    np.savez("half.npz", logits=np.full((kept.sum(), 10), 0.3), index=data.train_index[kept])
    code, _, err = fierce("distill", *QUICK, "--teacher-outputs", "half.npz")
    assert (code, "has no soft labels of" in err) == (3, True)


def test_soft_labels_of_the_training_split_alone(fierce, teacher: str) -> None:
    assert fierce("infer", teacher, "--split", "train", "--out", "soft.safetensors")[0] == 0
    code, out, err = fierce(
        "distill", *QUICK, "--teacher-outputs", "soft.safetensors", "--name", "f", "--format", "json"
    )
    assert code == 0, err
    assert "warning: soft.safetensors has soft labels of 0 of the 143 validation examples" in err
    assert json.loads(out)["val_loss"] is None
    assert fierce("distill", "--teacher", teacher, *QUICK, "--name", "t")[0] == 0
    assert document("f")["content_sha256"] == document("t")["content_sha256"], "the same teacher either way"


def test_a_recipe_with_a_teacher(fierce, teacher: str) -> None:
    Path("r.toml").write_text(
        f'[distill]\nteachers = ["{teacher}"]\nmethod = "logits"\n[model]\nname = "mlp:8"\n[train]\nepochs = 1\n'
    )
    for number, command in enumerate(("distill", "train")):
        code, _, err = fierce(command, "r.toml", "--name", f"r{number}")
        assert code == 0, err
    made = tomllib.loads(Path("runs/r0/recipe.toml").read_text())
    assert (made["loss"]["name"], made["data"]["name"]) == ("logit-matching", "digits")
    assert document("r0")["content_sha256"] == document("r1")["content_sha256"]
    code, _, err = fierce("train", "r.toml", "--kd-weight", "0.5", "--name", "r2")
    assert code == 0, err
    assert document("r2")["recipe"]["loss"]["kd_weight"] == 0.5


def test_data_are_the_teachers_unless_others_are_named(fierce) -> None:
    assert (
        fierce(
            "train", "--model", "mlp:8", "--epochs", "1", "--val-fraction", "0.3", "--split-seed", "5", "--name", "t"
        )[0]
        == 0
    )
    code, _, err = fierce("distill", "--teacher", "t", *QUICK, "--split-seed", "6", "--name", "a")
    assert code == 0, err
    assert (document("a")["recipe"]["data"]["val_fraction"], document("a")["recipe"]["data"]["split_seed"]) == (0.3, 6)
    code, _, err = fierce("distill", "--teacher", "t", "--epochs", "1", "--data", "digits", "--name", "b")
    assert code == 0, err
    assert document("b")["recipe"]["data"]["val_fraction"] == 0.1
    assert document("b")["recipe"]["model"]["name"] == recipe.default_student("digits")


def test_several_teachers(fierce, teacher: str) -> None:
    words = ("--teacher", teacher, "--teacher", f"{teacher}/epochs/0001.safetensors")
    code, _, err = fierce("distill", *words, *QUICK, "--name", "two")
    assert code == 0, err
    assert [t["run"] for t in document("two")["distillation"]["teachers"]] == ["demo", "demo"]
    assert "teacher: demo + demo@0001" in err
    assert runs.summary(runs.Run(Path("runs/two")))["teacher"] == "demo + demo"


def test_a_chain_goes_on_where_it_stopped(fierce, teacher: str) -> None:
    words = (
        "distill-chain",
        "--teacher",
        teacher,
        "--through",
        "mlp:16,mlp:12",
        "--student",
        "mlp:8",
        "--epochs",
        "1",
        "--name",
        "c",
    )
    code, out, err = fierce(*words)
    assert code == 0, err
    names = ["c-1-mlp-16", "c-2-mlp-12", "c-3-mlp-8"]
    assert out.strip().split("\n")[-3:] == [f"runs/{n}/model.safetensors" for n in names]
    assert "agrees with its teacher" in out
    assert runs.lineage(runs.Run(Path("runs/c-3-mlp-8"))) == ["c-2-mlp-12", "c-1-mlp-16", "demo"]
    last, made = document("c-3-mlp-8")["content_sha256"], runs.Run(Path("runs/c-3-mlp-8")).recipe()
    shutil.rmtree("runs/c-3-mlp-8")
    stopped(made, "c-3-mlp-8", 5)
    code, out, err = fierce(*words, "--format", "json")
    assert code == 0, err
    assert "runs/c-1-mlp-16 is done" in err
    assert document("c-3-mlp-8")["content_sha256"] == last
    steps = json.loads(out)["steps"]
    assert [s["model"] for s in steps] == ["mlp:16", "mlp:12", "mlp:8"]
    assert all(0 <= s["student"]["agreement"] <= 1 for s in steps)
    code, _, err = fierce(*words, "--lr", "0.01")
    assert (code, "was trained by other options; give the chain another --name" in err) == (2, True)
    shutil.copy(f"{teacher}/model.safetensors", "runs/c-1-mlp-16/model.safetensors")
    code, _, err = fierce(*words)
    assert (code, "is not what c-2-mlp-12 has been distilled with" in err) == (3, True)


@pytest.mark.parametrize("student", [("mlq:8",), ("plain-10",), ("mlp:4", "--set", "model.dropout=2")])
def test_a_chains_models_are_known_to_be_before_the_first_is_trained(
    fierce, teacher: str, student: tuple[str, ...]
) -> None:
    code, _, err = fierce(
        "distill-chain", "--teacher", teacher, "--through", "linear", "--epochs", "1", "--student", *student
    )
    assert code == 2, err
    assert not Path("runs").exists()


def test_ctrl_c_in_a_chain_says_how_to_go_on(fierce, teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    from fierce_tools.cli.progress import Shown

    monkeypatch.setattr(Shown, "step", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    code, _, err = fierce("distill-chain", "--teacher", teacher, "--student", "mlp:8", "--epochs", "3", "--name", "c")
    assert (code, "say the same command again to go on" in err) == (130, True)
    assert runs.Run(Path("runs/c-1-mlp-8")).info()["state"] == "stopped"


def test_a_warm_up_that_is_never_over_is_warned_of(fierce, teacher: str) -> None:
    _, _, err = fierce("distill", "--teacher", teacher, *QUICK, "--method", "dkd")
    assert "warning: --dkd-warmup 20 is not over in 2 epochs: the teacher's terms reach 10% of their weights" in err


def test_help_shows_each_losss_default(fierce) -> None:
    _, out, _ = fierce("distill", "--help")
    text = " ".join(out.replace("│", " ").split())
    assert "[default: dkd 4, kd 9, noisy-labels 9, virtual-teacher 20]" in text
    assert "--teacher-outputs" in text
    assert "--teachers" not in text
    assert "the same. [default: kd none, smoothed-labels 1]" in text
    assert "s of the noise, 0 or more." in text, "symbols keep their case"
    assert "--lam" not in text, "an option that no method has"
    assert "--lam" in fierce("train", "--help")[1]


@pytest.mark.slow
def test_a_baseline_goes_on_with_its_student(fierce, teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the student, then in the baseline: the same command goes on to the table of one never stopped."""
    import os
    import signal

    from fierce_tools.cli.progress import Shown

    words = ("distill", "--teacher", teacher, *QUICK, "--augment", "shift:1", "--baseline", "--format", "json")
    code, whole, err = fierce(*words, "--name", "whole")
    assert code == 0, err
    with monkeypatch.context() as stopping:
        stopping.setattr(Shown, "step", lambda *_: os.kill(os.getpid(), signal.SIGINT))
        code, _, err = fierce(*words, "--name", "cut")
        assert (code, "go on with `fierce distill --resume runs/cut --baseline`" in err) == (130, True), err
    steps = iter(range(1000))
    first = json.loads(whole)["step"]
    with monkeypatch.context() as stopping:
        stop = lambda *_: os.kill(os.getpid(), signal.SIGINT) if next(steps) == first + 3 else None  # noqa: E731
        stopping.setattr(Shown, "step", stop)
        code, _, err = fierce("distill", "--resume", "cut", "--baseline")
        assert (code, "go on with `fierce distill --resume runs/cut --baseline`" in err) == (130, True), err
    assert [runs.Run(Path("runs") / n).info()["state"] for n in ("cut", "cut-alone")] == ["done", "stopped"]
    code, out, err = fierce("distill", "--resume", "cut", "--baseline", "--format", "json")
    assert code == 0, err
    assert "runs/cut is done" in err
    for name in ("", "-alone"):
        assert document(f"cut{name}")["content_sha256"] == document(f"whole{name}")["content_sha256"]
    found, expected = json.loads(out), json.loads(whole)
    assert found["distillation"] == expected["distillation"]
    assert found["test_accuracy"] == expected["test_accuracy"]
    code, _, err = fierce("distill", "--resume", "cut")
    assert (code, "there is nothing to resume" in err) == (2, True)


@pytest.mark.parametrize("named", [True, False])
def test_a_baseline_whose_name_is_taken_is_said_before_anything_is_trained(fierce, teacher: str, named: bool) -> None:
    stem = "s" if named else "digits-mlp-8-kd-temperature9-from-demo-s0"
    assert fierce("train", "--model", "linear", "--epochs", "1", "--name", f"{stem}-alone")[0] == 0
    code, _, err = fierce("distill", "--teacher", teacher, *QUICK, "--baseline", *(("--name", "s") if named else ()))
    assert (code, f"run runs/{stem}-alone exists already and was trained by other options" in err) == (2, True), err
    assert [p.name for p in Path("runs").iterdir()] == [f"{stem}-alone"]


def test_a_baseline_of_other_options_or_data_is_not_taken(fierce) -> None:
    """Where it was computed and what was saved make no other training; another learning rate or file does."""
    rng = np.random.default_rng(0)

    def written(seed: int) -> None:
        labels = np.arange(60) % 3
        images = np.random.default_rng(seed).normal(size=(60, 5)).astype(np.float32)
        np.savez(
            "mine.npz",
            **{f"{s}_{k}": v for s in ("train", "test") for k, v in (("images", images), ("labels", labels))},
        )

    written(0)
    np.savez("soft.npz", soft=rng.dirichlet(np.ones(3), 60))
    taught = ("--teacher-outputs", "soft.npz", "--teacher-probabilities", "soft", "--data", "arrays:mine.npz")
    words = ("distill", *taught, "--student", "mlp:4", "--epochs", "1", "--baseline", "--name", "s")
    assert (
        fierce("train", *taught[4:], "--model", "mlp:4", "--epochs", "1", "--device", "cpu", "--name", "s-alone")[0]
        == 0
    )
    code, _, err = fierce(*words, "--save-best")
    assert code == 0, err
    assert "runs/s-alone is done" in err
    code, _, err = fierce(*words[:-1], "t", "--lr", "0.1")
    assert code == 0, err
    written(1)
    (Path("runs") / "s-alone").rename(Path("runs") / "u-alone")
    code, _, err = fierce(*words[:-1], "u")
    assert (code, "is not what u-alone was trained on" in err) == (3, True), err

"""Same classes, same examples, same training: what is set side by side belongs together, or is refused by name."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import command, shared

from fierce_tools import arrayfile, outputs, recipe, same
from fierce_tools.errors import DataError
from fierce_tools.outputs import Outputs
from fierce_tools.same import match_classes, match_examples

KNOWN = ("cat", "dog", "owl")


def scene(names: Sequence[str], *, seed: int = 0, n: int = 240) -> dict[str, np.ndarray]:
    """Pictures of some of three kinds of animal, which are bright in rows 0-1, 2-3 or 4-5, with labels in that order."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {"class_names": np.array(names)}
    for split in ("train", "test"):
        y = rng.integers(0, len(names), n)
        x = rng.integers(0, 60, (n, 8, 8, 1)).astype(np.uint8)
        for label, name in enumerate(names):
            start = 2 * (KNOWN.index(name) if name in KNOWN else 0)
            x[y == label, start : start + 2] += 150
        found |= {f"{split}_images": x, f"{split}_labels": y}
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of cats, dogs and owls that makes no mistake."""

    def build(root: Path) -> None:
        np.savez(root / "animals.npz", **scene(KNOWN))
        data = ("--data", f"arrays:{root / 'animals.npz'}", "--model", "mlp:16", "--lr", "0.01", "--epochs", "12")
        command("train", *data, "--name", "knows", "--runs-dir", str(root / "runs"), "--device", "cpu")

    return shared(tmp_path_factory, "animals", build)


@pytest.fixture
def run(built: Path) -> str:
    return str(built / "runs" / "knows")


# Classes.


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_columns_are_found_by_name(order: tuple[int, ...]) -> None:
    names = tuple(KNOWN[i] for i in order)
    columns = match_classes(names, KNOWN, what="data", other="model")
    scores = np.array([[1.0, 2.0, 3.0]])
    assert columns.of(scores)[0].tolist() == [1.0 + i for i in order]
    assert columns.lifted(np.arange(3)).tolist() == list(order)
    assert (columns.note is None) == (names == KNOWN)
    assert columns.moves == (names != KNOWN)


def test_some_of_the_known_classes_are_mapped_and_said() -> None:
    columns = match_classes(("owl", "cat"), KNOWN, what="data", other="model")
    assert columns.number.tolist() == [2, 0]
    assert columns.note == "data has 2 of the 3 classes of model, matched by name: owl, cat."
    with pytest.raises(DataError, match="2 and 3 classes"):
        match_classes(("owl", "cat"), KNOWN, what="data", other="model", subset=False)


@pytest.mark.parametrize(
    ("names", "others", "said"),
    [
        (("cat", "cow", "owl"), KNOWN, "data and model have classes of other names: cat, cow, owl; and cat, dog, owl"),
        ((*KNOWN, "cow"), KNOWN, "4 and 3 classes: cat, dog, owl, cow; and cat, dog, owl"),
        (("0", "1"), KNOWN, "2 and 3 classes: 0, 1; and"),
        (("0", "1"), ("0", "1", "2"), "2 and 3 classes"),
        (("cat", "cat", "owl"), KNOWN, "cat, cat, owl"),
    ],
)
def test_classes_that_are_not_known_are_refused_with_both_lists(
    names: tuple[str, ...], others: tuple[str, ...], said: str
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        match_classes(names, others, what="data", other="model", hint="name others")
    assert caught.value.hint == "name others"


def test_numbers_made_up_for_want_of_names_name_nothing() -> None:
    for names, others, unnamed in ((("0", "1", "2"), KNOWN, "data"), (KNOWN, ("0", "1", "2"), "model")):
        columns = match_classes(names, others, what="data", other="model")
        assert not columns.moves
        assert columns.others == KNOWN
        assert str(columns.note).startswith(f"{unnamed} names no classes: they are taken in the order of ")
    some = match_classes(("7", "3"), tuple("0123456789"), what="data", other="model")
    assert some.number.tolist() == [7, 3], "digits that somebody chose are names"


def test_the_same_numbers_in_another_order_are_names() -> None:
    """Folders are sorted as text: 0, 1, 10, 11, 2. The same numbers on both sides mean the same classes."""
    text = tuple(sorted(map(str, range(12))))
    for names, others in (
        (text, tuple(map(str, range(12)))),
        (tuple(map(str, range(12))), text),
        (("1", "0"), ("0", "1")),
    ):
        columns = match_classes(names, others, what="data", other="model")
        assert [others[i] for i in columns.number] == [*names]
        assert not columns.by_position
    assert match_classes(("0", "1"), tuple("0123456789"), what="d", other="m", trusted=True).number.tolist() == [0, 1]


def test_sets_with_a_name_of_their_own_name_their_classes_be_it_by_numbers(
    digits_run: Path, fierce, monkeypatch
) -> None:
    """A digit is no shirt: sets of ten classes each are not paired by position, whatever their names look like."""
    from fierce_tools.data import fashion_mnist
    from fierce_tools.data._dataset import Dataset

    names = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    labels, images = np.arange(40) % 10, np.zeros((40, 8, 8, 1), np.uint8)
    made = Dataset("fashion-mnist", images, labels, images, labels, names)
    monkeypatch.setitem(sys.modules, fashion_mnist.__module__, types.SimpleNamespace(fashion_mnist=lambda **_: made))
    for words in (("infer", str(digits_run), "--out", "o.safetensors"), ("distill", "--teacher", str(digits_run))):
        code, out, err = fierce(*words, "--data", "fashion-mnist")
        assert (code, out) == (3, ""), err
        assert "classes of other names: top, trouser" in err


def test_two_sides_without_names_are_taken_by_their_numbers_aloud(fierce) -> None:
    plain = {k: v for k, v in scene(KNOWN).items() if k != "class_names"}
    np.savez("a.npz", **plain)
    np.savez("b.npz", **{k: v for k, v in scene(KNOWN, seed=5).items() if k != "class_names"})
    data = ("--data", "arrays:a.npz", "--model", "mlp:8", "--epochs", "1", "--device", "cpu", "--name", "a")
    assert fierce("train", *data)[0] == 0
    code, _, err = fierce("infer", "a", "--data", "arrays:b.npz", "--out", "o.safetensors")
    assert (code, "arrays:b.npz and a name no classes: they are taken by their numbers." in err) == (0, True)
    assert "name no classes" not in fierce("infer", "a")[2], "its own data are its own"


def test_orders_that_contradict_one_another_are_refused(built: Path, run: str, fierce) -> None:
    np.savez("swapped.npz", **scene(("owl", "cat", "dog"), seed=3))
    data = ("--data", "arrays:swapped.npz", "--model", "mlp:8", "--epochs", "1", "--device", "cpu")
    assert fierce("train", *data, "--name", "swapped")[0] == 0
    unnamed = {k: v for k, v in scene(KNOWN, seed=2).items() if k != "class_names"}
    np.savez("unnamed.npz", **unnamed)
    for words in (("compare",), ("analyze", "temperature-sweep"), ("distill",)):
        both = ("--teacher", run, "--teacher", "swapped") if words == ("distill",) else (run, "swapped")
        code, out, err = fierce(*words, *both, "--data", "arrays:unnamed.npz")
        assert (code, out) == (3, ""), err
        assert "names no classes, and knows and swapped know theirs in different orders: cat, dog, owl; and owl" in err
    assert fierce("infer", run, "--data", "arrays:unnamed.npz", "--out", "o.safetensors")[0] == 0


def test_a_student_of_two_numbered_classes_has_a_teacher_of_ten(digits_run: Path, fierce) -> None:
    words = ("--student", "mlp:8", "--epochs", "1", "--device", "cpu", "--format", "json", "--classes")
    found = []
    for number, classes in enumerate(("0,1", "1,0")):
        code, out, err = fierce("distill", "--teacher", str(digits_run), *words, classes, "--name", f"s{number}")
        assert code == 0, err
        found.append(json.loads(out)["distillation"]["models"]["teacher"]["accuracy"])
    assert found[0] == found[1] > 0.8


def test_numbers_of_classes_are_those_of_the_data_they_were_written_for(built: Path, fierce) -> None:
    data = (
        "--data",
        f"arrays:{built / 'animals.npz'}",
        "--model",
        "mlp:16",
        "--lr",
        "0.01",
        "--epochs",
        "8",
        "--device",
        "cpu",
    )
    np.savez("b.npz", **scene(("owl", "cat", "dog"), seed=1))
    assert fierce("train", *data, "--classes", "0,1", "--name", "two")[0] == 0
    code, out, err = fierce("infer", "two", "--data", "arrays:b.npz", "--out", "o.safetensors", "--format", "json")
    assert (code, json.loads(out)["accuracy"]) == (0, 1.0), err
    assert outputs.load("o.safetensors").class_names == ("cat", "dog")
    Path("by-number.json").write_text(json.dumps({"0": "mammal", "1": "mammal", "2": "bird"}))
    Path("by-name.json").write_text(json.dumps({"cat": "mammal", "dog": "mammal", "owl": "bird"}))
    for how in ("number", "name"):
        assert fierce("train", *data, "--coarse", f"by-{how}.json", "--name", how)[0] == 0
    code, _, err = fierce("infer", "number", "--data", "arrays:b.npz", "--out", "p.safetensors")
    assert (code, "name classes by their names" in err) == (3, True)
    code, out, err = fierce("infer", "name", "--data", "arrays:b.npz", "--out", "q.safetensors", "--format", "json")
    assert (code, json.loads(out)["accuracy"]) == (0, 1.0), err


def test_a_model_is_asked_about_its_classes_in_another_order(run: str, fierce) -> None:
    np.savez("b.npz", **scene(("owl", "cat", "dog"), seed=1))
    code, out, err = fierce("infer", run, "--data", "arrays:b.npz", "--out", "b.safetensors", "--format", "json")
    assert code == 0, err
    assert json.loads(out)["accuracy"] == 1.0
    assert "arrays:b.npz and knows have the same classes in another order; they are matched by name" in err
    made, truth = outputs.load("b.safetensors"), scene(("owl", "cat", "dog"), seed=1)["test_labels"]
    assert made.class_names == KNOWN
    assert [KNOWN[i] for i in made.get("labels")] == [("owl", "cat", "dog")[i] for i in truth]
    code, out, _ = fierce("analyze", "confusion", run, "--data", "arrays:b.npz", "--format", "json")
    assert json.loads(out)["results"][0]["values"]["accuracy"] == 1.0
    code, out, _ = fierce("analyze", "confusion", run, "--data", "arrays:b.npz")
    assert "they are matched by name" in out


def test_a_model_is_asked_about_some_of_its_classes(run: str, fierce) -> None:
    np.savez("b.npz", **scene(("owl", "cat"), seed=1))
    code, out, err = fierce("infer", run, "--data", "arrays:b.npz", "--out", "b.safetensors", "--format", "json")
    assert (code, json.loads(out)["accuracy"]) == (0, 1.0), err
    assert "arrays:b.npz has 2 of the 3 classes of knows, matched by name: owl, cat" in err
    made = outputs.load("b.safetensors")
    assert made.logits.shape[1] == 3, "the model still chooses among all it knows"
    assert set(made.get("labels")) == {0, 2}
    code, out, err = fierce(
        "compare", run, "--data", "arrays:b.npz", "--skip", "mi,tightness,probe", "--format", "json"
    )
    assert code == 0, err
    assert json.loads(out)["rows"][0]["figures"]["accuracy"] == [1.0]
    assert any("2 of the 3 classes" in note for note in json.loads(out)["notes"])


@pytest.mark.parametrize(
    "words",
    [
        ("infer", "RUN", "--out", "o.safetensors"),
        ("analyze", "entropy", "RUN"),
        ("compare", "RUN"),
        ("analyze", "missing-class", "RUN"),
        ("analyze", "temperature-sweep", "RUN"),
        ("distill", "--teacher", "RUN", "--student", "mlp:8"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_classes_it_does_not_know_are_refused_everywhere(run: str, fierce, words: tuple[str, ...]) -> None:
    np.savez("b.npz", **scene(("cat", "dog", "cow")))
    code, out, err = fierce(*[run if word == "RUN" else word for word in words], "--data", "arrays:b.npz")
    assert code == 3
    assert "classes of other names: cat, dog, cow; and cat, dog, owl" in err
    assert not out


def test_questions_about_features_alone_are_exempt(run: str, fierce) -> None:
    np.savez("b.npz", **scene(("cat", "dog", "cow")))
    words = ("--data", "arrays:b.npz", "--ways", "3", "--draws", "20", "--format", "json")
    assert fierce("analyze", "few-shot", run, *words)[0] == 0
    code, out, err = fierce("analyze", "linear-probe", run, "--data", "arrays:b.npz", "--per-class", "--format", "json")
    assert code == 0, err
    assert [row[0] for row in json.loads(out)["results"][0]["values"]["by_class"]] == ["cat", "dog", "cow"]


def test_a_student_learns_its_own_columns_of_a_teacher(run: str) -> None:
    """Both as the loss sees them, batch by batch, and as they are kept: the teacher's own softmax, reordered by hand."""
    from fierce_tools.data._splits import split
    from fierce_tools.data.arrays import arrays
    from fierce_tools.training.distill import teach
    from fierce_tools.training.infer import infer
    from fierce_tools.training.train import setup

    for names, order in ((("owl", "cat", "dog"), [2, 0, 1]), (("owl", "cat"), [2, 0])):
        np.savez("b.npz", **scene(names, seed=3))
        data = arrays("b.npz")
        splits = split(data)
        made = recipe.resolve({}, {"data.name": "arrays:b.npz", "model.name": "mlp:8", "distill.method": "kd"})
        for cache in ("yes", "no"):
            teachers = teach(made, data, splits, teachers=(f"{run}/model.safetensors",), cache=cache)  # type: ignore[arg-type]
            (teacher,) = teachers.models
            whole = infer(teacher.model, splits.train, teacher.normalization, KNOWN).logits
            np.testing.assert_array_equal(teachers.logits(splits.train), whole[:, order])
            ready = setup(made, splits, teach=teachers.bring, device="cpu")
            batch = next(ready.train.epoch(0, 0, 16))
            said = teachers.bring(ready.train, ready.val, ready.normalization)(batch)["teacher_logits"].numpy()
            np.testing.assert_allclose(said, whole[batch.rows.numpy()][:, order], rtol=1e-4, atol=1e-4)
            assert teachers.notes(), "it is said"


def test_students_of_an_experiment_learn_their_own_columns(run: str, tmp_path: Path) -> None:
    from fierce_tools import sources
    from fierce_tools.experiments._lab import lab
    from fierce_tools.experiments._loading import Places

    np.savez("b.npz", **scene(("owl", "cat", "dog"), seed=3))
    np.savez("a.npz", **scene(KNOWN, seed=3))
    (source,) = sources.locate(run, tmp_path)
    own = lab([source], Places(data="arrays:a.npz", device="cpu"), tmp_path, student="mlp:8")
    moved = lab([source], Places(data="arrays:b.npz", device="cpu"), tmp_path, student="mlp:8")
    assert moved.class_names == ("owl", "cat", "dog")
    for made in (own, moved):
        right = made.teachers[0].test.argmax(1) == made.splits.test.labels
        assert right.all()
    assert "they are matched by name" in " ".join(moved.notes("missing-class", kd_weight=0.99, ce_weight=0.01, t2=True))
    assert not own.matched


# Examples.

LOGITS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2])
WHOLE = Outputs(LOGITS, LABELS, np.arange(6), document={"dataset_sha256": "a" * 64, "split": "test"})


@pytest.mark.parametrize(
    ("one", "other", "paired", "said"),
    [
        (WHOLE, WHOLE, True, None),
        (WHOLE, replace(WHOLE, index=np.arange(6) + 1), False, "their `index` differs"),
        (WHOLE, replace(WHOLE, index=np.arange(6)[::-1].copy()), False, "`index` is in another order: sort the rows by it"),
        (WHOLE, replace(WHOLE, document={"dataset_sha256": "b" * 64}), False, "of different data (fingerprints aaaaaaaaaaaa…"),
        (WHOLE, replace(WHOLE, document={**WHOLE.document, "split": "val"}), False, "of the test split, two of val"),
        (WHOLE, replace(WHOLE, labels=LABELS[::-1].copy()), False, "4 of 6 labels of one and two differ"),
        (WHOLE, replace(WHOLE, document={}), True, "rows paired by index; two does not say of which data"),
        (WHOLE, replace(WHOLE, index=None, document={}), False, "two has no array `index`"),
        (Outputs(LOGITS, LABELS), Outputs(LOGITS, LABELS), True, "rows paired by position"),
        (Outputs(LOGITS, LABELS), Outputs(LOGITS), True, "rows paired by position"),
        (Outputs(LOGITS, LABELS), Outputs(LOGITS, LABELS[::-1].copy()), False, "4 of 6 labels"),
        (WHOLE, replace(WHOLE, logits=LOGITS[:5]), False, "one has 6 rows, two 5"),
    ],
)  # fmt: skip
def test_rows_are_the_same_examples(one: Outputs, other: Outputs, paired: bool, said: str | None) -> None:
    found = match_examples(one, other, what="one", other="two")
    assert found.paired is paired
    words = found.note if paired else found.reason
    assert words is None if said is None else said in str(words)


def test_options_make_no_other_test_examples_of_the_same_data() -> None:
    """Noise and classes are part of the fingerprint; the same rows are paired by index all the same, and it is said."""
    clean = {"dataset_sha256": "a" * 64, "split": "test", "data": {"name": "digits", "val_fraction": 0.1}}
    noisy = {**clean, "dataset_sha256": "b" * 64, "data": {"name": "digits", "val_fraction": 0.1, "label_noise": 0.4}}
    said = {**noisy, "data": {"name": "arrays:x.npz", "label_noise": 0.4}, "source_sha256": "a" * 64}
    for other in (noisy, said):
        found = match_examples(replace(WHOLE, document=clean), replace(WHOLE, document=other), what="one", other="two")
        assert found.paired
        assert "rows paired by index; options made other training examples or labels" in str(found.note)


@pytest.mark.parametrize(
    "section",
    [
        {"name": "digits", "val_fraction": 0.1},
        {"name": "digits", "val_fraction": 0.2},
        {"name": "digits", "draw_seed": 3},
        {"name": "arrays:x.npz", "label_noise": 0.4},
        {"name": "mnist", "label_noise": 0.4},
        {"name": "rotated-mnist", "label_noise": 0.4, "angles": 3},
        None,
    ],
)
def test_data_that_changed_under_their_name_are_other_data(section: dict[str, Any] | None) -> None:
    """Whatever options are said beside: those that cut validation, or follow others, change no fingerprint."""
    clean = {"dataset_sha256": "a" * 64, "split": "test", "data": {"name": "digits", "val_fraction": 0.1}}
    other = {"dataset_sha256": "b" * 64, "split": "test", "data": section}
    found = match_examples(replace(WHOLE, document=clean), replace(WHOLE, document=other), what="one", other="two")
    assert not found.paired
    assert "of different data" in found.reason


def test_one_model_beside_itself_with_its_columns_permuted(fierce) -> None:
    z = 3 * np.random.default_rng(5).normal(size=(60, 3)).astype(np.float32)
    order = [2, 0, 1]
    y = z.argmax(1)
    outputs.save("a.safetensors", logits=z, labels=y, class_names=list(KNOWN))
    names = [KNOWN[i] for i in order]
    outputs.save("b.safetensors", logits=z[:, order], labels=np.argsort(order)[y], class_names=names)
    code, out, err = fierce("analyze", "agreement", "a.safetensors", "--teacher", "b.safetensors", "--format", "json")
    assert code == 0, err
    values = json.loads(out)["results"][0]["values"]
    assert (values["top1"], values["rank_correlation"]) == (1.0, 1.0)
    assert values["kl"] == pytest.approx(0, abs=1e-12)
    out = fierce("analyze", "agreement", "a.safetensors", "--teacher", "b.safetensors")[1]
    assert "matched by name" in out
    assert "rows paired by position" in out
    outputs.save("c.safetensors", logits=z, labels=y, class_names=["cat", "dog", "cow"])
    code, _, err = fierce("analyze", "agreement", "a.safetensors", "--teacher", "c.safetensors")
    assert (code, "cat, dog, owl; and cat, dog, cow" in err) == (3, True)


def test_the_paired_bootstrap_pairs_only_the_same_examples(run: str, fierce, built: Path) -> None:
    """The same rows of other data have the same index; only their fingerprints tell."""
    arguments = (
        "--skip",
        "tstar,ece-tstar,gamma,stability,tightness,probe,mi",
        "--bootstrap",
        "50",
        "--format",
        "json",
    )
    np.savez("b.npz", **scene(KNOWN, seed=7))
    for data, name in ((f"arrays:{built / 'animals.npz'}", "own"), ("arrays:b.npz", "other")):
        assert fierce("infer", run, "--data", data, "--out", f"{name}.safetensors")[0] == 0
    found = json.loads(fierce("compare", run, "own.safetensors", *arguments)[1])
    assert len(found["differences"]) == 1
    assert all("nterval" in note for note in found["notes"]), "they only say what the intervals speak of"
    found = json.loads(fierce("compare", run, "other.safetensors", *arguments)[1])
    assert not found["differences"]
    assert any("of different data (fingerprints" in note for note in found["notes"])
    found = json.loads(fierce("compare", "own.safetensors", "other.safetensors", *arguments)[1])
    assert not found["differences"]
    arrays, document = arrayfile.load_arrays(Path("own.safetensors"))
    assert document is not None
    before = {k: v for k, v in document.items() if k in ("format", "version", "class_names")}
    arrayfile.save_arrays(Path("before.safetensors"), arrays, before)
    found = json.loads(fierce("compare", run, "before.safetensors", *arguments)[1])
    assert len(found["differences"]) == 1, "a file of an earlier version is paired by index"
    assert any("paired by index; before.safetensors does not say of which data" in note for note in found["notes"])


def test_runs_begun_before_validation_of_their_own_was_read_have_the_same_test_examples(fierce) -> None:
    held = scene(KNOWN, seed=4, n=90)
    np.savez("x.npz", **held)
    data = ("--data", "arrays:x.npz", "--model", "mlp:8", "--epochs", "1", "--device", "cpu")
    assert fierce("train", *data, "--name", "before")[0] == 0
    own = {"val_images": held["test_images"][:30], "val_labels": held["test_labels"][:30]}
    np.savez("x.npz", **held, **own)
    assert fierce("train", *data, "--name", "after")[0] == 0
    skip = ("--skip", "tstar,ece-tstar,gamma,stability,tightness,probe,mi", "--bootstrap", "50", "--format", "json")
    found = json.loads(fierce("compare", "before", "after", *skip)[1])
    assert len(found["rows"]) == 2
    assert len(found["differences"]) == 1
    assert any("options made other training examples or labels" in note for note in found["notes"])


def test_it_does_not_matter_which_is_named_first(run: str, fierce) -> None:
    np.savez("some.npz", **scene(("owl", "cat"), seed=1))
    train = (
        "train",
        "--data",
        "arrays:some.npz",
        "--model",
        "mlp:8",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--name",
        "two",
    )
    assert fierce(*train)[0] == 0
    arguments = ("--data", "arrays:some.npz", "--skip", "tstar,ece-tstar,gamma,stability,tightness,probe,mi")
    for both in ((run, "two"), ("two", run)):
        found = json.loads(fierce("compare", *both, *arguments, "--bootstrap", "50", "--format", "json")[1])
        assert len(found["differences"]) == 1, found["notes"]


def test_labels_put_right_still_have_a_teacher(digits_run: Path, fierce) -> None:
    made = outputs.load(digits_run / "outputs" / "test.safetensors")
    mended = made.get("labels").copy()
    mended[:3] = (mended[:3] + 1) % 10
    np.save("mended.npy", mended)
    words = ("analyze", "agreement", str(digits_run), "--teacher", str(digits_run), "--format", "json")
    plain, other = (
        json.loads(fierce(*words, *more)[1])["results"][0]["values"] for more in ((), ("--labels", "mended.npy"))
    )
    assert other["kl"] == plain["kl"] == 0
    assert other["accuracy"] == pytest.approx((made.logits.argmax(1) == mended).mean())
    np.savez("b.npz", **scene(KNOWN))
    code, _, err = fierce("analyze", "confusion", str(digits_run), "--data", "digits", "--labels", "mended.npy")
    assert (code, "--labels with --data: other data bring their labels" in err) == (2, True)


# Trainings.


def test_a_training_is_what_is_computed_not_where_nor_what_is_saved() -> None:
    small = {"model.name": "mlp:8", "train.epochs": 2, "train.device": "cpu"}

    def key(**others: Any) -> str:
        return same.training(recipe.resolve({}, {**small, **others}).as_dict())

    assert key() == key(**{"train.device": "auto", "train.save_at": (1,), "train.save_best": True})
    roots = [recipe.resolve({}, {"data.name": "mnist", "data.data_root": root}) for root in ("/a", "/b")]
    assert same.training(roots[0].as_dict()) == same.training(roots[1].as_dict())
    for option, value in {"train.seed": 1, "train.lr": 0.1, "data.val_fraction": 0.2, "loss.name": "fierce"}.items():
        assert key() != key(**{option: value}), option


def test_seeds_are_one_training_and_nothing_else_is() -> None:
    documents = [recipe.resolve({}, {"train.seed": seed, "train.device": "cpu"}).as_dict() for seed in (0, 3)]
    assert same.training(documents[0], seed=False) == same.training(documents[1], seed=False)
    other = recipe.resolve({}, {"data.split_seed": 3}).as_dict()
    assert same.training(documents[0], seed=False) != same.training(other, seed=False)


def test_a_recipe_written_before_an_option_existed_is_the_same_training() -> None:
    made = recipe.resolve({}, {"loss.name": "fierce"}).as_dict()
    older = {s: {k: v for k, v in values.items() if k not in ("lookahead_pull", "decay_on", "similarity_scale", "bins")}
             for s, values in made.items()}  # fmt: skip
    assert older != made
    assert same.training(older) == same.training(made)
    assert same.training({**made, "model": {"name": "no-such-model"}}), "what is not known is compared as it is written"


def test_names_that_were_bytes_are_the_same_names() -> None:
    found = same.match_classes(("cat", "él"), ("b'\\xc3\\xa9l'", "b'cat'"), what="x", other="y")
    assert (found.number.tolist(), found.others) == ([1, 0], ("b'\\xc3\\xa9l'", "b'cat'"))
    odd = ("b'", "b'\\xff'", 'b"x', "b'1' + c")
    assert same.as_text(odd) == odd, "no text is in them"

"""Logits, probabilities, counts and labels of anybody's files: read as they are said to be, never as they look."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import outputs, scores
from fierce_tools.errors import DataError, UsageError

VOTES = np.random.default_rng(0).multinomial(51, [0.8, 0.1, 0.06, 0.03, 0.01, 0, 0, 0, 0, 0], size=120)
SHARES = VOTES / VOTES.sum(axis=1, keepdims=True)


def tempered(p: np.ndarray, temperature: float) -> np.ndarray:
    """p^(1/T), divided by its sum: what a softmax at T makes of log p; 0 stays 0."""
    q = np.where(p > 0, p, 1) ** (1 / temperature) * (p > 0)
    return np.asarray(q / q.sum(axis=1, keepdims=True))


def entropy_of(p: np.ndarray) -> float:
    return float(-(p * np.log(np.where(p > 0, p, 1))).sum(axis=1).mean())


def test_peoples_votes_at_every_temperature(fierce) -> None:
    """Zeros stay zeros: against one line of numpy, from counts, probabilities and log-probabilities alike."""
    with np.errstate(divide="ignore"):
        np.savez("people.npz", votes=VOTES, shares=SHARES, logarithms=np.log(SHARES), labels=VOTES.argmax(1))
    expected = [entropy_of(tempered(SHARES, t)) for t in (1, 2, 9, 20)]
    for key in ("--counts=votes", "--probabilities=shares", "--logits=logarithms"):
        flag, name = key.split("=")
        code, out, err = fierce(
            "analyze", "entropy", "people.npz", flag, name, "--temperatures", "1,2,9,20", "--format", "json"
        )
        assert code == 0, err
        assert json.loads(out)["results"][0]["values"]["mean"] == pytest.approx(expected, abs=1e-6)
    assert expected[3] < np.log((VOTES > 0).sum(axis=1)).mean() < np.log(10)


@pytest.mark.parametrize("analysis", ["confusion", "soft-labels", "stability", "transfer-set"])
def test_every_analysis_of_logits_takes_probabilities_of_zero(fierce, analysis: str) -> None:
    np.savez("people.npz", votes=VOTES, labels=VOTES.argmax(1), train_votes=VOTES, train_labels=VOTES.argmax(1))
    code, out, err = fierce("analyze", analysis, "people.npz", "--counts", "votes", "--format", "json")
    assert code == 0, err
    assert "NaN" not in out
    assert "Warning" not in err


def test_a_label_nobody_voted_for_has_an_infinite_loss_that_is_counted() -> None:
    from fierce_tools.analysis._metrics import finite_mean, infinite, nll, per_example

    with np.errstate(divide="ignore"):
        logits = np.log(np.array([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [1.0, 0.0, 0.0]]))
    found = per_example(logits, np.array([2, 2, 0]), (1.0, 9.0))
    assert found.loss[0].tolist() == pytest.approx([np.inf, np.log(2), 0.0])
    assert (infinite(found.loss[0]), infinite(found.loss[1])) == (1, 1)
    assert finite_mean(found.loss[0]) == nll(logits, np.array([2, 2, 0])) == pytest.approx(np.log(2) / 2)
    assert np.isnan(finite_mean(np.array([np.inf])))
    assert found.entropy[1].tolist() == pytest.approx([np.log(2), entropy_of(tempered(np.exp(logits[1:2]), 9)), 0.0])


def test_agreement_with_people_counts_what_is_infinite() -> None:
    """KL(people ‖ model) is finite whatever people left out; KL(model ‖ people) is not, and is counted."""
    from fierce_tools.analysis.agreement import agreement

    rng = np.random.default_rng(1)
    logits = rng.normal(size=VOTES.shape)
    with np.errstate(divide="ignore"):
        people = np.log(SHARES)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = agreement(logits, teacher_logits=people)
    by_hand = (SHARES * np.log(np.where(SHARES > 0, SHARES, 1) / p)).sum(1).mean()
    assert found.kl == pytest.approx(by_hand, abs=1e-9)
    assert (found.kl_infinite, found.reference_entropy) == (0, pytest.approx(entropy_of(SHARES)))
    assert found.kl == pytest.approx(agreement(logits, targets=SHARES).kl)
    other = agreement(people, teacher_logits=logits)
    assert (other.kl, other.kl_infinite) == (None, len(VOTES))
    mixed = agreement(np.vstack([people[:1], logits[1:]]), teacher_logits=logits)
    assert (mixed.kl, mixed.kl_infinite) == (pytest.approx(0), 1)
    assert any("KL is infinite for 1 of 120 examples" in note for note in mixed.report().notes)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (SHARES, "--probabilities logits or --logits logits"),
        (SHARES.astype(np.float16), "rows of 0 or more that sum to 1"),
        (VOTES, "--counts logits or --logits logits"),
        (VOTES.astype(float), "holds whole numbers: they may be counts, or logits"),
        (np.eye(4), "holds whole numbers"),
    ],
)
def test_what_looks_like_something_else_is_asked_about(tmp_path: Path, table: np.ndarray, said: str) -> None:
    np.savez(tmp_path / "x.npz", logits=table)
    with pytest.raises(DataError, match=said):
        outputs.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(
        outputs.load(tmp_path / "x.npz", logits_key="logits").logits, table.astype(np.float32)
    )
    outputs.save(tmp_path / "ours.safetensors", logits=table)
    assert outputs.load(tmp_path / "ours.safetensors").logits.shape == table.shape, (
        "our own files are never asked about"
    )


def test_logits_are_not_asked_about_because_one_row_looks_odd(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(20_000, 3))
    table[:10_000] = [0.2, 0.3, 0.5]
    np.save(tmp_path / "x.npy", table)
    assert outputs.load(tmp_path / "x.npy").logits.shape == (20_000, 3)


@pytest.mark.parametrize(
    ("table", "kind", "said"),
    [
        (np.array([[3, 0], [0, 0]]), "counts", "row 1 counts nothing"),
        (np.array([[3, 0], [-1, 2]]), "counts", r"row 1 is \[-1, 2\]"),
        (np.array([[3, 0], [0.5, 2]]), "counts", "expected whole numbers of 0 or more"),
        (np.array([[0.5, 0.5], [0.9, 0.2]]), "probabilities", "row 1 sums to 1.1"),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), "probabilities", "smallest of -0.5"),
        (np.array([[0.5, 0.5], [np.nan, 1]]), "probabilities", "row 1 sums to nan"),
        (np.array([[0.5, np.inf]]), "logits", r"\[0, 1\] is inf"),
        (np.array([[-np.inf, -np.inf]]), "logits", r"\[0\] is -inf for every class"),
        (np.array([["a", "b"]]), "logits", "expected numbers"),
        (np.zeros(3), "counts", r"float64 \[3\], expected numbers \[N, C\]"),
    ],
)
def test_what_is_not_what_it_is_said_to_be(tmp_path: Path, table: np.ndarray, kind: str, said: str) -> None:
    np.savez(tmp_path / "x.npz", x=table)
    with pytest.raises(DataError, match=said):
        outputs.load(tmp_path / "x.npz", **{f"{kind}_key": "x"})


def test_two_kinds_at_once_and_arrays_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="--logits and --counts name the same thing twice"):
        scores.read("f", {"a": VOTES}, logits="a", counts="a")
    with pytest.raises(DataError, match=r"no array 'b'; it holds a \[120, 10\]"):
        scores.read("f", {"a": VOTES}, counts="b")


def test_a_comparison_with_infinite_losses_says_so_and_has_no_difference(fierce) -> None:
    """A mean over the examples that a model does not rule out must not make it better than another."""
    rng = np.random.default_rng(3)
    labels = VOTES.argmax(1)
    np.savez("sure.npz", votes=VOTES, labels=labels)
    some = labels.copy()
    some[:50] = 9  # nobody's vote
    np.savez("wrong.npz", votes=VOTES, labels=some)
    outputs.save("model.safetensors", logits=rng.normal(size=VOTES.shape), labels=some)
    none = np.eye(10, dtype=int)[(some + 1) % 10]
    np.savez("never.npz", votes=none, labels=some)
    words = (
        "compare",
        "model.safetensors",
        "wrong.npz",
        "never.npz",
        "--counts",
        "votes",
        "--bootstrap",
        "50",
        "--format",
    )
    code, out, err = fierce(*words, "json")
    assert code == 0, err
    assert "Warning" not in err
    found = json.loads(out)
    by = {row["label"]: row["figures"] for row in found["rows"]}
    shares = VOTES[np.arange(120), labels][50:] / VOTES.sum(1)[50:]
    assert by["wrong.npz"]["nll"] == [pytest.approx(-np.log(shares).mean(), abs=1e-5)]
    assert by["never.npz"]["nll"] == [None]
    assert {label: d["nll"] for label, d in found["differences"].items()} == {"wrong.npz": None, "never.npz": None}
    assert found["differences"]["wrong.npz"]["accuracy"] is not None
    notes = " ".join(found["notes"])
    assert "wrong.npz: the NLL is infinite for 50 of 120 examples, and is of the others." in notes
    assert "never.npz: the NLL is infinite for 120 of 120 examples" in notes
    assert "wrong.npz: no difference of NLL to model.safetensors: it is infinite for some examples." in notes
    for kind in ("text", "csv", "markdown"):
        assert "nan" not in fierce(*words, kind)[1]


def test_names_of_arrays_are_of_foreign_files_alone(fierce, digits_run: Path) -> None:
    made = outputs.load(digits_run / "outputs" / "test.safetensors")
    outputs.save("ours.safetensors", made)
    p = np.exp(made.logits - made.logits.max(1, keepdims=True))
    np.savez("people.npz", soft=p / p.sum(1, keepdims=True), labels=made.labels)
    words = (str(digits_run), "ours.safetensors", "people.npz", "--probabilities", "soft", "--format", "json")
    code, out, err = fierce("analyze", "entropy", *words, "--temperatures", "1,4")
    assert code == 0, err
    values = [r["values"]["mean"] for r in json.loads(out)["results"]]
    assert values[0] == values[1] == pytest.approx(values[2], abs=1e-5)
    skip = ("--skip", "tstar,ece-tstar,gamma,stability,tightness,probe,mi", "--bootstrap", "0")
    assert len(json.loads(fierce("compare", *words, *skip)[1])["rows"]) == 3
    code, _, err = fierce("analyze", "entropy", str(digits_run), "--probabilities", "soft")
    assert (code, "names an array of a file, and demo is a checkpoint" in err) == (2, True)


def test_class_names_as_bytes_are_text(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(6, 3))
    np.savez(tmp_path / "x.npz", logits=table, class_names=np.array([b"cat", "é".encode(), b"owl"]))
    assert outputs.load(tmp_path / "x.npz").class_names == ("cat", "é", "owl")


def test_arrays_that_no_question_needs_are_not_in_the_way(tmp_path: Path) -> None:
    """Grey images without an axis of channels, and targets that are not known for all."""
    table = np.random.default_rng(0).normal(size=(6, 3))
    np.savez(tmp_path / "x.npz", logits=table, images=np.zeros((6, 8, 8), np.uint8), targets=np.array([1, np.nan] * 3))
    assert outputs.load(tmp_path / "x.npz").logits.shape == (6, 3)


# Labels.


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (np.arange(120) % 10, None),
        ((np.arange(120) % 10)[:, None], "is [N, 1], read as [N]"),
        (np.eye(10)[np.arange(120) % 10], "is one-hot, read as class numbers"),
        (np.eye(10, dtype=bool)[np.arange(120) % 10], "is one-hot"),
    ],
)
def test_labels_are_read_and_said(fierce, labels: np.ndarray, note: str | None) -> None:
    np.savez("x.npz", votes=VOTES, mine=labels)
    np.save("labels.npy", labels)
    for key in ("mine", "labels.npy"):
        words = ("analyze", "confusion", "x.npz", "--counts", "votes", "--labels", key)
        code, out, err = fierce(*words, "--format", "json")
        assert code == 0, err
        expected = float((VOTES.argmax(1) == np.arange(120) % 10).mean())
        assert json.loads(out)["results"][0]["values"]["accuracy"] == pytest.approx(expected)
        assert (note in " ".join(fierce(*words)[1].split())) if note else "read as" not in fierce(*words)[1]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.arange(120) % 10 * 1.0, "labels = labels.astype('int64')"),
        (SHARES, "not one-hot, expected class numbers [N]; soft labels go into an array `targets`"),
        (np.arange(119), "expected one label for each of 120 rows"),
        (np.arange(120) % 11, "expected 0 to 9; 10 of 120 labels are out of range"),
        (np.array(["a"] * 120), "expected whole numbers"),
    ],
)
def test_labels_that_are_none_are_refused_with_the_line_that_mends_them(fierce, labels: np.ndarray, said: str) -> None:
    np.savez("x.npz", votes=VOTES, labels=labels)
    code, out, err = fierce("analyze", "confusion", "x.npz", "--counts", "votes")
    assert (code, out) == (3, "")
    assert said in err


def test_a_message_names_the_arrays_that_are_there(fierce) -> None:
    np.savez("x.npz", votes=VOTES)
    code, _, err = fierce("analyze", "confusion", "x.npz", "--counts", "votes")
    assert (code, "x.npz has no labels; it holds votes; add an array" in err) == (3, True)
    np.savez("y.npz", votes=VOTES, labels=VOTES.argmax(1))
    code, _, err = fierce("analyze", "few-shot", "y.npz", "--counts", "votes")
    assert (code, "y.npz has no features; it holds labels, votes; add an array" in err) == (3, True)
    code, _, err = fierce("analyze", "confusion", "x.npz", "--counts", "votes", "--labels", "truth")
    assert (code, "has no array 'truth'; it holds votes [120, 10]" in err) == (3, True)


def test_labels_of_a_file_for_a_checkpoint(fierce, digits_run: Path) -> None:
    made = outputs.load(digits_run / "outputs" / "test.safetensors")
    own, other = made.get("labels"), (made.get("labels") + 1) % 10
    np.save("other.npy", other)
    words = ("analyze", "confusion", str(digits_run), "--format", "json")
    values = [json.loads(fierce(*words, *more)[1])["results"][0]["values"] for more in ((), ("--labels", "other.npy"))]
    predicted = made.logits.argmax(1)
    assert values[0]["accuracy"] == pytest.approx((predicted == own).mean())
    assert values[1]["accuracy"] == pytest.approx((predicted == other).mean())
    assert json.loads(fierce(*words)[1])["results"][0]["values"]["accuracy"] == values[0]["accuracy"]
    code, _, err = fierce(*words, "--labels", "truth")
    assert (code, "--labels names an array of a file, and demo is a checkpoint" in err) == (2, True)
    assert fierce(*words, "--counts", "votes")[0] == 2


# Teachers' files.


def test_a_file_of_votes_beside_a_model(fierce) -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=VOTES.shape).astype(np.float32)
    np.savez("mine.npz", logits=logits, labels=VOTES.argmax(1))
    np.savez("people.npz", votes=VOTES, shares=SHARES)
    found = []
    for flags in (("--teacher-counts", "votes"), ("--teacher-probabilities", "shares")):
        code, out, err = fierce(
            "analyze", "agreement", "mine.npz", "--teacher", "people.npz", *flags, "--format", "json"
        )
        assert code == 0, err
        found.append(json.loads(out)["results"][0]["values"])
    assert found[0]["kl"] == pytest.approx(found[1]["kl"], abs=1e-6)
    p = np.exp(logits.astype(float))
    p /= p.sum(1, keepdims=True)
    assert found[0]["kl"] == pytest.approx(
        (SHARES * np.log(np.where(SHARES > 0, SHARES, 1) / p)).sum(1).mean(), abs=1e-6
    )
    code, _, err = fierce("analyze", "agreement", "mine.npz", "--teacher", "people.npz")
    assert (code, "name one with --teacher-logits, --teacher-probabilities or --teacher-counts KEY" in err) == (3, True)
    code, _, err = fierce("analyze", "agreement", "mine.npz", "--teacher-counts", "votes")
    assert (code, "--teacher-counts needs a teacher's file; add --teacher FILE" in err) == (2, True)


def test_a_student_of_votes_has_finite_gradients_and_logits_cannot_be_matched() -> None:
    import torch

    from fierce_tools.losses.dkd import dkd
    from fierce_tools.losses.kd import kd

    with np.errstate(divide="ignore"):
        teacher = torch.from_numpy(np.log(SHARES)).float()
    labels = torch.from_numpy(VOTES.argmax(1))
    for loss in (lambda z: kd(z, labels, teacher), lambda z: dkd(z, labels, teacher, 30.0)):
        logits = torch.randn(teacher.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        value = loss(logits).mean()
        value.backward()
        assert torch.isfinite(value)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_votes_teach_on_the_command_line(fierce) -> None:
    from fierce_tools.data import digits

    data = digits()
    rng = np.random.default_rng(0)
    votes = np.stack(
        [rng.multinomial(10, 0.9 * np.eye(10)[y] + 0.1 * np.eye(10)[(y + 1) % 10]) for y in data.train_labels]
    )
    np.savez("votes.npz", votes=votes, index=data.train_index)
    words = ("--teacher-outputs", "votes.npz", "--teacher-counts", "votes", "--student", "mlp:8", "--epochs", "1")
    code, _, err = fierce("distill", *words, "--data", "digits", "--device", "cpu", "--name", "s")
    assert code == 0, err
    code, _, err = fierce("distill", *words, "--data", "digits", "--device", "cpu", "--method", "logits")
    assert (code, "whose logit is -inf and cannot be matched; use --method kd or dkd" in err) == (3, True)


def test_votes_in_another_order_than_the_examples_teach_nobody(fierce) -> None:
    """Labels that travel with the rows give it away; without an index, and without names, it is said how they are paired."""
    labels = np.arange(60) % 3
    images = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    arrays = {f"{s}_{k}": v for s in ("train", "test") for k, v in (("images", images), ("labels", labels))}
    np.savez("mine.npz", **arrays, class_names=np.array(["cat", "dog", "owl"]))
    votes = 9 * np.eye(3, dtype=int)[labels] + 1
    words = ("distill", "--data", "arrays:mine.npz", "--student", "mlp:4", "--epochs", "1", "--device", "cpu")
    taught = ("--teacher-outputs", "votes.npz", "--teacher-counts", "votes", "--name")
    np.savez("votes.npz", votes=votes, labels=labels)
    code, _, err = fierce(*words, *taught, "a")
    assert code == 0, err
    assert "votes.npz has no `index`: its rows are paired with the training examples by position." in err
    assert "votes.npz names no classes: they are taken in the order of the student's data" in err
    order = np.random.default_rng(1).permutation(60)
    np.savez("votes.npz", votes=votes[order], labels=labels[order], index=np.arange(60))
    code, _, err = fierce(*words, *taught, "b")
    wrong = int((labels[order] != labels).sum())
    assert (code, f"votes.npz: {wrong} of 60 labels are others than those of arrays:" in err) == (3, True), err
    np.savez("votes.npz", votes=votes[order], labels=labels[order], index=order)
    assert fierce(*words, *taught, "c")[0] == 0


def test_targets_are_softened_as_a_teacher_is() -> None:
    from fierce_tools.analysis.agreement import agreement

    logits = np.random.default_rng(1).normal(size=VOTES.shape)
    with np.errstate(divide="ignore"):
        people = np.log(SHARES)
    for temperature in (1.0, 9.0):
        one = agreement(logits, targets=SHARES, temperature=temperature)
        two = agreement(logits, teacher_logits=people, temperature=temperature)
        assert one.kl == pytest.approx(two.kl)
        assert one.reference_entropy == pytest.approx(two.reference_entropy)
        assert one.reference_entropy == pytest.approx(entropy_of(tempered(SHARES, temperature)))


# Everything else in a file.


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"features": np.ones(6)}, r"features is float64 \[6\], expected numbers \[N, D\]"),
        ({"features": np.ones((6, 0))}, r"features is float64 \[6, 0\]"),
        ({"features": np.full((6, 2), np.nan)}, r"features\[0, 0\] is nan, and 11 more"),
        ({"features": np.array([["a"]] * 6)}, "expected numbers"),
        ({"head_weight": np.ones((4, 3))}, r"head_weight has shape \[4, 3\], which does not fit logits \[6, 3\]"),
        ({"features": np.ones((6, 5)), "head_weight": np.ones((3, 4))}, r"does not fit logits \[6, 3\] and features"),
        ({"head_bias": np.ones((3, 1))}, r"head_bias is float64 \[3, 1\], expected numbers \[C\]"),
        ({"features": np.ones((6, 5)), "anchors": np.ones((1, 7, 4))}, r"anchors has shape \[1, 7, 4\]"),
        ({"draws": np.ones((2, 5, 3))}, r"draws has shape \[2, 5, 3\]"),
        ({"targets": np.ones((6, 2, 2))}, r"targets is float64 \[6, 2, 2\], expected numbers \[N\] or \[N, P\]"),
        ({"targets": np.array(["a"] * 6)}, "targets is"),
        ({"index": np.arange(6) + 0.5}, r"index is float64 \[6\], expected whole numbers \[N\]"),
        ({"index": np.array([0, 1, 2, 3, 4, 4])}, "index names 4 twice"),
        ({"index": np.arange(6) - 1}, r"index\[0\] is -1, expected positions from 0"),
        ({"class_names": np.array(["a", "b", "a"])}, "classes 0, 2 are all named 'a'"),
        ({"class_names": np.array(["a", " ", "b"])}, "the name of class 1 is empty"),
    ],
)
def test_arrays_of_a_wrong_kind_are_refused_when_they_are_loaded(
    tmp_path: Path, arrays: dict[str, np.ndarray], said: str
) -> None:
    np.savez(tmp_path / "x.npz", logits=np.random.default_rng(0).normal(size=(6, 3)), **arrays)
    with pytest.raises(DataError, match=said):
        outputs.load(tmp_path / "x.npz")


def test_other_splits_of_a_file_are_checked_when_they_are_loaded(fierce) -> None:
    rng = np.random.default_rng(0)
    plain = {"logits": rng.normal(size=(60, 3)), "labels": np.arange(60) % 3, "val_labels": np.arange(30) % 3}
    np.savez("x.npz", **plain, val_logits=rng.normal(size=(29, 3)))
    code, _, err = fierce("analyze", "calibration", "x.npz", "--bootstrap", "0")
    assert (code, "val_logits [29, 3], val_labels [30] are not of the same rows" in err) == (3, True)
    np.savez("x.npz", **plain, val_logits=rng.dirichlet(np.ones(3), size=30))
    code, _, err = fierce("analyze", "calibration", "x.npz", "--bootstrap", "0")
    assert (code, "where they are: val_logits = np.log(val_logits); else say --probabilities logits" in err) == (
        3,
        True,
    )
    np.savez("x.npz", **{**plain, "val_labels": np.full(30, 255)}, val_logits=rng.normal(size=(30, 3)))
    code, _, err = fierce("analyze", "calibration", "x.npz", "--bootstrap", "0")
    assert (code, "val_: labels[0] is 255, expected 0 to 2" in err) == (3, True)
    p = rng.dirichlet(np.ones(3), size=90)
    np.savez("p.npz", p=p[:60], labels=np.arange(60) % 3, val_p=p[60:], val_labels=np.eye(3)[np.arange(30) % 3])
    code, out, err = fierce(
        "analyze", "calibration", "p.npz", "--probabilities", "p", "--bootstrap", "0", "--format", "json"
    )
    assert code == 0, err
    values = json.loads(out)["results"][0]["values"]
    expected = -np.log(p[60:][np.arange(30), np.arange(30) % 3]).mean()
    assert values["fit_nll_before"] == pytest.approx(expected, abs=1e-5)

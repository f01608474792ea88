"""Anybody's arrays in, checked, and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fierce_tools import outputs
from fierce_tools.errors import DataError, UsageError
from fierce_tools.outputs import Outputs

LOGITS = np.arange(12, dtype=np.float32).reshape(4, 3) + 0.5
LABELS = np.array([0, 1, 2, 0])


@settings(deadline=None)
@given(
    logits=hnp.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(2, 6)), elements=st.floats(-1e6, 1e6, width=32)
    ),
    with_labels=st.booleans(),
)
def test_they_go_out_and_in(tmp_path_factory: pytest.TempPathFactory, logits: np.ndarray, with_labels: bool) -> None:
    path = tmp_path_factory.mktemp("o") / "x.safetensors"
    labels = np.arange(len(logits)) % logits.shape[1]
    extra = {"labels": labels, "class_names": [f"c{i}" for i in range(logits.shape[1])]} if with_labels else {}
    outputs.save(path, logits=logits, features=logits[:, :1], **extra)
    loaded = outputs.load(path)
    np.testing.assert_array_equal(loaded.logits, logits)
    np.testing.assert_array_equal(loaded.get("features"), logits[:, :1])
    assert (loaded.class_names is not None) is with_labels
    if with_labels:
        np.testing.assert_array_equal(loaded.get("labels"), labels)


def test_three_lines_from_anybodys_loop(tmp_path: Path) -> None:
    import torch

    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    outputs.save(tmp_path / "mine.safetensors", logits=logits, labels=labels)
    assert outputs.load(tmp_path / "mine.safetensors").get("labels").dtype == np.int64


def test_every_kind_of_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", LOGITS.astype(np.float64))
    np.savez(tmp_path / "b.npz", logits=LOGITS, labels=LABELS, class_names=np.array(["x", "y", "z"]), other=np.zeros(2))
    np.savez(tmp_path / "c.npz", scores=LOGITS, labels=LABELS)
    assert outputs.load(tmp_path / "a.npy").logits.dtype == np.float32
    assert outputs.load(tmp_path / "b.npz").class_names == ("x", "y", "z")
    np.testing.assert_array_equal(outputs.load(tmp_path / "c.npz", logits_key="scores").logits, LOGITS)
    with pytest.raises(DataError, match=r"holds labels \[4\], scores \[4, 3\]; name one with --logits"):
        outputs.load(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"logits": np.zeros(3)}, "expected \\[N, C\\]"),
        ({"logits": np.zeros((3, 1))}, "expected \\[N, C\\]"),
        ({"logits": np.where(LOGITS == 5.5, np.nan, LOGITS)}, r"logits\[1, 2\] is nan"),
        ({"features": np.full((4, 2), np.inf)}, "features"),
        ({"labels": LABELS[:2]}, "labels has 2 rows"),
        ({"labels": LABELS + 1}, r"labels\[2\] is 3"),
        ({"labels": LABELS + 0.5}, "whole numbers"),
        ({"index": np.arange(3)}, "index has 3 rows"),
        ({"labels": np.int64(1)}, "labels is a single value"),
        ({"class_names": ["a"]}, "1 class names for 3 classes"),
        ({"logits": np.array([["a", "b"]])}, "expected numbers"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        outputs.save(tmp_path / "x.safetensors", **{"logits": LOGITS, "labels": LABELS, **changes})
    assert not list(tmp_path.iterdir())


def test_unknown_arrays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="probs"):
        outputs.save(tmp_path / "x.safetensors", logits=LOGITS, probs=LOGITS)
    with pytest.raises(UsageError):
        outputs.save(tmp_path / "x.safetensors", labels=LABELS)


def test_what_is_absent_says_how_to_make_it() -> None:
    with pytest.raises(DataError, match="has no features; it holds logits"):
        Outputs(LOGITS).get("features")


@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("1,2")
    with pytest.raises(DataError, match="no file of arrays"):
        outputs.load(tmp_path / name)


def test_names_that_are_no_list(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", logits=LOGITS, class_names=np.array("a"))
    with pytest.raises(DataError, match="expected a list of names"):
        outputs.load(tmp_path / "x.npz")


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects"):
        outputs.load(tmp_path / "x.npy")


def test_probabilities_are_named_never_guessed(tmp_path: Path) -> None:
    p = np.array([[0.7, 0.3, 0.0], [0.2, 0.2, 0.6]])
    np.savez(tmp_path / "p.npz", soft=p, labels=np.array([0, 2]))
    loaded = outputs.load(tmp_path / "p.npz", probabilities_key="soft")
    restored = np.exp(loaded.logits)
    np.testing.assert_allclose(restored / restored.sum(axis=1, keepdims=True), p, atol=1e-6)
    assert loaded.logits[0, 2] == -np.inf
    np.save(tmp_path / "q.npy", p)
    np.testing.assert_array_equal(outputs.load(tmp_path / "q.npy", probabilities_key="any").logits, loaded.logits)
    np.savez(tmp_path / "bad.npz", soft=p * 2)
    with pytest.raises(DataError, match="soft: row 0 sums to 2"):
        outputs.load(tmp_path / "bad.npz", probabilities_key="soft")
    with pytest.raises(DataError, match="no array 'hard'"):
        outputs.load(tmp_path / "p.npz", probabilities_key="hard")


def test_probabilities_on_the_command_line(fierce, tmp_path: Path) -> None:
    import json

    p = np.full((4, 5), 0.2)
    np.savez(tmp_path / "p.npz", soft=p)
    code, out, err = fierce(
        "analyze", "entropy", "p.npz", "--probabilities", "soft", "--temperatures", "1", "--format", "json"
    )
    assert code == 0, err
    assert json.loads(out)["results"][0]["values"]["mean"][0] == pytest.approx(np.log(5))
    assert fierce("analyze", "entropy", "p.npz", "--probabilities", "soft", "--logits", "soft")[0] == 2

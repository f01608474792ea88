"""Array files as people have them: what is clear is read and said, what would train something else is refused with the
line of numpy that mends it, and each such line is carried out here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fierce_tools import recipe
from fierce_tools.data import arrays
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._known import AS_THEN, as_trained
from fierce_tools.errors import DataError
from fierce_tools.training.train import dataset

RNG = np.random.default_rng(0)
LABELS = np.arange(12) % 3
GREY = RNG.integers(1, 255, (12, 5, 6, 1), dtype=np.uint8)
GREY[0, 0, 0], GREY[0, 0, 1] = 0, 255
COLOUR = np.concatenate([GREY, 255 - GREY, GREY // 2], axis=3)
ALPHA = np.concatenate([COLOUR, np.full_like(GREY, 255)], axis=3)
VECTORS = RNG.normal(size=(12, 4))


def held(images: np.ndarray = GREY, labels: np.ndarray = LABELS, **more: Any) -> dict[str, Any]:
    """The arrays of a file whose test split is the first half of training."""
    own = {"train_images": images, "train_labels": labels, "test_images": images[:6], "test_labels": labels[:6]}
    return {k: v for k, v in {**own, **more}.items() if v is not None}


def written(values: dict[str, Any]) -> str:
    np.savez("x.npz", **values)
    return "x.npz"


def refused(values: dict[str, Any]) -> DataError:
    with pytest.raises(DataError) as caught:
        arrays(written(values))
    assert "\n" not in str(caught.value)
    return caught.value


def mended(values: dict[str, Any], lines: str) -> Dataset:
    """The data after the lines of the hint were carried out."""
    scope = {"np": np, **values}
    exec(lines, scope)
    return arrays(written({k: scope[k] for k in values}))


NCHW, NHWC = "channels before height and width", "is float64 [12, 5, 6, 3]"


@pytest.mark.parametrize(
    ("images", "said", "want"),
    [
        (GREY.transpose(0, 3, 1, 2), NCHW, GREY),
        (COLOUR.transpose(0, 3, 1, 2), NCHW, COLOUR),
        (ALPHA.transpose(0, 3, 1, 2), NCHW, COLOUR),
        (ALPHA, "an alpha channel", COLOUR),
        (np.concatenate([GREY, GREY], axis=3), "an alpha channel", GREY),
        (COLOUR / 255, f"{NHWC} (values of 0 to 1)", COLOUR),
        ((COLOUR / 255).astype(np.float32).transpose(0, 3, 1, 2), f"values of 0 to 1, {NCHW}", COLOUR),
        ((GREY / 255)[..., 0], "is float64 [12, 5, 6] (values of 0 to 1)", GREY),
        (COLOUR.astype(np.float32), "values of 0 to 255", COLOUR),
        (COLOUR * 0.999999, "values of 0 to 255", COLOUR),
        (COLOUR / 127.5 - 1, "values of -1 to 1", COLOUR),
        (COLOUR.astype(np.int64), "is int64", COLOUR),
        (GREY.astype(np.int32)[..., 0], "is int32 [12, 5, 6]", GREY),
        (COLOUR.astype(np.uint16) * 257, "is uint16", COLOUR),
        (GREY > 100, "is bool", (GREY > 100) * np.uint8(255)),
        ((VECTORS * 9).astype(int), "is int64 [12, 4]", (VECTORS * 9).astype(int).astype(np.float32)),
        (VECTORS[:, 0], "is float64 [12]", VECTORS[:, :1].astype(np.float32)),
    ],
)  # fmt: skip
def test_other_layouts_are_refused_with_the_line_that_mends_them(images: Any, said: str, want: np.ndarray) -> None:
    values = held(images, val_images=images[6:], val_labels=LABELS[6:])
    error = refused(values)
    assert said in str(error)
    data = mended(values, error.hint)
    for part, rows in (("train", slice(None)), ("val", slice(6, None)), ("test", slice(6))):
        found = getattr(data, f"{part}_images")
        np.testing.assert_array_equal(found, want[rows])
        assert found.dtype == (np.uint8 if want.ndim == 4 else np.float32)


def test_flat_bytes_are_images_or_vectors_and_nobody_guesses() -> None:
    square = GREY[:, :5, :5]
    error = refused(held(square.reshape(12, 25)))
    for line in error.hint.split("; "):
        image, vector = (part.split(": ", 1)[1] for part in line.split(", as "))
        assert image.endswith(".reshape(-1, 5, 5)")
        assert vector.endswith(".astype('float32')")


@pytest.mark.parametrize(
    "images",
    [COLOUR * 2.0 - 300, np.where(GREY > 9, np.nan, GREY), GREY[..., None], VECTORS * 1j, np.full((12, 2), "a")],
)
def test_what_no_line_mends_is_refused(images: np.ndarray) -> None:
    assert "train_images =" not in str(refused(held(images)))


@pytest.mark.parametrize("kind", [">f8", "<f2", "f4", ">f4"])
def test_vectors_of_any_float_are_the_numbers_they_are(kind: str) -> None:
    vectors = VECTORS.astype(kind)
    data = arrays(written(held(vectors)))
    assert data.train_images.dtype == np.float32
    np.testing.assert_array_equal(data.train_images, vectors.astype(float).astype(np.float32))


def test_one_feature_is_a_vector() -> None:
    assert arrays(written(held(VECTORS[:, :1]))).shape == (1,)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS[:, None], "x.npz: train_labels [N, 1] are read as [N]"),
        (np.eye(3, dtype=np.float32)[LABELS], "x.npz: train_labels [12, 3] are one-hot, and read as class numbers"),
        (np.eye(3, dtype=bool)[LABELS], "one-hot"),
        (np.eye(3, dtype=np.int8)[LABELS], "one-hot"),
    ],
)
def test_labels_of_one_column_and_one_hot_are_read_and_said(labels: np.ndarray, said: str) -> None:
    plain = arrays(written(held()))
    data = arrays(written(held(labels=labels)))
    assert (plain.notes, data.fingerprint()) == ((), plain.fingerprint())
    assert said in data.notes[0]
    assert "test_labels" in data.notes[1]


@pytest.mark.parametrize(
    ("labels", "said", "want"),
    [
        (LABELS.astype(float), "is float64 [12], expected whole numbers", LABELS),
        (LABELS == 1, "is bool [12], expected whole numbers", LABELS == 1),
        (LABELS[None], "is int64 [1, 12], expected whole numbers [N]", LABELS),
        (LABELS + 1, "1 of 4 classes have no training example: 0; they seem to count from 1", LABELS),
        (
            LABELS * 10,
            "18 of 21 classes have no training example: 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, …; labels are",
            LABELS,
        ),
        (np.array([0, 1, 7])[LABELS], "labels are 0, 1, 7", LABELS),
        (np.array([-1, 1])[LABELS % 2], "a label is -1, expected class numbers from 0", LABELS % 2),
        (np.array([5, 10**9])[LABELS % 2], "labels are 5, 1000000000", LABELS % 2),
    ],
)
def test_labels_that_would_make_empty_classes_are_refused_with_their_likely_reason(
    labels: np.ndarray, said: str, want: np.ndarray
) -> None:
    values = held(labels=labels, test_labels=labels[:6] if len(labels) > 1 else LABELS[:6])
    error = refused(values)
    assert said in str(error)
    lines = error.hint.removeprefix("number them from 0: ").partition(", or, if they")[0]
    if labels.dtype.kind in "fb":  # said of one array at a time
        lines += f"; {lines.replace('train', 'test')}"
    np.testing.assert_array_equal(mended(values, lines).train_labels, want)


@pytest.mark.parametrize("mark", [255, -1, -100])
@pytest.mark.parametrize("names", [None, np.array(["a", "b", "c"])])
def test_examples_marked_to_be_ignored_are_dropped_by_the_line(mark: int, names: np.ndarray | None) -> None:
    labels = np.where(np.arange(12) % 4 == 3, mark, LABELS)
    error = refused(held(labels=labels, test_labels=LABELS[:6], class_names=names))
    assert f"train_labels is {mark} in 3 of 12 rows, which usually marks examples to ignore; drop them" in str(error)
    values = held(labels=labels, class_names=names)
    lines = refused(values).hint.partition(": ")[2].partition("; or if -1")[0]
    data = mended(values, lines)
    np.testing.assert_array_equal(data.train_labels, LABELS[np.arange(12) % 4 != 3])
    np.testing.assert_array_equal(data.test_images, GREY[:6][np.arange(6) % 4 != 3])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"test_labels": np.array([0, 1, 2, 3, 0, 1])}, "1 of 4 classes have no training example: 3; test_labels holds 3"),
        ({"labels": np.eye(4)[LABELS]}, "no training example: 3; no one-hot row is of them; leave those columns out"),
        ({"labels": np.eye(3)[LABELS], "test_labels": np.eye(4)[LABELS[:6]]}, "train_labels has 3 classes, test_labels has 4"),
        ({"labels": np.eye(4)[LABELS], "class_names": np.array(list("abc"))}, "has 4 classes, class_names has 3 classes"),
        ({"labels": np.full((12, 3), 1 / 3)}, "rows of probabilities, expected whole numbers [N]; train_labels = "),
        ({"labels": np.ones((12, 3), int)}, "row 0 is [1, 1, 1]: expected whole numbers [N], or one-hot rows"),
        ({"labels": LABELS + 0.5}, "expected whole numbers"),
        ({"labels": np.where(LABELS == 0, np.nan, LABELS)}, "expected whole numbers"),
        ({"labels": np.array(["cat", "dog", "eel"])[LABELS]}, "class_names, train_labels = np.unique(train_labels, return_inv"),
        ({"labels": LABELS + 1, "class_names": np.array(["a", "b", "c"])}, "is 3, expected 0 to 2, for 3 class_names (4 of 12"),
        ({"class_names": np.array(["a", "b", "b"])}, "2 classes are named 'b', classes 1 and 2"),
        ({"class_names": np.array(["a", "", "b"])}, "the name of class 1 is empty"),
        ({"train_targets": np.zeros((12, 2, 2))}, "train_targets is float64 [12, 2, 2]"),
        ({"train_targets": np.zeros(11)}, "train_targets has 11 rows, train_images 12"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_to_do(more: dict[str, Any], said: str) -> None:
    assert said in str(refused(held(**more)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"val_images": GREY}, "val_images is not used: x.npz lacks val_labels; a validation split needs both"),
        ({"val_targets": LABELS}, "val_targets is not used: x.npz lacks val_images, val_labels"),
        ({"val_images": GREY, "val_labels": LABELS[:6]}, "not used: val_labels has shape [6], expected [12]"),
        ({"val_images": GREY[:0], "val_labels": LABELS[:0]}, "not used: val_images is empty: shape [0, 5, 6, 1]"),
        ({"val_images": GREY[:, None], "val_labels": LABELS}, "not used: val_images is uint8 [12, 1, 5, 6, 1]"),
        ({"val_images": GREY[:, :4], "val_labels": LABELS}, "not used: training examples have shape (5, 6, 1), validation"),
        ({"val_images": GREY, "val_labels": LABELS + 1}, "1 of 4 classes have no training example: 3"),
        ({"val_images": np.array([{}]), "val_labels": LABELS}, "holds Python objects"),
    ],
)  # fmt: skip
def test_validation_that_cannot_be_used_is_left_aside_aloud(more: dict[str, Any], said: str) -> None:
    """Version 0.1.0 read none of it: what was trained then is asked and goes on."""
    plain, data = loaded(held()), loaded(held(**more))
    assert data.fingerprint() == plain.fingerprint()
    (note,) = data.notes
    assert note.startswith(f"x.npz: {', '.join(more)} ")
    assert said in note


def test_bins_and_classes_leave_aside_validation_that_has_none_of_them() -> None:
    own = held(train_targets=np.arange(12.0), test_targets=np.arange(6.0))
    val = {"val_images": GREY[:2], "val_labels": LABELS[:2]}
    for options, said in (({"bins": 3}, "has no targets to cut"), ({"classes": ("2", "1")}, "no example of")):
        if "classes" in options:
            val["val_labels"] = LABELS[:2] * 0
        data = loaded({**own, **val}, **options)
        assert data.fingerprint() == loaded(own, **options).fingerprint()
        (note,) = data.notes
        assert said in note


def test_classes_with_gaps_are_named_by_the_line_and_stay_what_they_were() -> None:
    values = held(labels=LABELS * 2)
    line = refused(values).hint.partition("all the same: ")[2]
    assert line == "class_names = np.arange(5).astype(str)"
    data = mended({**values, "class_names": None}, line)
    assert data.class_names == ("0", "1", "2", "3", "4"), "as version 0.1.0 named them"
    many = refused(held(labels=np.append(np.arange(11) * 2, 10**6)))
    assert ": 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, …; " in str(many)
    assert "np.arange" not in str(many)


def test_one_row_beside_one_hot_rows_is_one_hot() -> None:
    rows = np.eye(3, dtype=int)[LABELS]
    data = arrays(written(held(labels=rows, test_images=GREY[:1], test_labels=rows[1:2])))
    assert data.test_labels.tolist() == [1]


def test_class_names_in_bytes_are_text_and_runs_from_before_keep_theirs() -> None:
    names = np.array(["cat", "dog", "élan"])
    data = arrays(written(held(class_names=np.char.encode(names, "utf-8"))))
    assert data.class_names == ("cat", "dog", "élan")
    then = tuple(str(name) for name in np.char.encode(names, "utf-8"))
    assert then[0] == "b'cat'"
    whole = replace(data, val_images=data.test_images, val_labels=data.test_labels)
    before = replace(data, class_names=then)
    for now in (data, whole):
        known = as_trained(now, before.fingerprint())
        assert (known.class_names, known.fingerprint()) == (then, before.fingerprint())
        assert "classes are named b'cat', b'dog'" in known.notes[-1]
    assert AS_THEN in known.notes[-1]


def test_a_run_from_before_whose_names_are_bytes_is_asked_and_learned_from(fierce: Any) -> None:
    """Version 0.1.0 named the classes b'a', b'b', b'c': a run on a file of these names is what it left."""
    names = np.array(["a", "b", "c"]).astype("S")
    values = held(VECTORS, class_names=np.array([str(name) for name in names]))
    how = ("--model", "linear", "--epochs", "1", "--device", "cpu", "--progress", "off")
    code, _, err = fierce("train", "--data", f"arrays:{written(values)}", *how, "--name", "t")
    assert code == 0, err
    written({**values, "class_names": names})
    for words in (
        ("infer", "t", "--split", "train", "--device", "cpu"),
        ("infer", "t", "--data", "arrays:x.npz", "--device", "cpu", "--out", "o.safetensors"),
        ("distill", "--teacher", "t", "--student", *how[1:]),
    ):
        code, _, err = fierce(*words)
        assert code == 0, err
    code, _, err = fierce("analyze", "confusion", "t", "--split", "test", "--device", "cpu")
    assert code == 0, err


def test_messages_name_what_the_file_holds_and_nothing_else() -> None:
    error = refused({"train_images": GREY, "x": LABELS, "labels\x1b[2J": LABELS})
    assert "lacks train_labels, test_images, test_labels; it holds train_images, x, 'labels\\x1b[2J'" in str(error)
    np.save("x.npy", GREY)
    with pytest.raises(DataError, match="holds a single array"):
        arrays("x.npy")
    data = arrays(written(held(mean=GREY, valid_labels=LABELS)))
    assert data.notes == ("x.npz: not used: mean, valid_labels",)


def loaded(values: dict[str, Any], **options: Any) -> Dataset:
    return dataset(recipe.resolve({"data": {"name": f"arrays:{written(values)}", **options}}))


def test_classes_without_examples_are_named_where_classes_have_names() -> None:
    data = loaded(held(class_names=np.array(list("abcdefghijklmnopq"))))
    assert data.classes == 17
    assert data.notes == ("14 of 17 classes have no training example: d, e, f, g, h, i, j, k, l, m, …",)
    assert loaded(held()).notes == ()


def test_the_file_that_counted_from_one_and_the_one_with_examples_to_ignore(fierce: Any) -> None:
    """256 classes were trained of four, without a word."""
    labels = LABELS.astype(np.uint8)
    labels[:2] = 255
    for values in (held(labels=LABELS + 1), held(labels=labels, test_labels=LABELS[:6])):
        code, out, err = fierce("train", "--data", f"arrays:{written(values)}", "--model", "mlp:8", "--epochs", "1")
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "count from 1" in err or "examples to ignore" in err
        assert not Path("runs").exists()
    code, _, err = fierce("train", "--data", f"arrays:{written(held())}", "--model", "mlp:8", "--epochs", "1")
    assert code == 0, err

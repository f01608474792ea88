"""Datasets: real ones, anybody's arrays, and every way in which those can be wrong, each in one clear line."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fierce_tools.data import arrays, digits, fashion_mnist, mnist
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._splits import split
from fierce_tools.errors import DataError, UsageError


def small(n: int = 30, classes: int = 3, **changes: object) -> Dataset:
    rng = np.random.default_rng(0)
    values = {
        "name": "small",
        "train_images": rng.integers(0, 255, (n, 4, 4, 1), dtype=np.uint8),
        "train_labels": np.arange(n) % classes,
        "test_images": rng.integers(0, 255, (6, 4, 4, 1), dtype=np.uint8),
        "test_labels": np.arange(6) % classes,
        "class_names": tuple("abc"[:classes]),
    }
    return Dataset(**{**values, **changes})  # type: ignore[arg-type]


def test_digits_are_the_real_ones() -> None:
    from sklearn.datasets import load_digits

    data, original = digits(), load_digits()
    assert data.train_images.shape == (1437, 8, 8, 1)
    assert np.bincount(data.test_labels).tolist() == [36] * 10
    assert data.train_index is not None
    assert data.test_index is not None
    assert sorted([*data.train_index, *data.test_index]) == list(range(1797))
    np.testing.assert_array_equal(data.test_labels, original.target[data.test_index])
    restored = data.train_images[..., 0] / (255 / 16)
    assert np.abs(restored - original.images[data.train_index]).max() < 0.04
    assert digits().fingerprint() == data.fingerprint()


def test_the_fingerprint_sees_every_part() -> None:
    base = small()
    pixels = base.train_images.copy()
    pixels[0, 0, 0, 0] ^= 1
    labels = base.test_labels.copy()
    labels[0] = 2
    others = [
        small(train_images=pixels),
        small(test_labels=labels),
        small(class_names=("a", "b", "d")),
        small(train_targets=np.zeros(30)),
        small(train_index=np.arange(30)[::-1]),
    ]
    assert len({d.fingerprint() for d in [base, *others]}) == 6
    val = {"val_images": base.test_images, "val_labels": base.test_labels}
    changed = ({}, {"val_labels": labels}, {"val_targets": np.zeros(6)}, {"val_index": np.arange(6)})
    assert len({d.fingerprint() for d in [base, *(small(**val | one) for one in changed)]}) == 5


def test_a_dataset_without_validation_of_its_own_keeps_the_fingerprint_of_0_1_0() -> None:
    """Taken with version 0.1.0."""
    data = small(class_names=("a", "b", "c"), train_targets=np.arange(30.0), test_index=np.arange(6))
    assert data.fingerprint() == "8deb9c486d1ead64ecc440d2ae21033bba7a58c830918555621d87dab51aa231"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_labels": np.arange(29) % 3}, r"expected \[30\]"),
        ({"train_labels": np.arange(30)}, r"train_labels\[3\] is 3, expected 0 to 2"),
        ({"test_labels": np.array([0, 1, -1, 0, 1, 2])}, r"test_labels\[2\] is -1"),
        ({"train_images": np.zeros((30, 4, 4, 1))}, "expected uint8"),
        ({"train_images": np.zeros((30, 4, 4, 2), np.uint8)}, "expected uint8"),
        ({"test_images": np.zeros((6, 5, 4, 1), np.uint8)}, "same shape"),
        ({"test_images": np.zeros((0, 4, 4, 1), np.uint8), "test_labels": np.zeros(0, int)}, "empty"),
        ({"class_names": ("a",)}, "at least 2"),
        ({"train_targets": np.zeros(5)}, "5 rows"),
        ({"train_targets": np.full(30, np.nan)}, "NaN"),
        ({"train_targets": np.zeros((30, 2, 2))}, r"expected numbers \[N\] or \[N,P\]"),
        ({"train_targets": np.full(30, "a")}, "train_targets is <U1"),
        ({"test_targets": np.ones(6, complex)}, "test_targets is complex128"),
        ({"train_index": np.arange(29)}, r"train_index is int64 \[29\]"),
        ({"train_index": np.arange(30.0)}, "train_index is float64"),
        ({"test_index": np.array([0, 1, 2, 2, 4, 4])}, "test_index names 2 examples twice"),
        ({"class_names": ("a", "b", "a")}, "2 classes are named 'a', classes 0 and 2"),
        ({"class_names": ("a", " ", "c")}, "the name of class 1 is empty"),
        ({"val_images": np.zeros((5, 4, 4, 1), np.uint8)}, "not whole"),
        ({"val_targets": np.zeros(5)}, "not whole"),
        ({"val_images": np.zeros((5, 4, 4, 1), np.uint8), "val_labels": np.arange(5)}, r"val_labels\[3\] is 3"),
        ({"val_images": np.zeros((5, 4, 5, 1), np.uint8), "val_labels": np.zeros(5, int)}, "validation examples"),
        ({"val_images": np.zeros((0, 4, 4, 1), np.uint8), "val_labels": np.zeros(0, int)}, "val_images is empty"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        small(**changes)
    assert "\n" not in str(caught.value)


def test_nan_in_vectors_is_named() -> None:
    x = np.zeros((30, 5), np.float32)
    x[7, 2] = np.nan
    with pytest.raises(DataError, match="first in row 7"):
        small(train_images=x, test_images=np.zeros((6, 5), np.float32))


@given(fraction=st.floats(0, 0.99), seed=st.integers(0, 5), n=st.integers(3, 60))
def test_a_split_is_a_partition_and_stratified(fraction: float, seed: int, n: int) -> None:
    data = small(n)
    parts = split(data, val_fraction=fraction, split_seed=seed)
    assert sorted([*parts.train.index, *parts.val.index]) == list(range(n))
    for c in range(3):
        size = int((data.train_labels == c).sum())
        assert (parts.val.labels == c).sum() == min(round(fraction * size), size - 1)
    np.testing.assert_array_equal(parts.train.images, data.train_images[parts.train.index])
    np.testing.assert_array_equal(parts.val.labels, data.train_labels[parts.val.index])


def test_a_split_is_a_function_of_its_seed() -> None:
    a, b, c = (split(small(), val_fraction=0.3, split_seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.val.index, b.val.index)
    assert not np.array_equal(a.val.index, c.val.index)


def test_without_validation_whatever_needs_it_refuses() -> None:
    parts = split(small(), val_fraction=0)
    assert len(parts.train) == 30
    with pytest.raises(DataError, match="--val-fraction 0"):
        parts.get("val")
    for fraction in (1.0, -0.1, float("nan")):
        with pytest.raises(UsageError):
            split(small(), val_fraction=fraction)


def write_idx(root: Path, kind: str = "MNIST", n: int = 12) -> Path:
    raw = root / kind / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for prefix in ("train", "t10k"):
        images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, n, 28, 28) + images.tobytes())
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels.tobytes())
    return raw


def test_mnist_is_read_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "here")
    data = mnist(data_root=str(tmp_path / "here"))
    assert data.train_images.shape == (12, 28, 28, 1)
    monkeypatch.setenv("FIERCE_DATA", str(tmp_path / "here"))
    assert mnist().fingerprint() == data.fingerprint()
    write_idx(tmp_path / "here", "FashionMNIST")
    assert fashion_mnist().class_names[9] == "Ankle boot"


def test_missing_files_say_where_and_how(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        mnist(data_root=str(tmp_path))
    assert str(tmp_path / "MNIST" / "raw") in str(caught.value)
    assert "--download" in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"\0" * 16,
        lambda b: b"",
        lambda b: gzip.compress(b),
        lambda b: struct.pack(">IIII", 0x803, 12, 27, 28) + b[16:],
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, damage: object) -> None:
    raw = write_idx(tmp_path)
    file = raw / "train-images-idx3-ubyte"
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError) as caught:
        mnist(data_root=str(tmp_path))
    assert "\n" not in str(caught.value)
    assert "mnist" in str(caught.value)


def save(path: Path, **changes: object) -> Path:
    base = small()
    values = {f"{s}_{k}": getattr(base, f"{s}_{k}") for s in ("train", "test") for k in ("images", "labels")}
    values |= changes
    np.savez(path, **{k: v for k, v in values.items() if v is not None})
    return path


def test_anybodys_arrays(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", class_names=np.array(["cat", "dog", "eel"]), train_targets=np.ones((30, 2)))
    data = arrays(str(path))
    assert data.class_names == ("cat", "dog", "eel")
    assert data.train_targets is not None
    plain = arrays(
        str(
            save(
                tmp_path / "y.npz",
                train_images=np.zeros((30, 4, 4), np.uint8),
                test_images=np.ones((6, 4, 4), np.uint8),
            )
        )
    )
    assert plain.shape == (4, 4, 1)
    assert plain.class_names == ("0", "1", "2")
    vectors = arrays(str(save(tmp_path / "z.npz", train_images=np.zeros((30, 7)), test_images=np.ones((6, 7)))))
    assert vectors.train_images.dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test_labels": None}, "lacks test_labels"),
        ({"train_labels": np.linspace(0, 1, 30)}, "expected whole numbers"),
        ({"train_labels": np.full(30, 10**9)}, "1000000000 of 1000000001 classes have no training example"),
        ({"train_images": np.array([{"a": 1}] * 30)}, "Python objects"),
        ({"train_labels": np.arange(30) % 3 - 1}, "is -1"),
        ({"class_names": np.array("abc")}, "class_names has shape"),
        ({"train_targets": np.float64(1)}, "train_targets is float64"),
        ({"train_targets": np.array(["a"] * 30)}, "expected numbers"),
        ({"train_targets": np.ones(30, complex)}, "train_targets is complex128"),
    ],
)
def test_wrong_arrays_are_one_line(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        arrays(str(save(tmp_path / "x.npz", **changes)))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY", b"\x80\x04K\x01."])
def test_files_that_are_no_npz(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.npz"):
        arrays(str(tmp_path / "x.npz"))


def test_a_single_array_and_a_missing_file(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match="single array"):
        arrays(str(tmp_path / "x.npy"))
    with pytest.raises(DataError, match="does not exist"):
        arrays(str(tmp_path / "none.npz"))
    with pytest.raises(DataError):
        arrays(str(tmp_path))

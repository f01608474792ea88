"""Other labels for any dataset, and training splits with fewer examples, a long tail or wrong labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fierce_tools import recipe
from fierce_tools.data import cifar10, cifar100, digits
from fierce_tools.data._altered import Altered
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._labels import binned, coarsen, maps
from fierce_tools.data._splits import Splits, split
from fierce_tools.data._transform import transform
from fierce_tools.errors import DataError, UsageError
from fierce_tools.menu import DATASETS
from fierce_tools.training.train import dataset


def made(counts: list[int], names: tuple[str, ...] | None = None, **changes: object) -> Dataset:
    """Shuffled classes of those sizes; an example's only pixel is its rank, so that nothing can be mixed up unseen."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = np.arange(len(labels), dtype=np.float32)[:, None]
    values = {
        "name": "made",
        "train_images": rows,
        "train_labels": labels,
        "test_images": rows[:20],
        "test_labels": labels[:20],
        "class_names": names or tuple("abcdefghij"[: len(counts)]),
    }
    return Dataset(**{**values, **changes})  # type: ignore[arg-type]


def cut(data: Dataset, **options: object) -> Splits:
    return split(transform(data, **options))  # type: ignore[arg-type]


def same(one: Splits, other: Splits, *parts: str) -> None:
    for part in parts:
        for kind in ("images", "labels", "index"):
            np.testing.assert_array_equal(getattr(getattr(one, part), kind), getattr(getattr(other, part), kind))


# Coarse classes


def test_odd_and_even_digits_keep_the_digits_as_targets() -> None:
    plain, data = digits(), transform(digits(), coarse="odd-even")
    assert data.class_names == ("even", "odd")
    np.testing.assert_array_equal(data.train_labels, plain.train_labels % 2)
    np.testing.assert_array_equal(data.test_labels, plain.test_labels % 2)
    parts = split(data)
    np.testing.assert_array_equal(parts.val.targets % 2, parts.val.labels)  # type: ignore[operator]
    np.testing.assert_array_equal(data.test_targets, plain.test_labels)
    np.testing.assert_array_equal(data.train_index, plain.train_index)


def test_cifar100_superclasses_are_numbered_as_in_its_files() -> None:
    """The `coarse_labels` of the 100 fine classes, as the files of Krizhevsky 2009 have them."""
    theirs = [
        4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1,
        10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12,
        12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0,
        17, 8, 14, 13,
    ]  # fmt: skip
    names = DATASETS.module("cifar100").CLASSES
    data = made([1] * 100, names)
    coarse = coarsen(data, "superclasses")
    assert len(coarse.class_names) == 20
    np.testing.assert_array_equal(coarse.train_labels, np.array(theirs)[data.train_labels])


def test_a_map_fits_whatever_has_its_classes() -> None:
    data = transform(made([3] * 10, DATASETS.module("cifar10").CLASSES), coarse="animal-vehicle")
    assert data.class_names == ("animal", "vehicle")
    vehicles = {data.train_targets[i] for i in np.flatnonzero(data.train_labels == 1)}  # type: ignore[index]
    assert vehicles == {0, 1, 8, 9}
    assert {name: set(by) for name, by in maps().items()} == {
        "odd-even": {"digits"},
        "animal-vehicle": {"cifar10"},
        "superclasses": {"cifar100"},
    }
    assert callable(cifar10)
    assert callable(cifar100)


@pytest.mark.parametrize(
    "document",
    [
        {"a": "left", "b": "right", "c": "left"},
        {"left": ["a", "c"], "right": ["b"]},
        {"0": "left", "1": "right", "2": "left"},
    ],
)
def test_a_map_of_ones_own(tmp_path: Path, document: dict) -> None:
    file = tmp_path / "map.json"
    file.write_text(json.dumps(document))
    plain, data = made([4, 5, 6]), transform(made([4, 5, 6]), coarse=str(file))
    assert data.class_names == ("left", "right")
    np.testing.assert_array_equal(data.train_labels, (plain.train_labels == 1).astype(int))
    np.testing.assert_array_equal(data.train_targets, plain.train_labels)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": "x", "b": "y"}', "no coarse class for 'c' of made"),
        ('{"a": "x", "b": "y", "c": "x", "d": "x"}', "names 'd', which is no class of made"),
        ('{"a": "x", "b": "x", "c": "x"}', "one class"),
        ('{"x": ["a", "b"], "y": ["b", "c"]}', "no map of classes"),
        ('{"x": ["a", "b"], "c": "y"}', "no map of classes"),
        ('{"a": "x", "a": "y", "b": "y", "c": "x"}', "'a' stands there twice"),
        ('{"a": 1, "b": 2, "c": 1}', "no map of classes"),
        ('["a"]', "no map of classes"),
        ("{", "no readable JSON"),
        (None, "does not exist"),
    ],
)
def test_maps_that_do_not_fit_are_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "map.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        transform(made([3, 3, 3]), coarse=str(file))
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


# Bins


def test_bins_are_cut_at_quantiles_and_the_targets_stay() -> None:
    ages = np.random.default_rng(1).uniform(0, 100, 300)
    data = made([150, 150], train_targets=ages, test_targets=ages[:20] + 50)
    for bins in (2, 3, 7):
        cuts = transform(data, bins=bins)
        assert np.bincount(cuts.train_labels).tolist() == pytest.approx([300 / bins] * bins, abs=1)
        np.testing.assert_array_equal(cuts.train_targets, ages)
        order = cuts.train_labels[np.argsort(ages)]
        assert (np.diff(order) >= 0).all()
        assert cuts.classes == bins
    two = transform(data, bins=2)
    np.testing.assert_array_equal(two.test_labels, ages[:20] + 50 >= np.median(ages))


def test_bins_are_named_by_their_ends() -> None:
    labels, test_labels, names = binned(np.array([1, 2, 3, 4.0]), np.array([0, 2.5, 9]), 2)
    assert (labels.tolist(), test_labels.tolist(), names) == ([0, 0, 1, 1], [0, 1, 1], ("< 2.5", "≥ 2.5"))
    close = binned(np.array([1, 1.00001, 1.00002]), np.array([1.0]), 3)[2]
    assert len(set(close)) == 3


def test_what_cannot_be_cut_is_said() -> None:
    few = made([10, 10], train_targets=np.arange(20) % 2, test_targets=np.arange(20) % 2)
    with pytest.raises(DataError, match="2 different targets cannot be cut into 3 bins"):
        transform(few, bins=3)
    wide = made([10, 10], train_targets=np.ones((20, 2)), test_targets=np.ones((20, 2)))
    with pytest.raises(DataError, match="20 training examples do not fill 1000000000000 bins"):
        transform(few, bins=10**12)
    for data, bins, said in ((few, 1, "2 or more"), (wide, 2, r"targets \[20, 2\]"), (made([10, 10]), 2, "has none")):
        with pytest.raises(UsageError, match=said):
            transform(data, bins=bins)
    with pytest.raises(UsageError, match="both make the labels"):
        transform(few, bins=2, coarse="odd-even")


# Some of the classes


@pytest.mark.parametrize(
    ("wanted", "names"),
    [(("3",), "abc"), (("d", "b"), "db"), (("3", "1"), "db"), (("1:3",), "bcd"), (("e", "0:1"), "eab")],
)
def test_only_some_classes_renumbered(wanted: tuple[str, ...], names: str) -> None:
    plain = made([5, 6, 7, 8, 9])
    data = transform(plain, classes=wanted)
    assert data.class_names == tuple(names)
    was = ["abcde".index(n) for n in names]
    assert data.train_index is not None
    np.testing.assert_array_equal(np.array(was)[data.train_labels], plain.train_labels[data.train_index])
    np.testing.assert_array_equal(data.train_images, plain.train_images[data.train_index])
    assert np.bincount(data.train_labels).tolist() == [[5, 6, 7, 8, 9][c] for c in was]
    assert np.isin(plain.test_labels, was).sum() == len(data.test_labels)


def test_index_is_still_that_of_the_original_file() -> None:
    from sklearn.datasets import load_digits

    parts = cut(digits(), classes=("3", "8"), per_class=20)
    for part in (parts.train, parts.val, parts.test):
        np.testing.assert_array_equal(load_digits().target[part.index], np.where(part.labels, 8, 3))


def test_a_name_goes_before_a_number() -> None:
    assert transform(made([3, 3, 3], ("1", "2", "7")), classes=("1", "2")).class_names == ("1", "2")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("a", "aa"), "did you mean 'a'"),
        (("a", "7"), "classes 0 to 2"),
        (("a", "0"), "'a' twice"),
        (("a",), "leaves 1 class"),
        (("1",), "has 3"),
        (("4",), "has 3"),
        (("0.5", "a"), "classes 0 to 2"),
    ],
)
def test_wrong_classes_are_one_line(wanted: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        transform(made([3, 3, 3]), classes=wanted)


def test_classes_are_chosen_among_the_coarse_ones(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"x": ["a", "d"], "y": ["b"], "z": ["c"]}')
    data = transform(made([5, 5, 5, 5]), coarse=str(tmp_path / "m.json"), classes=("z", "x"))
    assert data.class_names == ("z", "x")
    assert set(data.train_targets[data.train_labels == 1]) == {0, 3}  # type: ignore[index]


# Fewer examples


@given(n=st.integers(1, 40), seed=st.integers(0, 3))
def test_at_most_n_of_each_class(n: int, seed: int) -> None:
    data = made([30, 20, 11])
    plain, parts = cut(data), cut(data, per_class=n, draw_seed=seed)
    same(plain, parts, "val", "test")
    assert np.bincount(parts.train.labels).tolist() == [min(c, n) for c in np.bincount(plain.train.labels)]
    assert set(parts.train.index) <= set(plain.train.index)
    assert (np.diff(parts.train.index) > 0).all()
    np.testing.assert_array_equal(parts.train.images[:, 0], parts.train.index)
    more = cut(data, per_class=n + 3, draw_seed=seed)
    assert set(parts.train.index) <= set(more.train.index)


# A long tail


@pytest.mark.parametrize(
    ("classes", "each", "ratio", "counts"),
    [
        (10, 5000, 100, [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]),  # CIFAR-10-LT as published
        (10, 5000, 10, [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500]),
        (2, 100, 50, [100, 2]),
    ],
)
def test_the_long_tail_has_the_published_counts(classes: int, each: int, ratio: float, counts: list[int]) -> None:
    labels = np.repeat(np.arange(classes), each)
    kept = Altered(imbalance=ratio).kept(labels, tuple(map(str, range(classes))))
    assert np.bincount(labels[kept]).tolist() == counts


@given(counts=st.lists(st.integers(20, 200), min_size=2, max_size=6), ratio=st.floats(1.01, 15), seed=st.integers(0, 3))
def test_a_long_tail_of_unequal_classes(counts: list[int], ratio: float, seed: int) -> None:
    data = made(counts)
    plain, parts = cut(data), cut(data, imbalance=ratio, draw_seed=seed)
    same(plain, parts, "val", "test")
    before, after = np.bincount(plain.train.labels), np.bincount(parts.train.labels)
    assert (after <= before).all()
    assert (np.diff(after) <= 0).all()
    shares = ratio ** (-np.arange(len(counts)) / (len(counts) - 1))
    assert (np.abs(after / after[0] - shares) <= 1.5 / after[0]).all()
    assert ((after[0] + 1) * shares > before).any(), "a larger head could have been served"
    assert set(parts.train.index) <= set(plain.train.index)


def test_a_tail_without_examples_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves class 'c' without a training example"):
        cut(made([20, 20, 20]), imbalance=100)


# Wrong labels


@given(
    counts=st.lists(st.integers(2, 60), min_size=2, max_size=5),
    share=st.floats(0.01, 1),
    kind=st.sampled_from(["symmetric", "pairwise"]),
    seed=st.integers(0, 3),
)
def test_noise_is_an_exact_share_of_each_class_of_training_alone(
    counts: list[int], share: float, kind: str, seed: int
) -> None:
    data = made(counts)
    plain, parts = cut(data), cut(data, label_noise=share, noise_kind=kind, draw_seed=seed)
    same(plain, parts, "val", "test")
    np.testing.assert_array_equal(parts.train.index, plain.train.index)
    np.testing.assert_array_equal(parts.train.images, plain.train.images)
    np.testing.assert_array_equal(parts.train.targets, plain.train.labels)
    np.testing.assert_array_equal(parts.val.targets, plain.val.labels)
    wrong = parts.train.labels != plain.train.labels
    for label in range(len(counts)):
        own = plain.train.labels == label
        assert wrong[own].sum() == round(share * int(own.sum()))
        if kind == "pairwise":
            assert set(parts.train.labels[own & wrong]) <= {(label + 1) % len(counts)}
    again = cut(data, label_noise=share, noise_kind=kind, draw_seed=seed)
    np.testing.assert_array_equal(again.train.labels, parts.train.labels)
    less = cut(data, label_noise=share / 2, noise_kind=kind, draw_seed=seed)
    changed = less.train.labels != plain.train.labels
    np.testing.assert_array_equal(less.train.labels[changed], parts.train.labels[changed])


def test_symmetric_noise_goes_to_every_other_class_alike() -> None:
    from scipy.stats import chisquare

    labels = np.repeat(np.arange(5), 4000)
    noisy = Altered(label_noise=0.5).noisy(labels, 5)
    assert (noisy != labels).sum() == 10_000
    for label in range(5):
        counts = np.bincount(noisy[labels == label], minlength=5)
        assert counts[label] == 2000
        assert chisquare(np.delete(counts, label)).pvalue > 1e-4


def test_another_seed_is_another_noise() -> None:
    labels = np.repeat(np.arange(3), 50)
    first, second = (Altered(label_noise=0.4, draw_seed=s).noisy(labels, 3) for s in (0, 1))
    assert (first != second).any()


def test_coarse_labels_are_made_wrong_and_the_fine_ones_kept() -> None:
    plain, parts = cut(transform(digits(), coarse="odd-even")), cut(digits(), coarse="odd-even", label_noise=0.4)
    np.testing.assert_array_equal(parts.train.targets, plain.train.targets)
    np.testing.assert_array_equal(parts.train.targets % 2, plain.train.labels)  # type: ignore[operator]
    wrong = parts.train.labels != plain.train.labels
    assert wrong.mean() == pytest.approx(0.4, abs=0.001)


def test_everything_at_once() -> None:
    parts = cut(digits(), classes=("0:4",), per_class=50, imbalance=5, label_noise=0.2)
    assert parts.train.targets is not None
    assert np.bincount(parts.train.targets).tolist() == [50, 33, 22, 14, 10]
    assert (parts.train.labels != parts.train.targets).sum() == 10 + 7 + 4 + 3 + 2
    assert len(parts.val) == len(cut(digits(), classes=("0:4",)).val)


def test_more_of_each_class_than_any_number_holds() -> None:
    assert Altered(per_class=10**30).kept(np.array([0, 1, 1]), ("a", "b")).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "options",
    [
        {"per_class": 0},
        {"imbalance": 0.5},
        {"imbalance": float("nan")},
        {"imbalance": float("inf")},
        {"label_noise": -0.1},
        {"label_noise": 1.1},
        {"label_noise": float("nan")},
        {"draw_seed": -1},
    ],
)
def test_values_out_of_range_are_one_line(options: dict) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(options)).replace('_', '-')} is"):
        transform(made([3, 3]), **options)


# What is recorded


def test_a_plain_dataset_is_what_it_was() -> None:
    """Checkpoints made before there was anything to transform must find their data again."""
    theirs = "1bd95314a86e5480c2a7efc5fc4b9b60a0fdac79a71be09dca94605b1fb8ffa4"
    assert dataset(recipe.resolve({})).fingerprint() == theirs
    assert transform(digits(), noise_kind="pairwise", draw_seed=5).fingerprint() == theirs, "nothing was altered"


def test_no_two_different_ones_share_a_fingerprint() -> None:
    ways: list[dict[str, object]] = [
        {}, {"coarse": "odd-even"}, {"classes": ("3",)}, {"classes": ("2", "1", "0")}, {"per_class": 5},
        {"per_class": 6}, {"imbalance": 5}, {"label_noise": 0.2}, {"label_noise": 0.3},
        {"label_noise": 0.2, "noise_kind": "pairwise"}, {"label_noise": 0.2, "draw_seed": 1},
        {"per_class": 5, "draw_seed": 1}, {"per_class": 5, "imbalance": 5}, {"coarse": "odd-even", "label_noise": 0.2},
    ]  # fmt: skip
    found = [transform(digits(), **way).fingerprint() for way in ways]  # type: ignore[arg-type]
    assert len(set(found)) == len(ways)
    one, other = (transform(digits(), per_class=5, noise_kind=k).fingerprint() for k in ("symmetric", "pairwise"))
    assert one == other, "there is no noise"


def test_a_recipe_holds_it_all_and_gives_it_again() -> None:
    said = {"data.coarse": "odd-even", "data.label_noise": 0.4, "data.per_class": 9, "data.classes": "1,0"}
    made_ = recipe.resolve({}, said)
    assert made_.data["classes"] == ("1", "0")
    import tomllib

    again = recipe.resolve(tomllib.loads(made_.to_toml()))
    assert again == made_
    assert recipe.resolve({"data": {"classes": 3}}).data["classes"] == ("3",)
    data = dataset(again)
    assert data.altered == Altered(per_class=9, label_noise=0.4)
    assert data.class_names == ("odd", "even")
    assert replace(data, altered=None).fingerprint() != data.fingerprint()

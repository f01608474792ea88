"""Datasets that are files of others: CIFAR's pickles, folders of images, hyperspectral images, MNIST turned."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from fierce_tools import recipe
from fierce_tools.data import arrays, cifar10, cifar100, cifar_fs, folder, hyperspectral, mnist, rotated_mnist, toys
from fierce_tools.data._cut import test_rows as cut_rows
from fierce_tools.data.cifar_fs import PARTS
from fierce_tools.data.toys import endmember_spectra
from fierce_tools.errors import DataError, FierceError, UsageError
from fierce_tools.menu import DATASETS
from fierce_tools.training.train import dataset

RNG = np.random.default_rng(0)


def write_mnist(root: Path, n: int = 60) -> Path:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        images = np.zeros((n, 28, 28), np.uint8)
        images[:, 4:14, 12:16] = 255  # a bar from the middle up: turned counterclockwise it points left
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, n, 28, 28) + images.tobytes())
        labels = (np.arange(n) % 10).astype(np.uint8)
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + labels.tobytes())
    return root


def write_cifar(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch, n: int = 100) -> Path:
    """Small batches as Krizhevsky's, whose MD5 torchvision is told to expect."""
    from torchvision import datasets

    made = getattr(datasets, kind)
    home = root / made.base_folder
    home.mkdir(parents=True)
    key = {"CIFAR10": "labels", "CIFAR100": "fine_labels"}[kind]
    names = DATASETS.module(kind.lower()).CLASSES
    rng = np.random.default_rng(0)

    def write(name: str, content: dict) -> str:
        data = pickle.dumps(content)
        (home / name).write_bytes(data)
        return hashlib.md5(data, usedforsecurity=False).hexdigest()

    for files in ("train_list", "test_list"):
        listed = []
        for name, _ in getattr(made, files):
            pixels = rng.integers(0, 256, (n, 3072), dtype=np.uint8)
            listed.append([name, write(name, {"data": pixels, key: [i % len(names) for i in range(n)]})])
        monkeypatch.setattr(made, files, listed)
    meta = {**made.meta, "md5": write(made.meta["filename"], {made.meta["key"]: list(names)})}
    monkeypatch.setattr(made, "meta", meta)
    return home


def write_images(root: Path, counts: dict[str, int], size: tuple[int, int] = (6, 6), mode: str = "RGB") -> Path:
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new(mode, size, (40 * number + i,) * 3 if mode == "RGB" else 40 * number + i).save(
                root / name / f"{i:03d}.png"
            )
    return root


def mixed(n: int = 60, bands: int = 7, kinds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    abundances = rng.dirichlet(np.ones(kinds), n)
    return abundances @ rng.random((kinds, bands)), abundances


# CIFAR


@pytest.mark.parametrize(("kind", "load"), [("CIFAR10", cifar10), ("CIFAR100", cifar100)])
def test_cifar_is_read_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, load: Callable
) -> None:
    home = write_cifar(tmp_path, kind, monkeypatch)
    data = load(data_root=str(tmp_path))
    batches = 5 if kind == "CIFAR10" else 1
    assert data.train_images.shape == (100 * batches, 32, 32, 3)
    assert data.test_labels.tolist() == [i % data.classes for i in range(100)]
    first = "data_batch_1" if kind == "CIFAR10" else "train"
    red = pickle.loads((home / first).read_bytes())["data"][3].reshape(3, 32, 32)[0]
    np.testing.assert_array_equal(data.train_images[3, :, :, 0], red)
    assert data.class_names == DATASETS.module(kind.lower()).CLASSES
    assert list(data.class_names) == sorted(data.class_names)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b" ", lambda b: b"", None])
def test_a_pickle_that_is_not_the_original_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: Callable[[bytes], bytes] | None
) -> None:
    home = write_cifar(tmp_path, "CIFAR10", monkeypatch)
    file = home / name
    if damage is None:
        file.unlink()
    else:

        class Bomb:
            def __reduce__(self) -> tuple:
                return (Path.touch, (tmp_path / "ran",))

        file.write_bytes(damage(pickle.dumps(Bomb())))
    with pytest.raises(DataError, match=name) as caught:
        cifar10(data_root=str(tmp_path))
    assert "\n" not in str(caught.value)
    assert "not opened" in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_cifar_that_is_not_there_says_where_and_how(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-100-python.*--download"):
        cifar100(data_root=str(tmp_path))


# CIFAR-FS's base classes, which the dataset has as the rest of CIFAR-100's; in the order of superclasses.
BASE = """dolphin seal aquarium_fish ray trout orchid sunflower tulip bottle bowl can cup plate apple mushroom orange pear
clock keyboard chair couch bee caterpillar cockroach bear lion tiger wolf bridge castle house road skyscraper cloud
forest mountain elephant kangaroo porcupine possum raccoon skunk lobster spider boy girl dinosaur lizard snake turtle
hamster mouse rabbit shrew squirrel oak_tree palm_tree pine_tree willow_tree bus train lawn_mower streetcar tank"""


def test_cifar_fs_has_the_parts_of_bertinetto_and_others() -> None:
    sizes = {name: len(classes) for name, classes in PARTS.items()}
    assert sizes == {"base": 64, "validation": 16, "novel": 20}
    assert sorted(name for classes in PARTS.values() for name in classes) == list(DATASETS.module("cifar100").CLASSES)
    assert all(list(classes) == sorted(classes) for classes in PARTS.values())
    assert set(PARTS["base"]) == set(BASE.split())


@pytest.mark.parametrize("part", ["base", "validation", "novel"])
def test_a_part_of_cifar_fs_is_cifar_100s_images_of_its_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    write_cifar(tmp_path, "CIFAR100", monkeypatch, n=300)
    every, data = cifar100(data_root=str(tmp_path)), cifar_fs(part, data_root=str(tmp_path))
    assert (data.name, data.classes) == (f"cifar-fs:{part}", len(PARTS[part]))
    assert data.test_index is not None
    assert [every.class_names[label] for label in every.test_labels[data.test_index]] == [
        data.class_names[label] for label in data.test_labels
    ]
    np.testing.assert_array_equal(data.test_images, every.test_images[data.test_index])
    assert np.bincount(data.train_labels).tolist() == [3] * data.classes
    with pytest.raises(UsageError, match="did you mean 'novel'"):
        cifar_fs("nove", data_root=str(tmp_path))
    with pytest.raises(DataError, match=r"cifar-100-python.*--download"):
        cifar_fs(part, data_root=str(tmp_path / "none"))


# Folders of images


def test_one_level_is_cut(tmp_path: Path) -> None:
    write_images(tmp_path, {"cat": 10, "dog": 20, ".hidden": 3})
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    data = folder(str(tmp_path))
    assert data.class_names == ("cat", "dog")
    assert (len(data.train_labels), len(data.test_labels)) == (21, 9)
    assert np.bincount(data.test_labels).tolist() == [3, 6]
    assert data.train_index is not None
    assert data.test_index is not None
    assert sorted([*data.train_index, *data.test_index]) == list(range(30))
    for images, labels, index in (
        (data.train_images, data.train_labels, data.train_index),
        (data.test_images, data.test_labels, data.test_index),
    ):
        np.testing.assert_array_equal(images[:, 0, 0, 0], np.where(labels, 40 + index - 10, index))
    other = folder(str(tmp_path), test_seed=1)
    assert other.test_index.tolist() != data.test_index.tolist()
    assert folder(str(tmp_path)).fingerprint() == data.fingerprint()


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_two_levels_are_taken_as_they_are(tmp_path: Path, held_out: str) -> None:
    write_images(tmp_path / "train", {"ant": 3, "bee": 4, "cow": 5})
    write_images(tmp_path / held_out, {"bee": 2, "cow": 1})
    data = folder(str(tmp_path), grey=True)
    assert data.shape == (6, 6, 1)
    assert np.bincount(data.train_labels).tolist() == [3, 4, 5]
    assert data.test_labels.tolist() == [1, 1, 2]
    assert data.test_images[:, 0, 0, 0].tolist() == [0, 1, 40]


def test_images_get_one_size_and_keep_their_middle(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pixels = np.zeros((8, 24, 3), np.uint8)
        pixels[:, 8:16, 0] = 200
        Image.fromarray(pixels).save(tmp_path / name / "wide.png")
        Image.fromarray(pixels.transpose(1, 0, 2)).save(tmp_path / name / "tall.png")
    with pytest.raises(DataError, match=r"--image-size 64"):
        folder(str(tmp_path))
    data = folder(str(tmp_path), image_size=4, test_fraction=0.5)
    assert data.shape == (4, 4, 3)
    assert (data.train_images[:, :, 1:3, 0] > 150).all()
    assert (data.train_images[..., 1:] == 0).all()


def test_whatever_the_image_it_becomes_8_bit_rgb(tmp_path: Path) -> None:
    for number, mode in enumerate(("L", "P", "RGBA", "1", "CMYK", "LA")):
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.new(mode, (5, 5)).save(tmp_path / "ab"[number % 2] / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}")
    assert folder(str(tmp_path)).shape == (5, 5, 3)


def damaged_png() -> bytes:
    import io

    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", damaged_png()[:60], damaged_png()[:-30], b"GIF89a" + bytes(9), b"BM" + bytes(60), b"\xff\xd8\xff"],
)
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes) -> None:
    write_images(tmp_path, {"cat": 3, "dog": 3})
    (tmp_path / "dog" / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 7 pictures in .* cannot be read: dog/broken\.png \(") as caught:
        folder(str(tmp_path), image_size=4)
    assert "\n" not in str(caught.value)


def test_what_is_no_folder_of_classes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        folder(str(tmp_path / "none"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is no folder"):
        folder(str(tmp_path / "file"))
    with pytest.raises(DataError, match="no folder in it"):
        folder(str(tmp_path))
    write_images(tmp_path / "x", {"a": 2, "b": 0})
    with pytest.raises(DataError, match=r"has no image of b;"):
        folder(str(tmp_path / "x"))
    write_images(tmp_path / "y" / "train", {"a": 2, "b": 2})
    with pytest.raises(DataError, match="neither test nor val"):
        folder(str(tmp_path / "y"))
    write_images(tmp_path / "y" / "test", {"a": 2, "c": 2})
    with pytest.raises(DataError, match="test/c is of a class that"):
        folder(str(tmp_path / "y"))
    write_images(tmp_path / "z", {"a": 2})
    with pytest.raises(DataError, match="at least 2"):
        folder(str(tmp_path / "z"), test_fraction=0.5)
    (tmp_path / "deep" / "a").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "deep" / "a" / "x.tif")
    Image.new("L", (4, 4)).save(tmp_path / "deep" / "a" / "y.png")
    with pytest.raises(DataError, match=r"1 of 2 pictures in .* has more than 8 bits a channel: a/x\.tif"):
        folder(str(tmp_path / "deep"), test_fraction=0.5)
    for options in ({"image_size": 0}, {"test_fraction": 0.0}, {"test_fraction": 1.0}, {"test_seed": -1}):
        with pytest.raises(UsageError):
            folder(str(write_images(tmp_path / str(options), {"a": 2, "b": 2})), **options)


@pytest.mark.parametrize("counts", [[5, 5, 5], [1, 40, 3], [100, 7, 2, 2], [13, 13, 13, 13]])
@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.77])
def test_a_cut_is_exact_and_stratified(counts: list[int], fraction: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    train, test = cut_rows(labels, fraction, 0)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert (np.bincount(labels[train], minlength=len(counts)) >= 1).all()
    got = np.bincount(labels[test], minlength=len(counts))
    assert len(test) == round(fraction * len(labels))
    assert (np.abs(got - fraction * np.array(counts)) <= (1 if min(counts) > 3 else 3)).all()


# Hyperspectral images


def test_pixels_with_their_abundances(tmp_path: Path) -> None:
    x, z = mixed(13_440)
    names = np.array(["tree", "water", "road"])
    np.savez(tmp_path / "x.npz", pixels=x, abundances=z, endmember_names=names, width=8)
    data = hyperspectral(str(tmp_path / "x.npz"))
    assert (len(data.train_labels), len(data.test_labels)) == (9_408, 4_032), "the paper's split"
    assert data.class_names == ("tree", "water", "road")
    assert data.train_index is not None
    np.testing.assert_array_equal(data.train_images, x[data.train_index].astype(np.float32))
    np.testing.assert_array_equal(data.train_targets, z[data.train_index])
    np.testing.assert_array_equal(data.test_labels, z[data.test_index].argmax(axis=1))
    assert data.notes == (
        "x.npz: pixels are 'pixels' [13440, 7], abundances 'abundances' [13440, 3], classes 'endmember_names'",
    )


def test_every_shape_and_name_of_the_same_image_is_the_same(tmp_path: Path) -> None:
    """As Zhu's, Palsson's and HySUPP's .mat files have it, in one file or two."""
    x, z = mixed(60)
    cube, maps = x.reshape(6, 10, 7), z.reshape(6, 10, 3)
    cells = np.empty((3, 1), object)
    cells[:, 0] = ["tree", "water", "road"]
    by_columns = cube.transpose(1, 0, 2).reshape(60, 7).T
    np.savez(tmp_path / "plain.npz", pixels=x, abundances=z, names=np.array(["tree", "water", "road"]))
    savemat(tmp_path / "hysupp.mat", {"Y": x.T, "A": z.T, "E": np.ones((7, 3)), "H": 6, "W": 10, "cood": cells})
    savemat(tmp_path / "samson_1.mat", {"V": x.T, "nRow": 6, "nCol": 10, "nBand": 7})
    savemat(tmp_path / "end3.mat", {"A": z.T, "M": np.ones((7, 3)), "cood": cells})
    savemat(tmp_path / "cubes.mat", {"Y": cube, "S_GT": maps, "cood": cells})
    savemat(tmp_path / "mixed.mat", {"Y": by_columns, "S_GT": maps, "cood": cells})
    savemat(tmp_path / "rows.mat", {"Y": cube, "A": z.T, "cood": cells})
    savemat(
        tmp_path / "own.mat", {"spectra": x, "Y": x, "truth": z, "A": z, "names": np.array(["tree", "water", "road"])}
    )

    def load(name: str, **options: object) -> tuple:
        data = hyperspectral(str(tmp_path / name), **options)
        order = np.argsort(data.train_index)
        rows = np.sort(data.train_index)
        return data.class_names, rows, data.train_images[order], data.train_targets[order], data.train_labels[order]

    ways = [
        load("hysupp.mat"),
        load("samson_1.mat", truth_file=str(tmp_path / "end3.mat")),
        load("cubes.mat"),
        load("rows.mat", flat_order="rows"),
        load("own.mat", pixels="spectra", abundances="truth"),
    ]
    plain = load("plain.npz")
    for way in ways:
        for one, other in zip(way, plain, strict=True):
            np.testing.assert_array_equal(one, other)
    turned = hyperspectral(str(tmp_path / "mixed.mat"), flat_order="columns")
    pairs = {tuple(row): tuple(target) for row, target in zip(x.astype(np.float32).tolist(), z.tolist(), strict=True)}
    for row, target in zip(turned.train_images.tolist(), turned.train_targets.tolist(), strict=True):  # type: ignore[union-attr]
        assert pairs[tuple(row)] == tuple(target), "a pixel keeps its own mixture"


GUESSES: list[tuple[dict, dict, str]] = [
    ({"pixels": np.ones((9, 4))}, {}, r"none of abundances, A, S_GT; it holds pixels \[9, 4\]"),
    ({"Y": np.ones((9, 4)), "V": np.ones((9, 4)), "A": np.ones((9, 2))}, {}, "Y and V, and which is meant"),
    ({"Y": np.ones((9, 4)), "A": np.ones((9, 2))}, {"pixels": "X"}, "no array 'X'"),
    ({"Y": np.ones((9, 4)), "A": np.ones((8, 2))}, {}, "no number of pixels in common"),
    ({"Y": np.ones((9, 9)), "A": np.ones((9, 2))}, {}, "which axis counts the pixels"),
    ({"Y": np.ones((9, 4)), "A": np.ones((4, 9))}, {}, "which axis counts the pixels"),
    ({"Y": np.ones((3, 3, 4)), "A": np.ones((9, 2))}, {}, "by rows or by columns"),
    ({"Y": np.ones((3, 3, 4)), "A": np.ones((3, 4, 2))}, {}, "are not of one image"),
    ({"Y": np.ones(9), "A": np.ones((9, 2))}, {}, r"float64 \[9\], expected numbers"),
    ({"Y": np.full((9, 4), np.nan), "A": np.ones((9, 2))}, {}, "NaN or infinite"),
    ({"Y": np.full((9, 4), "x"), "A": np.ones((9, 2))}, {}, "expected numbers"),
    ({"Y": np.ones((9, 4)), "A": np.ones((9, 2))}, {"truth_file": "none.npz"}, r"none\.npz does not exist"),
    ({"Y": np.ones((9, 4)), "A": np.ones((9, 1))}, {}, "at least 2"),
]
# MATLAB has no vectors, and text of its own kind.
NUMPYS = ("expected numbers",)


@pytest.mark.parametrize(
    ("arrays", "options", "said", "ending"),
    [(*case, e) for case in GUESSES for e in ("npz", "mat") if e == "npz" or not case[2].endswith(NUMPYS)],
)
def test_what_would_be_a_guess_is_refused(tmp_path: Path, arrays: dict, options: dict, said: str, ending: str) -> None:
    file = tmp_path / f"x.{ending}"
    np.savez(file, **arrays) if ending == "npz" else savemat(file, arrays)
    with pytest.raises(DataError, match=said) as caught:
        hyperspectral(str(file), **options)
    assert "\n" not in str(caught.value)


def test_an_axis_that_cannot_be_told_may_be_said(tmp_path: Path) -> None:
    x, z = mixed(7, bands=7)
    np.savez(tmp_path / "x.npz", Y=x, A=z)
    data = hyperspectral(str(tmp_path / "x.npz"), layout="pixels-first")
    np.testing.assert_array_equal(data.train_images, x[data.train_index].astype(np.float32))
    np.savez(tmp_path / "y.npz", Y=x.T, A=z.T)
    data = hyperspectral(str(tmp_path / "y.npz"), layout="pixels-last")
    np.testing.assert_array_equal(data.train_images, x[data.train_index].astype(np.float32))


def test_abundances_that_do_not_sum_to_one_are_said(tmp_path: Path) -> None:
    x, z = mixed()
    np.savez(tmp_path / "x.npz", Y=x, A=z * 0.8)
    assert "abundances of a pixel sum to 0.8 to 0.8, not 1" in hyperspectral(str(tmp_path / "x.npz")).notes[0]


@pytest.mark.parametrize(
    "data", [b"", b"MATLAB 5.0 MAT-file", b"MATLAB 5.0 MAT-file" + bytes(200), bytes(300), b"x" * 300]
)
def test_files_that_are_no_mat_are_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.mat").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.mat") as caught:
        hyperspectral(str(tmp_path / "x.mat"))
    assert "\n" not in str(caught.value)


def test_a_truncated_or_foreign_file_is_one_line(tmp_path: Path) -> None:
    x, z = mixed()
    savemat(tmp_path / "x.mat", {"Y": x, "A": z}, do_compression=True)
    whole = (tmp_path / "x.mat").read_bytes()
    for size in (130, 200, len(whole) // 2, len(whole) - 9):
        (tmp_path / "x.mat").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"x\.mat"):
            hyperspectral(str(tmp_path / "x.mat"))
    (tmp_path / "x.mat").write_bytes(
        b"MATLAB 7.3 MAT-file, Platform: X".ljust(116) + bytes(8) + b"\x00\x02IM" + bytes(80)
    )
    with pytest.raises(DataError, match=r"7\.3"):
        hyperspectral(str(tmp_path / "x.mat"))
    for name, said in (("none.mat", "does not exist"), ("x.csv", "neither .npz nor .mat")):
        with pytest.raises(DataError, match=said):
            hyperspectral(str(tmp_path / name))


# Files named by the person, here or in the folder of sets


def test_a_file_is_found_here_or_in_the_folder_of_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, sets = tmp_path / "here", tmp_path / "sets"
    for place, kinds in ((here, 3), (sets, 2)):
        (place / "scenes").mkdir(parents=True)
        x, z = mixed(kinds=kinds)
        np.savez(place / "scenes" / "both.npz", Y=x, A=z)
    x, z = mixed(kinds=4)
    np.savez(sets / "scenes" / "only.npz", Y=x, A=z)
    np.savez(sets / "apart.npz", A=z)
    labels = np.arange(10) % 2
    held = {f"{s}_{k}": v for s in ("train", "test") for k, v in (("images", RNG.random((10, 5))), ("labels", labels))}
    np.savez(sets / "mine.npz", **held)
    write_images(sets / "pictures", {"a": 5, "b": 5})
    monkeypatch.chdir(here)
    root = str(sets)
    assert hyperspectral("scenes/both.npz", data_root=root).classes == 3, "what is here comes first"
    assert hyperspectral("scenes/only.npz", data_root=root, truth_file="apart.npz", pixels="Y").classes == 4
    assert arrays("mine.npz", data_root=root).name == "arrays:mine.npz", "under the name it was asked by"
    assert folder("pictures", data_root=root).classes == 2
    monkeypatch.setenv("FIERCE_DATA", root)
    assert hyperspectral("scenes/only.npz").fingerprint() == hyperspectral(f"{root}/scenes/only.npz").fingerprint()
    for load, name in ((hyperspectral, "gone.npz"), (arrays, "gone.npz"), (folder, "gone")):
        with pytest.raises(DataError, match=rf"here/{name} does not exist, nor is it in {root}") as caught:
            load(name)
        assert "--data-root" in str(caught.value)
    with pytest.raises(DataError) as caught:
        arrays(str(tmp_path / "gone.npz"))
    assert caught.value.message == f"{tmp_path / 'gone.npz'} does not exist", "a whole path is looked for nowhere else"


def test_what_lies_in_the_folder_of_sets_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a recipe holds on any machine; a file that lies here is written with its whole path."""
    from fierce_tools.cli.planning import planned

    x, z = mixed()
    for name in ("sets/scene.npz", "here.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savez(tmp_path / name, Y=x, A=z)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIERCE_DATA", str(tmp_path / "sets"))
    assert planned({"data": {"name": "hyperspectral:scene.npz"}}, {}, {}).data["name"] == "hyperspectral:scene.npz"
    whole = planned({"data": {"name": "hyperspectral:here.npz", "truth_file": "scene.npz"}}, {}, {}).data
    assert (whole["name"], whole["truth_file"]) == (f"hyperspectral:{tmp_path / 'here.npz'}", "scene.npz")
    monkeypatch.delenv("FIERCE_DATA")
    said = planned({"data": {"name": "hyperspectral:scene.npz", "data_root": "sets"}}, {}, {}).data
    assert (said["name"], said["data_root"]) == ("hyperspectral:scene.npz", str(tmp_path / "sets"))


# MNIST turned


def test_digits_are_turned_by_their_targets(tmp_path: Path) -> None:
    from scipy import ndimage

    root = str(write_mnist(tmp_path))
    upright, data = mnist(data_root=root), rotated_mnist(data_root=root)
    assert data.train_targets is not None
    assert (np.abs(data.train_targets) <= 60).all()
    for row in range(20):
        image = upright.train_images[row, ..., 0].astype(float)
        theirs = ndimage.rotate(image, data.train_targets[row], reshape=False, order=1)
        assert np.abs(theirs - data.train_images[row, ..., 0]).mean() < 1.5, "another implementation, to rounding"
        left = data.train_images[row, :14, :14, 0].sum() > data.train_images[row, :14, 14:, 0].sum()
        if abs(data.train_targets[row]) > 5:
            assert left == (data.train_targets[row] > 0), "counterclockwise is positive"
    np.testing.assert_array_equal(data.train_labels, data.train_targets >= np.median(data.train_targets))


def test_the_digits_the_range_and_the_seed(tmp_path: Path) -> None:
    root = str(write_mnist(tmp_path))
    every, some = rotated_mnist(data_root=root), rotated_mnist(data_root=root, digits=(3, 7))
    assert some.train_index is not None
    assert every.train_targets is not None
    assert set(some.train_index % 10) == {3, 7}
    np.testing.assert_array_equal(some.train_targets, every.train_targets[some.train_index])
    np.testing.assert_array_equal(some.train_images, every.train_images[some.train_index])
    narrow = rotated_mnist(data_root=root, angles=(10, 20)).test_targets
    assert narrow is not None
    assert ((narrow >= 10) & (narrow <= 20)).all()
    prints = [rotated_mnist(data_root=root, angle_seed=s).fingerprint() for s in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
    for options in (
        {"angles": (1, 1)},
        {"angles": (0, 200)},
        {"angles": (1, 2, 3)},
        {"digits": (10,)},
        {"digits": (1, 1)},
        {"angle_seed": -1},
    ):
        with pytest.raises(UsageError):
            rotated_mnist(data_root=root, **options)


# Toys


def test_the_age_toy_is_a_line_with_noise() -> None:
    data = toys("age")
    assert (data.train_images.shape, data.test_images.shape) == ((2000, 10), (1000, 10))
    assert data.train_targets is not None
    assert data.test_targets is not None
    assert np.bincount(data.train_labels).tolist() == [1000, 1000]
    np.testing.assert_array_equal(data.train_labels, data.train_targets >= np.median(data.train_targets))
    design = np.c_[data.train_images, np.ones(2000)]
    weights, *_ = np.linalg.lstsq(design, data.train_targets, rcond=None)
    left = data.test_targets - np.c_[data.test_images, np.ones(1000)] @ weights
    # The least error of a linear estimate: age's deviation 100/√12 with noise .2 along the line.
    assert left.var() == pytest.approx(100**2 / 12 * 0.04 / 1.04, rel=0.1)
    assert toys("age", points=200).train_images.shape == (200, 10)
    assert toys("age", toy_seed=1).fingerprint() != data.fingerprint() == toys("age").fingerprint()
    with pytest.raises(UsageError, match="did you mean 'age'"):
        toys("ages")
    for options in ({"points": 3}, {"toy_seed": -1}):
        with pytest.raises(UsageError):
            toys("age", **options)


def test_the_scene_toy_is_a_linear_mixture() -> None:
    """Its truth is found again by another way: least squares for the spectra, then for the abundances."""
    data = toys("scene")
    train, test = data.train_targets, data.test_targets
    assert train is not None
    assert test is not None
    assert (data.train_images.shape, test.shape) == ((2000, 100), (1000, 4))
    assert (train > 0).all()
    np.testing.assert_allclose(train.sum(axis=1), 1)
    np.testing.assert_array_equal(data.train_labels, train.argmax(axis=1))
    np.testing.assert_allclose(train.mean(axis=0), 0.25, atol=0.02)
    spectra, *_ = np.linalg.lstsq(train, data.train_images.astype(np.float64), rcond=None)
    assert (data.train_images - train @ spectra).std() == pytest.approx(0.01, rel=0.02), "the sensor's noise"
    np.testing.assert_allclose(spectra, endmember_spectra(100, 4, 0), atol=0.003)
    assert spectra.min() > 0.04
    assert spectra.max() <= 1
    assert np.abs(np.diff(endmember_spectra(100, 4, 0), axis=1)).max() < 0.05, "smooth"
    found, *_ = np.linalg.lstsq(spectra.T, data.test_images.T.astype(np.float64), rcond=None)
    assert np.square(found.T - test).mean() < 0.01, "the spectra are apart enough to unmix"


def test_the_scene_toys_options() -> None:
    small = toys("scene", points=60, bands=7, endmembers=3)
    assert (small.train_images.shape, small.class_names) == ((60, 7), ("endmember 0", "endmember 1", "endmember 2"))
    prints = {toys("scene", points=60, **o).fingerprint() for o in ({}, {"toy_seed": 1}, {"bands": 99})}
    assert len(prints) == 3
    for kind, options in (
        ("scene", {"bands": 1}),
        ("scene", {"endmembers": 1}),
        ("age", {"bands": 9}),
        ("age", {"endmembers": 3}),
    ):
        with pytest.raises(UsageError, match=f"--{next(iter(options))}"):
            toys(kind, **options)


# Every one of them


def prepared(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, object]]:
    """A data section for every dataset, with small files of it where it needs any."""
    write_mnist(root)
    (root / "FashionMNIST").symlink_to(root / "MNIST")
    write_cifar(root, "CIFAR10", monkeypatch)
    write_cifar(root, "CIFAR100", monkeypatch, n=300)
    write_images(root / "images", {"a": 12, "b": 15})
    x, z = mixed()
    np.savez(root / "mixed.npz", Y=x, A=z)
    labels = np.arange(40) % 2
    held = {f"{s}_{k}": v for s in ("train", "test") for k, v in (("images", RNG.random((40, 5))), ("labels", labels))}
    np.savez(root / "arrays.npz", **held)
    here = {"data_root": str(root)}
    return {
        "arrays": {"name": f"arrays:{root / 'arrays.npz'}"},
        "cifar10": {"name": "cifar10", "coarse": "animal-vehicle", **here},
        "cifar100": {"name": "cifar100", "coarse": "superclasses", **here},
        "cifar-fs": {"name": "cifar-fs:base", "coarse": "superclasses", **here},
        "digits": {"name": "digits", "per_class": 5, "coarse": "odd-even", "label_noise": 0.2},
        "fashion-mnist": {"name": "fashion-mnist", "classes": ["0", "2:4"], **here},
        "folder": {"name": f"folder:{root / 'images'}", "image_size": 8, "imbalance": 2},
        "hyperspectral": {"name": f"hyperspectral:{root / 'mixed.npz'}", "label_noise": 0.1},
        "mnist": {"name": "mnist", "coarse": "odd-even", **here},
        "rotated-mnist": {"name": "rotated-mnist", "bins": 3, **here},
        "toys": {"name": "toys:age", "points": 60, "bins": 3},
    }


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_dataset_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fierce_tools import runs
    from fierce_tools.experiments._record import options_of, prepare, record

    section = prepared(tmp_path, monkeypatch)[name]
    made = recipe.resolve({"data": section, "model": {"name": "linear"}, "train": {"epochs": 1, "device": "cpu"}})
    ready = prepare(made)
    assert ready.data.fingerprint() == dataset(made).fingerprint()
    *_, result = record(ready, runs.create(tmp_path / "runs", made), [], **options_of(made, record))
    assert 0 <= result["test_accuracy"] <= 1
    targets = {k: getattr(ready.splits, k).targets for k in ("train", "val", "test")}
    without = ("arrays", "fashion-mnist", "folder")
    assert all((t is None) == (name in without) for t in targets.values())


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_dataset_takes_noise_and_fewer_examples(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the data: validation and test as they were, and no two ways with the same fingerprint."""
    from fierce_tools.data._splits import split

    section = prepared(tmp_path, monkeypatch)[name]
    for altering in ("per_class", "imbalance", "label_noise"):
        section.pop(altering, None)
    plain = dataset(recipe.resolve({"data": section}))
    seen = {plain.fingerprint()}
    for change in ({"label_noise": 0.4}, {"per_class": 2}, {"imbalance": 1.5}):
        data = dataset(recipe.resolve({"data": {**section, **change}}))
        seen.add(data.fingerprint())
        for kept, part in (("val", split(data).val), ("test", split(data).test)):
            np.testing.assert_array_equal(part.labels, getattr(split(plain), kept).labels)
            np.testing.assert_array_equal(part.images, getattr(split(plain), kept).images)
    assert len(seen) == 4


@pytest.mark.parametrize("name", ["cifar-fs", "folder", "hyperspectral", "toys"])
def test_an_argument_is_needed(name: str) -> None:
    with pytest.raises(FierceError, match=f"write {name}:"):
        recipe.resolve({"data": {"name": name}})

"""Folders of pictures: what is read, what is left out and said, and that nothing else changes a fingerprint."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from written import COLOUR, GREY, png

from fierce_tools.data._dataset import Dataset
from fierce_tools.data.folder import folder
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments._record import same_data

# Taken with version 0.1.0 of `plain`, flat, in grey, with seed 1, and with train and test of seeds 1 and 2.
FLAT = "1382573d3754eb27c4192e08a611108260cfb4044541fb40c04911e9c381e9cb"
FLAT_GREY = "d602a56fbfbceae8cf3db8e72897cf3d76e1b39c31ac5d8d0551009ad2d14c07"
FLAT_SEED = "1e428445acdacc856885f9f63d737834d55d2a38b46890da6414dad3c6ff9c25"
SPLITS = "d237d4185770ded397531d526eb2e730bf023274509ca3e82f4b4e3e71ff1d25"


def plain(root: Path, seed: int = 0) -> Path:
    """Two classes of pictures with which nothing was wrong: opaque, upright, of 8 bits; one is a folder deeper."""
    rng = np.random.default_rng(seed)
    for name in ("ant", "bee"):
        (root / name / "young").mkdir(parents=True)
        for i in range(6):
            Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(root / name / f"{i}.png")
        Image.fromarray(rng.integers(0, 256, (6, 6), np.uint8)).save(root / name / "grey.BMP")
        numbers = Image.frombytes("P", (6, 6), rng.integers(0, 16, 36, np.uint8).tobytes())
        numbers.putpalette(rng.integers(0, 256, 48, np.uint8).tobytes())
        numbers.save(root / name / "palette.png")
        ink = Image.frombytes("CMYK", (6, 6), rng.integers(0, 256, 144, np.uint8).tobytes())
        ink.save(root / name / "ink.tif")
        opaque = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).convert("RGBA")
        opaque.save(root / name / "opaque.png")
        upright = Image.Exif()
        upright[0x0112] = 1
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).save(root / name / "young" / "0.png", exif=upright)
        (root / name / "notes.txt").write_text("of whom")
    return root


def pictures(root: Path, count: int = 4, names: tuple[str, ...] = ("a", "b"), size: int = 8) -> Path:
    """Pictures of one brightness each, 10 more with every one."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("RGB", (size, size), (10 * (number * count + i),) * 3).save(root / name / f"{i}.png")
    return root


def brightness(data: Dataset) -> dict[int, int]:
    """The first byte of every picture, by its index."""
    splits = ("train", "test")
    index = np.concatenate([getattr(data, f"{s}_index") for s in splits])
    images = np.concatenate([getattr(data, f"{s}_images") for s in splits])
    return dict(zip(index.tolist(), images[:, 0, 0, 0].tolist(), strict=True))


def only_note(data: Dataset) -> str:
    (note,) = data.notes
    return note


# Old fingerprints


def test_where_nothing_was_wrong_the_fingerprint_stays(tmp_path: Path) -> None:
    root = str(plain(tmp_path / "flat"))
    assert folder(root).fingerprint() == FLAT
    assert folder(root, grey=True).fingerprint() == FLAT_GREY
    assert folder(root, test_seed=1).fingerprint() == FLAT_SEED
    assert folder(root, background="black", skip_unreadable=True).fingerprint() == FLAT
    assert folder(root).read_otherwise == ""
    plain(tmp_path / "two" / "train", 1)
    plain(tmp_path / "two" / "test", 2)
    assert folder(str(tmp_path / "two")).fingerprint() == SPLITS
    shutil.move(tmp_path / "two" / "test", tmp_path / "two" / "val")
    assert folder(str(tmp_path / "two")).fingerprint() == SPLITS


def test_what_was_read_otherwise_is_said(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x")
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.new("RGB", (8, 8)).save(root / "a" / "4.png", exif=turned)
    Image.new("RGBA", (8, 8)).save(root / "a" / "5.png")
    Image.new("RGB", (8, 8)).save(root / "a" / "6.gif")
    (root / "a" / "7.png").write_bytes(png(np.full((8, 8, 3), 999), COLOUR))
    (root / "a" / ".trash" / "old").mkdir(parents=True)
    for hidden in (".hidden.png", "._0.jpg", ".trash/old/0.png", ".trash/1.txt", ".hidden.gif"):
        (root / "a" / hidden).write_bytes(b"x")
    assert folder(str(root)).read_otherwise == (
        "earlier versions read them otherwise: now EXIF orientation is applied (1 picture), transparency is composed on "
        "a colour (1 picture), colours of 16 bits are scaled, not cut (1 picture), hidden files are left out (3 "
        "pictures), files that end in .gif are read (1 picture)"
    )


def test_who_refuses_other_data_says_what_was_read_otherwise(tmp_path: Path, fierce: Callable) -> None:
    root, runs = pictures(tmp_path / "x"), str(tmp_path / "runs")
    options = ("--model", "linear", "--epochs", "1", "--device", "cpu", "--name", "one", "--runs-dir", runs)
    code, _, err = fierce("train", "--data", f"folder:{root}", *options)
    assert code == 0, err
    Image.new("RGB", (8, 8)).save(root / "a" / "4.gif")
    why = "earlier versions read them otherwise: now files that end in .gif are read (1 picture)"
    code, _, err = fierce("infer", "one", "--runs-dir", runs)
    assert code == 3
    assert f"…); if no file was changed since, {why}; to ask it about" in err
    data = folder(str(root))
    run = SimpleNamespace(name="one", info=lambda: {"dataset_sha256": "0" * 64})
    with pytest.raises(DataError, match=re.escape(f"…); if no file was changed since, {why}; bring the data back")):
        same_data(SimpleNamespace(data=data), run, tmp_path / "state")
    with pytest.raises(DataError, match=r"…\); bring the data back"):
        same_data(SimpleNamespace(data=replace(data, read_otherwise="")), run, tmp_path / "state")
    assert replace(data, read_otherwise="").fingerprint() == data.fingerprint()


def test_errors_say_what_was_read_otherwise(tmp_path: Path) -> None:
    """Upright pictures of a turned camera are of another size than the others: version 0.1.0 read them all alike."""
    root, turned = pictures(tmp_path / "x", 0), Image.Exif()
    turned[0x0112] = 6
    for i in range(4):
        for name in ("a", "b"):
            exif = turned if i == 3 and name == "a" else Image.Exif()
            Image.new("RGB", (8, 6)).save(root / name / f"{i}.jpg", exif=exif)
    with pytest.raises(DataError) as caught:
        folder(str(root))
    assert str(caught.value) == (
        f"{root}/a/3.jpg is 6×8 (turned by its EXIF orientation), {root}/a/0.jpg is 8×6; earlier versions read them "
        "otherwise: now EXIF orientation is applied (1 picture); make them one size, or train with --image-size 64 or "
        "another side"
    )
    shutil.move(root / "a" / "3.jpg", root / "a" / "-.jpg")
    with pytest.raises(
        DataError, match=r"a/0.jpg is 8×6, .*a/-\.jpg is 6×8 \(turned by its EXIF orientation\); earlier"
    ):
        folder(str(root))
    assert folder(str(root), image_size=4).read_otherwise
    (root / "b" / "._x.jpg").write_bytes(b"x")
    (root / "b" / "x.gif").write_bytes(b"x")
    why = r"hidden files are left out \(1 picture\), files that end in .gif are read \(1 picture\)"
    with pytest.raises(DataError, match=rf"1 of 9 .* cannot be read: .*; earlier .*{why}; repair or remove them, or"):
        folder(str(root), image_size=4)
    (root / "c").mkdir()
    with pytest.raises(DataError, match=rf"has no image of c; earlier .* now {why}; remove what"):
        folder(str(root), image_size=4)


# What is left out


def test_what_nobody_put_there_is_left_out_in_one_line(tmp_path: Path) -> None:
    """The Finder's and the notebook's files, at any depth; other files; pictures and folders in the wrong place."""
    root = pictures(tmp_path / "x")
    before = folder(str(root))
    assert before.notes == ()
    for name in ("a/.ipynb_checkpoints/0-checkpoint.png", "b/deep/.thumbs/x.png", ".git/x", "__MACOSX/a/._0.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / "a" / "0.png", root / name)
    for name in ("b/._0.png", ".DS_Store", "b/deep/.x.jpg"):
        (root / name).write_bytes(b"\0\5\x16\7")
    for name in ("a/boxes.xml", "b/boxes.XML", "labels.csv", "b/README"):
        (root / name).write_text("")
    shutil.copy(root / "a" / "0.png", root / "sheet.png")
    data = folder(str(root))
    assert data.fingerprint() == before.fingerprint()
    assert only_note(data) == (
        "x: left out: 7 hidden files and folders (.DS_Store, .git/, __MACOSX/ and 4 more), 4 files of other "
        "kinds (.xml 2, .csv 1, no ending 1), 1 picture outside class folders (sheet.png)"
    )


def test_pictures_deeper_in_a_class_folder_are_read_and_counted(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x")
    pictures(root / "b", 2, ("old", "young"))
    data = folder(str(root))
    assert np.bincount([*data.train_labels, *data.test_labels]).tolist() == [4, 8]
    assert brightness(data) == dict(enumerate([0, 10, 20, 30, 40, 50, 60, 70, 0, 10, 20, 30])), "in torchvision's order"
    assert only_note(data) == ("x: 4 pictures are in folders within a class folder (b/old/ 2, b/young/ 2)")


def test_every_ending_that_pillow_reads_is_listed(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x", 2)
    for i, ending in enumerate(("gif", "WebP", "tga", "JP2", "jfif", "pcx", "avif")):
        Image.new("RGB", (8, 8), (40 + 10 * i,) * 3).save(root / "b" / f"{2 + i}.{ending}")
    data = folder(str(root))
    assert data.notes == ()
    assert len(data.train_labels) + len(data.test_labels) == 11
    assert all(abs(v - 10 * i) <= 3 for i, v in brightness(data).items())


def test_a_class_without_a_training_picture_is_refused_by_name(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x")
    for i in range(12):
        (root / f"c{i:02d}").mkdir()
    (root / "c00" / ".x.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"has no image of c00, c01, .*, c09 and 2 more; earlier .*; remove"):
        folder(str(root))
    shutil.move(root, tmp_path / "y" / "train")
    pictures(tmp_path / "y" / "test")
    with pytest.raises(DataError, match=r"train has no image of c00"):
        folder(str(tmp_path / "y"))


def test_a_class_without_a_test_picture_is_said(tmp_path: Path) -> None:
    pictures(tmp_path / "x" / "train", 2)
    pictures(tmp_path / "x" / "test", 2, ("a",))
    (tmp_path / "x" / "test" / "b").mkdir()
    note = only_note(folder(str(tmp_path / "x")))
    assert note.endswith(": left out: 1 class folder without a picture (test/b)")


@pytest.mark.parametrize("names", [("Train", "Test"), ("test", "val"), ("training", "validation")])
def test_splits_of_another_name_are_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        pictures(tmp_path / "x" / name, 2)
    with pytest.raises(DataError, match="look like splits, and no train; name them train, test and val"):
        folder(str(tmp_path / "x"))


def test_classes_may_be_named_test_and_val(tmp_path: Path) -> None:
    assert folder(str(pictures(tmp_path / "x", names=("test", "val")))).class_names == ("test", "val")


@pytest.mark.skipif("os.geteuid() == 0", reason="needs another user than root")
def test_a_folder_that_is_closed_is_no_empty_one(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x")
    (root / "b").chmod(0)
    with pytest.raises(DataError, match=r"x/b cannot be read: Permission denied"):
        folder(str(root))


# Validation


def test_val_beside_train_and_test_is_the_validation_split(tmp_path: Path) -> None:
    root = tmp_path / "x"
    pictures(root / "train", 3)
    pictures(root / "val", 2, ("b",))
    pictures(root / "test", 2)
    pictures(root / "extra", 5)
    data = folder(str(root))
    assert data.splits == ("train", "val", "test")
    assert data.val_labels is not None
    assert data.val_images is not None
    assert data.val_labels.tolist() == [1, 1]
    assert data.val_images[:, 0, 0, 0].tolist() == [0, 10]
    assert data.test_labels.tolist() == [0, 0, 1, 1]
    assert data.test_images[:, 0, 0, 0].tolist() == [0, 10, 20, 30]
    assert data.read_otherwise == "earlier versions read them otherwise: now val is the validation split (2 pictures)"
    assert only_note(data) == "x: left out: 1 other folder (extra/)"


def test_without_test_val_is_the_test_split_and_that_is_said(tmp_path: Path) -> None:
    pictures(tmp_path / "x" / "train", 3)
    pictures(tmp_path / "x" / "val", 2)
    data = folder(str(tmp_path / "x"))
    assert not data.own_validation
    assert data.test_labels.tolist() == [0, 0, 1, 1]
    assert only_note(data).endswith(": val is used as the test split: there is no test folder")


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ((), "val has no class folders: there is no folder in it"),
        (("0.png",), "val has no class folders: there is no folder in it"),
        (("a/x.txt",), "val has no image in its class folders a"),
        (("a/0.png", "c/0.png", "d/0.png"), "val/c, {root}/val/d are of classes that {root}/train lacks"),
        (("a/0.png", "a/up/ >"), "val/a/up is a link to a folder that it lies in"),
    ],
)
def test_a_val_that_cannot_be_used_is_left_aside_aloud(tmp_path: Path, inside: tuple[str, ...], why: str) -> None:
    """So that runs of version 0.1.0, which never looked at it, go on with the same data."""
    root = tmp_path / "x"
    pictures(root / "train", 3)
    pictures(root / "test", 2)
    before = folder(str(root))
    (root / "val").mkdir()
    for name in inside:
        path = root / "val" / name.removesuffix("/ >")
        path.parent.mkdir(exist_ok=True)
        if name.endswith(">"):
            path.symlink_to(root)
        else:
            shutil.copy(root / "train" / "a" / "0.png", path)
    data = folder(str(root))
    assert data.fingerprint() == before.fingerprint()
    assert data.read_otherwise == ""
    said = f"x: val is left aside, and validation is cut from training: {root}/{why.format(root=root)}"
    assert only_note(data) == said


@pytest.mark.parametrize("name", ["test", "val"])
def test_classes_of_the_test_split_that_train_lacks_are_refused(tmp_path: Path, name: str) -> None:
    pictures(tmp_path / "x" / "train", 3)
    pictures(tmp_path / "x" / name, 1, ("a", "b", "c", "d"))
    with pytest.raises(DataError, match=rf"{name}/c, .*{name}/d are of classes that .*train lacks"):
        folder(str(tmp_path / "x"))


def test_nobody_looks_into_folders_that_are_no_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as lost+found, a backup of millions, and links that lead upwards, nowhere or in a circle."""
    root = tmp_path / "x"
    pictures(root / "train", 3)
    pictures(root / "test", 2)
    (root / "lost+found").mkdir()
    (root / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    looked: list[str] = []
    for name in ("walk", "scandir"):
        whole = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda top, *a, whole=whole, **k: (looked.append(str(top)), whole(top, *a, **k))[1]
        )
    data = folder(str(root))
    assert looked
    assert not any("lost+found" in top or "up" in Path(top).parts for top in looked)
    assert only_note(data) == "x: left out: 2 files of other kinds (no ending 2), 2 other folders (lost+found/, up/)"


# Unreadable pictures


def damage(root: Path, *names: str) -> None:
    for name in names:
        whole = (root / name).read_bytes()
        (root / name).write_bytes(whole[: len(whole) // 2])


def test_unreadable_pictures_are_named_at_once(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x", 12, size=30)
    damage(root, *(f"a/{i}.png" for i in range(11)))
    (root / "b" / "\x1b[2J.png").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        folder(str(root))
    said = str(caught.value)
    assert "12 of 25 pictures in" in said
    assert "a/0.png (image file is truncated" in said
    assert said.endswith("and 2 more; repair or remove them, or train with --skip-unreadable")
    assert said.count(".png") == 10
    assert said.isprintable()
    damage(root, *(f"{name}/{i}.png" for name in "ab" for i in range(12)))
    with pytest.raises(DataError, match=r"remove them$"):
        folder(str(root), skip_unreadable=True)


def test_unreadable_pictures_are_left_out_named_and_recorded(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x", 5, size=30)
    whole = folder(str(root))
    damage(root, "a/1.png", "b/0.png")
    (root / "b" / "\x1b[2J.png").write_bytes(b"x")
    data = folder(str(root), skip_unreadable=True)
    listed = [0, 10, 20, 30, 40, None, 50, 60, 70, 80, 90]  # the escape code sorts before b's pictures
    assert brightness(data) == {i: v for i, v in enumerate(listed) if i not in (1, 5, 6)}
    assert data.fingerprint() != whole.fingerprint()
    note = only_note(data)
    assert "--skip-unreadable leaves out 3 unreadable pictures: a/1.png (image file is truncated" in note
    assert "b/\\x1b[2J.png (not an image that Pillow knows, or damaged)" in note
    assert note.isprintable()


def test_of_splits_the_index_tells_which_are_gone(tmp_path: Path) -> None:
    root = tmp_path / "x"
    for name in ("train", "val", "test"):
        pictures(root / name, 3, size=30)
    damage(root, "train/a/1.png", "test/b/0.png")
    data = folder(str(root), skip_unreadable=True)
    assert data.train_index.tolist() == [0, 2, 3, 4, 5]
    assert data.train_labels.tolist() == [0, 0, 1, 1, 1]
    assert data.train_images[:, 0, 0, 0].tolist() == [0, 20, 30, 40, 50]
    assert data.val_index is None
    assert data.val_images[:, 0, 0, 0].tolist() == [0, 10, 20, 30, 40, 50]
    assert data.test_index.tolist() == [0, 1, 2, 4, 5]
    assert data.test_images[:, 0, 0, 0].tolist() == [0, 10, 20, 40, 50]
    assert data.test_labels.tolist() == [0, 0, 0, 1, 1]


def test_a_class_whose_pictures_are_all_unreadable_is_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x", 3, ("a", "b", "c"), size=30)
    damage(root, *(f"b/{i}.png" for i in range(3)))
    with pytest.raises(DataError, match="has no readable training image of b"):
        folder(str(root), skip_unreadable=True)


def test_what_pillow_warns_of_is_no_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pictures(tmp_path / "x", 3, size=30)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert folder(str(root)).notes == ()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(DataError, match=r"6 of 6 .*a/0\.png \(more pixels than Pillow reads\)") as caught:
        folder(str(root))
    assert "--skip" not in str(caught.value), "since none would be left"


# How they were read


def test_how_pictures_were_read_is_counted_in_one_line(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (8, 8)).save(root / "a" / "4.png", exif=turned)
    for i in (5, 6):
        Image.new("LA", (8, 8), (0, 128 * (i - 5))).save(root / "a" / f"{i}.png")
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 90)]
    frames[0].save(root / "b" / "4.gif", save_all=True, append_images=frames[1:])
    (root / "b" / "5.png").write_bytes(png(np.full((8, 8, 1), 4095), GREY))
    data = folder(str(root), background="#102030")
    assert only_note(data) == (
        "x: read: 1 turned by EXIF orientation, 2 with transparency composed on #102030 (--background; 1 wholly "
        "transparent), 1 as the first of several frames or pages, 1 scaled from more bits to 8 (v · 255 / 65535, the "
        "largest v 4,095: dark; save them in their full range)"
    )
    clear = np.concatenate([data.train_images, data.test_images])
    assert (clear == (0x10, 0x20, 0x30)).all(axis=(1, 2, 3)).sum() == 1
    (root / "b" / "6.png").write_bytes(png(np.full((8, 8, 1), 4096), GREY))
    assert only_note(folder(str(root))).endswith("the largest v 4,096)")


def test_backgrounds_differ_where_pictures_are_transparent(tmp_path: Path) -> None:
    """Ink in a square and in a bar, on nothing: two classes that were the same black picture."""
    for name in ("a", "b"):
        (tmp_path / "x" / name).mkdir(parents=True)
        values = np.zeros((16, 16, 4), np.uint8)
        values[(slice(4, 12), slice(4, 12)) if name == "a" else slice(4)][..., 3] = 255
        for i in range(5):
            Image.fromarray(values).save(tmp_path / "x" / name / f"{i}.png")
    root = str(tmp_path / "x")
    data = folder(root)
    assert np.unique(data.train_images).tolist() == [0, 255]
    assert [len(np.unique(data.train_images[data.train_labels == k], axis=0)) for k in (0, 1)] == [1, 1]
    assert (data.train_images[data.train_labels == 0][0] != data.train_images[data.train_labels == 1][0]).any()
    prints = {folder(root, background=colour).fingerprint() for colour in ("white", "grey", "#808080", "black")}
    assert len(prints) == 3
    with pytest.raises(UsageError, match="--background is 'blue', expected white, black, grey or #rrggbb"):
        folder(root, background="blue")


def test_the_same_picture_stored_upside_down_is_the_same_picture(tmp_path: Path) -> None:
    up = np.zeros((16, 16, 3), np.uint8)
    up[:8] = 200
    for name in ("a", "b"):
        (tmp_path / "x" / name).mkdir(parents=True)
        for i in range(4):
            image, exif = Image.fromarray(up), Image.Exif()
            if i % 2:
                image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_180), 3
            image.save(tmp_path / "x" / name / f"{i}.jpg", exif=exif)
    data = folder(str(tmp_path / "x"))
    both = np.concatenate([data.train_images, data.test_images])
    assert (abs(both[:, :7].astype(int) - 200) < 6).all()
    assert (both[:, 9:] < 6).all()
    assert only_note(data).endswith(": read: 4 turned by EXIF orientation")


def test_pictures_of_more_bits_than_can_be_scaled_are_named(tmp_path: Path) -> None:
    root = pictures(tmp_path / "x", 3)
    for i in range(11):
        Image.new("F", (8, 8)).save(root / "a" / f"f{i:02d}.tif")
    with pytest.raises(
        DataError, match=r"11 of 17 .* have more than 8 bits a channel: a/f00\.tif \(floating-point numbers\)"
    ) as caught:
        folder(str(root), skip_unreadable=True)
    assert str(caught.value).endswith(
        "a/f09.tif (floating-point numbers) and 1 more; save them with 8 bits a channel, scaled as you mean it"
    )

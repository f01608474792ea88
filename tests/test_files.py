from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from fierce_tools import arrayfile, files
from fierce_tools.errors import DataError

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.array([1, 2], dtype=np.int64),
    "e": np.zeros((0, 4), np.uint8),
}


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    files.write_text(path, "old")

    def fail() -> None:
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    files.write_text(tmp_path / "x", "1")
    (tmp_path / "y").write_text("1")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == stat.S_IMODE((tmp_path / "y").stat().st_mode)


def test_arrays_go_out_and_in(tmp_path: Path) -> None:
    digest = arrayfile.save_arrays(tmp_path / "x.safetensors", ARRAYS, {"format": "outputs", "word": "ü"})
    arrays, document = arrayfile.load_arrays(tmp_path / "x.safetensors")
    assert document == {"format": "outputs", "word": "ü", "content_sha256": digest}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_the_hash_is_worked_by_hand() -> None:
    import hashlib

    text = b"a\0I64\0[2]\0" + np.array([1, 2]).tobytes() + b"b\0F32\0[2, 3]\0" + ARRAYS["b"].tobytes()
    assert arrayfile.content_sha256({k: ARRAYS[k] for k in ("b", "a")}) == hashlib.sha256(text).hexdigest()


def test_the_hash_sees_name_type_shape_and_value() -> None:
    base = {"x": np.zeros(4, np.float32)}
    others = [
        {"y": np.zeros(4, np.float32)},
        {"x": np.zeros(4, np.int32)},
        {"x": np.zeros((2, 2), np.float32)},
        {"x": np.ones(4, np.float32)},
    ]
    digests = {arrayfile.content_sha256(a) for a in [base, *others]}
    assert len(digests) == 5
    assert arrayfile.content_sha256({"x": np.asfortranarray(ARRAYS["b"])}) == arrayfile.content_sha256(
        {"x": ARRAYS["b"]}
    )


@pytest.mark.parametrize("cut", [0, 4, 8, 40, -1])
def test_a_truncated_file_is_named(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.safetensors"
    arrayfile.save_arrays(path, ARRAYS, {})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="not a whole safetensors file"):
        arrayfile.load_arrays(path)


def test_a_full_disk_is_the_systems_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError, match=r"No space left on device: .*x\.safetensors"):
        arrayfile.save_arrays(tmp_path / "x.safetensors", {"a": np.zeros(3)}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("document", ["[1, 2]", "5", '"x"', "[" * 100_000])
def test_documents_that_are_none(tmp_path: Path, document: str) -> None:
    from safetensors.numpy import save_file

    save_file({"logits": np.zeros((2, 3))}, tmp_path / "x.safetensors", metadata={files.DOCUMENT: document})
    with pytest.raises(DataError, match="header is unreadable"):
        files.read_header(tmp_path / "x.safetensors")


def test_damage_within_a_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, logits=np.random.default_rng(0).integers(0, 3, (5000, 4)).astype(np.float32))
    data = bytearray(path.read_bytes())
    for place in range(200, 1200):
        data[place] ^= 0xA5
    path.write_bytes(data)
    with pytest.raises(DataError, match="not readable"):
        arrayfile.load_numpy(path)
    path.write_bytes(b"hello")
    with pytest.raises(DataError, match="no numpy file"):
        arrayfile.load_numpy(path)


def test_a_changed_byte_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    arrayfile.save_arrays(path, ARRAYS, {})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="not those that were saved"):
        arrayfile.load_arrays(path)


@pytest.mark.parametrize("data", [b"PK\x03\x04" + bytes(100), b"\x80\x04" + bytes(50), b"hello", bytes(8) + b"{}"])
def test_other_formats_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(DataError):
        arrayfile.load_arrays(path)


def test_missing_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        files.read_header(tmp_path / "none.safetensors")
    with pytest.raises(DataError, match="folder"):
        files.read_header(tmp_path)


def test_headers_that_lie_are_refused(tmp_path: Path) -> None:
    import json
    import struct

    for header in (
        "[]",
        '{"x": 3}',
        '{"x": {"dtype": "F32", "shape": [1]}}',
        '{"__metadata__": {"fierce_tools": "{"}}',
        "nonsense",
    ):
        path = tmp_path / "x.safetensors"
        path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
        with pytest.raises(DataError):
            files.read_header(path)
    big = json.dumps({"x": {"dtype": "F32", "shape": [10], "data_offsets": [0, 40]}})
    (tmp_path / "y.safetensors").write_bytes(struct.pack("<Q", len(big)) + big.encode())
    with pytest.raises(DataError, match="truncated"):
        files.read_header(tmp_path / "y.safetensors")

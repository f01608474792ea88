"""The file format: what checkpoints.md says, and a clear word for every file that is not one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from fierce_tools import arrayfile, checkpoints, files, recipe
from fierce_tools.errors import DataError
from fierce_tools.menu import MODELS

SPECIFICATION = Path(__file__).parent.parent / "checkpoints.md"


def write(path: Path, **changes: object) -> str:
    made = recipe.resolve({}, {"model.name": "mlp:5", "loss.name": "fierce", "train.seed": 7})
    torch.manual_seed(0)
    model = MODELS.get("mlp:5")((8, 8, 1), 10, "5")
    values = {
        "shape": (8, 8, 1),
        "class_names": tuple("0123456789"),
        "mean": np.zeros(1, np.float32),
        "std": np.ones(1, np.float32),
        "anchors": np.ones((1, 4, 5), np.float32),
        "fingerprint": "f" * 64,
        "epoch": 3,
        "metrics": {"val_accuracy": 0.5},
    }
    return checkpoints.save(path, model, made, **{**values, **changes})  # type: ignore[arg-type]


def test_it_goes_out_and_in_and_out_to_the_byte(tmp_path: Path) -> None:
    digest = write(tmp_path / "a.safetensors")
    loaded = checkpoints.load(tmp_path / "a.safetensors")
    assert loaded.content_sha256 == digest
    assert loaded.class_names == tuple("0123456789")
    assert loaded.recipe.model["name"] == "mlp:5"
    assert not loaded.model.training
    assert loaded.anchors is not None
    checkpoints.save(
        tmp_path / "b.safetensors",
        loaded.model,
        loaded.recipe,
        shape=(8, 8, 1),
        class_names=loaded.class_names,
        mean=loaded.mean,
        std=loaded.std,
        anchors=loaded.anchors,
        fingerprint="f" * 64,
        epoch=3,
        metrics={"val_accuracy": 0.5},
    )
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_the_specification_says_what_is_in_the_file(tmp_path: Path) -> None:
    """Every key of the document and every kind of tensor stands in checkpoints.md, and nothing else does."""
    write(tmp_path / "a.safetensors")
    tensors, document = files.read_header(tmp_path / "a.safetensors")
    assert document is not None
    text = SPECIFICATION.read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE))
    kinds = {"model.*" if n.startswith("model.") else n for n in tensors}
    assert rows == set(document) | kinds
    example = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])  # type: ignore[index]
    assert set(example) == set(document)
    assert {k: type(v) for k, v in example.items()} == {k: type(v) for k, v in document.items()}
    assert len(text.split("\n")) <= 70, "one screen"


def test_the_specifications_reader_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model.safetensors")
    code = re.search(r"```python\n(.*?)```", SPECIFICATION.read_text(encoding="utf-8"), re.DOTALL)[1]  # type: ignore[index]
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    exec(code, space)
    assert space["document"] == files.read_header(tmp_path / "model.safetensors")[1]
    assert space["digest"] == space["document"]["content_sha256"]  # type: ignore[index]


@pytest.mark.parametrize("cut", [5, 100, -1])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.safetensors"
    write(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="not a whole safetensors file"):
        checkpoints.load(path)


def test_foreign(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="of other making, with 1 tensors"):
        checkpoints.load(tmp_path / "a.safetensors")
    arrayfile.save_arrays(tmp_path / "b.safetensors", {"logits": np.zeros((2, 2), np.float32)}, {"format": "outputs"})
    with pytest.raises(DataError, match="a fierce outputs file"):
        checkpoints.load(tmp_path / "b.safetensors")


def rewrite(path: Path, change: dict[str, object], arrays: dict[str, np.ndarray] | None = None) -> None:
    old, document = arrayfile.load_arrays(path)
    arrayfile.save_arrays(path, {**old, **(arrays or {})}, {**(document or {}), **change})


def test_newer(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors")
    rewrite(tmp_path / "a.safetensors", {"version": 99})
    with pytest.raises(DataError, match=r"format version 99.*install a newer"):
        checkpoints.load(tmp_path / "a.safetensors")


def test_tampered(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match="not those that were saved"):
        checkpoints.load(path)


def test_a_hash_that_was_taken_away(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "a.safetensors"
    write(path)
    arrays, document = arrayfile.load_arrays(path)
    for key in ("content_sha256", "dataset_sha256"):
        rest = {k: v for k, v in (document or {}).items() if k != key}
        save_file(arrays, path, metadata={"fierce_tools": json.dumps(rest)})
        with pytest.raises(DataError, match=f"lacks {key}"):
            checkpoints.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"model": {"name": "mlp:6"}}},
        {"recipe": {"model": {"name": "transformer"}}},
        {"recipe": {}, "input_shape": [9, 9, 1]},
        {"input_shape": 3},
        {"class_names": ["a", "b"]},
        {"recipe": "x"},
    ],
)
def test_a_recipe_that_does_not_fit(tmp_path: Path, change: dict) -> None:
    write(tmp_path / "a.safetensors")
    rewrite(tmp_path / "a.safetensors", change)
    with pytest.raises(DataError, match="do not fit together") as caught:
        checkpoints.load(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_a_tensor_too_many(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors")
    rewrite(tmp_path / "a.safetensors", {}, {"model.extra": np.zeros(2, np.float32)})
    with pytest.raises(DataError, match="do not fit together"):
        checkpoints.load(tmp_path / "a.safetensors")


def test_no_pickle_is_ever_read() -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in Path(checkpoints.__file__).parent.rglob("*.py"))
    assert "pickle.load" not in source
    assert "allow_pickle=True" not in source
    assert not re.search(r"torch\.load\((?![^)]*weights_only=True)", source)

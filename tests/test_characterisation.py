"""What each command does, held against what it did: exit code, stdout, the kind of stderr, the files it writes.

Texts may be reworded, code may move: what a script or a notebook relies on may not change unseen. A change that is meant
is recorded with FIERCE_RECORD=1 and read in the difference of characterisation/expected/.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from building import copy_earlier

HERE = Path(__file__).parent / "characterisation"
CASES: list[dict[str, Any]] = tomllib.loads((HERE / "cases.toml").read_text(encoding="utf-8"))["case"]
# Differ from machine to machine, or from one second to the next.
VOLATILE = {
    "age", "command", "commands", "cost", "date", "device", "finished", "host", "images_per_second", "pid", "seconds", "started",
    "time", "versions",
}  # fmt: skip
# Sentences for people, which may be reworded.
WORDS = {"claim", "doc", "expected", "help", "note", "notes", "says", "summary", "title", "why"}
# Measured numbers may be rounded by another processor; a share of few examples may have one more or less of them. Settings
# and whole numbers are what they are.
MEASURED, SHARE = {"rel_tol": 2e-4, "abs_tol": 1e-7}, {"rel_tol": 0.0, "abs_tol": 0.02}
SHARES = {
    "accuracies", "accuracy", "agreement", "best", "coverage", "ece", "f1", "last", "mce", "missing", "overall", "precision", "recall",
    "share",
}  # fmt: skip
SETTINGS = {"options", "default", "presets", "recipe", "learning_rate", "lr", "common", "given"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path) -> None:
    """Earlier runs, a small dataset, a state dict, soft labels, and a file of another kind."""
    from safetensors.numpy import save_file

    copy_earlier(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    images = rng.integers(0, 100, (40, 6, 6, 3), dtype=np.uint8) + (labels[:, None, None, None] * 120).astype(np.uint8)
    named = {"class_names": np.array(["dark", "light"])}
    np.savez("small.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels, **named)
    shapes = {"features.dense1": (4, 108), "head": (2, 4)}
    weights = {f"{name}.weight": rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    weights |= {f"{name}.bias": np.zeros(shape[0], "f4") for name, shape in shapes.items()}
    save_file(weights, "weights.safetensors")
    p = rng.dirichlet(np.ones(5), 30)
    np.savez("probabilities.npz", p=p, labels=p.argmax(axis=1))
    votes = rng.multinomial(20, [0.6, 0.3, 0.1, 0, 0], 30)
    np.savez("votes.npz", votes=votes, labels=votes.argmax(axis=1), index=np.arange(30))
    plain = {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
    swapped = {"class_names": np.array(["light", "dark"]), "train_labels": 1 - labels, "test_labels": 1 - labels}
    np.savez("swapped.npz", **{**plain, **swapped})
    np.savez("others.npz", **plain, class_names=np.array(["dark", "dusk"]))
    np.savez("one-based.npz", **{**plain, "train_labels": labels + 1, "test_labels": labels + 1})
    own = {"val_images": images[:6], "val_labels": labels[:6]}
    np.savez("own-validation.npz", **plain, **named, **own)
    Path("weights.pt").write_bytes(b"\x80\x04N.")


def settled(value: Any, key: str = "") -> Any:
    """A value without what differs from machine to machine."""
    if key in VOLATILE:
        return f"<{key}>"
    if key in WORDS and value:
        return "<words>"
    if isinstance(value, dict):
        return {_unhashed(k): settled(v, k) for k, v in value.items()}
    if isinstance(value, list):
        if len(value) > 24 and all(isinstance(v, float) for v in value):
            return {"numbers": len(value), "mean": settled(float(np.mean(value))), "sd": settled(float(np.std(value)))}
        return [settled(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return _unhashed(value) if isinstance(value, str) else value


def _unhashed(text: str) -> str:
    text = text.replace(str(Path.cwd()), "<here>").replace(str(HERE.parents[1]), "<project>")
    text = re.sub(r"\b[0-9a-f]{64}\b", "<sha256>", text)
    return re.sub(r"(?<=-)[0-9a-f]{16}(?=\.)", "<key>", text)


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where two documents differ; measured numbers may be near each other."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = [f"{where}.{k}: only expected" for k in expected.keys() - found.keys()]
        lines += [f"{where}.{k}: only found" for k in found.keys() - expected.keys()]
        return lines + [
            d for k in expected.keys() & found.keys() for d in differences(expected[k], found[k], f"{where}.{k}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            d for n, (a, b) in enumerate(zip(expected, found, strict=True)) for d in differences(a, b, f"{where}[{n}]")
        ]
    keys = set(re.findall(r"\w+", where))
    words = {word for key in keys for word in key.split("_")}
    near = SHARE if SHARES & words else MEASURED
    measured = isinstance(expected, float) and isinstance(found, float) and not SETTINGS & keys
    same = math.isclose(expected, found, **near) if measured else type(expected) is type(found) and expected == found
    return [] if same else [f"{where}: expected {expected!r}, found {found!r}"]


def without(value: Any, keys: Sequence[str]) -> Any:
    """A document without some keys, at any depth."""
    if isinstance(value, dict):
        return {k: without(v, keys) for k, v in value.items() if k not in keys}
    return [without(v, keys) for v in value] if isinstance(value, list) else value


def kind_of_stdout(out: str, arguments: list[str]) -> Any:
    """A JSON document; of a help its flags; else whether there is any text."""
    if "json" in arguments and out.strip():
        return settled(json.loads(out))
    if "--help" in arguments:
        return {"flags": sorted(set(re.findall(r"(?<![\w-])--[a-z][\w-]*", out)))}
    return "text" if out.strip() else ""


def kind_of_stderr(err: str) -> str:
    """Nothing, an error in one line at its end, the parser's own error, or talk."""
    assert "Traceback" not in err, err
    if not err.strip():
        return ""
    if err.strip().split("\n")[-1].startswith("fierce: "):
        return "error"
    return "usage" if err.lstrip().startswith("Usage:") else "talk"


def written() -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(Path.cwd()).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in Path.cwd().rglob("*")
        if path.is_file() and path.name != ".lock" and path.relative_to(Path.cwd()).parts[0] != "cache"
    }


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_command_does_what_it_did(fierce, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    arguments = shlex.split(case["run"])
    for command in case.get("before", ()):
        code, _, err = fierce(*shlex.split(command))
        assert code == 0, err
    before = written()
    code, out, err = fierce(*arguments)
    after = written()
    found = {
        "run": case["run"],
        "exit": code,
        "stdout": without(kind_of_stdout(out, arguments), case.get("leave", ())),
        "stderr": kind_of_stderr(err),
        "created": sorted({_unhashed(path) for path in after.keys() - before.keys()}),
        "changed": sorted({_unhashed(path) for path in after.keys() & before.keys() if after[path] != before[path]}),
        "removed": sorted({_unhashed(path) for path in before.keys() - after.keys()}),
    }
    path = HERE / "expected" / f"{case['name']}.json"
    if os.environ.get("FIERCE_RECORD"):
        path.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    expected = json.loads(path.read_text(encoding="utf-8"))
    assert not differences(expected, found), err


def test_every_expectation_has_its_case() -> None:
    assert {path.stem for path in (HERE / "expected").glob("*.json")} == {case["name"] for case in CASES}
    assert len({case["name"] for case in CASES}) == len(CASES) > 40


EXPECTED = {
    "exit": 0,
    "stdout": {"mean": [1.0, None], "n": 3, "options": {"lr": 0.001}, "test_accuracy": 0.5, "kl": 2e-5},
}


def changed(**values: Any) -> dict[str, Any]:
    return {"exit": 0, "stdout": {**EXPECTED["stdout"], **values}}  # type: ignore[dict-item]


def test_what_may_differ_between_machines() -> None:
    for values in ({"mean": [1.0001, None]}, {"test_accuracy": 0.51}, {"kl": 2.0002e-5}):
        assert not differences(EXPECTED, changed(**values))


@pytest.mark.parametrize("values", [
    {"mean": [1.001, None]}, {"mean": [1.0, 2.0]}, {"mean": [1.0]}, {"n": True}, {"n": 4}, {"n": 3.0}, {"more": 1},
    {"options": {"lr": 0.0010001}}, {"options": {}}, {"test_accuracy": 0.53}, {"kl": 3e-5}, {"kl": 0.0}, {"kl": None},
], ids=str)  # fmt: skip
def test_a_difference_is_seen(values: dict[str, Any]) -> None:
    assert len(differences(EXPECTED, changed(**values))) == 1
    assert differences(EXPECTED, {**EXPECTED, "exit": 1}) == [".exit: expected 0, found 1"]

"""What a PATH on the command line stands for, and where its outputs and results are kept."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fierce_tools import __version__, arrayfile, files, outputs, runs
from fierce_tools.errors import DataError
from fierce_tools.menu import ANALYSES, revision
from fierce_tools.outputs import APART, Outputs

# Endings that make a path a file; any other one may be part of a run's name, such as lam0.1-s0.
PICKLED = (".pt", ".pth", ".ckpt", ".pkl", ".bin")
SUFFIXES = (".safetensors", ".npz", ".npy", *PICKLED)
# What weights were trained on, as `fierce import --trained-on` takes it, and in words.
TRAINED_ON = {
    "train": "the training split, validation not seen",
    "all": "validation examples too",
    "none": "other data",
    "unknown": "unknown, perhaps validation examples too",
}


@dataclass(frozen=True)
class Source:
    """A checkpoint, or a file of arrays where `checkpoint` is false; `label` is its name in tables."""

    label: str
    path: Path
    checkpoint: bool
    sha256: str
    run: runs.Run | None = None
    epoch: str | None = None

    @property
    def home(self) -> Path:
        """Where outputs/ and analyses/ lie: the run, or FILE.fierce/ beside a bare file."""
        return self.run.path if self.run is not None else self.path.with_name(self.path.name + ".fierce")

    @property
    def cache(self) -> Path:
        """Where they go when nothing can be written there: the user's cache."""
        from platformdirs import user_cache_path

        return user_cache_path("fierce-tools") / self.sha256[:16]

    @property
    def writable(self) -> Path:
        """The first of the two that can be written to."""
        home = self.home if self.home.exists() else self.home.parent
        return self.home if os.access(home, os.W_OK) else self.cache

    def outputs_path(self, split: str, part: str = "", *, home: Path | None = None) -> Path:
        """The file of a split's outputs; `part` names one of the large arrays that lie apart."""
        folder = (home or self.writable) / "outputs" / (f"epoch-{self.epoch}" if self.epoch else "")
        return folder / f"{split}{'.' + part if part else ''}.safetensors"

    def analysis_path(self, analysis: str, key: str) -> Path:
        """The file of one saved result."""
        return self.writable / "analyses" / f"{analysis}-{key}.json"


def locate(text: str, root: Path, *, epochs: str | None = None) -> list[Source]:
    """What a path or a run's name stands for: one source, or with `epochs` ("all", "best", "0010") those snapshots.

    Raises DataError where there is nothing, or nothing that can be asked.
    """
    path = Path(text)
    if path.is_dir() or (not path.exists() and path.suffix not in SUFFIXES):
        return _of_run(runs.find(text, root), epochs)
    if path.suffix in PICKLED:
        raise DataError(
            f"{path} may hold pickled code",
            "make a checkpoint of weights with `fierce import`, or save arrays as .safetensors, .npz or .npy",
        )
    if path.suffix != ".safetensors":
        if not path.exists():
            raise DataError(f"{path} does not exist", "check the path; `fierce runs` lists the runs there are")
        return [Source(path.name, path, False, files.file_sha256(path) if path.is_file() else "")]
    _, document = files.read_header(path)
    if document is None or document.get("format") != "checkpoint":
        digest = (document or {}).get("content_sha256") or files.file_sha256(path)
        return [Source(path.name, path, False, str(digest))]
    if epochs is not None:
        run = _run_of(path)
        if run is None:
            raise DataError(f"{path} is one checkpoint and has no other epochs", "give the run's folder")
        return _of_run(run, epochs)
    return [_checkpoint(path, document)]


def _of_run(run: runs.Run, epochs: str | None) -> list[Source]:
    peers = run.info().get("peers")
    if isinstance(peers, list):  # a group of peers stands for all of them
        return [s for name in peers for s in _of_run(runs.find(str(run.path.parent / name), run.path.parent), epochs)]
    if epochs is None:
        if not run.model_path.exists():
            command = "mutual" if "group" in run.info() else "train"
            raise DataError(
                f"run {run.name} has no {run.model_path.name} yet (it is {runs.state(run)})",
                f"finish it with `fierce {command} --resume {run.path}`, or ask its --epochs",
            )
        return [_checkpoint(run.model_path, files.read_header(run.model_path)[1] or {})]
    found = (
        sorted(run.epochs_path.glob("*.safetensors"))
        if epochs == "all"
        else [run.epochs_path / f"{_padded(epochs)}.safetensors"]
    )
    if not found or not found[0].exists():
        there = ", ".join(p.stem for p in sorted(run.epochs_path.glob("*.safetensors"))) or "none"
        raise DataError(
            f"run {run.name} has no snapshot {epochs!r}; there are: {there}", "train with --save-at or --save-every"
        )
    return [_checkpoint(p, files.read_header(p)[1] or {}) for p in found]


def _padded(epoch: str) -> str:
    return f"{int(epoch):04d}" if epoch.isdecimal() else epoch


def _run_of(path: Path) -> runs.Run | None:
    """The run a checkpoint lies in; a link is followed to where its file lies."""
    real = path.resolve()
    if real.name == "model.safetensors":
        folder = real.parent
    elif real.parent.name == "epochs":
        folder = real.parent.parent
    else:
        return None
    if not ((folder / "recipe.toml").is_file() and (folder / "run.json").is_file()):
        return None
    # Named as it was said where that is the same folder, so that answers show the paths people gave.
    said = path.parent if folder == real.parent else path.parent.parent
    return runs.Run(said if said.resolve() == folder else folder)


def _checkpoint(path: Path, document: Mapping[str, Any]) -> Source:
    run = _run_of(path)
    real = path.resolve()
    epoch = real.stem if run is not None and real.name != "model.safetensors" else None
    label = path.stem if run is None else run.path.resolve().name + (f"@{epoch}" if epoch else "")
    return Source(label, path, True, str(document.get("content_sha256", "")), run, epoch)


def trained_on(document: Mapping[str, Any]) -> str:
    """What a checkpoint's document says it was trained on: fierce's own on `train`, imported ones as they were said to
    be, else `unknown`."""
    origin = document.get("origin")
    if not origin:
        return "train"
    said = origin.get("trained_on") if isinstance(origin, dict) else None
    return said if isinstance(said, str) and said in TRAINED_ON else "unknown"


def kept(source: Source, split: str, wanted: set[str]) -> Outputs | None:
    """A checkpoint's kept outputs on a split, if they have all that is wanted and are of these weights."""
    found = _kept_in(source.home, source, split, wanted)
    return (
        found if found is not None or source.writable == source.home else _kept_in(source.cache, source, split, wanted)
    )


def _kept_in(home: Path, source: Source, split: str, wanted: set[str]) -> Outputs | None:
    parts: list[Outputs] = []
    for part in ("", *(name for name in APART if name in wanted and name != "images")):
        path = source.outputs_path(split, part, home=home)
        try:
            loaded, document = arrayfile.load_arrays(path)
        except (DataError, OSError):
            return None
        if document is None or document.get("checkpoint_sha256") != source.sha256:
            return None
        names = document.get("class_names")
        arrays: dict[str, Any] = dict(loaded)
        if part:
            parts.append(Outputs(parts[0].logits, **arrays))
        else:
            parts.append(Outputs(**arrays, class_names=tuple(names) if names else None, document=document))
    return outputs.join(parts)


def keep(source: Source, split: str, made: Outputs) -> None:
    """Keep outputs beside their checkpoint; large arrays in files of their own."""
    document = {"format": "outputs", "version": 1, "split": split, "checkpoint_sha256": source.sha256}
    for part in APART:
        array = getattr(made, part)
        if array is not None:
            arrayfile.save_arrays(source.outputs_path(split, part), {part: array}, {**document, "part": part})
            cleared: dict[str, Any] = {part: None}
            made = replace(made, **cleared)
    names = {"class_names": list(made.class_names)} if made.class_names else {}
    arrayfile.save_arrays(source.outputs_path(split), made.arrays(), {**made.document, **document, **names})


def kept_result(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """A saved result whose analysis, options and inputs are those of `identity`; None where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("identity") == dict(identity) else None


def answers(source: Source, analysis: str) -> list[dict[str, Any]]:
    """Every kept result of an analysis of these weights as this version answers it, newest first, with its `path`.

    Each holds `identity`, `values` and `report` (see report.from_dict), not to be changed; what is damaged is passed
    over, and a file is read once as long as it is the same.
    """
    found: dict[Path, int] = {}
    for home in {source.home, source.cache}:
        for path in (home / "analyses").glob(f"{analysis}-{'[0-9a-f]' * 16}.json"):
            with contextlib.suppress(OSError):
                found[path] = path.stat().st_mtime_ns
    documents = [(path, _answer(path, found[path])) for path in sorted(found, key=lambda p: -found[p])]
    wanted = {"analysis": analysis, "input_sha256": source.sha256, "version": __version__}
    number = revision(ANALYSES, analysis) if analysis in ANALYSES.names() else None
    return [
        {**document, "path": path}
        for path, document in documents
        if document is not None
        and wanted.items() <= document["identity"].items()
        and document["identity"].get("revision") == number
    ]


@lru_cache(maxsize=128)
def _answer(path: Path, modified: int) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(document, dict) and all(isinstance(document.get(k), dict) for k in ("identity", "report"))
    return document if whole else None


def images_path(answer: Path) -> Path:
    """Where the images that a kept answer names are kept."""
    return answer.with_suffix(".images.safetensors")


def keep_images(path: Path, sha256: str, images: Mapping[int, np.ndarray]) -> None:
    """Keep images u8 [H, W, c] by their index, for the weights of that content hash."""
    arrays = {"index": np.array(list(images), dtype=np.int64), "images": np.stack(list(images.values()))}
    arrayfile.save_arrays(path, arrays, {"format": "images", "version": 1, "checkpoint_sha256": sha256})


def kept_images(path: Path, sha256: str) -> dict[int, np.ndarray] | None:
    """Those images, or None where there are none of these weights."""
    try:
        arrays, document = arrayfile.load_arrays(path)
        if document is None or document.get("checkpoint_sha256") != sha256:
            return None
        return {int(i): image for i, image in zip(arrays["index"], arrays["images"], strict=True)}
    except (DataError, OSError, KeyError, ValueError):
        return None

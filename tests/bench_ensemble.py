"""Goals of speed for the ensemble engine, as ratios within one run: `make bench`, or this file with goals to choose.

Every ratio is of medians over rounds in which the arms take turns, in one process, with the same threads and the
allocator that the commands set. A table is all there is to it: making students, training, and their outputs on test.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from bench_analysis import medians, tell

from fierce_tools import recipe
from fierce_tools.cli.session import tune_allocator
from fierce_tools.data import digits
from fierce_tools.data._splits import Split, Splits, split
from fierce_tools.menu import MODELS
from fierce_tools.models._classifier import Classifier
from fierce_tools.training.batches import measure
from fierce_tools.training.ensemble import Advanced, Chosen, Student, StudentDone, ensemble
from fierce_tools.training.infer import infer
from fierce_tools.training.train import setup, train

ROUNDS = 5
NAMES = tuple("0123456789")
TEMPERATURES = (3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 20.0)
CNN, MLP = "mnist-student", "mlp:128-64"


def model(name: str, shape: tuple[int, ...]) -> Callable[[], Classifier]:
    """A factory of the model of that name."""
    _, colon, argument = name.partition(":")
    return partial(MODELS.get(name), shape, 10, *([argument] if colon else []))


def table(labels: np.ndarray, seed: int = 0, teachers: int = 1) -> list[Student]:
    """Ten missing classes, seven temperatures, so many teachers; one order for all of a class."""
    return [
        Student(seed=seed, rows=np.flatnonzero(labels != c), teacher=teacher, temperature=t)
        for c in range(10)
        for teacher in range(teachers)
        for t in TEMPERATURES
    ]


def taught() -> tuple[Splits, np.ndarray]:
    """digits, and what a teacher trained on hard labels says of its training split."""
    splits = split(digits())
    ready = setup(recipe.resolve({}, {"model.name": "cnn"}), splits, device="cpu")
    for _ in train(ready, epochs=10).events:
        pass
    return splits, infer(ready.model, splits.train, ready.normalization, NAMES).logits


def run(
    name: str, splits: Splits, logits: list[np.ndarray], students: list[Student], engine: str, **options: Any
) -> tuple[str, np.ndarray]:
    """The whole table: which engine it was, and test logits [K, N, C]."""
    scale = measure(splits.train.images, "standard")
    make = model(name, splits.train.images.shape[1:])
    which, found = "", np.empty((len(students), len(splits.test), 10), np.float32)
    for event in ensemble(
        make, students, splits.train, scale, NAMES, test=splits.test, teachers=logits, engine=engine, **options
    ):
        if isinstance(event, Chosen):
            which = event.engine
        elif isinstance(event, StudentDone):
            assert event.outputs is not None
            found[event.number] = event.outputs.logits
    return which, found


def small_tables() -> None:
    """G6: the digits table of 70 students."""
    splits, logits = taught()
    students = table(splits.train.labels)
    for name, bounds in ((CNN, {16: 0.35, 64: 0.70}), (MLP, {16: 0.25, 64: 0.40})):
        for batch, bound in bounds.items():
            picked: list[str] = []

            def arm(engine: str, name: str = name, batch: int = batch, picked: list[str] = picked) -> None:
                which, _ = run(name, splits, [logits], students, engine, epochs=2, batch_size=batch)
                if engine == "auto":
                    picked.append(which)

            engines = ("sequential", "stacked", "auto", *(("unfolded",) if name == CNN else ()))
            found = medians({engine: partial(arm, engine) for engine in engines}, ROUNDS, warm=0)
            base = found["sequential"]
            others = ", ".join(f"{e} {found[e] / base:.2f}" for e in engines[2:])
            what = f"digits, 70 students, stacked / sequential, {name}, B={batch}"
            rate = 2 * sum(len(s.rows) for s in students if s.rows is not None) / base
            more = f"({others}: {'/'.join(sorted(set(picked)))}; sequential {rate:,.0f} img·student/s)"
            tell("G6", what, found["stacked"] / base, bound, more)


def picking() -> None:
    """G7: auto, its measurement in it, over the best engine."""
    rng = np.random.default_rng(0)
    splits = noise(rng, 1280)
    students = table(splits.train.labels)
    logits = rng.normal(0, 4, (1280, 10)).astype(np.float32)
    picked: list[str] = []

    def arm(engine: str) -> None:
        picked.append(run(CNN, splits, [logits], students, engine, epochs=1, batch_size=128)[0])

    engines = ("sequential", "stacked", "unfolded", "auto")
    found = medians({e: partial(arm, e) for e in engines}, 3, warm=0)
    best = min(engines[:3], key=lambda e: found[e])
    more = f"(best: {best}; auto took {'/'.join(sorted(set(picked[3::4])))})"
    tell("G7", f"auto / best engine, 70 students, {CNN}, B=128", found["auto"] / found[best], 1.10, more)


def noise(rng: np.random.Generator, count: int) -> Splits:
    """Random images of the size of MNIST's."""
    images = rng.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
    whole = Split(images, rng.integers(0, 10, count), np.arange(count))
    few = Split(images[:64], whole.labels[:64], np.arange(64))
    return Splits(whole, few, few, NAMES)


def sameness() -> None:
    """G9: how much a table's missing-class accuracy moves with the engine, in units of what it moves with the seed."""
    splits, logits = taught()
    for name in (CNN, MLP):
        found = {
            (engine, seed): missing_accuracy(splits, name, logits, engine, seed)
            for engine, seed in (("sequential", 0), ("stacked", 0), ("sequential", 1), ("stacked", 1))
        }
        by_engine = np.mean([np.abs(found["sequential", s] - found["stacked", s]).mean() for s in (0, 1)])
        by_seed = np.mean([np.abs(found[e, 0] - found[e, 1]).mean() for e in ("sequential", "stacked")])
        means = ", ".join(f"{e} {found[e, 0].mean():.3f}" for e in ("sequential", "stacked"))
        more = f"({by_engine:.4f} / {by_seed:.4f}; mean accuracy {means})"
        tell("G9", f"float32 missing-class gap, engines / seeds, {name}", by_engine / by_seed, 0.5, more)


def missing_accuracy(splits: Splits, name: str, logits: np.ndarray, engine: str, seed: int) -> np.ndarray:
    """Accuracy [10, 3] at three temperatures on the test examples of the class that a student never saw."""
    students = [s for s in table(splits.train.labels, seed) if s.temperature in (3, 9, 20)]
    _, made = run(name, splits, [logits], students, engine, epochs=16, batch_size=64)
    guesses = made.argmax(axis=2).reshape(10, 3, -1)
    return np.stack([(guesses[c][:, splits.test.labels == c] == c).mean(axis=1) for c in range(10)])


ALLOCATION = """
import sys, time
sys.path.insert(0, {here!r})
import bench_ensemble as b
if {tune}: b.tune_allocator()
print(b.stacked_seconds())
"""


def stacked_seconds() -> float:
    """Seconds an example of a student takes among 70 stacked ones at B=128."""
    rng = np.random.default_rng(0)
    splits = noise(rng, 2560)
    logits = rng.normal(0, 4, (2560, 10)).astype(np.float32)
    return pace(splits, [logits], table(splits.train.labels), "stacked", memory=20e9)


def pace(splits: Splits, logits: list[np.ndarray], students: list[Student], engine: str, **options: Any) -> float:
    """Seconds an example of a student takes once it runs: over some 4 seconds, after the first two reports."""
    scale = measure(splits.train.images, "standard")
    events = ensemble(
        model(CNN, (28, 28, 1)), students, splits.train, scale, NAMES, teachers=logits, engine=engine,
        **{"epochs": 5, "batch_size": 128, **options},
    )  # fmt: skip
    progress = (e for e in events if isinstance(e, Advanced))
    first = next(islice(progress, 1, None))
    started = time.perf_counter()
    last = next(event for event in progress if event.seen == event.total or time.perf_counter() - started > 4)
    return (time.perf_counter() - started) / (last.seen - first.seen)


def allocator() -> None:
    """G15, stacked: what the commands set for themselves against glibc tuned from outside, and against nothing set."""
    here = os.path.dirname(os.path.abspath(__file__))
    outside = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
    arms = {"command": (True, {}), "outside": (False, outside), "nothing": (False, {})}
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(3):
        for name, (tune, environment) in arms.items():
            done = subprocess.run(
                [sys.executable, "-c", ALLOCATION.format(here=here, tune=tune)], env={**os.environ, **environment},
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            taken[name].append(float(done.stdout))
    found = {name: statistics.median(seconds) for name, seconds in taken.items()}
    ratio, more = found["command"] / found["outside"], f"(nothing set: {found['nothing'] / found['outside']:.2f})"
    tell("G15", f"the command / tuned allocator, 70 stacked, {CNN}, B=128", ratio, 1.15, more)


def on_gpu() -> None:
    """H1 to H3."""
    if not torch.cuda.is_available():
        print("H1   H2   H3   not measured: no CUDA device here")
        return
    rng = np.random.default_rng(0)
    splits = noise(rng, 54_000)
    logits = [rng.normal(0, 4, (54_000, 10)).astype(np.float32) for _ in range(2)]
    students = table(splits.train.labels, teachers=2)
    name = torch.cuda.get_device_name()
    for goal, batch, bound in (("H1", 128, 0.10), ("H2", 1024, 0.8)):
        found: dict[str, float] = {}
        for engine in ("sequential", "graph", "stacked", "unfolded"):
            seconds = [pace(splits, logits, students, engine, batch_size=batch, device="cuda") for _ in range(3)]
            found[engine] = statistics.median(seconds)
        base = found["sequential"]
        best = min(found["stacked"], found["unfolded"]) / base
        more = "(" + ", ".join(f"{e} {s / base:.2f}" for e, s in found.items()) + f"; {1 / base:,.0f}/s) {name}"
        tell(goal, f"stacked / sequential eager, 140 students, {CNN}, B={batch}", best, bound, more)
    started = time.perf_counter()
    which, _ = run(CNN, splits, logits, students, "auto", epochs=20, batch_size=128, device="cuda")
    tell("H3", "the MNIST table, 140 students × 20 epochs, minutes", (time.perf_counter() - started) / 60, 4, which)


GOALS = {"G6": small_tables, "G7": picking, "G9": sameness, "G15": allocator, "H": on_gpu}


if __name__ == "__main__":
    tune_allocator()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or min(threads, 8)))
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, Adam, medians of {ROUNDS} rounds (G7, G15: 3)"
    )
    began = time.perf_counter()
    for chosen in sys.argv[1:] or GOALS:
        GOALS[chosen]()
    print(f"{time.perf_counter() - began:.0f} s")

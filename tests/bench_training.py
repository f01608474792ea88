"""Goals of speed for training, as ratios within one run: `make bench`.

Every ratio is of medians over rounds in which the arms take turns, in one process, with the same threads and the
allocator that `fierce train` sets. A bare loop is what one writes by hand: bytes in memory, the same network, layout,
fused optimiser and loss, one pass over shuffled rows, nothing watched and nothing kept.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from bench_analysis import medians, tell
from torch.nn import functional as F

from fierce_tools import recipe
from fierce_tools.cli.session import tune_allocator
from fierce_tools.data._splits import Split, Splits
from fierce_tools.training._teachers import Teacher
from fierce_tools.training.augment import Augment
from fierce_tools.training.batches import Examples, measure
from fierce_tools.training.distill import Teachers
from fierce_tools.training.loop import EpochDone
from fierce_tools.training.precision import bf16_is_faster
from fierce_tools.training.train import Setup, setup, train

ROUNDS = 5
EXAMPLES = 54_000
BATCH = 128
NAMES = tuple("0123456789")
CNN, MLP = "mnist-student", "mlp:25"
PLAIN = recipe.resolve({})


def data(side: int, channels: int, examples: int = EXAMPLES) -> Splits:
    """Random images of the size of MNIST's or CIFAR-10's: what they show costs nothing."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (examples, side, side, channels), dtype=np.uint8)
    labels = rng.integers(0, 10, examples)
    none = Split(images[:0], labels[:0], np.arange(0))
    return Splits(
        Split(images, labels, np.arange(examples)), none, Split(images[:10], labels[:10], np.arange(10)), NAMES
    )


def ready(splits: Splits, model: str, **options: object) -> Setup:
    """A training's beginning."""
    return setup(recipe.resolve({}, {"model.name": model}), splits, **options)  # type: ignore[arg-type]


def ours(begun: Setup, batch: int, **options: object) -> None:
    """One epoch by the trainer, with all it does beside."""
    for _ in train(begun, epochs=1, batch_size=batch, **options).events:  # type: ignore[arg-type]
        pass
    _wait(begun)


def bare(begun: Setup, splits: Splits, batch: int, dtype: torch.dtype | None = None) -> None:
    """One epoch by hand."""
    model, device = begun.model.train(), begun.device
    images, labels = begun.train.data, begun.train.labels
    shape = (1, -1, 1, 1)
    mean = torch.from_numpy(begun.normalization.mean).to(device).view(shape)
    std = torch.from_numpy(begun.normalization.std).to(device).view(shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    order = torch.randperm(len(images), device=device)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        inputs = (images[rows].permute(0, 3, 1, 2).float() - mean) / std
        with torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None):
            loss = F.cross_entropy(model(inputs), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _wait(begun)


def _wait(begun: Setup) -> None:
    if begun.device.type == "cuda":
        torch.cuda.synchronize()


class Pictures(torch.utils.data.Dataset):
    """What torchvision's own datasets do for each example: a PIL image through transforms."""

    def __init__(self, split: Split, begun: Setup | None, *, augment: bool = False) -> None:
        from torchvision import transforms

        self.images, self.labels = split.images, split.labels
        channels = split.images.shape[3]
        first = [transforms.RandomCrop(split.images.shape[1], 4), transforms.RandomHorizontalFlip()] if augment else []
        scale = measure(split.images, "standard") if begun is None else begun.normalization
        last = transforms.Normalize((scale.mean / 255).tolist(), (scale.std / 255).tolist())
        self.transform = transforms.Compose([*first, transforms.ToTensor(), last])
        self.squeeze = channels == 1

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        image = self.images[row]
        return self.transform(Image.fromarray(image[..., 0] if self.squeeze else image)), int(self.labels[row])


def loader(pictures: Pictures) -> torch.utils.data.DataLoader:
    """torch's own, in this process: more workers made it slower on two cores."""
    return torch.utils.data.DataLoader(pictures, BATCH, shuffle=True)


def by_loader(begun: Setup, pictures: Pictures) -> None:
    """One epoch by hand over torch's DataLoader."""
    model = begun.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    for inputs, labels in loader(pictures):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()


def against_loops() -> None:
    """G1 to G3."""
    splits = data(28, 1)
    for goals, model, least, over_loader in (("G1 G3", CNN, 0.95, 1.4), ("G2 G3", MLP, 0.85, 8.0)):
        begun = ready(splits, model, device="cpu", precision="fp32")
        pictures = Pictures(splits.train, begun)
        arms: dict[str, Callable[[], object]] = {
            "ours": partial(ours, begun, BATCH),
            "bare": partial(bare, begun, splits, BATCH),
            "loader": partial(by_loader, begun, pictures),
        }
        found = medians(arms, ROUNDS)
        rate = f"({EXAMPLES / found['ours']:,.0f} img/s)"
        plain, loaded = goals.split()
        tell(plain, f"trainer / bare loop, {model}, B={BATCH}", found["bare"] / found["ours"], least, rate, least=True)
        ratio = found["loader"] / found["ours"]
        tell(loaded, f"against DataLoader + PIL, {model}, B={BATCH}", ratio, over_loader, least=True)


def loaders() -> None:
    """G4: how fast examples come, without a network."""
    for what, splits, augment, least in (
        ("MNIST", data(28, 1, 20_000), Augment(), 25.0),
        ("CIFAR, crop and flip", data(32, 3, 20_000), Augment(shift=4, flip=True), 6.0),
    ):
        scale = measure(splits.train.images, "standard")
        examples = Examples(splits.train, scale, torch.device("cpu"), augment=augment)
        pictures = Pictures(splits.train, None, augment=bool(augment))

        def every(batches: Callable[[], object]) -> None:
            for _ in batches():  # type: ignore[attr-defined]
                pass

        found = medians({
            "ours": partial(every, partial(examples.epoch, 0, 0, BATCH)),
            "loader": partial(every, partial(iter, loader(pictures))),
        }, ROUNDS)  # fmt: skip
        rate = f"({20_000 / found['ours']:,.0f} img/s)"
        tell("G4", f"loader alone / DataLoader + PIL, {what}", found["loader"] / found["ours"], least, rate, least=True)


def teaching() -> None:
    """G5: an epoch of a student whose teacher was asked once, against one that asks it at every step.

    The smallest teacher there is, the 20,490-parameter CNN, and one of the papers' size.
    """
    for student, least in ((CNN, 1.4), (MLP, 8.0)):
        large = ("mnist-small", 5_000) if student == CNN else ("mlp:1200-1200", EXAMPLES)
        for teacher, examples in ((CNN, EXAMPLES), large):
            splits, arms = data(28, 1, examples), {}
            for cache in ("yes", "no"):
                own = ready(splits, teacher, device="cpu", precision="fp32")
                said = Teacher("t", "", "", None, own.model.eval().requires_grad_(False), own.normalization, PLAIN, 1)
                group = Teachers((said,), None, splits, "probabilities", cache, 9.0, None)
                made = recipe.resolve({}, {"model.name": student, "loss.name": "kd"})
                begun = setup(made, splits, teach=group.bring, device="cpu", precision="fp32")
                arms[cache] = partial(ours, begun, BATCH)
            found = medians(arms, ROUNDS)
            what = f"{student} of {teacher}: teacher asked once / in the loop"
            rate = f"({examples / found['yes']:,.0f} img/s)"
            tell("G5", what, found["no"] / found["yes"], least, rate, least=True)


ALLOCATION = """
import sys, time
sys.path.insert(0, {here!r})
import bench_training as b
if {tune}: b.tune_allocator()
begun = b.ready(b.data(28, 1, {examples}), b.CNN, device="cpu", precision="fp32")
b.ours(begun, {batch})
start = time.perf_counter(); b.ours(begun, {batch}); print(time.perf_counter() - start)
"""


def allocator() -> None:
    """G15: what `fierce train` sets for itself against glibc tuned from outside, and against nothing set."""
    here = os.path.dirname(os.path.abspath(__file__))
    outside = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
    for batch in (BATCH, 1024):
        arms = {"command": (True, {}), "outside": (False, outside), "nothing": (False, {})}
        taken: dict[str, list[float]] = {name: [] for name in arms}
        for _ in range(ROUNDS):
            for name, (tune, environment) in arms.items():
                program = ALLOCATION.format(here=here, tune=tune, batch=batch, examples=20 * 1024)
                done = subprocess.run(
                    [sys.executable, "-c", program], env={**os.environ, **environment},
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                taken[name].append(float(done.stdout))
        found = {name: statistics.median(seconds) for name, seconds in taken.items()}
        more = f"(nothing set: {found['nothing'] / found['outside']:.2f})"
        tell("G15", f"the command / tuned allocator, {CNN}, B={batch}", found["command"] / found["outside"], 1.15, more)


def half() -> None:
    """What --precision fastest finds here."""
    for model, splits in ((CNN, data(28, 1, 1024)), ("torchvision:resnet18", data(32, 3, 1024))):
        begun = ready(splits, model, device="cpu", precision="fp32")
        word = "faster" if bf16_is_faster(begun.model, begun.train, begun.step_loss) else "slower"
        print(f"     bf16 steps on this CPU are {word} than fp32, {model}, B=128")


def on_gpu() -> None:
    """H4 and H6."""
    if not torch.cuda.is_available():
        print("H4   H6   not measured: no CUDA device here")
        return
    splits, batch = data(32, 3, 50_000), 512
    begun = ready(splits, "torchvision:resnet18", device="cuda")
    found = medians({
        "ours": partial(ours, begun, batch), "bare": partial(bare, begun, splits, batch, torch.bfloat16),
    }, ROUNDS)  # fmt: skip
    rate = 50_000 / found["ours"]
    name = torch.cuda.get_device_name()
    tell("H4", f"trainer / bare loop, resnet18, B={batch}, bf16", found["bare"] / found["ours"], 0.95, name, least=True)
    tell("H4", "img/s", rate, 45_000, least=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        epochs = [e for e in train(begun, epochs=3, batch_size=batch).events if isinstance(e, EpochDone)]
        torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchroniz" in str(w.message) for w in caught)
    tell("H6", "host synchronisations in an epoch", waits / len(epochs), 2)


if __name__ == "__main__":
    tune_allocator()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(min(threads, 8))
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, Adam, {EXAMPLES:,} images an epoch, "
        f"medians of {ROUNDS} rounds"
    )
    started = time.perf_counter()
    against_loops()
    loaders()
    teaching()
    allocator()
    half()
    on_gpu()
    print(f"{time.perf_counter() - started:.0f} s")

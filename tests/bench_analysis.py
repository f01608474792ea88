"""Goals of speed for the analyses, as ratios within one run: `make bench`.

The unit u is torch's softmax(out=) of 50,000 × 1,000 float32, measured among the arms of each goal. Every ratio is of
medians over rounds in which the arms take turns, in one process, with the same threads and the default allocator.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

from fierce_tools.analysis import _soft, calibration
from fierce_tools.analysis._metrics import per_example
from fierce_tools.analysis._soft import check_logits, entropies

ROUNDS = 7
EXAMPLES, CLASSES = 50_000, 1_000
TEMPERATURES = tuple(range(1, 41))
# The naive loop costs the same at every temperature; it is run at these few and scaled to all.
NAIVE = TEMPERATURES[::8]
PROBE = (60_000, 512, 10)
# Threads that have just finished still spin for a while; nobody else's time should pay for that.
REST = 0.05


def medians(arms: Mapping[str, Callable[[], object]], rounds: int = ROUNDS, warm: int = 1) -> dict[str, float]:
    """Median seconds of each arm, all of them in turn in every round, after `warm` rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + warm):
        for name, arm in arms.items():
            time.sleep(REST)
            start = time.perf_counter()
            arm()
            if number >= warm:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def tell(goal: str, what: str, ratio: float, bound: float, more: str = "", *, least: bool = False) -> None:
    """One line for one goal: at most `bound`, or at least."""
    verdict = "reached" if (ratio >= bound if least else ratio <= bound) else "MISSED"
    print(f"{goal:4} {what:58} {ratio:7.3f}  goal {'≥' if least else '≤'} {bound:<5g} {verdict:8} {more}", flush=True)


def beside(work: Callable[[], object]) -> float:
    """Peak megabytes that `work` takes beside what was there."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def soft_labels() -> None:
    """G10 to G12, and the memory of each."""
    z = torch.randn(EXAMPLES, CLASSES, generator=torch.Generator().manual_seed(0)) * 3
    out = torch.empty_like(z)
    logits, labels = z.numpy(), np.random.default_rng(0).integers(0, CLASSES, EXAMPLES)

    def naive() -> None:
        for t in NAIVE:
            p = torch.softmax(z / t, dim=1)
            (-(p * p.log()).sum(dim=1)).mean()

    found = medians({
        "u": lambda: torch.softmax(z, dim=1, out=out),
        "naive": naive,
        "entropies": lambda: entropies(logits, TEMPERATURES),
        "bundle": lambda: per_example(logits, labels),
        "check": lambda: check_logits(logits, labels),
    })  # fmt: skip
    u = found["u"]
    print(f"     u = {1e3 * u:.1f} ms, checking the logits alone {found['check'] / u:.2f} u")
    everything = found["naive"] * len(TEMPERATURES) / len(NAIVE)
    tell("G10", "entropy at 40 temperatures / naive torch loop", found["entropies"] / everything, 0.12)
    tell("G11", "the same, u a temperature", found["entropies"] / u / len(TEMPERATURES), 1.2)
    tell("G12", "entropy, NLL, accuracy, confidence at T = 1, u", found["bundle"] / u, 4)
    val_logits, val_labels = logits[:5000], labels[:5000]
    for name, work in {
        "entropies": lambda: entropies(logits, TEMPERATURES),
        "the T = 1 bundle": lambda: per_example(logits, labels),
        "calibration": lambda: calibration(logits, labels, val_logits, val_labels, bootstrap=100),
    }.items():
        tell("", f"memory of {name} beside the logits, GB", beside(work) / 1e3, 1.5)


def probe() -> None:
    """G13, where there is a logistic regression of our own."""
    fit = our_fit()
    if isinstance(fit, str):
        print(f"G13  left out: {fit}")
        return
    from sklearn.linear_model import LogisticRegression

    n, d, c = PROBE
    rng = np.random.default_rng(0)
    labels = rng.integers(0, c, n)
    # Rectified mixtures of few directions, as correlated as the features of a trained net; not separable.
    hidden = 0.3 * rng.standard_normal((c, 64))[labels] + rng.standard_normal((n, 64))
    features = np.maximum(hidden @ rng.standard_normal((64, d)) / 8 + 0.3 * rng.standard_normal((n, d)), 0)
    features = ((features - features.mean(axis=0)) / features.std(axis=0)).astype(np.float32)
    fitted: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def theirs() -> None:
        model = LogisticRegression().fit(features, labels)
        fitted["theirs"] = model.coef_, model.intercept_

    def ours() -> None:
        fitted["ours"] = fit(features, labels)

    found = medians({"theirs": theirs, "ours": ours}, rounds=5, warm=0)
    values = {name: objective(features, labels, *weights) for name, weights in fitted.items()}
    worse = values["ours"] / values["theirs"] - 1
    tell("G13", "linear probe 60k × 512 × 10 / scikit-learn's default", found["ours"] / found["theirs"], 0.35,
         f"({found['ours']:.2f} s against {found['theirs']:.2f}; objective {worse:+.1e}"
         f"{', WORSE' if worse > 1e-7 else ''})")  # fmt: skip


def our_fit() -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] | str:
    """Features and labels to weights and bias at C = 1; or why that cannot be."""
    try:
        from fierce_tools.analysis import _logistic
    except ImportError:
        return "there is no fierce_tools.analysis._logistic"
    classes = PROBE[2]
    if hasattr(_logistic, "fit"):
        return lambda x, y: _logistic.fit(x, y, classes, C=1.0)
    if hasattr(_logistic, "logistic_path"):

        def last(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            (found,) = _logistic.logistic_path(x, y, classes, (1.0,))
            return found.weight, found.bias

        return last
    return "fierce_tools.analysis._logistic has no fit(features, labels, classes, *, C)"


def objective(features: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
    """Σ CE + ½‖W‖², scikit-learn's objective at C = 1, in float64."""
    from scipy.special import logsumexp

    z = features.astype(np.float64) @ weight.T.astype(np.float64) + bias
    losses = logsumexp(z, axis=1) - z[np.arange(len(z)), labels]
    return float(losses.sum() + 0.5 * np.square(weight, dtype=np.float64).sum())


def start_up() -> None:
    """G14: how long `fierce --help` takes, and what it loads."""

    def run(program: str) -> str:
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    ending = "except SystemExit:\n    pass\n"
    helped = "import sys\nfrom fierce_tools.cli import main\ntry:\n    main(['--help'])\n" + ending
    # What the library itself takes to show help is shown beside it.
    empty = "import typer\napp = typer.Typer()\napp.command()(lambda: None)\ntry:\n    app(['--help'])\n" + ending
    listed = helped + "print('\\nloaded', *sorted({'torch', 'torchvision', 'sklearn'} & set(sys.modules)))\n"
    arms = {"typer": "import typer", "empty": empty, "help": helped}
    found = medians({name: partial(run, program) for name, program in arms.items()})
    loaded = run(listed).splitlines()[-1].split()[1:]
    more = f"LOADS {', '.join(loaded)}" if loaded else "(loads neither torch nor torchvision nor scikit-learn)"
    tell("G14", "fierce --help / import typer", found["help"] / found["typer"], 2, more)
    print(f"     the --help of an empty typer application takes {found['empty'] / found['typer']:.2f} of import typer")


if __name__ == "__main__":
    threads = min(_soft._processors(), 8)
    torch.set_num_threads(threads)
    print(f"{threads} threads, numpy {np.__version__}, torch {torch.__version__}, medians of {ROUNDS} rounds (G13: 5)")
    soft_labels()
    probe()
    start_up()

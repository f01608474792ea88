"""What the batch size and the number of epochs do to the entropy of soft labels, for one model or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from fierce_tools import recipe
from fierce_tools.analysis._soft import check_temperatures, entropies
from fierce_tools.analysis.entropy import ALPHAS, alpha_of, smoothing_entropy
from fierce_tools.errors import TrainingError, UsageError
from fierce_tools.experiments._cells import Cell
from fierce_tools.experiments._loading import Places, outputs_of
from fierce_tools.experiments._seeds import SD, band, cells, four
from fierce_tools.experiments._workshop import Workshop, setting, source_of
from fierce_tools.report import Block, Heat, Lines, Report, Series, Table
from fierce_tools.seeds import Mean, mean_sd

# Of the curves; the largest is where α = 1 stands on their axis.
TEMPERATURES = tuple(range(1, 21))
# Lines a chart is readable with.
MOST_LINES = 6


@dataclass(frozen=True)
class BatchEpochs:
    """Entropies (nats) and test accuracies (fractions): one entry of `found` for each model, batch size, epochs, seed.

    An entry has the mean `entropy` of softmax(z/T) over the split at `temperature`, its `curve` over `temperatures`,
    the `steps` that were taken, and the `run` it comes from. `failed` names runs that could not be trained; `seeds` is
    how many runs there should be of each.
    """

    found: tuple[dict[str, Any], ...]
    temperature: float
    temperatures: tuple[int, ...]
    classes: int
    everything: int
    failed: tuple[str, ...]
    notes: tuple[str, ...]
    seeds: int = 1

    def report(self) -> Report:
        """Heat tables of batch sizes and epochs, lines along both, and every curve beside label smoothing's."""
        models, sizes, epochs = (tuple(dict.fromkeys(e[k] for e in self.found)) for k in ("model", "batch", "epochs"))
        at = f"T={self.temperature:g}"
        blocks: list[Block] = []
        for key, title in (("entropy", f"entropy at {at} (nats)"), ("accuracy", "test accuracy")):
            for model in models:
                values = tuple(tuple(self._mean(key, model, b, e).mean for e in epochs) for b in sizes)
                names = tuple(map(self._size, sizes))
                blocks.append(Heat(f"{model}: {title}", names, tuple(map(_epochs, epochs)), values))
        named = {m: f"{m}, " if len(models) > 1 else "" for m in models}
        each = max(1, MOST_LINES // len(models))
        by_size = tuple(
            band(named[m] + _epochs(e), sizes, [self._mean("entropy", m, b, e) for b in sizes])
            for m in models for e in some(epochs, each)
        )  # fmt: skip
        by_epochs = tuple(
            band(f"{named[m]}batch {b}", epochs, [self._mean("entropy", m, b, e) for e in epochs])
            for m in models for b in some(sizes, each)
        )  # fmt: skip
        if len(sizes) > 1:
            blocks.append(Lines(f"Entropy at {at}, batch size", "batch size", "nats", by_size, log_x=far(sizes)))
        if len(epochs) > 1:
            blocks.append(Lines(f"Entropy at {at}, epochs", "epochs", "nats", by_epochs, log_x=far(epochs)))
        counted = ("n",) if self.seeds > 1 else ()
        heads = ("model", "batch size", "steps", "entropy (nats)", "sd", "same as α", "accuracy", "sd", *counted)
        rows, last = [], epochs[-1]
        for model in models:
            for b in sizes:
                entropy, accuracy = (self._mean(k, model, b, last) for k in ("entropy", "accuracy"))
                alpha = None if entropy.mean is None else alpha_of(entropy.mean, self.classes)
                steps = self._mean("steps", model, b, last).mean
                count = (entropy.count,) if counted else ()
                rows.append((model, b, steps, *cells(entropy), four(alpha), *cells(accuracy), *count))
        title = f"After {_epochs(last)}, at {at}, and the label smoothing of the same entropy"
        blocks.append(Table(title, heads, tuple(rows)))
        blocks.append(self._form(models, sizes, epochs))
        return Report("Batch size and epochs", tuple(blocks), (*self.notes, *self.failed))

    def _form(self, models: Sequence[str], sizes: Sequence[int], epochs: Sequence[int]) -> Lines:
        """Entropy against the temperature at the ends of both grids, and label smoothing's against α."""
        ends = dict.fromkeys((epochs[0], epochs[-1]) if len(models) == 1 else (epochs[-1],))
        series = []
        for model in models:
            for b in dict.fromkeys((sizes[0], sizes[-1])):
                for e in ends:
                    curves = [x["curve"] for x in self._of(model, b, e)]
                    if curves:
                        y = tuple(np.mean(curves, axis=0).tolist())
                        series.append(
                            Series(f"{model}, batch {b}, {_epochs(e)}", tuple(map(float, self.temperatures)), y)
                        )
        top = self.temperatures[-1]
        line = tuple(smoothing_entropy(a, self.classes) for a in ALPHAS)
        series.append(Series(f"label smoothing, α = T/{top}", tuple(top * a for a in ALPHAS), line))
        return Lines("Soft-label entropy, and that of label smoothing", f"T, and {top}·α", "nats", tuple(series))

    def _of(self, model: str, batch: int, epochs: int) -> list[dict[str, Any]]:
        return [e for e in self.found if (e["model"], e["batch"], e["epochs"]) == (model, batch, epochs)]

    def _mean(self, key: str, model: str, batch: int, epochs: int) -> Mean:
        return mean_sd((e[key] for e in self._of(model, batch, epochs)), self.seeds)

    def _size(self, batch: int) -> str:
        return f"batch {batch}{' (all)' if batch == self.everything else ''}"


def batch_epochs(
    workshop: Workshop,
    *,
    model: Annotated[tuple[str, ...], "models, with commas between several; none: the dataset's"] = (),
    batch_sizes: Annotated[tuple[int, ...], "examples a batch; more than there are is one batch of all"] = (
        16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192,
    ),
    epochs: Annotated[tuple[int, ...], "epochs after which each run is asked; the largest is its length"] = (
        1, 2, 5, 10, 20, 50,
    ),
    temperature: Annotated[float, "temperature of the soft labels, above 0"] = 9.0,
    on: Annotated[Literal["train", "test"], "split whose soft labels are measured"] = "test",
    seeds: Annotated[int, "runs of each model and batch size, with seeds 0, 1, 2, …"] = 1,
) -> BatchEpochs:  # fmt: skip
    """Entropy of soft labels against batch size and epochs, beside that of label smoothing's labels.

    One ordinary run for each model, batch size and seed; what it was after fewer epochs are its snapshots, which at a
    constant learning rate are trainings of that length. Runs that are done are not trained again. H = mean of -Σ p log
    p of softmax(z/T) in nats, of logits [N, C]. Vats' small teacher is trained for fewer epochs than the large one, so
    that capacity and training length vary together; several models at equal epochs tell the two apart. Raises
    UsageError for options out of range, TrainingError where no run could be trained. Source: Vats 2021, ch. 4-6.
    """  # fmt: skip
    check_temperatures((temperature,))
    for name, values in (("batch-sizes", batch_sizes), ("epochs", epochs), ("seeds", (seeds,))):
        if not values or min(values) < 1:
            raise UsageError(f"--{name} is {','.join(map(str, values))}, expected 1 or more", "for example 16:1024:*2")
    stages = tuple(sorted(set(epochs)))
    data = workshop.splits
    everything = len(data.train)
    sizes = tuple(sorted({min(b, everything) for b in batch_sizes}))
    models = model or (recipe.default_model(str(workshop.of_data().data["name"])),)
    cells = [
        Cell(
            workshop.recipe(
                {"model.name": m, "train.batch_size": b, "train.epochs": stages[-1], "train.save_at": stages[:-1],
                 "train.seed": seed}
            ),
            {"model.name": m, "train.batch_size": b},
        )
        for m in dict.fromkeys(models) for b in sizes for seed in range(seeds)
    ]  # fmt: skip
    ended = workshop.train(cells)
    failed = tuple(f"Failed: {end.cell.label}: {end.error}." for end in ended if end.error is not None)
    if len(failed) == len(ended):
        raise TrainingError("no run could be trained", failed[0])
    places = Places(data_root=workshop.places.data_root, device=workshop.places.device, factory=workshop.places.factory)
    found: list[dict[str, Any]] = []
    for end in ended:
        if end.error is not None or end.run is None:
            continue
        batch = end.cell.made.train["batch_size"]
        steps = {row["epoch"]: row["step"] for row in end.run.metrics()}
        for e in stages:
            source = source_of(end.run, e)
            logits = outputs_of(source, on, {"logits"}, places).logits
            test = outputs_of(source, "test", {"logits"}, places)
            means = entropies(logits, (temperature, *TEMPERATURES)).mean(axis=1, dtype=np.float64).tolist()
            found.append(
                {
                    "model": end.cell.made.model["name"], "batch": batch, "epochs": e, "seed": end.cell.seed,
                    "entropy": means[0], "accuracy": float((test.logits.argmax(axis=1) == test.get("labels")).mean()),
                    "steps": steps.get(e), "curve": tuple(means[1:]), "run": end.run.name,
                }
            )  # fmt: skip
    notes = _notes(cells[0].made, batch_sizes, everything, on, seeds)
    return BatchEpochs(
        tuple(found), temperature, TEMPERATURES, len(data.class_names), everything, failed, notes, seeds
    )  # fmt: skip


def _notes(made: recipe.Recipe, asked: Sequence[int], everything: int, split: str, seeds: int) -> tuple[str, ...]:
    many = f"{seeds} seeds ({', '.join(map(str, range(seeds)))})" if seeds > 1 else "one seed (0)"
    notes = [f"Soft labels of the {split} split; {setting(made)}, {many}. A larger batch takes fewer steps an epoch."]
    notes += [f"{SD} It is over whole runs."] if seeds > 1 else []
    larger = [str(b) for b in asked if b > everything]
    if larger:
        notes.append(f"There are {everything:,} training examples: batches of {', '.join(larger)} are one of all.")
    if made.train["schedule"] != "constant" or made.train["warmup"]:
        notes.append("The learning rate changes along a run: a snapshot is no training of that length.")
    return tuple(notes)


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"


def some(values: Sequence[int], most: int) -> list[int]:
    """At most so many of them, evenly spread from the last one on."""
    if len(values) <= most:
        return [*values]
    places = np.linspace(len(values) - 1, 0, most).round().astype(int) if most > 1 else [len(values) - 1]
    return [values[i] for i in sorted(places)]


def far(values: Sequence[int]) -> bool:
    """Whether they reach so far that a logarithmic axis shows them better."""
    return max(values) >= 16 * min(values)

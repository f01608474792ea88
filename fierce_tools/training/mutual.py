"""Several classifiers trained at once on the same batches, each learning from the labels, itself and the others."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from fierce_tools import recipe as recipes
from fierce_tools.binding import Spec
from fierce_tools.data._splits import Splits
from fierce_tools.errors import UsageError
from fierce_tools.losses._mutual import CORRECTING, EXCHANGING, Learned, logistic, mutual, threshold
from fierce_tools.losses._nats import nll
from fierce_tools.models._classifier import Classifier
from fierce_tools.recipe import Recipe
from fierce_tools.training.batches import Batch, measured
from fierce_tools.training.loop import Step, StepLoss
from fierce_tools.training.train import Setup, fresh_model, setup


class Peers(nn.Module):
    """Classifiers that are trained at once: `members`."""

    def __init__(self, members: list[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)


def peer_recipes(
    made: Recipe,
    *,
    models: Annotated[tuple[str, ...], "the peers, 2 or more names of models; none: two of the dataset's model"] = (),
    model_options: Annotated[
        tuple[str, ...], "options of the peers' models, such as width=16,dropout=0.2, for each model that has them"
    ] = (),
) -> tuple[Recipe, ...]:
    """The recipe of each peer: the group's with its own model.

    Raises UsageError for fewer than 2 models, an option that none of them has, or a loss other than ce, which is what
    every method's own part is.
    """
    names = models or (recipes.default_model(made.data["name"]),) * 2
    if len(names) < 2:
        raise UsageError(
            f"--models names 1 model, {names[0]}, and mutual learning needs 2 or more", "for example --models cnn cnn"
        )
    if made.loss["name"] != "ce":
        raise UsageError(
            f"mutual learning has a loss of its own, the recipe says {made.loss['name']}",
            "leave out [loss]; --method says what peers learn from",
        )
    if made.distill is not None:
        raise UsageError("a recipe has [distill] and [mutual]", "peers have no teacher but each other; leave one out")
    given = dict(_pair(text) for text in model_options)
    specs = [recipes.spec("model", name) for name in names]
    for key in given:
        if not any(key == o.name for s in specs for o in s.options):
            raise UsageError(f"--model-options {key}: none of {', '.join(names)} has such an option")
    return tuple(
        replace(made, model={"name": name} | s.resolve({k: v for k, v in given.items() if _has(s, k)}))
        for name, s in zip(names, specs, strict=True)
    )


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--model-options {text!r} is no assignment", "write --model-options width=16")
    return key.strip().replace("-", "_"), value.strip()


def _has(spec: Spec, name: str) -> bool:
    return any(o.name == name for o in spec.options)


@dataclass(frozen=True)
class Exchange:
    """What peers learn from, with every default resolved; χ in nats."""

    method: str
    chi: float
    chi_start: float
    chi_schedule: str
    self_trust: float | None
    peer_trust: float | None
    steepness: float

    def at(self, share: float) -> dict[str, float]:
        """χ(t) in nats and the growth g(t) of trust, where a share t of the training is done."""
        chi = threshold(self.chi_schedule, share, start=self.chi_start, end=self.chi, steepness=self.steepness)
        return {"chi": chi, "growth": logistic(share, self.steepness)}

    def shown(self, share: float) -> dict[str, float]:
        """Those of them that this method goes by, as metrics name them."""
        now = self.at(share)
        trusts = [self.self_trust] * (self.method in CORRECTING) + [self.peer_trust] * (self.method in EXCHANGING)
        found = {"chi": now["chi"]} if self.method == "cmd" else {}
        return found | ({"trust_growth": now["growth"]} if None in trusts else {})

    def learn(self, logits: list[Tensor], labels: Tensor, share: float) -> tuple[Learned, ...]:
        """losses.mutual of logits K × [B, C] and labels i64 [B] at this point of the training."""
        return mutual(
            logits, labels, method=self.method, self_trust=self.self_trust, peer_trust=self.peer_trust, **self.at(share)
        )


def exchange(
    classes: int,
    *,
    method: Annotated[
        Literal["independent", "dml", "self-kd", "mkd", "cmd"],
        "what peers learn from: labels; also each other; labels corrected by themselves; the peers' too; those of "
        "confident peers",
    ] = "cmd",
    chi: Annotated[
        float | None, "entropy in nats below which a peer's prediction is taken (cmd); none: half of log C"
    ] = None,
    chi_schedule: Annotated[
        Literal["static", "linear", "logistic"], "how χ goes through training: level, or from chi-start to chi"
    ] = "static",
    chi_start: Annotated[float | None, "χ in nats where a linear or logistic schedule begins; none: log C"] = None,
    self_trust: Annotated[
        float | None, "share e of its own prediction in a peer's label, 0 to 1; none: grows with time and confidence"
    ] = None,
    peer_trust: Annotated[float | None, "the same in the labels that it takes from the others"] = None,
    steepness: Annotated[float, "steepness b of the logistic growth of trust, and of χ; 0.01 to 1000"] = 10.0,
) -> Exchange:
    """What peers on data of C classes learn from; trust that is none is e = g(t)·(1 - H(p)/log C).

    CMD's exact progressive schedule was not available: the form of `linear` and `logistic` and the direction, falling
    from log C as predictions become more certain, are ours; --chi-start 0 makes χ rise. Raises UsageError for values
    out of range, or options that the method does not know.
    """
    for flag, value, methods in (
        ("--chi", chi, ("cmd",)), ("--chi-start", chi_start, ("cmd",)),
        ("--chi-schedule", None if chi_schedule == "static" else chi_schedule, ("cmd",)),
        ("--self-trust", self_trust, CORRECTING), ("--peer-trust", peer_trust, EXCHANGING),
    ):  # fmt: skip
        if value is not None and method not in methods:
            raise UsageError(f"{flag} is an option of --method {', '.join(methods)}, and the method is {method}")
    if chi_start is not None and chi_schedule == "static":
        raise UsageError(
            "--chi-start is where a schedule begins, and --chi-schedule is static", "add --chi-schedule linear"
        )
    for flag, value in (("--self-trust", self_trust), ("--peer-trust", peer_trust)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{flag} is {value:g}, expected 0 to 1")
    if not 0.01 <= steepness <= 1000 or any(v is not None and not math.isfinite(v) for v in (chi, chi_start)):
        raise UsageError(
            f"--steepness is {steepness:g}, --chi {chi}, --chi-start {chi_start}",
            "expected 0.01 to 1000, and finite numbers of nats",
        )
    top = math.log(classes)
    return Exchange(
        method,
        top / 2 if chi is None else chi,
        top if chi_start is None else chi_start,
        chi_schedule,
        self_trust,
        peer_trust,
        steepness,
    )


def exchange_of(made: Recipe, classes: int) -> Exchange:
    """The exchange that a recipe's mutual section describes. Raises UsageError."""
    taken = inspect.signature(exchange).parameters
    return exchange(classes, **{k: v for k, v in (made.mutual or {}).items() if k in taken})


def setup_peers(made: tuple[Recipe, ...], splits: Splits, *, trusted: str | None = None, **options: Any) -> Setup:
    """Seed, build every peer and put the data on the device; `options` are those of `setup`.

    The first peer starts with the weights that a training on its own with that seed starts with, the others with
    those of peer_seed; all see the same batches in the same order. Raises UsageError.
    """
    how = exchange_of(made[0], len(splits.class_names))
    first = setup(made[0], splits, trusted=trusted, **options)
    members = [cast(Classifier, first.model)]
    # The generator goes on where it would with the first peer alone.
    with torch.random.fork_rng():
        for number, one in enumerate(made[1:], 2):
            torch.manual_seed(peer_seed(first.seed, number))
            model, _ = fresh_model(one, splits, first.device, options.get("channels_last", "auto"), trusted)
            model.measure(measured(first.train))
            members.append(model)
    true = splits.train.true_labels
    wrong = None if true is None else torch.from_numpy(true != splits.train.labels).to(first.device)
    step = exchange_step(how, wrong)
    return replace(first, model=Peers(members), step_loss=step)


def peer_seed(seed: int, number: int) -> int:
    """The seed of the initial weights of peer 1..K: the training's own for the first, one far from it for others."""
    if number == 1:
        return seed
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def exchange_step(how: Exchange, wrong: Tensor | None) -> StepLoss:
    """The peers' losses as a step: their sum, so that each gets the gradient of its own.

    Parts of peer k are k.loss, k.ce, k.exchanged (what the others' term adds, nats), k.open (the share of pairs of an
    example and another peer whose gate is open), and where `wrong` bool [N] is known k.open_wrong (the same, of wrong
    labels only): means over the batch, so that their ratio over an epoch is exact. On validation the loss is the mean
    of the peers' cross-entropies, which does not change its meaning as χ and trust do.
    """

    def step(model: nn.Module, batch: Batch) -> Step:
        members: Any = model.members
        features = tuple(m.features(batch.inputs) for m in members)
        logits = tuple(m.head(f) for m, f in zip(members, features, strict=True))
        z = [one.float() for one in logits]
        if batch.split != "train":
            return Step(torch.stack([nll(one, batch.labels).mean() for one in z]).mean(), {}, logits, features)

        def said(labels: Tensor) -> tuple[Tensor, tuple[Learned, ...]]:
            """Loss, cross-entropy and the others' term [3, K], means over the batch."""
            found = how.learn(z, labels, batch.share)
            rows = [[f.loss.mean(), nll(one.detach(), labels).mean(), f.exchanged.detach().mean()]
                    for f, one in zip(found, z, strict=True)]  # fmt: skip
            return torch.stack([torch.stack(row) for row in zip(*rows, strict=True)]), found

        figures, found = said(batch.labels)
        if batch.partner is not None and batch.lam < 1:  # every loss is affine in the labels
            figures = batch.lam * figures + (1 - batch.lam) * said(batch.partner)[0]
        parts: dict[str, Tensor] = {}
        for number, one in enumerate(found):
            named = zip(("loss", "ce", "exchanged"), figures[:, number].detach(), strict=True)
            parts |= {f"{number + 1}.{name}": value for name, value in named}
            gates = one.gates.float().mean(dim=-1)
            parts[f"{number + 1}.open"] = gates.mean()
            if wrong is not None:
                parts[f"{number + 1}.open_wrong"] = (gates * wrong[batch.rows]).mean()
        return Step(figures[0].sum(), parts, logits, features)

    return step


def peer_figures(means: Mapping[str, float], number: int) -> dict[str, float]:
    """A peer's row of an epoch's means: loss and ce, what the others' term adds (nats), and what was exchanged.

    `exchanged` is the share of (example, other peer) pairs whose gate was open; `exchanged_wrong` the share of those
    whose label is wrong, NaN where nothing was exchanged.
    """
    own = {k.partition(".")[2]: v for k, v in means.items() if k.startswith(f"{number}.")}
    found = {"loss": own["loss"], "ce": own["ce"], "from_peers": own["exchanged"], "exchanged": own["open"]}
    if "open_wrong" in own:
        found["exchanged_wrong"] = own["open_wrong"] / own["open"] if own["open"] else math.nan
    return found

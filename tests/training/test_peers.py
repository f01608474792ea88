"""Peers trained at once: whole short trainings, to the bit, and what is counted of their exchange."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fierce_tools import recipe
from fierce_tools.data import digits
from fierce_tools.data._splits import Split, Splits, split
from fierce_tools.errors import UsageError
from fierce_tools.training.batches import Batch
from fierce_tools.training.loop import EpochDone, StepDone
from fierce_tools.training.mutual import (
    Exchange,
    Peers,
    exchange,
    exchange_of,
    exchange_step,
    peer_figures,
    peer_recipes,
    peer_seed,
    setup_peers,
)
from fierce_tools.training.train import Setup, Training, setup, train


def few(part: Split, n: int) -> Split:
    return replace(part, images=part.images[:n], labels=part.labels[:n], index=part.index[:n])


@pytest.fixture(scope="module")
def splits() -> Splits:
    whole = split(digits())
    return replace(whole, train=few(whole.train, 300), val=few(whole.val, 60))


def recipes_of(models: tuple[str, ...] = ("mlp:16", "mlp:16"), **options: object) -> tuple[recipe.Recipe, ...]:
    made = recipe.resolve({"mutual": dict(options)})
    return peer_recipes(made, models=models)


def begin(
    splits: Splits, models: tuple[str, ...] = ("mlp:16", "mlp:16"), state: Path | None = None, epochs: int = 2,
    seed: int = 0, **options: object,
) -> tuple[Setup, Training]:  # fmt: skip
    ready = setup_peers(recipes_of(models, **options), splits, seed=seed, device="cpu")
    return ready, train(ready, state, epochs=epochs, batch_size=32)


def trained(splits: Splits, **options: object) -> list[Tensor]:
    ready, training = begin(splits, **options)  # type: ignore[arg-type]
    for _ in training.events:
        pass
    return list(ready.model.state_dict().values())


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("models", [("mlp:16", "mlp:16"), ("mlp:16", "linear", "mlp:8")])
def test_the_ends_of_chi_over_a_whole_training_to_the_bit(splits: Splits, models: tuple[str, ...]) -> None:
    def weights(**options: object) -> list[Tensor]:
        return trained(splits, models=models, **options)

    alone, everything = weights(method="self-kd"), weights(method="mkd")
    assert same(weights(method="cmd", chi=0.0), alone)
    assert same(weights(method="cmd", chi=-3.0), alone)
    assert same(weights(method="cmd", chi=math.log(10) + 1e-9), everything)
    assert same(weights(method="cmd", chi=50.0), everything)
    between = weights(method="cmd", chi=2.25)
    assert not same(between, alone)
    assert not same(between, everything)
    assert not same(alone, everything)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5}, {"ema": 0.9, "accumulate": 2, "optimizer": "sgd"}])
def test_independent_peers_are_trainings_of_their_own(splits: Splits, options: dict) -> None:
    """To the bit: the first is the training of that seed; nothing of the others reaches it."""
    alone = train(
        setup(recipe.resolve({"model": {"name": "mlp:16"}}), splits, seed=3, device="cpu"),
        epochs=2, batch_size=32, **options,
    )  # fmt: skip
    ready = setup_peers(recipes_of(("mlp:16", "mlp:8", "mlp:16"), method="independent"), splits, seed=3, device="cpu")
    together = train(ready, epochs=2, batch_size=32, **options)
    for training in (alone, together):
        for _ in training.events:
            pass
    first, _, third = together.model.members  # type: ignore[misc, union-attr]
    assert same(list(first.state_dict().values()), list(alone.model.state_dict().values()))
    assert not same(list(third.state_dict().values()), list(alone.model.state_dict().values()))


def test_peers_of_the_same_model_start_apart_and_see_the_same_batches(splits: Splits) -> None:
    ready, _ = begin(splits)
    a, b = ready.model.members  # type: ignore[misc, union-attr]
    assert isinstance(ready.model, Peers)
    assert not torch.equal(a.head.weight, b.head.weight)
    again, _ = begin(splits)
    assert same(list(ready.model.state_dict().values()), list(again.model.state_dict().values()))
    assert len({peer_seed(s, n) for s in range(50) for n in range(1, 6)}) == 250
    assert all(0 <= peer_seed(2**63 - 1, n) < 2**63 for n in range(1, 9))


def test_a_whole_method_may_be_stepped_by_hand(splits: Splits) -> None:
    """One step of the loop's gradient is the sum of the peers' own, each of its own loss alone."""
    ready, _ = begin(splits, method="cmd", chi=2.29)
    batch = next(ready.train.in_order(64))
    ready.model.train()
    step = ready.step_loss(ready.model, batch)
    step.loss.backward()
    members = list(ready.model.members)  # type: ignore[arg-type, union-attr]
    z = [z.detach().clone().requires_grad_() for z in step.logits]
    how = exchange(10, method="cmd", chi=2.29)
    for one, leaf, member in zip(how.learn(z, batch.labels, 0.0), z, members, strict=True):
        (gradient,) = torch.autograd.grad(one.loss.mean(), leaf)
        torch.testing.assert_close(member.head.bias.grad, gradient.sum(0))


@pytest.mark.parametrize("stop_after", [1, 9, 10, 14])
def test_resumed_is_never_stopped(splits: Splits, tmp_path: Path, stop_after: int) -> None:
    options = {"chi_schedule": "logistic", "models": ("mlp:16", "cnn"), "method": "cmd"}
    whole = trained(splits, **options)
    _, training = begin(splits, **options)  # type: ignore[arg-type]
    for steps, _ in enumerate((e for e in training.events if isinstance(e, StepDone)), 1):
        if steps == stop_after:
            break
    training.save_state(tmp_path / "state.safetensors")
    torch.manual_seed(99)
    ready, training = begin(splits, state=tmp_path / "state.safetensors", **options)  # type: ignore[arg-type]
    for _ in training.events:
        pass
    assert same(list(ready.model.state_dict().values()), whole)


def noisy(splits: Splits, share: float = 0.4) -> Splits:
    rng = np.random.default_rng(0)
    labels = splits.train.labels.copy()
    rows = rng.random(len(labels)) < share
    labels[rows] = (labels[rows] + rng.integers(1, 10, rows.sum())) % 10
    return replace(splits, train=replace(splits.train, labels=labels, true_labels=splits.train.labels))


def test_what_is_exchanged_is_counted_over_rows(splits: Splits) -> None:
    """At learning rate 1e-12 nothing moves, so that the epoch's shares are those of the whole split, uneven batches too."""
    data = noisy(splits)
    ready = setup_peers(recipes_of(method="cmd", chi=2.25), data, device="cpu")
    (done,) = (e for e in train(ready, epochs=1, batch_size=37, lr=1e-12).events if isinstance(e, EpochDone))
    whole = next(ready.train.in_order(1000))
    ready.model.eval()
    with torch.no_grad():
        z = [m(whole.inputs) for m in ready.model.members]  # type: ignore[union-attr]
    wrong = data.train.labels != data.train.true_labels
    assert 0.3 < wrong.mean() < 0.5
    for me, peer in ((1, z[1]), (2, z[0])):
        p = peer.double().softmax(1)
        is_open = (-(p * p.log()).sum(1) < 2.25).numpy()
        figures = peer_figures(done.train, me)
        assert 0 < is_open.sum() < 300
        assert figures["exchanged"] == pytest.approx(is_open.mean(), abs=1e-6)
        assert figures["exchanged_wrong"] == pytest.approx(wrong[is_open].mean(), abs=1e-6)
        assert figures["from_peers"] > 0
    assert done.train["loss"] == pytest.approx(done.train["1.loss"] + done.train["2.loss"], rel=1e-6)
    assert done.val is not None
    assert len(done.seen) == 2
    labels = torch.from_numpy(done.val.get("labels"))
    ce = [torch.nn.functional.cross_entropy(torch.from_numpy(s.val.logits), labels).item() for s in done.seen]
    assert done.val_loss == pytest.approx(np.mean(ce), rel=1e-5)


@pytest.mark.parametrize(("method", "share"), [("independent", 0), ("self-kd", 0), ("dml", 1), ("mkd", 1)])
def test_all_or_nothing_is_exchanged(splits: Splits, method: str, share: int) -> None:
    _, training = begin(noisy(splits), ("linear", "linear", "linear"), method=method, epochs=1)
    (done,) = (e for e in training.events if isinstance(e, EpochDone))
    for number in (1, 2, 3):
        figures = peer_figures(done.train, number)
        assert figures["exchanged"] == pytest.approx(share)
        assert math.isnan(figures["exchanged_wrong"]) == (share == 0)
        assert (figures["from_peers"] > 0) == (share == 1)


def test_wrong_labels_are_known_only_where_true_ones_are(splits: Splits) -> None:
    _, training = begin(splits, epochs=1)
    (done,) = (e for e in training.events if isinstance(e, EpochDone))
    assert "exchanged_wrong" not in peer_figures(done.train, 1)


def test_examples_mixed_in_pairs_have_mixed_labels(splits: Splits) -> None:
    ready, _ = begin(splits, method="mkd", self_trust=0.2, peer_trust=0.5)
    batch = next(ready.train.in_order(20))
    mixed = batch._replace(partner=batch.labels.roll(1), lam=0.7)
    parts = [ready.step_loss(ready.model, b).loss for b in (batch, batch._replace(labels=mixed.partner))]
    torch.testing.assert_close(ready.step_loss(ready.model, mixed).loss, 0.7 * parts[0] + 0.3 * parts[1])


def test_defaults_depend_on_the_classes() -> None:
    how = exchange(10)
    assert (how.chi, how.chi_start) == (math.log(10) / 2, math.log(10))
    falling = exchange(10, chi_schedule="linear")
    assert falling.at(0.0)["chi"] == pytest.approx(math.log(10))
    assert falling.at(1.0)["chi"] == pytest.approx(math.log(10) / 2)
    rising = exchange(10, chi_schedule="logistic", chi_start=0.0, chi=2.0)
    assert [rising.at(t)["chi"] for t in (0.0, 0.5, 1.0)] == pytest.approx([0, 1, 2])
    assert rising.at(0.5)["growth"] == 0.5
    assert isinstance(exchange_of(recipes_of(chi="0.3")[0], 4), Exchange)
    assert exchange_of(recipes_of(chi="0.3")[0], 4).chi == 0.3


def test_metrics_name_what_the_method_goes_by() -> None:
    assert exchange(10, chi=1.0).shown(0.5) == {"chi": 1.0, "trust_growth": 0.5}
    assert exchange(10, chi=1.0, self_trust=0.1).shown(0.5) == {"chi": 1.0, "trust_growth": 0.5}
    assert exchange(10, method="mkd", self_trust=0.1, peer_trust=0.2).shown(0.5) == {}
    assert exchange(10, method="self-kd").shown(0.5) == {"trust_growth": 0.5}
    assert exchange(10, method="self-kd", self_trust=0.1).shown(0.5) == {}
    assert exchange(10, method="dml").shown(0.5) == {}


def test_the_schedule_is_that_of_the_batch(splits: Splits) -> None:
    """The same batch late in training is judged by the later χ and trust."""
    how = exchange(10, chi_schedule="linear", chi_start=-1.0, chi=2.4)
    ready, _ = begin(splits)
    step = exchange_step(how, None)
    batch: Batch = next(ready.train.in_order(50))
    shares = [float(step(ready.model, batch._replace(share=t)).parts["1.open"]) for t in (0.0, 0.9, 1.0)]
    assert shares[0] == 0
    assert shares[2] == 1
    assert shares[0] <= shares[1] <= shares[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "mkd", "chi": 1.0}, "--chi is an option of --method cmd"),
        ({"method": "dml", "chi_schedule": "linear"}, "--chi-schedule is an option"),
        ({"chi_start": 1.0}, "add --chi-schedule linear"),
        ({"method": "dml", "self_trust": 0.5}, "--self-trust is an option of --method self-kd, mkd, cmd"),
        ({"method": "self-kd", "peer_trust": 0.5}, "--peer-trust is an option of --method mkd, cmd"),
        ({"self_trust": 1.5}, "expected 0 to 1"),
        ({"peer_trust": -0.1}, "expected 0 to 1"),
        ({"steepness": 0.0}, "0.01 to 1000"),
        ({"chi": math.inf}, "finite"),
        ({"chi": math.nan}, "finite"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        exchange(10, **options)


def test_peers_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="2 or more"):
        recipes_of(("cnn",))
    with pytest.raises(UsageError, match="loss of its own"):
        peer_recipes(recipe.resolve({"loss": {"name": "fierce"}, "mutual": {}}))
    with pytest.raises(UsageError, match="none of mlp:8, linear has such an option"):
        peer_recipes(recipe.resolve({"mutual": {}}), models=("mlp:8", "linear"), model_options=("width=5",))
    with pytest.raises(UsageError, match="is no assignment"):
        peer_recipes(recipe.resolve({"mutual": {}}), model_options=("dropout",))


def test_options_go_to_the_models_that_have_them() -> None:
    made = recipe.resolve({"mutual": {}})
    a, b = peer_recipes(made, models=("cnn", "mlp:8"), model_options=("width=4", "dropout=0.5"))
    assert (a.model["name"], a.model["width"], b.model["name"], b.model["dropout"]) == ("cnn", 4, "mlp:8", 0.5)
    assert "width" not in b.model
    assert [one.model["name"] for one in peer_recipes(made)] == ["cnn", "cnn"]

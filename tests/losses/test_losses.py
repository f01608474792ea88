"""The losses against numbers worked by hand, identities, torch's own functions and gradients."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from fierce_tools.errors import UsageError
from fierce_tools.losses import ce, confidence_penalty, label_smoothing
from fierce_tools.losses._labels import targets
from fierce_tools.losses._nats import entropy, entropy_bits
from fierce_tools.menu import LOSSES

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]], dtype=torch.float64)
LABELS = torch.tensor([0, 2])


def random_batch(n: int = 16, c: int = 7, d: int = 5, seed: int = 0) -> dict[str, Any]:
    g = torch.Generator().manual_seed(seed)
    return {
        "logits": torch.randn(n, c, generator=g, dtype=torch.float64),
        "labels": torch.randint(c, (n,), generator=g),
        "features": torch.randn(n, d, generator=g, dtype=torch.float64),
        "anchors": torch.randn(1, 10, d, generator=g, dtype=torch.float64),
        "teacher_logits": 3 * torch.randn(n, c, generator=g, dtype=torch.float64),
        "epoch": 5.0,
    }


def call(name: str, batch: dict[str, Any], **options: object) -> torch.Tensor:
    torch.manual_seed(0)  # some draw noise
    function = LOSSES.get(name)
    taken = {k: v for k, v in batch.items() if k in inspect.signature(function).parameters}
    return function(**taken, **options)


@pytest.mark.parametrize("name", LOSSES.names())
def test_one_value_for_each_example(name: str) -> None:
    batch = random_batch()
    value = call(name, batch)
    assert value.shape == (16,)
    assert torch.isfinite(value).all()


@pytest.mark.parametrize("name", LOSSES.names())
def test_the_gradient_is_the_losss(name: str) -> None:
    batch = random_batch(n=4, c=3, d=2)
    leaves = {k: batch[k].clone().requires_grad_() for k in ("logits", "features")}
    assert torch.autograd.gradcheck(lambda *_: call(name, {**batch, **leaves}).sum(), list(leaves.values()))


@pytest.mark.parametrize("name", LOSSES.names())
@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_huge_and_tiny_logits_stay_finite(name: str, scale: float) -> None:
    batch = random_batch()
    logits = (batch["logits"].float() * scale).requires_grad_()
    singles = {k: batch[k].float() for k in ("features", "anchors")}
    value = call(name, {**batch, **singles, "logits": logits, "teacher_logits": logits.detach().flip(0)}).mean()
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES.names())
def test_two_classes_and_one_example(name: str) -> None:
    assert torch.isfinite(call(name, random_batch(n=1, c=2))).all()


def test_cross_entropy_by_hand() -> None:
    expected = [math.log(math.exp(2) + 1 + math.exp(-1)) - 2, math.log(3)]
    torch.testing.assert_close(ce(LOGITS, LABELS), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("alpha", "classes", "on", "off"),
    [(0.6, 10, 0.46, 0.06), (0.1, 4, 0.925, 0.025)],  # Vats Tab 3.1; Müller
)
def test_uniform_targets_of_the_papers(alpha: float, classes: int, on: float, off: float) -> None:
    row = targets(torch.tensor([1]), classes, alpha=alpha)[0]
    assert row[1] == pytest.approx(on)
    assert row[0] == pytest.approx(off)
    assert row.sum() == pytest.approx(1)


def test_the_two_conventions() -> None:
    row = targets(torch.tensor([1]), 5, alpha=0.2, convention="others")[0]
    assert row.tolist() == pytest.approx([0.05, 0.8, 0.05, 0.05, 0.05])
    batch = random_batch()
    logits, labels, c = batch["logits"], batch["labels"], 7
    for alpha in (0.0, 0.1, 0.5, 0.9, 1.0):
        uniform = label_smoothing(logits, labels, alpha=alpha)
        others = label_smoothing(logits, labels, alpha=alpha * (c - 1) / c, convention="others")
        torch.testing.assert_close(uniform, others)
        torch.testing.assert_close(uniform, F.cross_entropy(logits, labels, label_smoothing=alpha, reduction="none"))
    for alpha in (0.3, 0.95, 1.0):
        soft = targets(labels, c, alpha=alpha, convention="others").double()
        torch.testing.assert_close(
            label_smoothing(logits, labels, alpha=alpha, convention="others"),
            F.cross_entropy(logits, soft, reduction="none"),
            rtol=1e-5,
            atol=1e-5,
        )


def test_no_smoothing_is_cross_entropy() -> None:
    torch.testing.assert_close(label_smoothing(LOGITS, LABELS, alpha=0.0), ce(LOGITS, LABELS))


def test_the_penalty_by_hand() -> None:
    h = torch.tensor([float(-(p * p.log()).sum()) for p in LOGITS.softmax(1)], dtype=torch.float64)
    torch.testing.assert_close(confidence_penalty(LOGITS, LABELS, beta=0.3), ce(LOGITS, LABELS) - 0.3 * h)
    hinged = confidence_penalty(LOGITS, LABELS, beta=0.3, hinge=1.0)
    torch.testing.assert_close(hinged, ce(LOGITS, LABELS) + 0.3 * (1.0 - h).clamp_min(0))
    assert hinged[1] == ce(LOGITS, LABELS)[1], "entropy log 3 is above the hinge"


def test_the_entropys_gradient_is_perayras() -> None:
    z = LOGITS.clone().requires_grad_()
    entropy(z).sum().backward()
    p, h = LOGITS.softmax(1), entropy(LOGITS)[:, None]
    torch.testing.assert_close(z.grad, -p * (p.log() + h))


def test_entropy_in_bits() -> None:
    assert entropy_bits(torch.full((8,), 0.125)) == pytest.approx(3.0)
    p = torch.tensor([1.0, 0.0], requires_grad=True)
    value = entropy_bits(p)
    value.backward()
    assert value == 0
    assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (label_smoothing, {"alpha": 1.5}),
        (label_smoothing, {"convention": "all"}),
        (confidence_penalty, {"beta": -1}),
        (confidence_penalty, {"hinge": -1}),
    ],
)
def test_values_out_of_range_are_refused(function: object, options: dict) -> None:
    with pytest.raises(UsageError):
        function(LOGITS, LABELS, **options)  # type: ignore[operator]

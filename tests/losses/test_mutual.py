"""Mutual learning against formulas written out by hand, gradients, and the identities between the methods."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fierce_tools.errors import UsageError
from fierce_tools.losses import ce
from fierce_tools.losses._mutual import FORMULAS, corrected, logistic, mutual, threshold, trust

C, B = 5, 40


def batch(peers: int, seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """Logits of peers, from nearly uniform to nearly certain, and labels."""
    g = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0, 4, B, dtype=torch.float64)[:, None]
    return [torch.randn(B, C, generator=g, dtype=torch.float64) * scale for _ in range(peers)], torch.randint(
        C, (B,), generator=g
    )


def gradients(logits: list[Tensor], labels: Tensor, **options: object) -> list[Tensor]:
    leaves = [z.clone().requires_grad_() for z in logits]
    sum(one.loss.sum() for one in mutual(leaves, labels, **options)).backward()  # type: ignore[arg-type, union-attr]
    return [z.grad for z in leaves]


def plain(p: Tensor) -> list[float]:
    return [float(v) for v in p]


def by_hand(
    method: str, logits: list[Tensor], labels: Tensor, me: int, chi: float, e_self: float, e_peer: float
) -> list:
    """A peer's loss, example by example, in Python's own numbers."""
    found = []
    for row in range(len(labels)):
        p = [plain(z[row].softmax(0)) for z in logits]
        y = [1.0 if k == labels[row] else 0.0 for k in range(C)]

        def mixed(e: float, q: list[float], y: list[float] = y) -> list[float]:
            return [(1 - e) * a + e * b for a, b in zip(y, q, strict=True)]

        def cross(a: list[float], q: list[float] = p[me]) -> float:
            return -sum(u * math.log(v) for u, v in zip(a, q, strict=True))

        def kl(a: list[float], q: list[float] = p[me]) -> float:
            return sum(u * math.log(u / v) for u, v in zip(a, q, strict=True))

        others = [q for j, q in enumerate(p) if j != me]
        open_to = [q for q in others if -sum(v * math.log(v) for v in q) < chi]
        if method == "independent":
            value = cross(y)
        elif method == "dml":
            value = cross(y) + sum(kl(q) for q in others) / len(others)
        elif method == "self-kd":
            value = cross(mixed(e_self, p[me]))
        elif method == "mkd":
            value = cross(mixed(e_self, p[me])) + sum(cross(mixed(e_peer, q)) for q in others) / len(others)
        else:
            value = cross(mixed(e_self, p[me]))
            value += sum(cross(mixed(e_peer, q)) for q in open_to) / len(open_to) if open_to else 0.0
        found.append(value)
    return found


@pytest.mark.parametrize("peers", [2, 3])
@pytest.mark.parametrize("method", FORMULAS)
def test_the_losses_by_hand(method: str, peers: int) -> None:
    logits, labels = batch(peers)
    found = mutual(logits, labels, method=method, chi=0.8, self_trust=0.2, peer_trust=0.7)
    for me, one in enumerate(found):
        expected = by_hand(method, logits, labels, me, 0.8, 0.2, 0.7)
        torch.testing.assert_close(one.loss, torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(one.loss, one.own + one.exchanged)
        assert one.loss.shape == one.own.shape == one.exchanged.shape == (B,)
        assert one.gates.shape == (B, peers - 1)
        assert one.gates.dtype == torch.bool


@pytest.mark.parametrize("peers", [2, 3])
@pytest.mark.parametrize("method", FORMULAS)
def test_the_gradients_by_hand(method: str, peers: int) -> None:
    """(Σa)·p - a for a target a of mass Σa, that of a shut gate 0; nothing comes through anybody's target."""
    logits, labels = batch(peers, seed=1)
    e_self, e_peer, chi = 0.3, 0.6, 0.8
    found = gradients(logits, labels, method=method, chi=chi, self_trust=e_self, peer_trust=e_peer)
    p, y = [z.softmax(1) for z in logits], F.one_hot(labels, C).double()
    h = [-(q * q.log()).sum(1) for q in p]
    for me, gradient in enumerate(found):
        others = [j for j in range(peers) if j != me]
        expected = p[me] - y
        if method in ("self-kd", "mkd", "cmd"):
            expected = p[me] - ((1 - e_self) * y + e_self * p[me])
        if method == "dml":
            expected = expected + sum(p[me] - p[j] for j in others) / len(others)
        elif method in ("mkd", "cmd"):
            gate = {j: (h[j] < chi).double()[:, None] if method == "cmd" else torch.ones(B, 1) for j in others}
            given = {j: p[me] - (1 - e_peer) * y - e_peer * p[j] for j in others}
            total = sum(gate.values())
            expected = expected + sum(gate[j] * given[j] for j in others) / total.clamp_min(1)  # type: ignore[union-attr]
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("peers", [2, 3])
def test_dml_is_mkd_that_trusts_the_peers_wholly_and_itself_not_at_all(peers: int) -> None:
    logits, labels = batch(peers)
    dml = gradients(logits, labels, method="dml")
    mkd = gradients(logits, labels, method="mkd", self_trust=0.0, peer_trust=1.0)
    for a, b in zip(dml, mkd, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("trusted", [None, 0.4])
@pytest.mark.parametrize("peers", [2, 3])
@pytest.mark.parametrize(
    ("chi", "same"), [(0.0, "self-kd"), (-1.0, "self-kd"), (math.log(C) + 1e-9, "mkd"), (math.inf, "mkd")]
)
def test_the_ends_of_chi_to_the_bit(chi: float, same: str, peers: int, trusted: float | None) -> None:
    logits, labels = batch(peers)
    logits = [z.float() for z in logits]  # the first row is uniform: its entropy rounds to either side of log C
    options = {"self_trust": trusted, "peer_trust": trusted, "growth": 0.8}
    for a, b in zip(
        mutual(logits, labels, method="cmd", chi=chi, **options),
        mutual(logits, labels, method=same, **options),
        strict=True,
    ):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    for x, y in zip(
        gradients(logits, labels, method="cmd", chi=chi, **options),
        gradients(logits, labels, method=same, **options),
        strict=True,
    ):
        assert torch.equal(x, y)


def test_the_gate_looks_at_the_peer() -> None:
    """A is certain, B is not: at χ between them B learns from A, and A learns from nobody."""
    a, b = torch.tensor([[9.0, 0, 0]]), torch.tensor([[0.1, 0, 0]])
    first, second = mutual([a, b], torch.tensor([1]), method="cmd", chi=0.5)
    assert (first.gates.tolist(), second.gates.tolist()) == ([[False]], [[True]])
    assert first.exchanged.item() == 0
    assert second.exchanged.item() > 0


def test_independent_is_cross_entropy() -> None:
    logits, labels = batch(2)
    for z, one in zip(logits, mutual(logits, labels, method="independent"), strict=True):
        assert torch.equal(one.loss, ce(z, labels))
        assert not one.gates.any()


def test_peers_that_agree_have_nothing_to_say() -> None:
    (z, _), labels = batch(2)
    for one in mutual([z, z], labels, method="dml"):
        torch.testing.assert_close(one.exchanged, torch.zeros(B, dtype=torch.float64), atol=1e-12, rtol=0)


def test_corrected_labels() -> None:
    z, labels = torch.tensor([[2.0, 0, -1], [0, 0, 0]], requires_grad=True), torch.tensor([0, 2])
    p = z.detach().softmax(1)
    y = F.one_hot(labels, 3).float()
    assert torch.equal(corrected(z, labels, 0.0), y)
    torch.testing.assert_close(corrected(z, labels, 1.0), p)
    torch.testing.assert_close(corrected(z, labels, 0.25), 0.75 * y + 0.25 * p)
    assert not corrected(z, labels, 0.5).requires_grad
    h = float(-(p[0] * p[0].log()).sum())
    e = 0.6 * (1 - h / math.log(3))
    torch.testing.assert_close(corrected(z, labels, None, 0.6)[0], (1 - e) * y[0] + e * p[0])
    assert torch.equal(corrected(z, labels, None, 0.6)[1], y[1]), "a uniform prediction is not trusted"


def test_trust_of_a_certain_and_of_a_uniform_prediction() -> None:
    certain, uniform = torch.tensor([[60.0, 0, 0, 0]]), torch.zeros(1, 4)
    assert trust(certain, 0.7).item() == pytest.approx(0.7)
    assert trust(uniform, 0.7).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_huge_and_tiny_logits_stay_finite(method: str, scale: float) -> None:
    logits, labels = batch(3)
    scaled = [z.float() * scale for z in logits]
    assert all(torch.isfinite(one.loss).all() for one in mutual(scaled, labels, method=method, chi=0.5))
    assert all(torch.isfinite(g).all() for g in gradients(scaled, labels, method=method, chi=0.5))


@pytest.mark.parametrize("steepness", [0.01, 10.0, 1000.0])
@pytest.mark.parametrize(("start", "end"), [(2.3, 0.4), (0.0, 1.7), (1.0, 1.0)])
@pytest.mark.parametrize("schedule", ["linear", "logistic"])
def test_progressive_thresholds(schedule: str, start: float, end: float, steepness: float) -> None:
    path = [threshold(schedule, t / 100, start=start, end=end, steepness=steepness) for t in range(101)]
    assert (path[0], path[-1]) == (start, end)
    steps = [(b - a) * (1 if end >= start else -1) for a, b in itertools.pairwise(path)]
    assert min(steps) >= -1e-12
    assert path[50] == pytest.approx((start + end) / 2)


def test_schedules_differ_where_they_should() -> None:
    values = {s: threshold(s, 0.25, start=2.0, end=0.0, steepness=10) for s in ("static", "linear", "logistic")}
    assert values["static"] == 0
    assert values["linear"] == pytest.approx(1.5)
    g = [1 / (1 + math.exp(-10 * (t - 0.5))) for t in (0, 0.25, 1)]
    assert values["logistic"] == pytest.approx(2 * (1 - (g[1] - g[0]) / (g[2] - g[0])))
    assert logistic(0.5, 7) == 0.5
    with pytest.raises(UsageError):
        threshold("cosine", 0.5, start=0, end=1, steepness=10)


def test_what_cannot_be_is_refused() -> None:
    logits, labels = batch(2)
    with pytest.raises(UsageError, match="2 or more"):
        mutual(logits[:1], labels)
    with pytest.raises(UsageError, match="--method"):
        mutual(logits, labels, method="cmd-p")

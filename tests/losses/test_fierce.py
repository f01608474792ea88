"""FIERCE's estimate: by hand, its bounds, that it tells collapsed from spread features, and the papers' presets."""

from __future__ import annotations

import math

import pytest
import torch

from fierce_tools import binding
from fierce_tools.errors import UsageError
from fierce_tools.losses import ce, fierce
from fierce_tools.losses.fierce import PRESETS, _assign, anchors, default_tau, feature_entropy, separation
from fierce_tools.menu import LOSSES

ASSIGNMENTS = ("soft", "gumbel-soft", "gumbel-hard")


def test_by_hand_with_two_anchors() -> None:
    """Features 0 and 1 on a line, anchors 0 and 1, squared distance, tau 1: q = σ(±1), mass ½ each: one bit."""
    f, a = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0]])
    assert feature_entropy(f, a, similarity="sqdist", tau=1.0) == pytest.approx(1.0)
    q = 1 / (1 + math.exp(-1))
    expected = -(q * math.log2(q) + (1 - q) * math.log2(1 - q))
    assert feature_entropy(f[:1], a, similarity="sqdist", tau=1.0) == pytest.approx(expected)
    dot = feature_entropy(torch.tensor([[1.0]]), torch.tensor([[1.0], [0.0]]), similarity="dot", tau=1.0)
    assert dot == pytest.approx(expected)
    cosine = feature_entropy(
        torch.tensor([[3.0, 0.0]]), torch.tensor([[5.0, 0.0], [0.0, 0.1]]), similarity="cosine", tau=1.0
    )
    assert cosine == pytest.approx(expected)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "sqdist"])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_between_nothing_and_log2_k(similarity: str, assignment: str) -> None:
    torch.manual_seed(0)
    for scale in (1e-3, 1.0, 1e3):
        h = feature_entropy(
            torch.randn(50, 6) * scale, anchors(6, num_anchors=12), similarity=similarity, assignment=assignment
        )
        assert 0 <= float(h) <= math.log2(12) + 1e-5


@pytest.mark.parametrize(
    ("batch", "k", "bits", "sd"),
    [
        (64, 100, 5.44, 0.10),
        (128, 100, 6.00, 0.07),
        (256, 100, 6.33, 0.04),
        (64, 10, 3.22, 0.05),
        (256, 10, 3.30, 0.01),
    ],
)
def test_the_hard_estimates_plug_in_expectation(batch: int, k: int, bits: float, sd: float) -> None:
    """Under uniform assignment, as with anchors that are all the same; ten draws against the measured mean."""
    torch.manual_seed(1)
    ones, codebook = torch.ones(batch, 3), anchors(3, num_anchors=k)[:, :1].expand(-1, k, -1)
    mean = (
        sum(
            float(feature_entropy(ones, codebook, similarity="dot", assignment="gumbel-hard", tau=1.0))
            for _ in range(10)
        )
        / 10
    )
    assert mean == pytest.approx(bits, abs=3 * sd / math.sqrt(10) + 0.01)


def test_hard_assignment_is_one_hot_and_its_gradient_finite() -> None:
    torch.manual_seed(0)
    f = torch.randn(20, 4, requires_grad=True)
    q = _assign(torch.randn(2, 20, 100), "gumbel-hard", 1.0)
    assert torch.equal(q.max(dim=-1).values.round(decimals=5), torch.ones(2, 20))
    torch.testing.assert_close(q.sum(dim=-1), torch.ones(2, 20))
    h = feature_entropy(f, anchors(4, num_anchors=100), assignment="gumbel-hard", similarity_scale=50.0, tau=1.0)
    h.backward()
    assert torch.isfinite(f.grad).all()
    assert f.grad.abs().sum() > 0


def test_several_codebooks_are_averaged() -> None:
    torch.manual_seed(0)
    f, books = torch.randn(30, 4), anchors(4, num_anchors=8, codebooks=3)
    each = [feature_entropy(f, book) for book in books]
    torch.testing.assert_close(feature_entropy(f, books), torch.stack(each).mean())


@pytest.mark.parametrize("width", [8, 64, 512, 4096])
def test_the_defaults_tell_collapsed_from_spread(width: int) -> None:
    torch.manual_seed(0)
    bits = separation(anchors(width), similarity="cosine", assignment="soft", tau=None)
    assert bits["all zero"] == 0
    assert bits["one point"] < bits["tight clusters"] < math.log2(10) + 1.5
    assert bits["spread"] - bits["tight clusters"] > 1


@pytest.mark.parametrize(("preset", "width"), [("age", 1), ("hyperspectral", 100), ("few-shot", 512)])
def test_the_presets_tell_collapsed_from_spread(preset: str, width: int) -> None:
    options = binding.read(LOSSES, "fierce").resolve({"preset": preset})
    torch.manual_seed(0)
    made = {k: options[k] for k in ("num_anchors", "anchor_distribution", "anchor_scale", "codebooks")}
    how = {k: options[k] for k in ("similarity", "assignment", "tau", "similarity_scale")}
    bits = separation(anchors(width, **made), **how)
    spread = bits.pop("spread")
    assert list(bits) == ["all zero", "one point", "tight clusters"]
    assert spread - max(bits.values()) > 0.5


def test_the_papers_own_few_shot_estimate_cannot_tell() -> None:
    """Cosine in [-1, 1] at tau 1 with K = 100: the published defect, which is warned of and not offered by default."""
    torch.manual_seed(0)
    book = anchors(512, anchor_distribution="symmetric", anchor_scale=0.01)
    for assignment in ASSIGNMENTS:
        bits = separation(book, similarity="cosine", assignment=assignment, tau=1.0)
        assert abs(bits["spread"] - bits["tight clusters"]) < 0.1
        assert abs(bits["spread"] - bits["one point"]) < 0.1


def test_separation_leaves_the_random_generator_alone() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    separation(
        anchors(4, generator=torch.Generator().manual_seed(0)), similarity="dot", assignment="gumbel-hard", tau=1.0
    )
    assert torch.equal(torch.get_rng_state(), state)


def test_mixing() -> None:
    torch.manual_seed(0)
    z, y, f, a = torch.randn(8, 3), torch.randint(3, (8,)), torch.randn(8, 4), anchors(4, num_anchors=16)
    bits = feature_entropy(f, a)
    torch.testing.assert_close(fierce(z, y, f, a, lam=0.5), ce(z, y) - 0.5 * bits)
    torch.testing.assert_close(fierce(z, y, f, a, lam=0.2, mixing="convex"), (ce(z, y) + 0.2 * (4 - bits)) / 1.2)
    torch.testing.assert_close(fierce(z, y, f, a, lam=0.0), ce(z, y))


def test_the_gradient_spreads_features() -> None:
    """Following the gradient of -Ĥ alone drives collapsed features apart."""
    torch.manual_seed(0)
    f = (torch.ones(64, 16) + 0.01 * torch.randn(64, 16)).requires_grad_()
    book = anchors(16)
    before = float(feature_entropy(f, book).detach())
    optimizer = torch.optim.Adam([f], 0.05)
    for _ in range(100):
        optimizer.zero_grad()
        (-feature_entropy(f, book)).backward()
        optimizer.step()
    assert float(feature_entropy(f, book).detach()) > before + 2


def test_anchors() -> None:
    line = anchors(1, num_anchors=5, anchor_distribution="linspace")
    assert line.flatten().tolist() == [1, 2, 3, 4, 5]
    uniform = anchors(50, anchor_distribution="uniform", anchor_scale=2.0)
    assert uniform.shape == (1, 100, 50)
    assert 0 <= uniform.min() < 0.1
    assert 1.9 < uniform.max() <= 2
    symmetric = anchors(50, anchor_distribution="symmetric", anchor_scale=0.01)
    assert symmetric.min() < -0.009
    assert symmetric.max() < 0.01
    assert anchors(50, anchor_scale=3.0).std() == pytest.approx(3.0, rel=0.05)
    g = torch.Generator
    torch.testing.assert_close(anchors(3, generator=g().manual_seed(1)), anchors(3, generator=g().manual_seed(1)))
    assert not anchors(3).requires_grad


def test_default_tau() -> None:
    assert default_tau("cosine", 64) == pytest.approx(0.02)
    assert default_tau("dot", 64) == 1.0


def test_what_does_not_fit_is_refused() -> None:
    z, y, f = torch.randn(4, 3), torch.randint(3, (4,)), torch.randn(4, 5)
    for options in (
        {"lam": -1.0},
        {"tau": 0.0},
        {"similarity_scale": -1.0},
        {"similarity": "l2"},
        {"assignment": "hard"},
    ):
        with pytest.raises(UsageError):
            fierce(z, y, f, anchors(5), **options)
    with pytest.raises(UsageError, match="width 5, anchors 6"):
        fierce(z, y, f, anchors(6))
    for options in ({"num_anchors": 1}, {"codebooks": 0}, {"anchor_scale": 0.0}, {"anchor_distribution": "linspace"}):
        with pytest.raises(UsageError):
            anchors(5, **options)
    assert set(PRESETS) == {"age", "hyperspectral", "few-shot"}


def test_half_precision_features_are_measured_in_full() -> None:
    torch.manual_seed(0)
    f, book = torch.randn(64, 32), anchors(32)
    exact = feature_entropy(f, book)
    with torch.autocast("cpu", torch.bfloat16):
        assert feature_entropy(f.bfloat16(), book).dtype == torch.float32
        assert feature_entropy(f, book) == pytest.approx(float(exact), abs=1e-5)

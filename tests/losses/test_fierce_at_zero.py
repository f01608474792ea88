"""Features of norm 0 are worth nothing to FIERCE's estimate, can leave, and change nothing for those that are not."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from fierce_tools.losses import fierce
from fierce_tools.losses.fierce import anchors, feature_entropy, separation

ASSIGNMENTS = ("soft", "gumbel-soft", "gumbel-hard")
ZEROS_AMONG = torch.cat([torch.zeros(3, 16), torch.randn(61, 16, generator=torch.Generator().manual_seed(0))])


def book(width: int = 16, seed: int = 0) -> torch.Tensor:
    return anchors(width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_all_zero_has_no_bits_and_a_finite_gradient(similarity: str, assignment: str) -> None:
    f = torch.zeros(64, 16, requires_grad=True)
    bits = feature_entropy(f, book(), similarity=similarity, assignment=assignment)
    bits.backward()
    assert float(bits.detach()) == 0
    assert torch.isfinite(f.grad).all()


def test_its_mass_is_on_the_first_anchor_by_hand() -> None:
    """A zero vector and one on the second of two opposite anchors: half the mass each, one bit."""
    line = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    at_zero = torch.zeros(1, 2)
    for similarity in ("cosine", "dot"):
        how = {"similarity": similarity, "tau": 0.01}
        assert feature_entropy(torch.cat([at_zero, line[1:]]), line, **how) == pytest.approx(1.0)
        assert feature_entropy(torch.cat([at_zero, line[:1]]), line, **how) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("width", [32, 64, 512])
@pytest.mark.parametrize("similarity", ["cosine", "dot", "sqdist"])
def test_one_point_is_worth_little_by_default(similarity: str, width: int) -> None:
    torch.manual_seed(width)
    points = torch.randn(20, 1, width).expand(-1, 8, -1)
    bits = [float(feature_entropy(p, book(width, seed), similarity=similarity)) for seed, p in enumerate(points)]
    assert sum(bits) / len(bits) < 2
    assert float(feature_entropy(torch.zeros(8, width), book(width), similarity=similarity)) < 2


def test_a_dead_batch_leaves_zero() -> None:
    """By the estimate alone: at zero there is a direction, and the further steps are those of a point."""
    f = torch.zeros(32, 16, requires_grad=True)
    feature_entropy(f, book()).backward()
    assert 0.01 < float(f.grad.norm()) < 100
    with torch.no_grad():
        moved = f + 1e-3 * f.grad
    assert float(feature_entropy(moved, book())) > 0
    # Apart from a live batch, a zero vector goes to anchors that have less mass than the others.
    f = ZEROS_AMONG.clone().requires_grad_()
    before = feature_entropy(f, book())
    before.backward()
    with torch.no_grad():
        leaving = torch.cat([f[:3] + 1e-3 * F.normalize(f.grad[:3], dim=1), f[3:]])
    assert float(feature_entropy(leaving, book())) > float(before.detach())


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_zero_rows_do_not_disturb_the_gradient_of_others(similarity: str) -> None:
    """The same batch with anchor 0 itself in their place has the same mass: the others' gradient is the same."""
    codebook = book()
    # As hard as a zero vector's: tau so small that the first anchor's own assignment is 1.
    how = {"similarity": similarity, "tau": 1e-3}
    grads = []
    for first in (torch.zeros(3, 16), codebook[0, :1].expand(3, -1)):
        f = torch.cat([first, ZEROS_AMONG[3:]]).requires_grad_()
        feature_entropy(f, codebook, **how).backward()
        grads.append(f.grad[3:])
    torch.testing.assert_close(*grads)


def test_half_precision_and_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        half = torch.zeros(8, 16, dtype=torch.bfloat16, requires_grad=True)
        bits = feature_entropy(half, book())
        bits.backward()
    assert float(bits.detach()) == 0
    assert torch.isfinite(half.grad).all()


def gradient(function: Callable[..., torch.Tensor]) -> torch.Tensor:
    f = ZEROS_AMONG.clone().requires_grad_()
    function(f, book()).backward()
    return f.grad


def test_of_several_batches_at_once() -> None:
    codebook, batches = book(), torch.stack([ZEROS_AMONG, 0 * ZEROS_AMONG])
    grads = torch.func.vmap(torch.func.grad(lambda f: feature_entropy(f, codebook)))(batches)
    torch.testing.assert_close(grads[0], gradient(feature_entropy))
    assert torch.isfinite(grads[1]).all()
    assert grads[1].any()


@pytest.mark.slow
def test_compiled_as_one_graph() -> None:
    compiled = torch.compile(feature_entropy, fullgraph=True, backend="aot_eager")  # needs no compiler
    torch.testing.assert_close(gradient(compiled), gradient(feature_entropy))


@pytest.mark.parametrize("similarity", ["cosine", "dot", "sqdist"])
@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_without_zero_rows_nothing_changes_to_the_bit(similarity: str, assignment: str) -> None:
    """Held against the formula written out in torch's own words."""
    codebook = book()
    values, grads = [], []
    for mine in (True, False):
        torch.manual_seed(1)
        f = ZEROS_AMONG[3:].clone().requires_grad_()
        if mine:
            h = feature_entropy(f, codebook, similarity=similarity, assignment=assignment, tau=0.5)
        else:
            if similarity == "cosine":
                s = F.normalize(f, dim=-1) @ F.normalize(codebook, dim=-1).transpose(1, 2)
            elif similarity == "dot":
                s = f @ codebook.transpose(1, 2)
            else:
                s = -torch.cdist(f, codebook, compute_mode="donot_use_mm_for_euclid_dist").square()
            if assignment == "soft":
                q = (1.0 * s / 0.5).softmax(dim=-1)
            else:
                q = F.gumbel_softmax(1.0 * s, tau=0.5, hard=assignment == "gumbel-hard", dim=-1)
            p = q.mean(dim=1)
            h = -(p * p.clamp_min(1e-12).log2()).sum(dim=-1).mean()
        h.backward()
        values.append(h.detach())
        grads.append(f.grad)
    assert torch.equal(*values)
    assert torch.equal(*grads)


def test_the_loss_of_dead_features_is_the_cross_entropy() -> None:
    z, y = torch.randn(8, 3), torch.arange(8) % 3
    dead = torch.zeros(8, 16)
    torch.testing.assert_close(fierce(z, y, dead, book(), lam=5.0), F.cross_entropy(z, y, reduction="none"))
    convex = fierce(z, y, dead, book(), lam=0.5, mixing="convex")
    expected = (F.cross_entropy(z, y, reduction="none") + 0.5 * math.log2(100)) / 1.5
    torch.testing.assert_close(convex, expected)


def test_separation_tries_every_kind_of_collapse() -> None:
    bits = separation(book(64), similarity="cosine", assignment="soft", tau=None)
    assert list(bits) == ["all zero", "one point", "tight clusters", "spread"]
    assert bits["all zero"] == 0 < bits["one point"] < bits["tight clusters"] < bits["spread"] - 1
    # By squared distance on a narrow line every point is spread over all anchors, 0 too.
    line = anchors(1, anchor_scale=0.01, generator=torch.Generator().manual_seed(0))
    bits = separation(line, similarity="sqdist", assignment="soft", tau=1.0)
    assert min(bits.values()) > 6.6

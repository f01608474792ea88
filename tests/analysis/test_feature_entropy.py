"""One yardstick for the spread of features: it tells collapsed from spread, and is the loss's own estimate."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.analysis import feature_entropy
from fierce_tools.analysis.feature_entropy import bits_of, codebook_bits, line_bits
from fierce_tools.errors import DataError, UsageError

RNG = np.random.default_rng(0)


def clusters(points, width, *, count=3000, tight=1e-3, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((points, width))
    return (centres[rng.integers(points, size=count)] + tight * rng.standard_normal((count, width))).astype(np.float32)


def bits(features, **options):
    return feature_entropy(features, features, **options).bits


# In few dimensions an anchor's cone is wide, and so two points hold more.
@pytest.mark.parametrize(("width", "most"), [(1, 2.7), (2, 5.8), (3, 5.0), (8, 3.0), (64, 2.7), (512, 2.7)])
def test_collapsed_features_are_told_from_spread_ones(width, most):
    spread = bits(RNG.standard_normal((3000, width)).astype(np.float32))
    two, ten = (np.mean([bits(clusters(n, width, seed=s)) for s in range(5)]) for n in (2, 10))
    assert two < most
    assert two + 0.5 < ten < spread - 0.15
    assert spread > np.log2(100) - 0.5


@pytest.mark.parametrize("width", [1, 16])
def test_one_point_holds_next_to_nothing_whatever_the_training_features(width):
    train = RNG.standard_normal((500, width)).astype(np.float32)
    found = [feature_entropy(np.repeat(train[i : i + 1], 50, axis=0), train).bits for i in range(60)]
    assert np.mean(found) < 1.7
    assert max(found) < 3.5


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from([1e-3, 1.0, 1e3]), st.floats(-5, 5))
def test_scale_and_place_do_not_matter(seed, width, scale, shift):
    features = np.random.default_rng(seed).standard_normal((200, width))
    moved = scale * (features + shift)
    assert bits(moved) == pytest.approx(bits(features), abs=1e-3)


def test_each_dimensions_own_scale_does_not_matter():
    features = RNG.standard_normal((500, 6))
    assert bits(features * np.array([1, 10, 100, 1e3, 0.1, 0.01])) == pytest.approx(bits(features), abs=1e-3)


def test_standardising_is_by_training():
    train = RNG.standard_normal((500, 8))
    shifted = feature_entropy(train + 100, train)
    assert shifted.bits < bits(train) - 2


@pytest.mark.parametrize("width", [2, 30])
def test_it_is_the_losss_own_estimate_on_the_same_codebook(width):
    import torch

    from fierce_tools.losses.fierce import default_tau
    from fierce_tools.losses.fierce import feature_entropy as of_the_loss

    features = RNG.standard_normal((700, width)).astype(np.float32)
    anchors = RNG.standard_normal((2, 40, width)).astype(np.float32)
    for tau in (0.3, default_tau("cosine", width)):
        theirs = of_the_loss(torch.from_numpy(features), torch.from_numpy(anchors[0]), tau=tau)
        assert codebook_bits(features, anchors[0], tau) == pytest.approx(float(theirs), abs=1e-4)
    both = float(of_the_loss(torch.from_numpy(features), torch.from_numpy(anchors)))
    assert feature_entropy(features, features, anchors).own_anchor_bits == pytest.approx(both, abs=1e-4)
    # The evaluation codebook, written out.
    drawn = np.random.default_rng(0).standard_normal((100, width)).astype(np.float32)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    theirs = of_the_loss(torch.from_numpy(standard), torch.from_numpy(drawn))
    assert bits(features) == pytest.approx(float(theirs), abs=1e-4)


def test_in_one_dimension_it_is_the_losss_estimate_by_squared_distance():
    import torch

    from fierce_tools.losses.fierce import feature_entropy as of_the_loss

    features = RNG.uniform(1, 50, size=(400, 1)).astype(np.float32)
    anchors = np.arange(1, 51, dtype=np.float32)[:, None]
    theirs = float(of_the_loss(torch.from_numpy(features), torch.from_numpy(anchors), similarity="sqdist"))
    assert line_bits(features, anchors, np.sqrt(0.5)) == pytest.approx(theirs, abs=1e-4)
    assert feature_entropy(features, features, anchors[None]).own_anchor_bits == pytest.approx(theirs, abs=1e-4)


def test_histogram_of_one_dimension_by_hand():
    # Training spans 0 to 100: bins of width 1. Half at .5, a quarter at 7.2, the rest beyond the ends.
    train = np.array([[0.0], [100.0]])
    features = np.array([[0.5]] * 4 + [[7.2]] * 2 + [[-9.0]] + [[120.0]])
    # Bins 0 (with what lies below), 7 and 99: 5/8, 2/8, 1/8.
    expected = -(5 / 8 * np.log2(5 / 8) + 2 / 8 * np.log2(2 / 8) + 1 / 8 * np.log2(1 / 8))
    result = feature_entropy(features, train)
    assert result.histogram_bits == pytest.approx(expected)
    every = np.arange(100)[:, None] + 0.5
    assert feature_entropy(every, train).histogram_bits == pytest.approx(np.log2(100))
    assert feature_entropy(np.ones((5, 1)), np.ones((5, 1))).histogram_bits == 0
    assert feature_entropy(RNG.standard_normal((9, 2)), RNG.standard_normal((9, 2))).histogram_bits is None


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(2, 30), st.sampled_from([1e-30, 1.0, 1e4]))
def test_bits_lie_between_none_and_all(count, width, codebook, scale):
    features = scale * np.random.default_rng(count).standard_normal((count, width))
    result = feature_entropy(features, features, codebook=codebook)
    assert 0 <= result.bits <= np.log2(codebook) + 1e-9
    assert result.most_bits == pytest.approx(np.log2(codebook))
    json.dumps(asdict(result))


def test_bits_by_hand():
    assert bits_of(np.array([0.5, 0.25, 0.25, 0.0])) == pytest.approx(1.5)
    assert bits_of(np.array([1.0])) == 0
    # Two opposite features, two opposite anchors, a sharp assignment: one bit.
    assert codebook_bits(np.array([[2.0, 0], [-3, 0]]), np.array([[1.0, 0], [-1, 0]]), 0.01) == pytest.approx(1)


def test_seed_and_codebook_are_options_and_several_codebooks_average():
    features = RNG.standard_normal((300, 6)).astype(np.float32)
    assert bits(features, codebook_seed=1) != bits(features)
    assert bits(features, codebook=10) < np.log2(10) < bits(features)
    books = RNG.standard_normal((3, 20, 6)).astype(np.float32)
    each = [feature_entropy(features, features, b).own_anchor_bits for b in books]
    assert feature_entropy(features, features, books).own_anchor_bits == pytest.approx(np.mean(each))


def test_report_names_each_yardstick():
    features = RNG.standard_normal((50, 1))
    (block,) = feature_entropy(features, features, features[None, :9]).report().blocks
    assert list(block.values) == [
        "feature entropy",
        "of at most",
        "features",
        "with its own anchors",
        "100-bin histogram",
    ]
    assert block.units["100-bin histogram"] == "bits"


def test_what_does_not_fit_is_refused():
    features = RNG.standard_normal((20, 3))
    spoilt = features.copy()
    spoilt[4, 1] = np.nan
    with pytest.raises(DataError, match=r"features\[4, 1\] is nan"):
        feature_entropy(spoilt, features)
    with pytest.raises(DataError, match=r"train_features\[4, 1\] is nan"):
        feature_entropy(features, spoilt)
    with pytest.raises(DataError, match="width 2, train_features 3"):
        feature_entropy(features[:, :2], features)
    with pytest.raises(DataError, match=r"anchors have shape \[5, 4\], expected \[M, K, 3\]"):
        feature_entropy(features, features, np.zeros((5, 4)))
    for options in ({"codebook": 1}, {"temperature": 0.0}, {"temperature": np.nan}, {"codebook_seed": -1}):
        with pytest.raises(UsageError):
            feature_entropy(features, features, **options)

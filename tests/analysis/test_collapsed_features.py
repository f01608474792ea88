"""Features that are a point, a constant or all zero: 0 bits, chance, no clusters, and a note; never a figure alone."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from fierce_tools.analysis import (
    abundance_regression,
    coarse_regression,
    feature_entropy,
    few_shot,
    linear_probe,
    projection,
    smoothness,
    stability,
)
from fierce_tools.analysis._features import all_the_same, constant, moments, variation
from fierce_tools.analysis.feature_entropy import codebook_bits
from fierce_tools.report import combine

RNG = np.random.default_rng(0)
ROWS, WIDTH = 120, 12
LABELS = np.arange(ROWS) % 6
LIVE = RNG.standard_normal((ROWS, WIDTH)).astype(np.float32)
BOOKS = RNG.standard_normal((2, 30, WIDTH)).astype(np.float32)
HEAD = RNG.standard_normal((6, WIDTH)).astype(np.float32), RNG.standard_normal(6).astype(np.float32)
SAME = {
    "zero": np.zeros((ROWS, WIDTH), np.float32),
    "one point": np.repeat(LIVE[:1], ROWS, axis=0),
    "half precision": np.full((ROWS, WIDTH), 0.3, np.float16),
    "rounding": (LIVE[:1] + 1e-7 * np.abs(LIVE[:1]) * LIVE).astype(np.float32),
    "far from zero": (1e6 + 0.2 * LIVE).astype(np.float32),
}  # fmt: skip
NOTE = "120 feature vectors are the same up to rounding"


@pytest.fixture(params=SAME, ids=str)
def same(request):
    return SAME[request.param]


def noted(result):
    """The notes of a report that speak of rows that are all the same."""
    json.dumps(asdict(result), default=np.ndarray.tolist, allow_nan=False)
    return [note for note in result.report().notes if "are the same" in note]


@pytest.mark.parametrize("train", ["the same", "live"])
def test_they_have_no_bits_by_any_yardstick(same, train):
    found = feature_entropy(same, same if train == "the same" else LIVE, BOOKS)
    assert (found.bits, found.own_anchor_bits, found.constant) == (0, 0, True)
    assert [NOTE in note for note in noted(found)] == [True]
    line = feature_entropy(same[:, :1], same[:, :1] if train == "the same" else LIVE[:, :1], BOOKS[0, :, :1])
    assert (line.bits, line.own_anchor_bits, line.histogram_bits) == (0, 0, 0)


def test_live_features_are_not_called_constant():
    assert not noted(feature_entropy(LIVE, LIVE, BOOKS))
    for scale, place in ((1e-30, 0), (1e3, 0), (1e-3, 1), (1, 1e4)):
        moved = scale * LIVE.astype(np.float64) + place
        assert not all_the_same(moved), (scale, place)
        assert feature_entropy(moved, moved).bits == pytest.approx(feature_entropy(LIVE, LIVE).bits, abs=1e-3)
    alone = feature_entropy(LIVE[:1], LIVE)
    assert (alone.constant, alone.bits > 0) == (False, True), "one example is no sign of a dead network"
    one_differs = SAME["zero"].copy()
    one_differs[-1, 3] = 1e-6
    assert not all_the_same(one_differs)


def test_a_zero_vector_puts_its_mass_on_the_first_anchor_by_hand():
    """Half the rows at zero, half on the second of two opposite anchors: one bit; all on the first: none."""
    anchors = np.array([[1.0, 0], [-1, 0]])
    assert codebook_bits(np.array([[0.0, 0], [-3, 0]]), anchors, 0.01) == pytest.approx(1)
    assert codebook_bits(np.array([[0.0, 0], [3, 0]]), anchors, 0.01) == pytest.approx(0, abs=1e-9)
    assert codebook_bits(np.zeros((5, 2)), anchors, 0.01) == 0


@pytest.mark.parametrize("scale", [1e-40, 1e-25, 1e-13, 1e25])
def test_a_direction_is_one_at_any_length(scale):
    """Squares that float32 cannot hold are no zeros and no infinities: the bits are those of unit scale."""
    tiny = (LIVE[:, :4] * np.float64(scale)).astype(np.float32)
    rounded = (tiny / np.float64(scale)).astype(np.float32)
    assert codebook_bits(tiny, BOOKS[0, :, :4], 0.1) == pytest.approx(
        codebook_bits(rounded, BOOKS[0, :, :4], 0.1), abs=1e-5
    )
    assert not feature_entropy(tiny, tiny).constant


def test_own_anchors_are_the_losss_estimate_with_zero_vectors_among():
    import torch

    from fierce_tools.losses.fierce import feature_entropy as of_the_loss

    some = LIVE.copy()
    some[::4] = 0
    theirs = float(of_the_loss(torch.from_numpy(some), torch.from_numpy(BOOKS)))
    assert feature_entropy(some, LIVE, BOOKS).own_anchor_bits == pytest.approx(theirs, abs=1e-4)


def test_dead_features_among_live_ones_contribute_nothing():
    """Whatever they are constant at, and however large its rounding: the bits are those with exact zeros there."""
    zeros = LIVE.copy()
    zeros[:, [2, 7, 8]] = 0
    expected = feature_entropy(zeros, zeros)
    assert expected.report().notes == ("3 of 12 features are constant on training and contribute nothing.",)
    for place, rounding in ((3.0, 1e-7), (1e6, 1e-3), (1e6, 0.2), (-1e9, 100.0)):
        dead = LIVE.astype(np.float64)
        dead[:, [2, 7, 8]] = place + rounding * LIVE[:, [2, 7, 8]]
        found = feature_entropy(dead.astype(np.float32), dead.astype(np.float32))
        assert found.bits == pytest.approx(expected.bits, abs=1e-6)
        assert found.report().notes == expected.report().notes


def test_features_constant_on_training_alone_are_centred_and_told():
    train = LIVE.copy()
    train[:, [2, 7]] = 5
    here = LIVE.copy()
    here[:, 2] = 5
    found = feature_entropy(here, train)
    assert (found.constant_features, found.varying_features) == (2, 1)
    assert "1 of them vary or differ here, and are centred and not scaled" in found.report().notes[0]
    # By hand: the dead one is 0, the other less its constant.
    standard = (here - train.mean(axis=0, dtype=np.float64)) / np.where(
        np.isin(np.arange(WIDTH), [2, 7]), 1, train.std(axis=0, dtype=np.float64)
    )
    drawn = np.random.default_rng(0).standard_normal((100, WIDTH)).astype(np.float32)
    assert found.bits == pytest.approx(codebook_bits(standard, drawn, 0.16 / np.sqrt(WIDTH)), abs=1e-5)
    line = feature_entropy(LIVE[:, :1], np.full((9, 1), 5.0))
    assert line.histogram_bits is None
    assert "No histogram: the training features have no range." in line.report().notes


@pytest.mark.parametrize("similarity", ["euclidean", "cosine"])
@pytest.mark.parametrize("centre", [True, False])
def test_few_shot_is_chance_and_says_so(same, similarity, centre):
    found = few_shot(same, LABELS, LIVE, ways=4, shots=(1, 2), draws=20, similarity=similarity, centre=centre)
    assert found.accuracy == pytest.approx((0.25, 0.25), abs=1e-12)
    assert [NOTE in note and "0.25 is chance" in note for note in noted(found)] == [True]


def test_zero_vectors_among_others_have_no_cosine_and_few_shot_says_how_many():
    some = LIVE.copy()
    some[:30] = 0
    options = {"ways": 3, "shots": (1,), "draws": 20}
    notes = few_shot(some, LABELS, similarity="cosine", **options).report().notes
    assert "30 of 120 feature vectors are zero: their cosine is taken as 0." in notes
    assert not any("are zero" in n for n in few_shot(some, LABELS, **options).report().notes)
    assert not noted(few_shot(some, LABELS, **options))


def test_the_probe_names_the_commonest_class_and_says_so(same):
    labels = np.where(np.arange(ROWS) < 50, 2, LABELS)
    found = linear_probe(same, labels, same, labels, same, labels, neighbors=(1, 5))
    assert found.accuracy == pytest.approx((labels == 2).mean())
    assert found.train_constant
    assert [NOTE.replace("vectors", "vectors of training") in note for note in noted(found)] == [True]
    here_alone = linear_probe(same, labels, LIVE, labels, LIVE, labels, neighbors=(1,), strengths=(1,))
    assert (here_alone.constant, here_alone.train_constant) == (True, False)
    assert [NOTE in note for note in noted(here_alone)] == [True]


def test_more_features_than_the_probe_factors():
    wide = np.ones((20, 4200), np.float32)
    found = linear_probe(wide, LABELS[:20], wide, LABELS[:20], wide, LABELS[:20], strengths=(1,), neighbors=(1,))
    assert found.accuracy == pytest.approx(4 / 20)
    assert noted(found)


def test_there_are_no_clusters_to_measure(same):
    found = projection(same, LABELS, *HEAD, same, LABELS)
    assert found.plane_ratio is found.train_plane_ratio is None
    assert set(asdict(found.collapse).values()) == set(asdict(found.train_collapse).values()) == {None}
    assert len(noted(found)) == 2
    live = projection(LIVE, LABELS, *HEAD, same, LABELS)
    assert live.collapse.ratio > 1
    assert (live.constant, live.train_constant, len(noted(live))) == (False, True, 1)


def test_soft_labels_that_are_all_the_same_are_told(same):
    logits = same.astype(np.float32) @ HEAD[0].T + HEAD[1]
    steady, smooth = stability(logits, LABELS), smoothness(logits, LABELS)
    assert steady.stability == pytest.approx(1)
    for found in (steady, smooth):
        assert [f"All {ROWS} soft labels are the same" in note for note in noted(found)] == [True]
    for found in (stability(LIVE[:, :6], LABELS), smoothness(LIVE[:, :6], LABELS)):
        assert not noted(found)
        assert found.constant is False


def test_regressions_on_them_are_told(same):
    targets, mixtures = LABELS.astype(float), np.eye(6)[LABELS]
    logits = LIVE[:, :6]
    for features, train in ((same, same), (same, LIVE), (LIVE, same), (LIVE, LIVE)):
        dead = features is not LIVE or train is not LIVE
        ranks = coarse_regression(features, targets, train, targets, bootstrap=0)
        abundance = abundance_regression(logits, mixtures, features, train, mixtures, steps=2, starts=1)
        for found in (ranks, abundance):
            assert (found.constant, len(noted(found))) == (dead, int(dead))


def test_the_note_says_of_which_source_it_is():
    dead, live = (feature_entropy(f, f).report() for f in (SAME["zero"], LIVE))
    assert [n.partition(":")[0] for n in combine({"dead": dead, "live": live}).notes] == ["dead"]
    assert combine({"dead": dead, "gone": dead}).notes == dead.notes


def test_moments_of_constants_are_as_they_were():
    mean, deviation = moments(np.column_stack([LIVE[:, 0], np.full(ROWS, 7.0)]))
    assert deviation[1] == 1
    assert mean[1] == 7
    assert constant(*variation(np.column_stack([LIVE[:, 0], np.full(ROWS, 7.0)]))).tolist() == [False, True]


@pytest.mark.parametrize(("offset", "dtype"), [(1e7, np.float64), (1.7e9, np.float64), (1e7, np.float32)])
def test_what_varies_about_a_large_offset_is_not_dead(offset: float, dtype: type) -> None:
    """Five classes apart by several deviations: seen by the probe, the neighbours and the entropy as without an offset."""
    rng = np.random.default_rng(0)
    centres = 6 * rng.normal(size=(5, 6))
    train, val, test = (np.arange(n) % 5 for n in (200, 50, 100))
    x = [(centres[y] + rng.normal(size=(len(y), 6)) + offset).astype(dtype) for y in (train, val, test)]
    found = linear_probe(x[2], test, x[0], train, x[1], val, strengths=(1.0,), neighbors=(5,))
    assert (found.constant, found.train_constant) == (False, False)
    assert found.accuracy > 0.9
    spread = feature_entropy(x[2], x[0])
    assert not spread.constant
    assert spread.bits > 3


def test_half_precision_that_flickers_is_dead() -> None:
    rng = np.random.default_rng(0)
    point = rng.normal(size=64) + 3
    flicker = (point * (1 + 1e-3 * rng.integers(-1, 2, (300, 64)))).astype(np.float16)
    assert len(np.unique(flicker[:, 0])) > 1
    assert feature_entropy(flicker, flicker).bits == 0

"""Rank matching against POT, by hand, and where file order or test labels could have leaked."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.analysis import coarse_regression
from fierce_tools.analysis._transport import first_direction, transport_map, transported
from fierce_tools.analysis.coarse_regression import best_weight
from fierce_tools.errors import DataError, UsageError

RNG = np.random.default_rng(0)


def arrays(seed=0, width=1, noise=0.3, count=120):
    """A target that the feature follows, in two coarse classes at its median; logits that mistake some."""
    rng = np.random.default_rng(seed)
    out = {}
    for prefix, size in (("", count), ("train_", 300), ("val_", 80)):
        targets = rng.uniform(0, 10, size)
        features = rng.standard_normal((size, width)) * noise
        features[:, 0] -= targets
        labels = (targets > 5).astype(np.int64)
        guess = np.where(rng.random(size) < 0.9, labels, 1 - labels)
        out |= {f"{prefix}targets": targets, f"{prefix}features": features.astype(np.float32)}
        out |= {f"{prefix}labels": labels, f"{prefix}logits": np.eye(2, dtype=np.float32)[guess]}
    del out["train_logits"], out["val_labels"]
    return out


def bare(data):
    return {k: v for k, v in data.items() if k in ("features", "targets", "train_features", "train_targets")}


def estimate(result, name):
    return next(e for e in result.estimates if e.name == name)


def test_by_hand():
    features, targets = np.array([[3.0], [1.0], [2.0]]), np.array([10.0, 30.0, 80.0])
    # The order 2, 3, 1 gets 10, 30, 80: the estimates are 80, 10, 30, the errors 70, 20, 50.
    result = coarse_regression(features, targets, np.array([[0.0], [1.0]]), np.array([0.0, 1.0]), bootstrap=0)
    assert estimate(result, "rank matching").mse == pytest.approx((70**2 + 20**2 + 50**2) / 3)
    assert estimate(result, "rank matching").rmse == pytest.approx(np.sqrt(2600))
    assert estimate(result, "rank matching").low is None
    assert estimate(result, "one mean for all").mse == pytest.approx((9.5**2 + 29.5**2 + 79.5**2) / 3)
    assert (result.direction, result.tied, result.weight) == (1, 0, None)
    # Training that falls turns the order round: 1 gets 80, 2 gets 30, 3 gets 10; the errors are 0, 50, 50.
    result = coarse_regression(features, targets, np.array([[0.0], [1.0]]), np.array([1.0, 0.0]))
    assert estimate(result, "rank matching").mse == pytest.approx((0 + 50**2 + 50**2) / 3)
    assert result.direction == -1


@pytest.fixture
def ot(monkeypatch):
    """POT without torch, whose import takes longer than the tests."""
    for name in ("PYTORCH", "TENSORFLOW", "JAX", "CUPY"):
        monkeypatch.setenv(f"POT_BACKEND_DISABLE_{name}", "1")
    import ot

    return ot


def test_transport_is_pots(ot):
    rng = np.random.default_rng(1)
    values, targets = rng.standard_normal(50), rng.gamma(2, size=50)
    plan = ot.emd_1d(values, targets)
    np.testing.assert_allclose(transported(values, targets, RNG), 50 * plan @ targets, rtol=1e-9)
    np.testing.assert_allclose(transport_map(values, targets, values), 50 * plan @ targets, rtol=1e-9)


def test_transport_map_by_hand():
    # 1, 2, 2, 5 get 10, 20, 40, 100; the two 2s share 30.
    at = np.array([0.0, 1, 1.5, 2, 3, 5, 9])
    got = transport_map(np.array([2.0, 5, 1, 2]), np.array([40.0, 10, 100, 20]), at)
    np.testing.assert_allclose(got, [10, 10, 20, 30, 30 + 70 / 3, 100, 100])
    np.testing.assert_allclose(transport_map(np.ones(3), np.array([1.0, 2, 6]), at), 3)


def test_error_on_the_split_is_pots(ot):
    data = arrays()
    result = coarse_regression(**bare(data))
    plan = ot.emd_1d(-data["features"][:, 0].astype(np.float64), data["targets"])
    expected = np.square(len(plan) * plan @ data["targets"] - data["targets"]).mean()
    assert result.direction == -1
    assert estimate(result, "rank matching").mse == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10**6))
def test_transport_keeps_order_and_the_set_of_targets(count, seed):
    rng = np.random.default_rng(seed)
    values, targets = rng.integers(0, 5, count).astype(float), rng.normal(50, 10, count)
    got = transported(values, targets, rng)
    assert (np.diff(got[np.lexsort((got, values))]) >= 0).all()
    np.testing.assert_array_equal(np.sort(got), np.sort(targets))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["exp", "cube", "scale"]))
def test_any_rising_change_of_the_feature_changes_nothing(seed, change):
    data = bare(arrays(seed))
    data = {k: v.astype(np.float64) for k, v in data.items()}
    how = {"exp": np.exp, "cube": lambda x: x**3, "scale": lambda x: 1e4 * x + 7}[change]
    moved = data | {k: how(data[k]) for k in ("features", "train_features")}
    assert coarse_regression(**moved).estimates == coarse_regression(**data).estimates


def test_training_alone_gives_the_direction():
    data = bare(arrays())
    upside_down = data | {"features": -data["features"]}
    good, bad = (estimate(coarse_regression(**d), "rank matching").mse for d in (data, upside_down))
    assert bad > 10 * good


def test_collapsed_features_do_not_profit_from_the_order_of_the_file():
    targets = np.sort(RNG.uniform(0, 10, 400))
    data = {"features": np.ones((400, 1)), "targets": targets}
    data |= {"train_features": np.ones((400, 1)), "train_targets": targets}
    result = coarse_regression(**data)
    # Dealt out at random, two independent draws differ by twice the variance.
    assert estimate(result, "rank matching").mse == pytest.approx(2 * targets.var(), rel=0.15)
    assert result.tied == 1
    assert coarse_regression(**data) == result


def test_trainings_map_knows_nothing_of_the_splits_targets():
    data = bare(arrays())
    shifted = data | {"targets": data["targets"] + 100}
    own, train = (coarse_regression(**shifted, matching=m) for m in ("split", "train"))
    assert estimate(own, "rank matching").mse < 1
    assert estimate(train, "rank matching").mse == pytest.approx(100**2, rel=0.02)
    # An example alone gets the same estimate as among the others.
    few = data | {"features": data["features"][:1], "targets": data["targets"][:1]}
    first = estimate(coarse_regression(**few, matching="train"), "rank matching").mse
    order, dealt = np.sort(-data["train_features"][:, 0].astype(float)), np.sort(data["train_targets"])
    expected = np.square(np.interp(-data["features"][:, 0], order, dealt) - data["targets"])
    assert first == pytest.approx(expected[0])
    whole = coarse_regression(**data, matching="train")
    assert estimate(whole, "rank matching").mse == pytest.approx(expected.mean())
    assert whole.matched == "training"


def test_class_means_are_trainings_by_the_predicted_class():
    data = arrays()
    result = coarse_regression(**data)
    means = np.array([data["train_targets"][data["train_labels"] == c].mean() for c in (0, 1)])
    guess = data["logits"].argmax(axis=1)
    assert estimate(result, "class means").mse == pytest.approx(np.square(means[guess] - data["targets"]).mean())
    assert result.coarse_accuracy == pytest.approx((guess == data["labels"]).mean())
    # Of the split's labels the estimates know nothing.
    wrong = coarse_regression(**data | {"labels": 1 - data["labels"]})
    assert wrong.estimates == result.estimates


def test_weight_of_the_interpolation_is_validations_best():
    from scipy.optimize import minimize_scalar

    rng = np.random.default_rng(4)
    truth = rng.standard_normal(50)
    for first, second in (
        (truth + rng.standard_normal(50), truth - rng.standard_normal(50)),
        (truth, -truth),
        (-truth, truth),
    ):
        found = minimize_scalar(
            lambda w, a=first, b=second: np.square(w * a + (1 - w) * b - truth).mean(), bounds=(0, 1), method="bounded",
            options={"xatol": 1e-9},
        )  # fmt: skip
        assert best_weight(first, second, truth) == pytest.approx(found.x, abs=1e-5)
    assert best_weight(truth, truth, truth) == 0

    data = arrays(noise=3.0)
    first, other = coarse_regression(**data), coarse_regression(**data | {"targets": data["targets"][::-1].copy()})
    assert 0 < first.weight < 1
    assert other.weight == first.weight
    means = np.array([data["train_targets"][data["train_labels"] == c].mean() for c in (0, 1)])
    ranks = np.empty(120)
    ranks[np.argsort(-data["features"][:, 0], kind="stable")] = np.sort(data["targets"])
    mixed = first.weight * ranks + (1 - first.weight) * means[data["logits"].argmax(axis=1)]
    assert estimate(first, "interpolation").mse == pytest.approx(np.square(mixed - data["targets"]).mean())


def test_the_weight_of_each_fold_is_the_best_of_the_others():
    data = arrays(noise=3.0)
    result = coarse_regression(**data, cross_fit=3, seed=5, bootstrap=0)
    means = np.array([data["train_targets"][data["train_labels"] == c].mean() for c in (0, 1)])
    ranks = np.empty(120)
    ranks[np.argsort(-data["features"][:, 0], kind="stable")] = np.sort(data["targets"])
    by_class, truth = means[data["logits"].argmax(axis=1)], data["targets"]
    grid, used, squares = np.linspace(0, 1, 10_001), [], []
    for fold in np.array_split(np.random.default_rng(5).permutation(120), 3):
        rest = np.setdiff1d(np.arange(120), fold)
        mixed = grid[:, None] * ranks[rest] + (1 - grid[:, None]) * by_class[rest]
        w = grid[np.square(mixed - truth[rest]).mean(axis=1).argmin()]
        squares.append(np.square(w * ranks[fold] + (1 - w) * by_class[fold] - truth[fold]))
        used += [w] * len(fold)
    assert len(set(used)) == 3
    assert result.weight == pytest.approx(np.mean(used), abs=1e-4)
    assert estimate(result, "interpolation").mse == pytest.approx(np.concatenate(squares).mean(), rel=1e-4)
    assert any("fitted in 3 folds of this split" in note for note in result.report().notes)
    without = {k: v for k, v in data.items() if not k.startswith("val_")}
    assert coarse_regression(**without, cross_fit=3, seed=5, bootstrap=0, seen=True) == result


def test_weights_that_may_have_seen_validation_fit_no_weight_there():
    data = arrays(noise=3.0) | {"bootstrap": 0}
    usual, seen = coarse_regression(**data), coarse_regression(**data, seen=True)
    assert seen.weight is None
    assert seen.estimates == tuple(e for e in usual.estimates if e.name != "interpolation")
    (note,) = [n for n in seen.report().notes if n.startswith("Left out: the interpolation")]
    assert "--cross-fit 5" in note
    assert "--fit-on val" in note
    insisted = coarse_regression(**data, seen=True, fit_on="val")
    assert insisted.estimates == usual.estimates
    assert insisted.weight == usual.weight
    assert set(insisted.notes) - set(usual.notes) == {
        "It was fitted on validation examples that the weights may have seen (--fit-on val)."
    }
    with pytest.raises(DataError, match=r"no val_targets; .*--cross-fit 5"):
        coarse_regression(**{k: v for k, v in data.items() if k != "val_targets"}, fit_on="val")
    for options in ({"cross_fit": 1}, {"cross_fit": 5, "fit_on": "val"}):
        with pytest.raises(UsageError):
            coarse_regression(**data, **options)


def test_without_validation_or_labels_the_rest_stands():
    data = arrays()
    no_val = {k: v for k, v in data.items() if not k.startswith("val_")}
    result = coarse_regression(**no_val)
    assert [e.name for e in result.estimates] == ["rank matching", "class means", "one mean for all"]
    assert result.notes == (
        "Left out: the interpolation with class means, because there are no val_features, val_targets and val_logits; "
        "--cross-fit 5 fits on this split.",
    )
    assert coarse_regression(**bare(data)).notes == ()
    assert [e.name for e in coarse_regression(**bare(data)).estimates] == ["rank matching", "one mean for all"]


def test_wide_features_go_along_their_first_principal_component():
    from sklearn.decomposition import PCA

    data = arrays(width=5)
    data["features"] += 30
    data["train_features"] += 30
    result = coarse_regression(**bare(data))
    pca = PCA(1).fit(data["train_features"].astype(np.float64))
    assert np.abs(first_direction(data["train_features"]) @ pca.components_[0]) == pytest.approx(1, abs=1e-9)
    line = {k: pca.transform(data[k]) for k in ("features", "train_features")}
    alone = coarse_regression(**bare(data) | line)
    assert estimate(result, "rank matching") == estimate(alone, "rank matching")
    assert result.feature == "PC 1 of 5"


def test_the_first_component_of_very_wide_features_needs_no_square_matrix(monkeypatch):
    features = RNG.standard_normal((60, 40)) @ RNG.standard_normal((40, 900)) + 5
    features += 8 * RNG.standard_normal((60, 1)) @ RNG.standard_normal((1, 900))
    direction = first_direction(features)
    _, _, directions = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    assert np.abs(direction @ directions[0]) == pytest.approx(1, abs=1e-6)
    assert np.abs(first_direction(features.astype(np.float32)) @ directions[0]) == pytest.approx(1, abs=1e-5)
    assert first_direction(np.ones((4, 900), dtype=np.float32)).shape == (900,)


def test_intervals_hold_the_estimate_and_follow_the_normal_one():
    data = arrays(noise=2.0, count=2000)
    result = coarse_regression(**data, bootstrap=500)
    one = estimate(result, "one mean for all")
    squares = np.square(data["targets"] - data["train_targets"].mean())
    half = 1.96 * squares.std() / np.sqrt(2000)
    assert (one.low, one.high) == pytest.approx((one.mse - half, one.mse + half), rel=0.02)
    assert all(e.low < e.mse < e.high for e in result.estimates)
    assert coarse_regression(**data, bootstrap=500) == result != coarse_regression(**data, bootstrap=500, seed=1)


def test_report_and_plain_data():
    result = coarse_regression(**arrays(width=3))
    json.dumps(asdict(result))
    table, scalars = result.report().blocks
    assert [row[0] for row in table.rows] == ["rank matching", "class means", "interpolation", "one mean for all"]
    assert scalars.values["direction"] == "falling"
    assert scalars.values["targets of"] == "this split"


def test_one_example_and_one_column_of_targets():
    data = bare(arrays())
    one = data | {"features": data["features"][:1], "targets": data["targets"][:1, None]}
    assert estimate(coarse_regression(**one), "rank matching").mse == 0
    whole = data | {"targets": np.round(data["targets"]).astype(np.int64)}
    assert estimate(coarse_regression(**whole), "rank matching").mse < 1


def test_what_does_not_fit_is_refused():
    data = arrays()
    spoilt = data["targets"].copy()
    spoilt[5] = np.nan
    for changed, message in (
        ({"targets": spoilt}, r"targets\[5\] is nan"),
        ({"targets": np.zeros((120, 3))}, r"targets is float64 \[120, 3\], expected numbers \[120\]"),
        ({"train_targets": data["train_targets"][1:]}, "train_targets is float64"),
        ({"features": np.full((120, 1), np.inf)}, r"features\[0, 0\] is inf"),
        ({"features": np.zeros((120, 2))}, "width 2, train_features 1"),
        ({"train_labels": np.full(300, 2)}, "expected 0 to 1"),
        ({"labels": np.full(120, 2)}, "expected 0 to 1"),
        ({"logits": data["logits"][1:], "labels": None}, "logits has 119 rows"),
        ({"val_logits": data["val_logits"][1:]}, "val_logits has 79 rows"),
        ({"val_targets": np.full(80, np.inf)}, r"val_targets\[0\] is inf"),
    ):
        with pytest.raises(DataError, match=message):
            coarse_regression(**data | changed)
    with pytest.raises(UsageError):
        coarse_regression(**data, bootstrap=-1)
    with pytest.raises(UsageError):
        coarse_regression(**data, seed=-1)

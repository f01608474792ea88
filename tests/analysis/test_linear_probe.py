"""The probe against scikit-learn, by hand, and on data that cannot be probed."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.analysis import linear_probe
from fierce_tools.analysis._features import moments, standardize
from fierce_tools.analysis._intervals import bootstrap_mean, wilson
from fierce_tools.analysis._logistic import Logistic, logistic_path
from fierce_tools.analysis._neighbors import nearest_classes
from fierce_tools.errors import DataError, SeenValidation, UsageError
from fierce_tools.report import combine


def problem(seed, count, width, classes, *, condition=1.0):
    """Overlapping classes in standardised, correlated features."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    labels[:classes] = np.arange(classes)
    mix = rng.standard_normal((width, width)) * np.arange(1, width + 1)[:, None] ** -condition
    features = 0.5 * rng.standard_normal((classes, width))[labels] + rng.standard_normal((count, width)) @ mix
    return (features - features.mean(axis=0)) / features.std(axis=0), labels


def objective(fitted, features, labels):
    """½‖W‖² + C·Σ CE in float64, written out."""
    z = features @ fitted.weight.T + fitted.bias
    z = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
    top = z.max(axis=1, keepdims=True)
    log_p = z - top - np.log(np.exp(z - top).sum(axis=1, keepdims=True))
    nll = -log_p[np.arange(len(labels)), labels].sum()
    return fitted.strength * nll + 0.5 * np.square(fitted.weight).sum()


def reference(features, labels, strength, **options):
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=strength, **options).fit(features, labels)


def splits(seed=0, classes=4, width=6, dtype=np.float32):
    features, labels = problem(seed, 300, width, classes)
    features = features.astype(dtype)
    cut = {"train_": slice(0, 200), "val_": slice(200, 250), "": slice(250, 300)}
    return {f"{p}features": features[s] for p, s in cut.items()} | {f"{p}labels": labels[s] for p, s in cut.items()}


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize(("count", "width"), [(250, 12), (60, 90)])
def test_solution_is_scikit_learns(classes, count, width):
    features, labels = problem(1, count, width, classes, condition=0.5)
    for fitted in logistic_path(features, labels, classes, (0.003, 0.3, 3.0), tolerance=1e-9):
        other = reference(features, labels, fitted.strength, tol=1e-9, max_iter=20_000)
        np.testing.assert_allclose(fitted.weight, other.coef_, atol=2e-5)
        np.testing.assert_allclose(fitted.bias, other.intercept_, atol=1e-4)
        assert fitted.weight.shape == other.coef_.shape
        assert (fitted.predict(features) == other.predict(features)).all()
        assert fitted.objective == pytest.approx(objective(fitted, features, labels), rel=1e-9)
        assert fitted.converged


def test_wide_features_solved_in_the_span_of_the_examples_are_the_same_problem():
    features, labels = problem(2, 30, 4200, 3, condition=0.2)
    for fitted in logistic_path(features, labels, 3, (0.01, 1.0), tolerance=1e-9):
        other = reference(features, labels, fitted.strength, tol=1e-9, max_iter=20_000)
        np.testing.assert_allclose(fitted.weight, other.coef_, atol=1e-5)
        assert fitted.objective == pytest.approx(objective(fitted, features, labels), rel=1e-6)


def test_wide_features_of_many_examples_are_solved_as_they_are(monkeypatch):
    monkeypatch.setattr("fierce_tools.analysis._logistic.MOST_FACTORED", 4)
    features, labels = problem(3, 80, 10, 3)
    (fitted,) = logistic_path(features, labels, 3, (0.1,), tolerance=1e-8)
    other = reference(features, labels, 0.1, tol=1e-9, max_iter=20_000)
    np.testing.assert_allclose(fitted.weight, other.coef_, atol=1e-5)


def test_float32_reaches_an_objective_no_worse_than_scikit_learns_default_in_few_evaluations():
    features, labels = problem(4, 3000, 128, 10, condition=1.5)
    features = features.astype(np.float32)
    for fitted in logistic_path(features, labels, 10, (0.001, 1.0)):
        other = reference(features, labels, fitted.strength)
        theirs = Logistic(other.coef_, other.intercept_, fitted.strength, 0.0, 0, True)
        wide = features.astype(np.float64)
        assert objective(fitted, wide, labels) <= objective(theirs, wide, labels) * (1 + 1e-6)
        assert fitted.evaluations <= 40


def test_probe_is_logistic_regression_on_standardised_features_with_c_from_validation():
    from sklearn.preprocessing import StandardScaler

    arrays = splits(dtype=np.float64)
    # Raw features of unlike scale and place, which the probe must take out.
    for prefix in ("", "train_", "val_"):
        arrays[f"{prefix}features"] = arrays[f"{prefix}features"] * np.array([1, 5, 100, 0.01, 1, 1]) + 7
    grid = (0.001, 0.1, 10.0)
    result = linear_probe(**arrays, strengths=grid)
    scale = StandardScaler().fit(arrays["train_features"])
    models = {
        c: reference(scale.transform(arrays["train_features"]), arrays["train_labels"], c, tol=1e-8) for c in grid
    }
    scores = {c: m.score(scale.transform(arrays["val_features"]), arrays["val_labels"]) for c, m in models.items()}
    best = max(grid, key=lambda c: scores[c])
    assert result.strength == best
    assert [row[2] for row in result.by_strength] == pytest.approx(list(scores.values()))
    assert result.accuracy == pytest.approx(models[best].score(scale.transform(arrays["features"]), arrays["labels"]))


def test_equal_validation_accuracies_go_to_the_stronger_regularisation_and_the_smaller_k():
    features = np.array([[-1.0], [-0.9], [0.9], [1.0]] * 5, dtype=np.float32)
    labels = np.array([0, 0, 1, 1] * 5)
    arrays = {f"{p}features": features for p in ("", "train_", "val_")}
    arrays |= {f"{p}labels": labels for p in ("", "train_", "val_")}
    result = linear_probe(**arrays, strengths=(10.0, 0.1, 1.0), neighbors=(5, 3, 1))
    assert (result.accuracy, result.strength, result.neighbors) == (1.0, 0.1, 1)
    assert [row[0] for row in result.by_strength] == [0.1, 1.0, 10.0]
    assert "The best C lies at an end of the grid: a wider --strengths may do better." in result.report().notes


def test_choices_do_not_look_at_the_split_asked_for():
    arrays = splits(seed=5)
    first = linear_probe(**arrays)
    arrays["labels"] = np.roll(arrays["labels"], 7)
    second = linear_probe(**arrays)
    assert (first.strength, first.neighbors) == (second.strength, second.neighbors)
    assert first.accuracy > second.accuracy


@pytest.mark.parametrize("seed", [3, 7, 8])
def test_folds_of_the_split_choose_for_one_another(seed: int):
    """Each fold gets the C and the k that do best on the other folds, counted with scikit-learn's models."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    arrays = splits(seed=seed, dtype=np.float64)
    scale = StandardScaler().fit(arrays["train_features"])
    train, test = (scale.transform(arrays[f"{p}features"]) for p in ("train_", ""))
    y, truth = arrays["train_labels"], arrays["labels"]
    grid, ks = ((0.005, 0.05, 0.5) if seed == 7 else (0.0005, 0.05, 5.0)), (1, 6, 30)
    hits = [
        np.array([reference(train, y, c, tol=1e-8).predict(test) == truth for c in grid]),
        np.array([KNeighborsClassifier(k, algorithm="brute").fit(train, y).predict(test) == truth for k in ks]),
    ]
    folds = np.array_split(np.random.default_rng(7).permutation(50), 4)
    expected = []
    for table in hits:
        rest = [table[:, np.setdiff1d(np.arange(50), fold)].sum(axis=1).tolist() for fold in folds]
        expected.append(sum(table[r.index(max(r)), fold].sum() for r, fold in zip(rest, folds, strict=True)) / 50)
    result = linear_probe(**arrays, strengths=grid, neighbors=ks, cross_fit=4, seed=7)
    assert (result.accuracy, result.neighbors_accuracy) == pytest.approx(expected)
    best = [table[table.sum(axis=1).argmax()].mean() for table in hits]
    assert (seed == 3) == (best == pytest.approx(expected)), "what is chosen on all rows is another answer here"
    without = {k: v for k, v in arrays.items() if not k.startswith("val_")}
    assert linear_probe(**without, strengths=grid, neighbors=ks, cross_fit=4, seed=7, seen=True) == result
    assert result.strength in grid
    assert result.neighbors in ks
    assert {row[2] for row in result.by_strength} == {row[1] for row in result.by_neighbors} == {None}
    assert "C and k are chosen in 4 folds of this split" in result.report().notes[0]
    assert [type(b) for b in combine({"a": result.report(), "b": linear_probe(**arrays).report()}).blocks]
    json.dumps(asdict(result))


def test_weights_that_may_have_seen_validation_choose_nothing_there():
    arrays = splits()
    with pytest.raises(SeenValidation, match=r"may have been trained on .* --cross-fit 5 .* --fit-on val"):
        linear_probe(**arrays, seen=True)
    usual = linear_probe(**arrays)
    insisted = linear_probe(**arrays, seen=True, fit_on="val")
    assert replace(insisted, choice=usual.choice) == usual
    assert "weights may have seen (--fit-on val)" in insisted.report().notes[0]
    assert linear_probe(**arrays, fit_on="val") == usual
    # One C and one k leave nothing to choose.
    given = linear_probe(**arrays, strengths=(0.1,), neighbors=(5,))
    alone = linear_probe(**arrays, strengths=(0.1,), neighbors=(5,), seen=True)
    assert (alone.accuracy, alone.neighbors_accuracy) == (given.accuracy, given.neighbors_accuracy)
    assert (alone.by_strength[0][2], alone.by_neighbors) == (None, ((5, None),))
    assert given.by_neighbors[0][1] is not None
    assert "given, not chosen" in alone.report().notes[0]
    bare = {k: v for k, v in arrays.items() if not k.startswith("val_")}
    assert linear_probe(**bare, strengths=(0.1,), neighbors=(5,)) == alone
    half = bare | {"val_features": arrays["val_features"]}
    assert linear_probe(**half, strengths=(0.1,), neighbors=(0,)).neighbors is None
    for missing, options in ((bare, {}), (half, {}), (bare, {"strengths": (1.0,), "neighbors": (1,), "fit_on": "val"})):
        with pytest.raises(DataError, match=r"there are no (val_features and )?val_labels; --cross-fit 5"):
            linear_probe(**missing, **options)
    for options in ({"cross_fit": 1}, {"cross_fit": 51}, {"cross_fit": 5, "fit_on": "val"}):
        with pytest.raises(UsageError):
            linear_probe(**arrays, **options)


def test_neighbors_are_scikit_learns():
    from sklearn.neighbors import KNeighborsClassifier

    features, labels = problem(6, 400, 5, 6)
    train, test = slice(0, 300), slice(300, 400)
    found = nearest_classes(features[train], labels[train], features[test], (1, 4, 15))
    for k, guess in found.items():
        other = KNeighborsClassifier(k, algorithm="brute").fit(features[train], labels[train])
        assert (guess == other.predict(features[test])).all()


def test_k_zero_means_no_neighbours_and_k_beyond_the_examples_is_left_out():
    arrays = splits()
    none = linear_probe(**arrays, neighbors=(0,))
    assert none.neighbors is None
    assert none.neighbors_accuracy is None
    assert "k-NN" not in none.report().blocks[0].values
    assert [k for k, _ in linear_probe(**arrays, neighbors=(3, 1000)).by_neighbors] == [3]


def test_fine_targets_are_read_from_a_coarse_model():
    arrays = splits(classes=4)
    fine = {f"{p}targets": arrays[f"{p}labels"] * 10 + 3 for p in ("", "train_", "val_")}
    coarse = {k: v % 2 if k.endswith("labels") else v for k, v in arrays.items()}
    direct = linear_probe(**arrays)
    result = linear_probe(**coarse, **fine, on="targets", class_names=("even", "odd"), per_class=True)
    assert result.accuracy == direct.accuracy
    assert result.classes == 4
    assert [row[0] for row in result.by_class] == ["3", "13", "23", "33"]


def test_a_class_that_training_lacks_is_always_missed():
    arrays = splits(classes=3)
    arrays["labels"] = np.full(50, 2)
    keep = arrays["train_labels"] != 2
    arrays |= {"train_features": arrays["train_features"][keep], "train_labels": arrays["train_labels"][keep]}
    result = linear_probe(**arrays)
    assert result.accuracy == result.neighbors_accuracy == result.commonest == 0


def test_by_class_adds_up_to_the_whole():
    result = linear_probe(**splits(), per_class=True, class_names=("a", "b", "c", "d"))
    assert [row[0] for row in result.by_class] == ["a", "b", "c", "d"]
    assert sum(n * p for _, n, p, _ in result.by_class) / result.examples == pytest.approx(result.accuracy)
    assert sum(n * q for _, n, _, q in result.by_class) / result.examples == pytest.approx(result.neighbors_accuracy)


def test_fewer_examples_are_drawn_by_the_seed_and_said():
    arrays = splits()
    a, b, c = (linear_probe(**arrays, examples=60, seed=s) for s in (1, 1, 2))
    assert a == b != c
    assert a.train_examples == 60
    assert any("60 of 200 training examples" in note for note in a.report().notes)
    assert linear_probe(**arrays, examples=10_000) == linear_probe(**arrays)


def test_features_wider_than_the_limit_are_fitted_on_fewer_examples(monkeypatch):
    monkeypatch.setattr("fierce_tools.analysis._logistic.MOST_FACTORED", 5)
    assert linear_probe(**splits(), neighbors=(1,)).train_examples == 5
    assert linear_probe(**splits(), examples=150).train_examples == 150


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5), st.integers(1, 4), st.sampled_from([1e-4, 1.0, 1e4]), st.booleans())
def test_any_shape_and_scale_gives_accuracies(classes, width, scale, constant):
    arrays = splits(classes=classes, width=width)
    for prefix in ("", "train_", "val_"):
        arrays[f"{prefix}features"] = np.float32(scale) * arrays[f"{prefix}features"]
        if constant:
            arrays[f"{prefix}features"][:, 0] = 3
    result = linear_probe(**arrays, strengths=(0.01, 1.0), neighbors=(1,))
    assert 0 <= result.interval[0] <= result.accuracy <= result.interval[1] <= 1
    assert 0 <= result.neighbors_accuracy <= 1
    json.dumps(asdict(result))


def test_scale_and_place_of_the_features_do_not_matter():
    arrays = splits(dtype=np.float64)
    moved = {k: v * 1000 - 5000 if k.endswith("features") else v for k, v in arrays.items()}
    assert linear_probe(**moved) == linear_probe(**arrays)


def test_one_example_can_be_asked_about():
    arrays = splits()
    arrays |= {"features": arrays["features"][:1], "labels": arrays["labels"][:1]}
    assert linear_probe(**arrays).accuracy in (0, 1)


def test_reports_of_several_runs_combine():
    result = linear_probe(**splits())
    both = combine({"a": result.report(), "b": replace(result, accuracy=0.5).report()})
    assert [row[:2] for row in both.blocks[0].rows] == [("a", result.accuracy), ("b", 0.5)]


def test_arrays_that_do_not_fit_are_refused():
    arrays = splits()
    spoilt = arrays["val_features"].copy()
    spoilt[3, 1] = np.nan
    with pytest.raises(DataError, match=r"val_features\[3, 1\] is nan"):
        linear_probe(**arrays | {"val_features": spoilt})
    with pytest.raises(DataError, match="width 5, train_features 6"):
        linear_probe(**arrays | {"features": arrays["features"][:, :5]})
    with pytest.raises(DataError, match=r"labels\[0\] is 9, expected 0 to 3"):
        linear_probe(**arrays | {"labels": np.full(50, 9)}, class_names=("a", "b", "c", "d"))
    with pytest.raises(DataError, match=r"labels\[0\] is -1"):
        linear_probe(**arrays | {"labels": np.full(50, -1)})
    with pytest.raises(DataError, match="--on targets needs targets of every split"):
        linear_probe(**arrays, on="targets")
    ages = {"targets": np.zeros(50), "train_targets": np.zeros(200), "val_targets": np.zeros(50)}
    with pytest.raises(DataError, match=r"targets is float64 \[50\], expected whole numbers"):
        linear_probe(**arrays, **ages, on="targets")
    with pytest.raises(DataError, match="of one class"):
        linear_probe(**arrays | {"train_labels": np.zeros(200, dtype=np.int64)})
    with pytest.raises(DataError, match=r"val_labels is int64 \[49\]"):
        linear_probe(**arrays | {"val_labels": arrays["val_labels"][:49]})


@pytest.mark.parametrize(
    "options", [{"strengths": (0.0,)}, {"strengths": ()}, {"neighbors": (-1,)}, {"examples": 1}, {"seed": -1}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(UsageError):
        linear_probe(**splits(), **options)


def test_moments_by_blocks_are_numpys():
    features = np.random.default_rng(0).normal(1e4, 3, size=(5000, 100)).astype(np.float32)
    features[:, 7] = 2.5
    mean, deviation = moments(features)
    np.testing.assert_allclose(mean, features.mean(axis=0, dtype=np.float64), rtol=1e-12)
    expected = features.std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(np.delete(deviation, 7), np.delete(expected, 7), rtol=1e-9)
    assert deviation[7] == 1
    standard = standardize(features, mean, deviation)
    assert standard.dtype == np.float32
    np.testing.assert_allclose(standard, (features - mean) / deviation, atol=1e-5)


def test_wilson_interval_is_statsmodels_textbook_value():
    # Newcombe 1998, table I: 81 of 263, .2553 to .3662; 0 of 20, 0 to .1611.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


def test_bootstrap_of_a_mean_is_about_its_normal_interval():
    values = np.random.default_rng(1).normal(3, 2, size=(2000, 2))
    low, high = bootstrap_mean(values, 2000, 0)
    half = 1.96 * values.std(axis=0) / np.sqrt(2000)
    np.testing.assert_allclose(low, values.mean(axis=0) - half, atol=0.01)
    np.testing.assert_allclose(high, values.mean(axis=0) + half, atol=0.01)
    assert bootstrap_mean(values, 0, 0) is None


@pytest.mark.parametrize("kind", ["float16", "uint8", "int64"])
def test_features_of_any_number_type_and_labels_of_few_bits(kind):
    arrays = splits()
    for prefix in ("", "train_", "val_"):
        whole = np.clip(np.round(30 * arrays[f"{prefix}features"] + 100), 0, 255)
        arrays |= {f"{prefix}features": whole, f"{prefix}labels": arrays[f"{prefix}labels"].astype(np.uint8)}
    same = {k: v.astype(kind) if k.endswith("features") else v for k, v in arrays.items()}
    single = {k: v.astype(np.float32) if k.endswith("features") else v for k, v in arrays.items()}
    assert linear_probe(**same) == linear_probe(**single)
    with pytest.raises(DataError, match="val_features is <U"):
        linear_probe(**arrays | {"val_features": arrays["val_features"].astype(str)})

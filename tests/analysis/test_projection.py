"""The templates' plane and neural collapse: by geometry, by a plain D×D computation, and at full collapse."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.analysis import projection
from fierce_tools.analysis._collapse import collapse
from fierce_tools.analysis.projection import coordinates, template_plane
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments._ask import plain
from fierce_tools.report import Points, combine, from_dict


def arrays(seed=0, classes=4, width=6, each=30):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((classes, width)).astype(np.float32)
    out = {"head_weight": weight, "head_bias": rng.standard_normal(classes).astype(np.float32)}
    for prefix, count in (("", each), ("train_", 2 * each)):
        labels = np.repeat(np.arange(classes), count)
        features = 2 * weight[labels] + rng.standard_normal((len(labels), width))
        out |= {f"{prefix}features": features.astype(np.float32), f"{prefix}labels": labels}
    return out


def simplex(classes, width, seed=0):
    """An equiangular tight frame of unit vectors [C, D]: pairwise cosines -1/(C-1)."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, classes)))
    centred = np.eye(classes) - 1 / classes
    return np.sqrt(classes / (classes - 1)) * centred @ basis.T


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([1e-3, 1.0, 1e4]))
def test_projected_template_distances_are_the_true_ones(seed, width, scale):
    rng = np.random.default_rng(seed)
    weight, bias = scale * rng.standard_normal((3, width)), scale * rng.standard_normal(3)
    origin, basis = template_plane(weight, bias)
    whole = np.hstack([weight, bias[:, None]])
    flat = (whole - origin) @ basis
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(flat[a] - flat[b]) == pytest.approx(np.linalg.norm(whole[a] - whole[b]), rel=1e-9)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(flat[0], 0, atol=1e-12)
    assert flat[1, 1] == pytest.approx(0, abs=1e-9 * scale)
    assert flat[2, 1] > 0


def test_a_plane_by_hand_with_the_bias_as_third_coordinate():
    # Templates (0,0,0), (0,0,2), (3,0,5) with their bias last; a feature (7,9) is the point (7,9,1).
    origin, basis = template_plane(np.array([[0.0, 0], [0, 0], [3, 0]]), np.array([0.0, 2, 5]))
    np.testing.assert_allclose(basis, [[0, 1], [0, 0], [1, 0]], atol=1e-15)
    np.testing.assert_allclose(coordinates(np.array([[7.0, 9]]), origin, basis), [[1, 7]])
    # With the origin's template at (1, 1, 4) everything moves by it, the 1 behind the feature too.
    origin, basis = template_plane(np.array([[1.0, 1], [1, 1], [4, 1]]), np.array([4.0, 6, 9]))
    np.testing.assert_allclose(coordinates(np.array([[7.0, 9]]), origin, basis), [[-3, 6]])


def test_templates_on_one_line_or_the_same_are_refused():
    line = np.arange(3)[:, None] * np.ones((3, 4))
    with pytest.raises(DataError, match="on one line"):
        template_plane(line, np.arange(3.0))
    with pytest.raises(DataError, match="on one line"):
        template_plane(np.ones((3, 4)), np.ones(3))
    # The bias alone can take them off the line.
    template_plane(line, np.array([0.0, 5, 0]))


@pytest.mark.parametrize(("classes", "width"), [(3, 8), (7, 4), (5, 5)])
def test_collapse_is_that_of_whole_covariance_matrices(classes, width):
    rng = np.random.default_rng(classes)
    counts = rng.integers(2, 40, size=classes)
    labels = np.repeat(np.arange(classes), counts)
    means = rng.standard_normal((classes, width))
    features = means[labels] + rng.standard_normal((len(labels), width)) @ rng.standard_normal((width, width))
    weight = rng.standard_normal((classes, width))
    own = np.array([features[labels == c].mean(axis=0) for c in range(classes)])
    within = np.mean([np.cov(features[labels == c].T, bias=True) for c in range(classes)], axis=0)
    centred = own - own.mean(axis=0)
    between = centred.T @ centred / classes
    result = collapse(features, labels, weight)
    assert result.nc1 == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / classes, rel=1e-8)
    assert result.ratio == pytest.approx(np.trace(within) / np.trace(between), rel=1e-10)
    lengths = np.linalg.norm(centred, axis=1)
    assert result.nc2_norms == pytest.approx(lengths.std() / lengths.mean())
    cosines = [centred[a] @ centred[b] / lengths[a] / lengths[b] for a in range(classes) for b in range(a)]
    assert result.nc2_angles == pytest.approx(np.mean(np.abs(np.array(cosines) + 1 / (classes - 1))))
    assert result.nc3 == pytest.approx(
        np.linalg.norm(weight / np.linalg.norm(weight) - centred / np.linalg.norm(centred))
    )


def test_full_collapse_is_zero_everywhere():
    frame = simplex(5, 12)
    labels = np.tile(np.arange(5), 9)
    result = collapse(3 * frame[labels] + 0.7, labels, 0.2 * frame)
    assert asdict(result) == pytest.approx(dict.fromkeys(asdict(result), 0.0), abs=1e-10)


def test_collapse_does_not_change_with_turning_into_many_dimensions_or_with_scale():
    data = arrays(seed=3, classes=4, width=6)
    features, labels, weight = data["features"].astype(np.float64), data["labels"], data["head_weight"]
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((20_000, 6)))
    plain_result = asdict(collapse(features, labels, weight))
    assert asdict(collapse(100 * features @ turn.T, labels, weight @ turn.T)) == pytest.approx(plain_result, rel=1e-6)


def test_class_means_that_coincide_have_no_collapse_to_measure():
    features = np.tile(np.array([[1.0, 2], [3, 4]]), (6, 1))
    result = collapse(features, np.repeat(np.arange(3), 4), np.eye(3, 2))
    assert result.ratio is None
    assert result.nc1 is None


def test_points_are_the_coordinates_of_the_chosen_classes():
    data = arrays()
    result = projection(**data, classes=("2", "0", "3"), points=1000)
    chosen = [2, 0, 3]
    assert result.classes == (2, 0, 3)
    assert result.names == ("2", "0", "3")
    origin, basis = template_plane(data["head_weight"][chosen], data["head_bias"][chosen])
    for prefix, clouds in (("", result.points), ("train_", result.train_points)):
        for number, cloud in zip(chosen, clouds, strict=True):
            rows = data[f"{prefix}features"][data[f"{prefix}labels"] == number]
            np.testing.assert_allclose(cloud, (np.hstack([rows, np.ones((len(rows), 1))]) - origin) @ basis, atol=1e-4)
    in_plane = collapse(np.concatenate(result.points), np.repeat([0, 1, 2], 30))
    assert result.plane_ratio == pytest.approx(in_plane.ratio)
    assert result.train_collapse == collapse(data["train_features"], data["train_labels"], data["head_weight"])


def test_without_names_it_takes_the_three_that_overlap_most_on_training():
    data = arrays(classes=6, width=8)
    weight = np.eye(6, 8, dtype=np.float32) * 10
    # Classes 1 and 4 are nearly one, and 5 lies near both.
    weight[4] = weight[1] + 0.1
    weight[5, 1] = 7
    features = weight[data["train_labels"]] / 10
    data |= {"head_weight": weight, "train_features": features, "head_bias": np.zeros(6, dtype=np.float32)}
    assert projection(**data).classes == (1, 4, 5)


def test_names_and_numbers_name_classes_and_wrong_ones_are_refused():
    data = arrays() | {"class_names": ("cat", "dog", "emu", "fox")}
    assert projection(**data, classes=("fox", "0", "dog")).names == ("fox", "cat", "dog")
    for wrong in (("cat", "dog"), ("cat", "dog", "0"), ("cat", "dog", "4"), ("cat", "dog", "hen")):
        with pytest.raises(UsageError, match=r"three different|no class is called"):
            projection(**data, classes=wrong)


def test_drawn_points_are_limited_by_the_seed_and_figures_are_not():
    data = arrays()
    few, same, other = (projection(**data, points=5, seed=s) for s in (0, 0, 1))
    whole = projection(**data, points=10**6)
    assert [len(p) for p in few.points] == [5, 5, 5]
    np.testing.assert_array_equal(few.points[0], same.points[0])
    assert not np.array_equal(few.points[0], other.points[0])
    assert few.plane_ratio == whole.plane_ratio
    assert few.collapse == whole.collapse


def test_tighter_features_have_a_smaller_ratio_and_collapse():
    loose, tight = arrays(), arrays()
    for prefix in ("", "train_"):
        own = 2 * tight["head_weight"][tight[f"{prefix}labels"]]
        tight[f"{prefix}features"] = own + 0.1 * (tight[f"{prefix}features"] - own)
    a, b = projection(**loose, classes=("0", "1", "2")), projection(**tight, classes=("0", "1", "2"))
    assert b.collapse.ratio < 0.05 * a.collapse.ratio
    assert b.collapse.nc1 < 0.05 * a.collapse.nc1
    assert b.train_plane_ratio < 0.05 * a.train_plane_ratio


def test_report_shows_both_splits_on_the_same_axes_and_runs_apart():
    report = projection(**arrays(), points=7).report()
    first, second, table = report.blocks
    assert isinstance(first, Points)
    assert (first.x_range, first.y_range) == (second.x_range, second.y_range)
    for chart in (first, second):
        assert len(chart.series) == 4
        for one in chart.series:
            assert min(one.x) >= chart.x_range[0]
            assert max(one.y) <= chart.y_range[1]
    assert [row[0] for row in table.rows] == ["training", "this split"]
    both = combine({"a": report, "b": report})
    assert [b.title for b in both.blocks[:4]] == ["a: Training", "b: Training", "a: This split", "b: This split"]
    assert from_dict(json.loads(json.dumps(plain(report.to_dict())))) == report


def test_charts_stand_side_by_side_on_a_terminal_of_100_columns(capsys, monkeypatch):
    from fierce_tools.cli import text

    monkeypatch.setenv("COLUMNS", "100")
    text.print_report(projection(**arrays()).report())
    lines = capsys.readouterr().out.split("\n")
    assert any("Training" in line and "This split" in line for line in lines)
    assert all(len(line) <= 104 for line in lines)
    assert any("templates" in line for line in lines)


def test_result_is_plain_data():
    json.dumps(plain(asdict(projection(**arrays()))))


def test_what_does_not_fit_is_refused():
    data = arrays()
    spoilt = data["train_features"].copy()
    spoilt[1, 2] = np.nan
    for changed, message in (
        ({"train_features": spoilt}, r"train_features\[1, 2\] is nan"),
        ({"features": data["features"][:, :5]}, "features has width 5, head_weight 6"),
        ({"head_bias": data["head_bias"][:3]}, "head_bias has 3 rows, expected 4"),
        ({"labels": data["labels"] + 1}, "expected 0 to 3"),
        ({"train_labels": data["train_labels"][:-1]}, "train_labels is int64"),
        ({"labels": np.zeros(120, dtype=np.int64)}, "this split has no examples of class 1"),
    ):
        with pytest.raises(DataError, match=message):
            projection(**data | changed, classes=("0", "1", "2"))
    with pytest.raises(DataError, match="2 classes"):
        projection(**arrays(classes=2))
    with pytest.raises(UsageError):
        projection(**data, points=0)
    with pytest.raises(UsageError):
        projection(**data, seed=-1)

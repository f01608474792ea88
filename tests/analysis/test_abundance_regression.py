"""Squared errors by hand, the gradient by differences, Adam against torch's, and what the two regressors can do."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fierce_tools.analysis import abundance_regression
from fierce_tools.analysis._adam import SoftmaxRegression, fit, squared_error
from fierce_tools.errors import DataError, UsageError
from fierce_tools.report import combine


def arrays(seed=0, classes=3, width=6, scale=1.0):
    """Abundances that are a softmax of the features, so that a regressor can find them."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((classes, width))
    out = {}
    for prefix, count in (("", 80), ("train_", 200)):
        features = rng.standard_normal((count, width))
        z = np.exp(features @ truth.T)
        out[f"{prefix}targets"] = z / z.sum(axis=1, keepdims=True)
        out[f"{prefix}features"] = (scale * features).astype(np.float32)
    # Far too sure: the class of the largest share with all but everything.
    out["logits"] = (20 * (out["targets"] == out["targets"].max(axis=1, keepdims=True))).astype(np.float32)
    return out


def test_raw_error_by_hand():
    data = arrays(classes=2)
    data |= {"features": data["features"][:2], "targets": np.array([[0.25, 0.75], [1.0, 0.0]])}
    data |= {"logits": np.array([[0.0, 0.0], [np.log(4), 0.0]], dtype=np.float32)}
    # Probabilities 1/2, 1/2 and 4/5, 1/5: errors 2·(1/4)² and 2·(1/5)².
    result = abundance_regression(**data, steps=1)
    assert result.raw.squared_error == pytest.approx((2 / 16 + 2 / 25) / 2)
    assert result.raw.by_class == pytest.approx(((1 / 16 + 1 / 25) / 2,) * 2)
    mean = data["train_targets"].mean(axis=0)
    assert result.mean.squared_error == pytest.approx(np.square(mean - data["targets"]).sum(axis=1).mean())


def test_exact_probabilities_have_no_error():
    data = arrays()
    data["logits"] = np.log(data["targets"]).astype(np.float32)
    assert abundance_regression(**data, steps=1).raw.squared_error == pytest.approx(0, abs=1e-12)


def test_gradient_is_that_of_differences():
    rng = np.random.default_rng(2)
    features, proportions = rng.standard_normal((9, 4)), rng.dirichlet(np.ones(3), 9)
    theta = rng.standard_normal((2, 3, 5))
    _, gradient = squared_error(theta, features, proportions)
    for place in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[place] = 1e-6
        up, down = (squared_error(theta + sign * step, features, proportions)[0] for sign in (1, -1))
        assert gradient[place] == pytest.approx((up - down)[place[0]] / 2e-6, abs=1e-8)


def test_fit_is_torchs_adam():
    import torch

    rng = np.random.default_rng(3)
    features, proportions = rng.standard_normal((30, 4)), rng.dirichlet(np.ones(3), 30)
    start = np.random.default_rng(7).uniform(-1, 1, size=(1, 3, 5)) / 2
    layer = torch.nn.Linear(4, 3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(start[0, :, :-1]))
        layer.bias.copy_(torch.from_numpy(start[0, :, -1]))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(40):
        optimizer.zero_grad()
        p = layer(torch.from_numpy(features)).softmax(dim=1)
        (torch.from_numpy(proportions) - p).square().sum(dim=1).mean().backward()
        optimizer.step()
    found = fit(features, proportions, learning_rate=0.1, steps=40, starts=1, seed=7)
    np.testing.assert_allclose(found.weight[0], layer.weight.detach().numpy(), atol=1e-9)
    np.testing.assert_allclose(found.bias[0], layer.bias.detach().numpy(), atol=1e-9)


def test_starts_side_by_side_are_starts_alone():
    rng = np.random.default_rng(4)
    features, proportions = rng.standard_normal((30, 4)), rng.dirichlet(np.ones(3), 30)
    both = fit(features, proportions, learning_rate=0.1, steps=30, starts=2, seed=0)
    one = fit(features, proportions, learning_rate=0.1, steps=30, starts=1, seed=0)
    np.testing.assert_allclose(both.weight[:1], one.weight, atol=1e-12)
    assert not np.allclose(both.weight[0], both.weight[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(2, 4), st.sampled_from([1.0, 1e4, -1e4]))
def test_predictions_are_proportions(count, width, classes, scale):
    rng = np.random.default_rng(count)
    model = SoftmaxRegression(scale * rng.standard_normal((2, classes, width)), rng.standard_normal((2, classes)))
    p = model.predict(rng.standard_normal((count, width)))
    assert p.shape == (count, 2, classes)
    np.testing.assert_allclose(p.sum(axis=2), 1)


def test_both_regressors_find_abundances_that_the_features_hold():
    result = abundance_regression(**arrays())
    assert result.transfer_paper.squared_error < 1e-3
    assert result.transfer.squared_error < 0.01
    assert result.raw.squared_error > 0.05
    assert result.mean.squared_error > 0.1


def test_scale_of_the_features_is_the_papers_regressors_trouble_alone():
    plain, large = (abundance_regression(**arrays(scale=s)) for s in (1.0, 100.0))
    assert large.transfer.squared_error == pytest.approx(plain.transfer.squared_error, rel=1e-3)
    assert large.transfer_paper.squared_error > 10 * plain.transfer_paper.squared_error
    assert large.transfer_paper.deviation > plain.transfer_paper.deviation


def test_errors_by_endmember_add_up():
    result = abundance_regression(**arrays(classes=4), class_names=("a", "b", "c", "d"), steps=20)
    for one in (result.raw, result.transfer_paper, result.transfer, result.mean):
        assert sum(one.by_class) == pytest.approx(one.squared_error)
    table, by_class = result.report().blocks
    assert [row[1] for row in table.rows] == [
        "own probabilities", "paper's regressor", "well-conditioned", "mean of training",
    ]  # fmt: skip
    assert [row[0] for row in by_class.rows] == ["a", "b", "c", "d"]


def test_deviation_is_over_starts_and_one_start_has_none():
    data = arrays(scale=30.0)
    alone = abundance_regression(**data, steps=30, starts=1)
    assert alone.transfer.deviation is None
    several = abundance_regression(**data, steps=30, starts=4)
    assert several.transfer_paper.deviation > 0
    assert several == abundance_regression(**data, steps=30, starts=4)
    assert several != abundance_regression(**data, steps=30, starts=4, seed=1)


def test_reports_combine_and_values_are_plain():
    result = abundance_regression(**arrays(), steps=2)
    json.dumps(asdict(result))
    both = combine({"ce": result.report(), "ls": result.report()})
    assert [row[0] for row in both.blocks[0].rows] == ["ce"] * 4 + ["ls"] * 4


def test_what_does_not_fit_is_refused():
    data = arrays()
    off, low, hole = (data["targets"].copy() for _ in range(3))
    off[3], low[4], hole[5, 1] = (0.5, 0.2, 0.2), (1.3, -0.3, 0.0), np.nan
    spoilt = data["train_features"].copy()
    spoilt[0, 2] = np.inf
    for changed, message in (
        ({"targets": off}, r"targets\[3\] is \[0.5, 0.2, 0.2\], expected proportions"),
        ({"targets": low}, r"targets\[4\]"),
        ({"targets": hole}, r"targets\[5\] is \[.*nan"),
        ({"targets": data["targets"][:, 0]}, r"targets is float64 \[80\], expected abundances \[80, 3\]"),
        ({"train_targets": data["train_targets"][:, :2]}, r"train_targets is float64 \[200, 2\]"),
        ({"features": data["features"][1:]}, "features has 79 rows, expected 80"),
        ({"train_features": spoilt}, r"train_features\[0, 2\] is inf"),
        ({"logits": np.full((80, 3), np.nan)}, r"logits\[0, 0\] is nan"),
    ):
        with pytest.raises(DataError, match=message):
            abundance_regression(**data | changed)
    for options in ({"steps": 0}, {"starts": 0}, {"seed": -1}):
        with pytest.raises(UsageError):
            abundance_regression(**data, **options)


def test_features_of_half_precision_are_taken_as_they_are():
    data = arrays()
    half = {k: v.astype(np.float16) if k.endswith("features") else v for k, v in data.items()}
    single = {k: v.astype(np.float32) if k.endswith("features") else v for k, v in half.items()}
    assert abundance_regression(**half, steps=20) == abundance_regression(**single, steps=20)

"""Calibration against torchmetrics, scikit-learn, scipy and numbers worked by hand."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from fierce_tools.analysis import calibration
from fierce_tools.analysis._calibration import METHODS, fit_temperature
from fierce_tools.analysis._calibration_intervals import (
    Scaled,
    aurc_influence,
    aurc_interval,
    binned_intervals,
    ece_debiased,
    expected_gap,
    mce_interval,
)
from fierce_tools.analysis._intervals import mean_interval, wilson
from fierce_tools.analysis._metrics import (
    bin_means,
    classwise_gaps,
    debiased_square,
    ece,
    equal_mass,
    equal_width,
    mce,
    risks,
)
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments._ask import plain
from fierce_tools.report import Lines, Scalars, Table, combine, from_dict

VECTORS = [
    ([[0.5, 0.3, 0.2], [0.45, 0.35, 0.2], [0.55, 0.25, 0.2], [0.58, 0.22, 0.2]], [1, 0, 0, 2], 0.045),
    ([[1.0, 0, 0], [0.97, 0.02, 0.01], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]], [1, 0, 2, 0], 0.4675),
]


def case(n: int, c: int, seed: int = 0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `scale` times too large, with labels drawn from the softmax of the unscaled ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, c)) * 2
    labels = (softmax(logits, axis=1).cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return (logits * scale).astype(np.float32), labels


def ask(logits: np.ndarray, labels: np.ndarray, **options: object):
    options = {"cross_fit": 2, "bootstrap": 0, "temperatures": (1.0,)} | options
    return calibration(logits, labels, **options)


@pytest.mark.parametrize(("probabilities", "labels", "value"), VECTORS)
def test_ece_worked_by_hand(probabilities: list, labels: list, value: float) -> None:
    logits = np.log(np.maximum(np.array(probabilities), 1e-30))
    assert ask(logits, np.array(labels), bins=10).before.ece == pytest.approx(value, abs=1e-9)


def test_the_slide_example() -> None:
    confidence = np.repeat([0.55, 0.74, 0.86], [2, 6, 7])
    correct = np.array([1, 0] + [1] * 4 + [0] * 2 + [1] * 5 + [0] * 2, dtype=bool)
    assert ece(confidence, correct, bins=10) == pytest.approx(0.1040, abs=5e-5)
    assert mce(confidence, correct, bins=10) == pytest.approx(0.86 - 5 / 7)
    counts, said, right = bin_means(equal_width(confidence, 10), confidence, correct, 10)
    assert counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 6, 7, 0]
    assert right[[5, 7, 8]] == pytest.approx([1 / 2, 4 / 6, 5 / 7])
    assert said[[5, 7, 8]] == pytest.approx([0.55, 0.74, 0.86])


def test_bins_are_closed_on_the_right_and_the_first_on_both_sides() -> None:
    edges = np.arange(11) / 10
    assert equal_width(edges, 10).tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert equal_width(np.nextafter(edges[1:-1], 1), 10).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@settings(deadline=None, max_examples=25)
@given(n=st.integers(2, 150), c=st.integers(2, 9), seed=st.integers(0, 10_000), bins=st.integers(1, 25))
def test_the_libraries_say_the_same(n: int, c: int, seed: int, bins: int) -> None:
    logits, labels = case(n, c, seed)
    p = softmax(logits.astype(np.float64), axis=1)
    found = ask(logits, labels, bins=bins).before
    there = torch.from_numpy(p), torch.from_numpy(labels)
    for norm, ours in (("l1", found.ece), ("max", found.mce)):
        theirs = multiclass_calibration_error(*there, num_classes=c, n_bins=bins, norm=norm)
        assert ours == pytest.approx(float(theirs), abs=1e-6)
    by_class = [
        binary_calibration_error(there[0][:, k].contiguous(), (there[1] == k).int(), n_bins=bins) for k in range(c)
    ]
    assert found.ece_classwise == pytest.approx(float(torch.stack(by_class).mean()), abs=1e-6)
    assert found.nll == pytest.approx(log_loss(labels, p, labels=range(c)), abs=1e-6)
    half = brier_score_loss(labels, p, labels=range(c), scale_by_half=True)
    assert found.brier == pytest.approx(2 * half, abs=1e-6)
    assert found.accuracy == (p.argmax(axis=1) == labels).mean()


def test_classwise_gaps_of_parts_add_up_to_those_of_the_whole() -> None:
    logits, labels = case(300, 5)
    whole = classwise_gaps(logits, labels, 1.5)
    np.testing.assert_allclose(
        classwise_gaps(logits[:99], labels[:99], 1.5) + classwise_gaps(logits[99:], labels[99:], 1.5), whole, atol=1e-6
    )
    p = softmax(logits.astype(np.float64) / 1.5, axis=1)
    np.testing.assert_allclose(whole.sum(axis=1), p.sum(axis=0) - np.bincount(labels, minlength=5), atol=1e-4)


def test_equal_mass_bins_hold_as_many_and_never_part_equals() -> None:
    confidence = np.random.default_rng(0).random(100)
    which = equal_mass(confidence, 7)
    assert sorted(np.bincount(which)) == [14, 14, 14, 14, 14, 15, 15]
    assert (np.diff(which[np.argsort(confidence)]) >= 0).all()
    assert equal_mass(np.array([0.5, 1.0, 1.0, 1.0, 1.0, 0.2]), 3).tolist() == [0, 1, 1, 1, 1, 0]
    assert equal_mass(np.ones(9), 4).tolist() == [0] * 9
    assert equal_mass(np.array([0.1, 0.2]), 5).tolist() == [0, 2]


def test_debiased_error_worked_by_hand() -> None:
    confidence, correct = np.full(10, 0.8), np.arange(10) < 5
    square, unbiased = debiased_square(confidence, correct, bins=1)
    assert square == pytest.approx(0.09)
    assert unbiased == pytest.approx(0.09 - 0.25 / 9)
    assert debiased_square(np.array([0.7]), np.array([True]), bins=3)[1] == 0


def test_the_debiased_error_has_no_bias() -> None:
    """The confidence is right by construction; so the mean over many draws is 0, and that of the plain error is not."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(600):
        # One confidence a bin: what is left is the noise of the labels alone.
        confidence = np.repeat(rng.permutation(np.linspace(0.5, 0.95, 5)), 20)
        drawn.append(debiased_square(confidence, rng.random(100) < confidence, bins=5))
    plain_error, unbiased = np.array(drawn).T
    error = unbiased.std() / np.sqrt(len(unbiased))
    assert abs(unbiased.mean()) < 4 * error
    assert plain_error.mean() > 10 * error


def test_aurc_is_the_mean_over_every_order_of_equal_confidences() -> None:
    confidence = np.array([0.9, 0.7, 0.7, 0.7, 0.4, 0.4])
    correct = np.array([True, False, True, True, False, True])
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(20_000):
        order = np.lexsort((rng.random(6), -confidence))
        drawn.append(((~correct[order]).cumsum() / np.arange(1, 7)).mean())
    assert risks(confidence, correct).mean() == pytest.approx(
        np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(len(drawn))
    )
    assert risks(confidence, correct)[-1] == pytest.approx(2 / 6)
    assert risks(np.array([0.9, 0.8]), np.array([True, True])).mean() == 0


def test_wilson_intervals() -> None:
    """Against scipy's, and what is certain of nothing."""
    from scipy.stats import binomtest

    for right, n in ((0, 5), (3, 7), (40, 40), (17, 100)):
        theirs = binomtest(right, n).proportion_ci(0.95, method="wilson")
        low, high = wilson(np.array([right]), np.array([n]))
        assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_a_known_temperature_is_found_again() -> None:
    logits, labels = case(20_000, 5, scale=2.5)
    assert fit_temperature(logits, labels)[0] == pytest.approx(2.5, rel=0.05)
    logits, labels = case(20_000, 5, scale=0.4)
    assert fit_temperature(logits, labels)[0] == pytest.approx(0.4, rel=0.05)


def test_the_temperature_is_where_the_derivative_is_nought() -> None:
    """d NLL / d(1/T) = mean of Σ_c p_c z_c - z_y."""
    logits, labels = case(800, 4, scale=3.0)
    z = logits.astype(np.float64)
    slope = lambda t: float(((softmax(z / t, axis=1) * z).sum(axis=1) - z[np.arange(len(z)), labels]).mean())  # noqa: E731
    assert fit_temperature(z, labels)[0] == pytest.approx(brentq(slope, 0.5, 20), rel=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 30),
    c=st.integers(2, 5),
    seed=st.integers(0, 999),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e4]),
    one_class=st.booleans(),
    bins=st.integers(1, 20),
)
def test_scaling_never_raises_validation_nll_and_never_changes_a_prediction(
    n: int, c: int, seed: int, scale: float, one_class: bool, bins: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(n, c)) * scale).astype(np.float32)
    labels = np.zeros(n, np.int64) if one_class else rng.integers(0, c, n)
    found = calibration(logits, labels, logits, labels, bootstrap=5, bins=bins, temperatures=(1.0, 3.0))
    assert found.fit_nll_after <= found.fit_nll_before
    assert found.before.accuracy == found.after.accuracy
    assert found.after.nll <= found.before.nll * (1 + 1e-6)
    for figures in (found.before, found.after):
        for name, value in asdict(figures).items():
            assert np.isfinite(value), name
            assert 0 <= value <= {"nll": np.inf, "brier": 2 + 1e-6}.get(name, 1 + 1e-6), name
        assert figures.rms_debiased <= figures.rms
        assert figures.ece <= figures.mce + 1e-9
        assert figures.ece_debiased <= figures.ece + 1e-9
    assert sum(found.reliability_before.examples) == sum(found.reliability_after.examples) == n
    json.dumps(plain(asdict(found)), allow_nan=False)


def test_what_is_drawn_is_what_is_counted() -> None:
    """The curves at T = 1 and at T* are the figures before and after."""
    logits, labels = case(400, 6, 1, scale=2.0)
    val_logits, val_labels = case(300, 6, 2, scale=2.0)
    found = calibration(logits, labels, val_logits, val_labels, temperatures=(0.5, 1.0, 2.0), bootstrap=0)
    assert found.ece_at[1] == found.before.ece
    assert found.nll_at[1] == pytest.approx(found.before.nll)
    assert found.ece_at_temperature == pytest.approx(found.after.ece, abs=1e-6)
    assert found.nll_at_temperature == pytest.approx(found.after.nll, abs=1e-6)
    assert found.nll_at[0] > found.nll_at[1] > found.nll_at[2]
    assert found.after.ece < found.before.ece
    assert found.after.nll < found.before.nll
    assert found.accuracy_at[-1] == pytest.approx(found.before.accuracy)
    assert found.coverage[-1] == 1


def test_the_temperature_comes_from_validation_alone() -> None:
    val_logits, val_labels = case(200, 4, 9)
    found = {calibration(*case(50, 4, seed), val_logits, val_labels, bootstrap=0).temperature for seed in range(3)}
    assert found == {fit_temperature(val_logits, val_labels)[0]}


def test_the_order_of_examples_does_not_matter() -> None:
    logits, labels = case(500, 4)
    logits = np.round(logits)  # many equal confidences
    order = np.random.default_rng(1).permutation(500)
    one = calibration(logits, labels, logits, labels, bootstrap=0).before
    two = calibration(logits[order], labels[order], logits, labels, bootstrap=0).before
    assert asdict(one) == pytest.approx(asdict(two), abs=1e-9)


def test_cross_fitting_uses_the_other_folds() -> None:
    logits, labels = case(90, 3, scale=3.0)
    found = calibration(logits, labels, cross_fit=3, bootstrap=0, seed=7)
    assert len(found.fold_temperatures) == 3
    assert found.temperature == pytest.approx(np.exp(np.mean(np.log(found.fold_temperatures))))
    parts = np.array_split(np.random.default_rng(7).permutation(90), 3)
    nll = 0.0
    for part, temperature in zip(parts, found.fold_temperatures, strict=True):
        rest = np.setdiff1d(np.arange(90), part)
        assert temperature == pytest.approx(fit_temperature(logits[rest], labels[rest])[0])
        p = softmax(logits[part] / temperature, axis=1)
        nll -= np.log(p[np.arange(len(part)), labels[part]]).sum()
    assert found.after.nll == pytest.approx(nll / 90, abs=1e-5)
    assert found.after.accuracy == found.before.accuracy
    assert found == calibration(logits, labels, cross_fit=3, bootstrap=0, seed=7)
    assert found.temperature != calibration(logits, labels, cross_fit=3, bootstrap=0, seed=8).temperature
    assert any("cross-fitting" in note for note in found.notes)


def test_every_interval_holds_its_figure_and_names_its_method() -> None:
    logits, labels = case(120, 3)
    options = {"bootstrap": 70, "bins": 6}
    found = calibration(logits, labels, logits, labels, seed=4, **options)
    for figures, spans in ((found.before, found.before_interval), (found.after, found.after_interval)):
        assert list(spans) == list(found.interval_methods) == list(METHODS)
        for name, (low, high) in spans.items():
            assert 0 <= low <= getattr(figures, name) <= high <= (1 if name not in ("nll", "brier") else 9), name
            assert low < high, name
    again = calibration(logits, labels, logits, labels, seed=4, **options)
    other = calibration(logits, labels, logits, labels, seed=5, **options)
    assert found.before_interval == again.before_interval
    simulated = {n for n in METHODS if found.before_interval[n] != other.before_interval[n]}
    assert simulated == {"ece", "ece_debiased", "ece_equal_mass", "rms_debiased"}
    table = found.report().blocks[1]
    assert isinstance(table, Table)
    assert table.columns[-1] == "interval by"
    assert {row[0]: row[-1] for row in table.rows}["accuracy"] == "Wilson"
    assert {row[0]: row[-1] for row in table.rows}["ECE, classwise"] is None
    assert any("biased upward" in note for note in found.report().notes)
    bare = calibration(logits, labels, logits, labels, bootstrap=0)
    assert (bare.before_interval, bare.interval_methods) == ({}, {})
    assert not any("biased upward" in note for note in bare.report().notes)


def test_what_has_no_interval_is_said() -> None:
    one = calibration(*case(1, 3), bootstrap=20)
    assert set(one.before_interval) == set(one.interval_methods) == set(METHODS) - {"nll", "brier"}
    assert "No 95 % interval of NLL (nats) and Brier score (0 to 2): it takes two examples that differ." in one.notes


@pytest.mark.parametrize(
    ("scale", "towards"), [(0.0, "spread"), (0.6, "spread"), (1.0, "none"), (9.0, "even"), (1.0, "sparse")]
)
def test_the_expected_ece_is_that_of_binomial_counts(scale: float, towards: str) -> None:
    """Against a sum over every count; bins of one, of many, of a confidence of 1 and of a gap either way."""
    from scipy.stats import binom

    confidence = np.repeat([0.5, 0.83, 0.998, 1.0, 0.3], [1, 7, 450, 3, 40])
    correct = np.arange(len(confidence)) % 3 > 0
    which = np.repeat(np.arange(5), [1, 7, 450, 3, 40])
    scaled = Scaled.of(which, confidence, correct, 6, towards)
    assert (scaled.gap < 0).any()
    p = scaled.accuracy(scale)
    assert ((p >= 0) & (p <= 1)).all()
    expected = 0.0
    for n, c, q in zip(scaled.counts, scaled.confidence, p, strict=True):
        k = np.arange(n + 1)
        expected += np.abs(n * c - k) @ binom.pmf(k, n, q) / len(confidence)
    gaps = expected_gap(scaled.counts, scaled.confidence, p)
    assert scaled.share @ gaps == pytest.approx(expected, abs=1e-10)
    errors = scaled.share @ np.abs(confidence[np.unique(which, return_index=True)[1]] - p)
    assert np.sqrt(scaled.errors(scale)[0]) == pytest.approx(errors)
    if scale < 9:
        assert scaled.scale_of(errors) == pytest.approx(scale)
    else:
        assert set(p) == {0.0, 1.0}, "no gap can be larger"


def test_one_bin_is_a_binomial_test() -> None:
    """Where all examples are as sure, the ECE is |confidence - share|, and Clopper and Pearson know its interval."""
    from scipy.stats import binomtest

    confidence, correct = np.full(400, 0.8), np.arange(400) < 280
    which = np.zeros(400, dtype=int)
    share = binomtest(280, 400).proportion_ci(0.95)
    expected = (0.8 - share.high, 0.8 - share.low)
    ece_span, rms_span = binned_intervals(which, confidence, correct, 1, resamples=20_000, rng=np.random.default_rng(0))
    assert ece_span == pytest.approx(expected, abs=0.004)
    assert rms_span == pytest.approx(expected, abs=0.004)
    assert mce_interval(which, confidence, correct, 1) == pytest.approx(expected, abs=1e-6)
    assert ece_debiased(which, confidence, correct, 1) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize(("examples", "confidence"), [(3, 0.9), (10, 0.9), (50, 0.9), (1000, 0.6)])
def test_all_wrong_is_not_certain(examples: int, confidence: float) -> None:
    """The lower end is Clopper and Pearson's, no more than a step of the simulation below it; none is nothing wide."""
    from scipy.stats import binomtest

    confidences, correct = np.full(examples, confidence), np.zeros(examples, dtype=bool)
    which = np.zeros(examples, dtype=int)
    span, _ = binned_intervals(which, confidences, correct, 1, resamples=2000, rng=np.random.default_rng(0))
    lowest = max(confidence - binomtest(0, examples).proportion_ci(0.95).high, 0)
    assert span == pytest.approx((lowest, confidence), abs=0.03)
    assert span[0] < confidence


def test_luck_alone_makes_no_certainty() -> None:
    """All right, or exactly as sure as right: nothing is wrong, and a few examples do not prove it."""
    for confidence, correct in (
        (np.full(20, 0.999), np.ones(20, dtype=bool)),
        (np.full(20, 0.75), np.arange(20) < 15),
        (np.full(3, 1.0), np.ones(3, dtype=bool)),
    ):
        which = equal_width(confidence, 15)
        span, _ = binned_intervals(which, confidence, correct, 15, resamples=500, rng=np.random.default_rng(0))
        assert span[0] == 0
        assert span[1] > 0.02
        assert ece_debiased(which, confidence, correct, 15) == 0


def test_the_influence_on_aurc_is_its_derivative() -> None:
    """Against the AURC of a sample in which one example is repeated, and a sum of 0; the error rate's without ranks."""
    rng = np.random.default_rng(2)
    confidence, correct = rng.random(400), rng.random(400) < 0.7
    area, influence = aurc_influence(confidence, correct)
    assert area == pytest.approx(risks(confidence, correct).mean())
    assert influence.sum() == pytest.approx(0, abs=1e-9)
    # The confidence a hair below keeps the rank of every other; 400 copies of all, so that one more is little.
    many, right = np.repeat(confidence, 400), np.repeat(correct, 400)
    for row in (3, 57, int(confidence.argmin()), int(confidence.argsort()[20])):
        more = risks(np.append(many, confidence[row]), np.append(right, correct[row])).mean()
        change = (more - risks(many, right).mean()) * (len(many) + 1)
        assert change == pytest.approx(influence[row], abs=0.02)
    tied = aurc_influence(np.full(400, 0.5), correct)
    np.testing.assert_allclose(tied[1], ~correct - tied[0], atol=1e-9)
    assert aurc_interval(confidence, np.ones(400, dtype=bool)) == pytest.approx(tuple(float(v) for v in wilson(0, 400)))


def test_the_interval_of_a_mean_without_skewness_is_students() -> None:
    from scipy.stats import ttest_1samp

    values = np.array([-3.0, -1, 0, 1, 3])
    low, high = mean_interval(values)
    assert (low, high) == pytest.approx(tuple(ttest_1samp(values, 0).confidence_interval(0.95)), abs=1e-4)
    assert mean_interval(values[:1]) is None
    low, high = mean_interval(np.array([0.0, 0, 0, 0, 1, 0, 0, 5]))
    assert high - 0.75 > 0.75 - low, "a long tail upward moves the upper end away"


def test_the_report_is_plain_and_several_combine() -> None:
    logits, labels = case(200, 4, scale=2.0)
    report = calibration(logits, labels, cross_fit=2).report()
    assert from_dict(json.loads(json.dumps(report.to_dict()))) == report
    both = combine({"a": report, "b": calibration(*case(200, 4, 5), cross_fit=2).report()})
    assert [type(b) for b in both.blocks[:4]] == [Table, Table, Lines, Lines]
    assert [row[0] for row in both.blocks[0].rows] == ["a", "b"]
    ece_lines, diagram = both.blocks[2], both.blocks[5]
    assert [s.label for s in ece_lines.series] == ["a ECE", "a ECE at T*", "b ECE", "b ECE at T*"]
    assert [len(s.x) for s in ece_lines.series] == [23, 1, 23, 1]
    assert [s.label for s in diagram.series] == ["perfect", "a before", "a after", "b before", "b after"]
    assert isinstance(report.blocks[0], Scalars)
    assert report.blocks[0].values["ECE after"] == report.blocks[1].rows[3][3]
    without = calibration(logits, labels, cross_fit=2, bootstrap=0).report()
    assert without.blocks[1].columns == ("", "before", "after")


def test_a_temperature_that_has_no_optimum_is_said() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]] * 9
    found = calibration(logits, np.array([0, 1, 2, 0]), logits, np.array([0, 1, 2, 0]), bootstrap=0)
    assert any("end of its range" in note for note in found.notes)
    assert any("very examples" in note for note in found.notes)
    fair = calibration(*case(50, 3), *case(50, 3, 1), bootstrap=0)
    assert fair.notes == ()


AFTER = ("temperature", "after", "fit_nll_before", "fit_nll_after", "ece_at_temperature", "nll_at_temperature",
         "reliability_after")  # fmt: skip


def test_without_validation_all_that_needs_none_is_given() -> None:
    logits, labels = case(300, 4, scale=2.0)
    val = case(100, 4, 1)
    scaled = calibration(logits, labels, *val, bootstrap=20)
    bare = calibration(logits, labels, bootstrap=20)
    half = calibration(logits, labels, val[0], bootstrap=20)
    seen = calibration(logits, labels, *val, bootstrap=20, seen=True)
    for found, why in (
        (bare, "there are no val_logits and val_labels; --cross-fit 5 fits"),
        (half, "there are no val_labels; --cross-fit 5 fits"),
        (seen, "may have been trained on validation examples"),
    ):
        (note,) = found.notes
        assert note.startswith("Left out: T* and every figure after scaling")
        assert why in note
        assert ("--fit-on val" in note) == (found is seen)
        assert {k for k, v in vars(found).items() if v is None} == set(AFTER)
        assert (found.after_interval, found.fold_temperatures) == ({}, ())
        for name in set(vars(found)) - {*AFTER, "after_interval", "notes"}:
            assert getattr(found, name) == getattr(scaled, name), name
        document = json.loads(json.dumps(plain(asdict(found)), allow_nan=False))
        assert document["after"] is document["temperature"] is None
    assert calibration(logits, labels, bootstrap=20, cross_fit=5).temperature is not None


def test_weights_that_may_have_seen_validation_fit_there_only_where_somebody_insists() -> None:
    logits, labels = case(300, 4, scale=2.0)
    val = case(200, 4, 1, scale=2.0)
    usual = calibration(logits, labels, *val, bootstrap=20)
    insisted = calibration(logits, labels, *val, bootstrap=20, seen=True, fit_on="val")
    assert vars(insisted) | {"notes": usual.notes} == vars(usual)
    assert insisted.notes[0] == "T* was fitted on validation examples that the weights may have seen (--fit-on val)."
    assert calibration(logits, labels, *val, bootstrap=20, fit_on="val") == usual
    folds = calibration(logits, labels, *val, bootstrap=20, seen=True, cross_fit=5)
    assert folds == calibration(logits, labels, bootstrap=20, cross_fit=5)


def test_a_temperature_that_does_not_serve_the_split_is_said() -> None:
    """Validation that a model learnt by heart asks for a temperature that makes its mistakes elsewhere dearer."""
    logits, labels = case(400, 4, scale=2.0)
    by_heart = np.eye(4, dtype=np.float32)[np.arange(200) % 4] * 3
    by_heart[:4] = -by_heart[:4]  # a few mistakes, so that there is an optimum
    (note,) = calibration(logits, labels, by_heart, np.arange(200) % 4, bootstrap=0).notes
    shown = re.fullmatch(
        r"T\* fitted on validation makes the NLL of this split worse \((.*) → (.*)\): are validation examples ones it "
        r"was trained on, or too few\? --cross-fit 5 fits T\* on this split\.",
        note,
    )
    assert shown is not None
    temperature = fit_temperature(by_heart, np.arange(200) % 4)[0]
    nll = [log_loss(labels, softmax(logits.astype(float) / t, axis=1)) for t in (1, temperature)]
    assert [float(v) for v in shown.groups()] == pytest.approx(nll, rel=1e-3)
    # Easier examples that are as overconfident: the temperature serves, and their NLL is far below.
    rng = np.random.default_rng(1)
    sharp = rng.normal(size=(4000, 4)) * 9
    drawn = (softmax(sharp, axis=1).cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    easier = calibration(logits, labels, sharp * 2, drawn, bootstrap=0)
    assert easier.temperature == pytest.approx(2, rel=0.15)
    assert easier.after is not None
    assert easier.after.nll < easier.before.nll
    assert easier.before.nll > 1.5 * easier.fit_nll_before
    (note,) = easier.notes
    assert note.startswith("The NLL of this split is above 1.5 times that of validation (")
    assert note.endswith("? --cross-fit 5 fits T* on this split.")
    assert calibration(logits, labels, sharp * 2, drawn, bootstrap=0, cross_fit=5).notes[1:] == ()
    # Examples that are easier than validation accuse nobody.
    harder = calibration(by_heart, np.arange(200) % 4, logits, labels, bootstrap=0)
    assert harder.after is not None
    assert harder.after.nll > harder.before.nll
    assert [n for n in harder.notes if "trained on" in n] == []
    assert any("makes the NLL of this split worse" in n for n in harder.notes)


def test_reports_with_and_without_scaling_combine() -> None:
    logits, labels = case(200, 4, scale=2.0)
    both = combine(
        {"a": calibration(logits, labels, cross_fit=2).report(), "b": calibration(*case(200, 4, 5)).report()}
    )
    for table in (b for b in both.blocks if isinstance(b, Table)):
        assert {len(row) for row in table.rows} == {len(table.columns)}, table.title
    assert [b.title for b in both.blocks].count("Calibration, before scaling") == 1
    diagram = next(b for b in both.blocks if b.title == "Reliability")
    assert [s.label for s in diagram.series] == ["perfect", "a before", "a after", "b before"]
    bare = calibration(logits, labels, bootstrap=0).report()
    assert bare.blocks[1].columns == ("", "before")
    assert bare.blocks[0].values.keys() == {"ECE before", "NLL before"}


def test_what_is_missing_or_does_not_fit_is_refused() -> None:
    logits, labels = case(20, 3)
    with pytest.raises(DataError, match=r"no val_logits and val_labels.*--cross-fit 5"):
        calibration(logits, labels, fit_on="val")
    with pytest.raises(DataError, match=r"no val_labels.*--cross-fit 5"):
        calibration(logits, labels, logits, fit_on="val")
    with pytest.raises(DataError, match="val_logits have 4 classes, logits 3"):
        calibration(logits, labels, *case(20, 4))
    bad = logits.copy()
    bad[3, 1] = np.nan
    with pytest.raises(DataError, match=r"logits\[3, 1\] is nan"):
        calibration(bad, labels, cross_fit=2)
    with pytest.raises(DataError, match=r"val_logits\[3, 1\] is nan"):
        calibration(logits, labels, bad, labels)
    with pytest.raises(DataError, match=r"val_labels\[0\] is 3"):
        calibration(logits, labels, logits, np.full(20, 3))
    with pytest.raises(DataError, match=r"labels\[0\] is 7"):
        calibration(logits, np.full(20, 7), cross_fit=2)


@pytest.mark.parametrize(
    "options",
    [
        {"bins": 0},
        {"bootstrap": -1},
        {"cross_fit": 1},
        {"cross_fit": 21},
        {"cross_fit": 5, "fit_on": "val"},
        {"temperatures": (0.0,)},
        {"temperatures": ()},
    ],
)
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(UsageError):
        calibration(*case(20, 3), *case(20, 3, 1), **options)


def test_a_temperature_is_not_fitted_on_labels_of_no_probability() -> None:
    """Infinite at every temperature: what is left is counted, and where nothing is, there is no T*."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(60, 3)), np.arange(60) % 3
    val, val_labels = rng.normal(size=(40, 3)), np.arange(40) % 3
    val[:30][np.arange(30), val_labels[:30]] = -np.inf
    some = calibration(logits, labels, val, val_labels, bootstrap=0)
    alone = calibration(logits, labels, val[30:], val_labels[30:], bootstrap=0)
    assert some.temperature == pytest.approx(alone.temperature)
    assert any("T* was fitted on 10 of 40 validation examples" in note for note in some.notes)
    none = calibration(logits, labels, val[:30], val_labels[:30], bootstrap=20)
    assert (none.temperature, none.after, none.ece_at_temperature) == (None, None, None)
    assert any(note.startswith("Left out: T* and every figure after scaling: no label") for note in none.notes)


def test_the_nll_interval_is_of_the_finite_losses() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(200, 3)), np.arange(200) % 3
    logits[:100][np.arange(100), labels[:100]] = -np.inf
    found = calibration(logits, labels, bootstrap=200)
    assert found.nll_infinite == 100
    low, high = found.before_interval["nll"]
    assert low < found.before.nll < high
    assert found.before.nll == pytest.approx(calibration(logits[100:], labels[100:], bootstrap=0).before.nll)


def test_few_examples_are_said_to_be_few() -> None:
    logits, labels = case(30, 4)
    few = ask(logits[:15], labels[:15], bootstrap=50).report()
    assert any("Fewer than 20 examples" in note for note in few.notes)
    assert not any("Fewer than 20" in note for note in ask(logits, labels, bootstrap=50).report().notes)

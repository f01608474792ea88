"""Distillation's formulas against numbers worked by hand, identities, other implementations and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from fierce_tools.errors import UsageError
from fierce_tools.losses import (
    ce,
    dkd,
    kd,
    label_smoothing,
    logit_matching,
    noisy_labels,
    smoothed_labels,
    virtual_teacher,
)
from fierce_tools.losses._kd import kl, log_soft
from fierce_tools.losses._labels import targets
from fierce_tools.losses.dkd import parts
from fierce_tools.losses.noisy_labels import noisy
from fierce_tools.menu import LOSSES

N, C = 16, 7
g = torch.Generator().manual_seed(0)
LOGITS = torch.randn(N, C, generator=g, dtype=torch.float64)
TEACHER = 3 * torch.randn(N, C, generator=g, dtype=torch.float64)
LABELS = torch.randint(C, (N,), generator=g)
ALONE = {"kd_weight": 1.0, "ce_weight": 0.0}
TAUGHT = [name for name in LOSSES.names() if "teacher_logits" in LOSSES.get(name).__annotations__]


def gradient(value: object, logits: torch.Tensor) -> torch.Tensor:
    z = logits.clone().requires_grad_()
    value(z).mean().backward()  # type: ignore[operator]
    assert z.grad is not None
    return z.grad


def test_a_batch_worked_by_hand() -> None:
    """Two examples, two classes, T = 2: each KL by hand, and their mean is torch's batchmean, not its 'mean'."""
    student = torch.tensor([[2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0, 2.0], [4.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    e1, e2 = math.exp(1), math.exp(2)
    q, p = e1 / (1 + e1), e1 / (1 + e1)  # the teacher's second class, the student's first
    first = (1 - q) * math.log((1 - q) / p) + q * math.log(q / (1 - p))
    t = e2 / (1 + e2)
    second = t * math.log(t / 0.5) + (1 - t) * math.log((1 - t) / 0.5)
    hard = [-math.log(e2 / (1 + e2)), math.log(2)]
    value = kd(student, labels, teacher, temperature=2.0, kd_weight=0.7, ce_weight=0.3)
    expected = [0.7 * 4 * k + 0.3 * h for k, h in zip((first, second), hard, strict=True)]
    torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64))
    alone = kd(student, labels, teacher, temperature=2.0, t2=False, **ALONE).mean()
    cells = F.kl_div((student / 2).log_softmax(1), (teacher / 2).softmax(1), reduction="none")
    batchmean = F.kl_div((student / 2).log_softmax(1), (teacher / 2).softmax(1), reduction="batchmean")
    torch.testing.assert_close(alone, batchmean)
    assert alone == pytest.approx(2 * float(cells.mean())), "torch's 'mean' divides by the classes too"


@pytest.mark.parametrize("temperature", [1.0, 4.0, 9.0, 20.0])
def test_gradients_of_the_tied_term(temperature: float) -> None:
    """(T/B)(p_s - p_t) with T², (1/(T·B))(p_s - p_t) without."""
    difference = (LOGITS / temperature).softmax(1) - (TEACHER / temperature).softmax(1)
    for t2, factor in ((True, temperature / N), (False, 1 / (temperature * N))):
        found = gradient(lambda z, t2=t2: kd(z, LABELS, TEACHER, temperature=temperature, t2=t2, **ALONE), LOGITS)
        torch.testing.assert_close(found, factor * difference)


def test_gradient_of_a_student_at_its_own_temperature() -> None:
    def value(z: torch.Tensor) -> torch.Tensor:
        return kd(z, LABELS, TEACHER, temperature=4.0, student_temperature=1.0, t2=False, **ALONE)

    torch.testing.assert_close(gradient(value, LOGITS), (LOGITS.softmax(1) - (TEACHER / 4).softmax(1)) / N)


def test_a_model_with_itself_is_nothing() -> None:
    for options in ({}, {"t2": False}, {"temperature": 1.0}):
        assert (kd(LOGITS, LABELS, LOGITS, **options, **ALONE) == 0).all()
    assert (logit_matching(LOGITS, LABELS, LOGITS, **ALONE) == 0).all()
    target, others = parts(LOGITS, LABELS, LOGITS, 4.0)
    assert (target == 0).all()
    assert (others == 0).all()


def test_the_scale_of_a_term_does_not_depend_on_the_others_weight() -> None:
    calls = {
        "kd": lambda **w: kd(LOGITS, LABELS, TEACHER, **w),
        "logits": lambda **w: logit_matching(LOGITS, LABELS, TEACHER, **w),
        "virtual": lambda **w: virtual_teacher(LOGITS, LABELS, **w),
        "smoothed": lambda **w: smoothed_labels(LOGITS, LABELS, **w),
        "noisy": lambda **w: noisy_labels(LOGITS, LABELS, TEACHER, noise_scale=0.0, **w),
    }
    for name, value in calls.items():
        soft, hard = value(kd_weight=1.0, ce_weight=0.0), value(kd_weight=0.0, ce_weight=1.0)
        torch.testing.assert_close(hard, ce(LOGITS, LABELS))
        for a, b in ((0.3, 0.0), (0.3, 0.7), (0.3, 5.0), (2.0, 0.7)):
            torch.testing.assert_close(value(kd_weight=a, ce_weight=b), a * soft + b * hard, msg=name)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("convention", ["uniform", "others"])
def test_smoothed_labels_are_label_smoothing_less_the_targets_entropy(alpha: float, convention: str) -> None:
    q = targets(LABELS, C, alpha=alpha, convention=convention, dtype=torch.float64)
    entropy = -torch.special.xlogy(q, q).sum(1)
    smooth = label_smoothing(LOGITS, LABELS, alpha=alpha, convention=convention)
    value = smoothed_labels(LOGITS, LABELS, alpha=alpha, convention=convention, **ALONE)
    torch.testing.assert_close(value, smooth - entropy)
    taught = kd(LOGITS, LABELS, q.log(), temperature=1.0, **ALONE)
    torch.testing.assert_close(taught, value, msg="and a teacher whose probabilities they are says the same")


def test_the_decoupled_parts_add_up_to_kl() -> None:
    """KL = TCKD + (1 - p_y)·NCKD, p_y the teacher's at T."""
    for temperature in (1.0, 4.0, 9.0):
        target, others = parts(LOGITS, LABELS, TEACHER, temperature)
        p_y = (TEACHER / temperature).softmax(1).gather(1, LABELS[:, None])[:, 0]
        whole = kl(log_soft(TEACHER, temperature), log_soft(LOGITS, temperature))
        torch.testing.assert_close(whole, target + (1 - p_y) * others)


def test_decoupled_as_the_paper_writes_it() -> None:
    """From probabilities, as eq. 4 to 7 have it, with T², α 1, β 8 and a warm-up over 20 epochs."""
    p, q = (LOGITS / 4).softmax(1), (TEACHER / 4).softmax(1)
    other = ~F.one_hot(LABELS, C).bool()
    p_y, q_y = p[~other], q[~other]
    target = q_y * (q_y / p_y).log() + (1 - q_y) * ((1 - q_y) / (1 - p_y)).log()
    p_rest, q_rest = (v[other].view(N, C - 1) / (1 - y)[:, None] for v, y in ((p, p_y), (q, q_y)))
    others = (q_rest * (q_rest / p_rest).log()).sum(1)
    expected = 16 * (target + 8 * others)
    for epoch, ramp in ((0.0, 0.0), (5.0, 0.25), (20.0, 1.0), (100.0, 1.0)):
        torch.testing.assert_close(dkd(LOGITS, LABELS, TEACHER, epoch), ramp * expected + ce(LOGITS, LABELS))
    torch.testing.assert_close(dkd(LOGITS, LABELS, TEACHER, 0.0, dkd_warmup=0, t2=False, ce_weight=0.0), expected / 16)


def test_two_classes_have_no_others() -> None:
    z, t, y = LOGITS[:, :2], TEACHER[:, :2], LABELS % 2
    target, others = parts(z, y, t, 4.0)
    assert (others == 0).all()
    torch.testing.assert_close(target, kl(log_soft(t, 4.0), log_soft(z, 4.0)))
    assert torch.isfinite(gradient(lambda v: dkd(v, y, t, 20.0), z)).all()


def test_logits_by_hand() -> None:
    value = logit_matching(torch.tensor([[1.0, 2.0]]), torch.tensor([0]), torch.tensor([[3.0, -1.0]]), **ALONE)
    assert value.tolist() == [pytest.approx((4 + 9) / 2)]
    found = gradient(lambda z: logit_matching(z, LABELS, TEACHER, **ALONE), LOGITS)
    torch.testing.assert_close(found, (LOGITS - TEACHER) / N)


def test_kd_at_a_high_temperature_is_logit_matching() -> None:
    """Hinton et al. §2.1: with T² and zero-mean logits the gradient goes to (z - z_t)/(C·B)."""
    z, t = (v - v.mean(1, keepdim=True) for v in (LOGITS, TEACHER))
    found = gradient(lambda v: kd(v, LABELS, t, temperature=1e4, **ALONE), z)
    torch.testing.assert_close(found, (z - t) / (C * N), rtol=1e-3, atol=1e-5)


def test_the_virtual_teacher_by_hand() -> None:
    """C = 3, a = .9: .9, .05, .05 at T = 2 are in the ratio of their square roots."""
    rows = [math.sqrt(v) for v in (0.9, 0.05, 0.05)]
    q = torch.tensor([[v / sum(rows) for v in rows]], dtype=torch.float64)
    z = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    expected = (q * (q.log() - (z / 2).log_softmax(1))).sum()
    found = virtual_teacher(z, torch.tensor([0]), temperature=2.0, correct=0.9, **ALONE)
    torch.testing.assert_close(found[0], expected)
    squared = virtual_teacher(z, torch.tensor([0]), temperature=2.0, correct=0.9, t2=True, **ALONE)
    torch.testing.assert_close(squared, 4 * found)
    sure = virtual_teacher(z, torch.tensor([0]), temperature=5.0, correct=1.0, **ALONE)
    torch.testing.assert_close(sure, ce(z / 5, torch.tensor([0])), msg="wholly sure, it is the label")


def certain() -> torch.Tensor:
    """log-probabilities: one-hot on the label, one-hot beside it, half and half, one class left out."""
    p = torch.full((N, C), 1 / C, dtype=torch.float64)
    p[0::4] = F.one_hot(LABELS[0::4], C).double()
    p[1::4] = F.one_hot((LABELS[1::4] + 1) % C, C).double()
    p[2::4] = (F.one_hot(LABELS[2::4], C) + F.one_hot((LABELS[2::4] + 2) % C, C)).double() / 2
    p[3, 0], p[3, 1] = 0, 2 / C
    return p.log()


@pytest.mark.parametrize("name", TAUGHT)
def test_teachers_that_rule_classes_out(name: str) -> None:
    """Probabilities of 0 are logits of -inf: the loss and its gradient stay finite."""
    for logits in (LOGITS, 1e4 * LOGITS):
        z = logits.clone().requires_grad_()
        more = {"epoch": 20.0} if name == "dkd" else {}
        value = LOSSES.get(name)(z, LABELS, certain(), **more)
        value.sum().backward()
        assert torch.isfinite(value).all()
        assert z.grad is not None
        assert torch.isfinite(z.grad).all()


def test_a_teacher_sure_of_the_label_is_cross_entropy() -> None:
    sure = F.one_hot(LABELS, C).double().log()
    torch.testing.assert_close(kd(LOGITS, LABELS, sure, temperature=9.0, t2=False, **ALONE), ce(LOGITS / 9, LABELS))
    target, others = parts(LOGITS, LABELS, sure, 4.0)
    torch.testing.assert_close(target, ce(LOGITS / 4, LABELS))
    assert (others == 0).all()
    assert torch.isfinite(logit_matching(LOGITS, LABELS, sure)).all()


def test_softening_probabilities_keeps_what_is_ruled_out() -> None:
    soft = log_soft(torch.tensor([[0.64, 0.36, 0.0]]).log(), 2.0).exp()
    torch.testing.assert_close(soft, torch.tensor([[0.8, 0.6, 0.0]]) / 1.4)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_noise(kind: str) -> None:
    q = torch.full((20_000, 4), 0.25)
    torch.manual_seed(0)
    first, second = noisy(q, kind, 0.1), noisy(q, kind, 0.1)
    assert not torch.equal(first, second), "drawn anew"
    torch.manual_seed(0)
    assert torch.equal(noisy(q, kind, 0.1), first), "from the global generator"
    torch.testing.assert_close(first.sum(1), torch.ones(20_000))
    # Far from 0, before renormalisation, the spread is the noise's own: s/√3 or s, less the row's mean.
    spread = {"uniform": 0.1 / math.sqrt(3), "normal": 0.1}[kind] * math.sqrt(3 / 4)
    assert float(first.std()) == pytest.approx(spread, rel=0.1)
    wild = noisy(q, kind, 100.0)
    assert float(wild.min()) == 0
    torch.testing.assert_close(wild.sum(1), torch.ones(20_000), msg="rows of which nothing is left too")
    torch.testing.assert_close(noisy(q, kind, 0.0), q)


def test_no_noise_is_distillation() -> None:
    found = noisy_labels(LOGITS, LABELS, TEACHER, noise_scale=0.0)
    torch.testing.assert_close(found, kd(LOGITS, LABELS, TEACHER))
    found = noisy_labels(LOGITS, LABELS, noise_scale=0.0, noise_on="smoothed", alpha=0.3, t2=True)
    torch.testing.assert_close(found, smoothed_labels(LOGITS, LABELS, alpha=0.3))
    with pytest.raises(UsageError, match="needs a teacher"):
        noisy_labels(LOGITS, LABELS)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("kd", {"temperature": 0.0}, "above 0"),
        ("kd", {"temperature": math.nan}, "above 0"),
        ("kd", {"temperature": 1e200}, "to 1,000,000"),
        ("kd", {"temperature": 1e-300}, "from 1e-06"),
        ("kd", {"kd_weight": 0.0, "ce_weight": 0.0}, "every weight of the loss is 0"),
        ("dkd", {"tckd_weight": 0.0, "nckd_weight": 0.0, "ce_weight": 0.0}, "every weight of the loss is 0"),
        ("kd", {"kd_weight": -1.0}, "--kd-weight is -1"),
        ("kd", {"ce_weight": math.inf}, "--ce-weight is inf"),
        ("kd", {"student_temperature": 1.0}, "add --no-t2"),
        ("logit-matching", {"kd_weight": -1.0}, "--kd-weight"),
        ("dkd", {"nckd_weight": -1.0}, "--nckd-weight"),
        ("dkd", {"dkd_warmup": -1}, "--dkd-warmup"),
        ("virtual-teacher", {"correct": 0.1}, "--correct is 0.1"),
        ("virtual-teacher", {"correct": 1.1}, "--correct is 1.1"),
        ("smoothed-labels", {"alpha": 1.5}, "--alpha"),
        ("smoothed-labels", {"student_temperature": 0.0}, "above 0"),
        ("noisy-labels", {"noise_scale": -1.0}, "--noise-scale"),
    ],
)
def test_values_out_of_range_are_refused(name: str, options: dict, said: str) -> None:
    arrays = [LOGITS, LABELS, *([TEACHER] if name in TAUGHT else []), *([1.0] if name == "dkd" else [])]
    with pytest.raises(UsageError) as caught:
        LOSSES.get(name)(*arrays, **options)
    assert said in str(caught.value)


def test_the_formula_says_what_runs() -> None:
    from fierce_tools import recipe

    def said(name: str, **options: object) -> str:
        made = recipe.resolve({"loss": {"name": name, **options}})
        return LOSSES.module(name).formula(**made.options("loss"))

    assert said("kd") == "0.99·T²·KL(teacher ‖ student), T=9 (T²=81) + 0.01·CE"
    assert said("kd", t2=False, temperature=4) == "0.99·KL(teacher ‖ student), T=4, no T² + 0.01·CE"
    untied = said("kd", t2=False, temperature=4, student_temperature=1)
    assert untied == "0.99·KL(teacher at T=4 ‖ student at T=1), no T² + 0.01·CE"
    assert said("logit-matching", kd_weight=0.6, ce_weight=0.4) == (
        "0.6·½ Σ (z_student - z_teacher)² + 0.4·CE, no temperature"
    )
    assert said("dkd") == "T²·(1·TCKD + 8·NCKD), T=4 (T²=16), warm-up of 20 epochs + 1·CE"
    assert said("virtual-teacher") == "0.99·KL(virtual teacher, a=0.99 ‖ student), T=20, no T² + 0.01·CE"
    assert said("smoothed-labels") == "0.99·KL(smoothed labels, α=0.1 uniform ‖ student at T=1), no T² + 0.01·CE"
    assert said("noisy-labels") == "0.99·T²·KL(teacher with uniform noise 0.1 ‖ student), T=9 (T²=81) + 0.01·CE"
    assert "student at T=1), no T²" in said("noisy-labels", noise_on="smoothed")

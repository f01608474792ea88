"""The ensemble: every engine gives the students that the ordinary trainer gives, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fierce_tools import recipe
from fierce_tools.data import digits
from fierce_tools.data._splits import Split, Splits, split
from fierce_tools.errors import UsageError
from fierce_tools.models import airbench94, cnn, mlp, plain
from fierce_tools.models._classifier import Classifier
from fierce_tools.training._soft_targets import Targets
from fierce_tools.training._stacked import couples_examples
from fierce_tools.training.batches import Batch, Examples, batch_ends, measure
from fierce_tools.training.ensemble import Advanced, Chosen, Student, StudentDone, ensemble
from fierce_tools.training.infer import infer
from fierce_tools.training.loop import Step, fit
from fierce_tools.training.optimizers import make_optimizer
from fierce_tools.training.schedules import learning_rate
from fierce_tools.training.train import setup, train

NAMES = tuple("0123456789")
COUNT = 150
small = partial(cnn, (8, 8, 1), 10, width=3, feature_dim=6)
dense = partial(mlp, (8, 8, 1), 10, "12")
# With batch statistics.
normed = partial(plain.plain_2, (8, 8, 1), 10)


@pytest.fixture(scope="module")
def splits() -> Splits:
    whole = split(digits())
    few = replace(whole, train=_some(whole.train, np.arange(COUNT)), test=_some(whole.test, np.arange(60)))
    return few


def _some(examples: Split, rows: np.ndarray) -> Split:
    return Split(examples.images[rows], examples.labels[rows], examples.index[rows])


@pytest.fixture(scope="module")
def teachers() -> list[np.ndarray]:
    return [np.random.default_rng(seed).normal(0, 4, (COUNT, 10)).astype(np.float32) for seed in (1, 2)]


def without(splits: Splits, label: int) -> np.ndarray:
    return np.flatnonzero(splits.train.labels != label)


def run(
    make: Callable[[], Classifier], students: list[Student], splits: Splits, teachers: list[np.ndarray], **options: Any
) -> dict[int, StudentDone]:
    """All students by number; float64 steps unless said."""
    options = {"epochs": 2, "batch_size": 16, "dtype": torch.float64, "test": splits.test, **options}
    scale = measure(splits.train.images, "standard")
    events = ensemble(make, students, splits.train, scale, NAMES, teachers=teachers, **options)
    return {e.number: e for e in events if isinstance(e, StudentDone)}


def gap(a: dict[int, StudentDone], b: dict[int, StudentDone]) -> float:
    """The largest difference between any two weights or buffers of the same students."""
    assert set(a) == set(b)
    gaps = []
    for number, one in a.items():
        assert set(one.weights) == set(b[number].weights)
        gaps += [np.abs(v.astype(np.float64) - b[number].weights[n]).max() for n, v in one.weights.items()]
    return float(max(gaps))


def mixed(splits: Splits) -> list[Student]:
    """Teachers, temperatures, smoothed labels, labels alone, missing classes, seeds and rates of all kinds."""
    gone = [without(splits, 0), np.intersect1d(without(splits, 3), without(splits, 8)), without(splits, 3)]
    kinds: list[dict[str, Any]] = [
        {"teacher": 0, "temperature": 3.0},
        {"teacher": 1, "temperature": 9.0, "t2": False, "lr": 0.003},
        {"teacher": 0, "temperature": 9.0, "t2": False, "student_temperature": 1.0, "kd_weight": 0.5, "ce_weight": 0.5},
        {"alpha": 0.3, "lr": 0.0005},
        {"alpha": 0.5, "convention": "others", "ce_weight": 0.0, "kd_weight": 1.0},
        {},
    ]
    return [
        Student(seed=k % 2, order_seed=7 + k % 2, rows=rows, **kind)
        for rows in (*gone, None)
        for k, kind in enumerate(kinds)
    ]


SGD = {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
ADAM = {"optimizer": "adam", "weight_decay": 0.01}
ADAMW = {"optimizer": "adamw", "weight_decay": 0.05, "decay_on": "dense", "head_lr_scale": 0.3}


@pytest.mark.parametrize(("engine", "options"), [
    ("stacked", SGD), pytest.param("stacked", ADAM, marks=pytest.mark.slow), pytest.param("stacked", ADAMW, marks=pytest.mark.slow),
    pytest.param("unfolded", SGD, marks=pytest.mark.slow), pytest.param("unfolded", ADAM, marks=pytest.mark.slow),
])  # fmt: skip
def test_engines_agree_to_1e10_after_200_steps(
    splits: Splits, teachers: list[np.ndarray], engine: str, options: dict[str, Any]
) -> None:
    """Own rates, own rows, own batch sizes at the ends of epochs, own numbers of steps, clipping and a schedule."""
    make = small if engine == "unfolded" else dense
    students = mixed(splits)[::5] if engine == "stacked" else mixed(splits)[1:20:7]
    more = {**options, "epochs": 24, "clip_norm": 1.5, "schedule": "cosine", "warmup": 1.0}
    assert len({-(-len(s.rows) // 16) for s in students if s.rows is not None}) > 1, "steps differ"
    assert 24 * (COUNT // 16 - 1) >= 190
    stacked = run(make, students, splits, teachers, engine=engine, **more)
    truth = run(make, students, splits, teachers, engine="sequential", **more)
    assert gap(stacked, truth) < 1e-10
    logits = [(stacked[n].outputs.logits, truth[n].outputs.logits) for n in truth]  # type: ignore[union-attr]
    assert all(np.allclose(a, b, atol=1e-5) for a, b in logits)


def _taught(student: Student, teacher: np.ndarray | None) -> Callable[[nn.Module, Batch], Step]:
    """The loss as the sources write it, with torch's own kl_div."""
    logits = None if teacher is None else torch.from_numpy(teacher).double()

    def step(model: nn.Module, batch: Batch) -> Step:
        features = model.features(batch.inputs)  # type: ignore[operator]
        z = model.head(features)  # type: ignore[operator]
        loss = F.cross_entropy(z, batch.labels)
        if logits is not None:
            t = student.temperature
            target = (logits[batch.rows] / t).log_softmax(-1)
            soft = F.kl_div((z / t).log_softmax(-1), target, reduction="batchmean", log_target=True)
            loss = student.kd_weight * t**2 * soft + student.ce_weight * loss
        return Step(loss, {}, z, features)

    return step


class Double(Examples):
    """Inputs in float64."""

    def take(self, rows: torch.Tensor, *augmented: Any) -> torch.Tensor:
        return super().take(rows, *augmented).double()


@pytest.mark.parametrize("engine", ["sequential", "stacked", "unfolded"])
def test_a_student_is_what_the_ordinary_loop_makes_of_its_rows(
    splits: Splits, teachers: list[np.ndarray], engine: str
) -> None:
    students = [
        Student(seed=4, rows=without(splits, 3), teacher=1, temperature=4.0, lr=0.002),
        Student(seed=5, rows=without(splits, 0), lr=0.004),
        Student(seed=4, teacher=0, temperature=9.0, lr=0.002, kd_weight=0.7, ce_weight=0.3),
    ]
    options = {"schedule": "linear", "warmup": 0.5}
    found = run(small, students, splits, teachers, engine=engine, epochs=3, **SGD, **options)
    scale = measure(splits.train.images, "standard")
    for number, student in enumerate(students):
        rows = np.arange(COUNT) if student.rows is None else student.rows
        torch.manual_seed(student.seed)
        model = small().double()
        examples = Double(_some(splits.train, rows), scale, torch.device("cpu"))
        teacher = None if student.teacher is None else teachers[student.teacher][rows]
        steps = len(batch_ends(len(rows), 16))
        for _ in fit(
            model, examples, None, _taught(student, teacher), make_optimizer(model, **SGD),
            epochs=3, batch_size=16, seed=student.seed,
            learning_rate=learning_rate(steps, 3, lr=student.lr, **options),
        ):  # fmt: skip
            pass
        for name, value in model.state_dict().items():
            assert np.abs(value.numpy() - found[number].weights[name]).max() < 1e-11


@pytest.mark.parametrize("engine", ["sequential", "stacked"])
def test_a_student_on_labels_is_what_fierce_train_makes_with_its_seed(splits: Splits, engine: str) -> None:
    """In float32 and with everything of setup and train: weights, order, rates, and for one student dropout."""
    made = recipe.resolve({}, {"model.name": "cnn", "model.dropout": 0.2 if engine == "sequential" else 0.0})
    ready = setup(made, splits, seed=11, device="cpu")
    for _ in train(ready, epochs=2, batch_size=20).events:
        pass
    theirs = infer(ready.model, splits.test, ready.normalization, NAMES).logits
    make = partial(cnn, (8, 8, 1), 10, dropout=0.2 if engine == "sequential" else 0.0)
    found = run(
        make, [Student(seed=3), Student(seed=11)], splits, [], engine=engine, batch_size=20, dtype=torch.float32
    )
    ours = found[1].outputs
    assert ours is not None
    assert np.abs(ours.logits - theirs).max() < 2e-3
    assert np.array_equal(ours.get("index"), splits.test.index)


def test_a_network_that_is_made_of_its_inputs_sees_those_of_its_own_rows(splits: Splits) -> None:
    """The whitening of a student without 3s and 8s knows none, its bias learns for an epoch; as a training of its own."""
    rows = np.flatnonzero(~np.isin(splits.train.labels, (3, 8)))
    made = recipe.resolve({"model": {"name": "airbench94", "width_factor": 0.1, "whiten_bias_epochs": 1}})
    few = replace(splits, train=_some(splits.train, rows))
    ready = setup(made, few, seed=2, device="cpu", normalization="unit")
    for _ in train(ready, epochs=3, batch_size=20, **SGD, lr=0.1).events:
        pass
    make = partial(airbench94, (8, 8, 1), 10, width_factor=0.1, whiten_bias_epochs=1)
    student = Student(seed=2, rows=rows, lr=0.1)
    scale = measure(splits.train.images, "unit")
    events = list(ensemble(make, [student, student], splits.train, scale, NAMES, batch_size=20, epochs=3, **SGD))
    assert "some epochs" in next(e.refused["stacked"] for e in events if isinstance(e, Chosen))
    done = next(e for e in events if isinstance(e, StudentDone))
    for name, value in ready.model.state_dict().items():
        np.testing.assert_allclose(done.weights[name], value.numpy(), atol=1e-4, rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("engine", ["stacked", pytest.param("unfolded", marks=pytest.mark.slow)])
def test_batch_statistics_of_students_side_by_side(splits: Splits, teachers: list[np.ndarray], engine: str) -> None:
    """Running means and variances too; streams of unequal numbers of rows never share a step."""
    assert couples_examples(normed())
    assert not couples_examples(small())
    students = [
        Student(seed=s, order_seed=0, rows=rows, teacher=0, temperature=4.0)
        for rows in (without(splits, 1), without(splits, 8), None)
        for s in range(2)
    ]
    stacked = run(normed, students, splits, teachers, engine=engine, **SGD)
    truth = run(normed, students, splits, teachers, engine="sequential", **SGD)
    assert any("running_var" in n for n in truth[0].weights)
    assert all(int(v) == 2 * 9 for n, v in stacked[0].weights.items() if n.endswith("num_batches_tracked"))
    assert gap(stacked, truth) < 1e-10


def test_own_streams_give_what_shared_ones_give(splits: Splits, teachers: list[np.ndarray]) -> None:
    """The same students alone in their stacks, on streams of their own, and on shared ones."""
    students = [Student(seed=s, order_seed=3, teacher=s % 2, rows=without(splits, 5)) for s in range(4)]
    shared = run(dense, students, splits, teachers, engine="stacked")
    for number, student in enumerate(students):
        alone = run(dense, [student], splits, teachers, engine="stacked")
        assert gap({number: alone[0]}, {number: shared[number]}) < 1e-12
    # A row order of its own but the same rows: the weights are others.
    moved = run(dense, [replace(students[0], order_seed=4)], splits, teachers, engine="stacked")
    assert gap(moved, {0: shared[0]}) > 1e-4


def test_a_missing_class_is_never_seen(splits: Splits) -> None:
    """By nobody: the gradient of inputs aside, the network's own batches hold no example of it."""
    seen: list[torch.Tensor] = []

    class Watched(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach().clone())
            return x.flatten(1)

    def make() -> Classifier:
        return Classifier(Watched(), 64, 10)

    run(make, [Student(rows=without(splits, 6))], splits, [], engine="sequential", epochs=1, test=None)
    scale = measure(splits.train.images, "standard")
    gone = np.flatnonzero(splits.train.labels == 6)
    of_six = Examples(_some(splits.train, gone), scale, torch.device("cpu")).take(torch.arange(len(gone))).double()
    there = torch.cat([x for x in seen if len(x) > 2]).flatten(1)
    assert len(there) >= len(without(splits, 6))
    assert torch.cdist(of_six.flatten(1), there).min() > 0


def test_smaller_groups_change_nothing(splits: Splits, teachers: list[np.ndarray]) -> None:
    students = mixed(splits)[:12]
    whole = run(dense, students, splits, teachers, engine="stacked")
    scale = measure(splits.train.images, "standard")
    events = list(ensemble(
        dense, students, splits.train, scale, NAMES, teachers=teachers, engine="stacked", memory=150_000.0,
        epochs=2, batch_size=16, dtype=torch.float64,
    ))  # fmt: skip
    assert isinstance(events[0], Chosen)
    assert events[0].stacks > 1
    assert events[0].largest < 12
    assert gap({e.number: e for e in events if isinstance(e, StudentDone)}, whole) < 1e-12


def test_interrupted_and_taken_up_again_it_gives_the_same(splits: Splits, teachers: list[np.ndarray]) -> None:
    students = mixed(splits)[:9]
    whole = run(dense, students, splits, teachers, engine="stacked", memory=150_000.0)
    options = {"engine": "stacked", "memory": 150_000.0, "epochs": 2, "batch_size": 16, "dtype": torch.float64}
    scale = measure(splits.train.images, "standard")
    found: dict[int, StudentDone] = {}
    for event in ensemble(dense, students, splits.train, scale, NAMES, teachers=teachers, **options):  # type: ignore[arg-type]
        if isinstance(event, StudentDone):
            found[event.number] = event
            if len(found) == 4:
                break
    rest = run(dense, students, splits, teachers, done=found.keys(), **options)
    assert set(rest) == set(range(9)) - set(found)
    assert gap(found | rest, whole) < 1e-12
    assert run(dense, students, splits, teachers, done=range(9)) == {}


def test_dropout_differs_between_students(splits: Splits) -> None:
    """Two students alike in everything, the seed too, part ways only by their masks."""
    make = partial(mlp, (8, 8, 1), 10, "12", dropout=0.5)
    twins = [Student(seed=2), Student(seed=2)]
    found = run(make, twins, splits, [], engine="stacked", epochs=1)
    assert gap({0: found[0]}, {0: replace(found[1], number=0)}) > 1e-4
    again = run(make, twins, splits, [], engine="stacked", epochs=1)
    assert gap(found, again) == 0, "the masks are a function of the seeds"
    plain_twins = run(dense, twins, splits, [], engine="stacked", epochs=1)
    assert gap({0: plain_twins[0]}, {0: replace(plain_twins[1], number=0)}) == 0


def test_a_student_that_diverges_harms_no_other(splits: Splits, teachers: list[np.ndarray]) -> None:
    good = [Student(seed=s, order_seed=0, teacher=0, temperature=3.0, lr=0.01) for s in range(2)]
    wild = Student(seed=2, order_seed=0, teacher=0, temperature=3.0, lr=1e200)
    options = {"engine": "stacked", "optimizer": "sgd", "epochs": 3, "clip_norm": 2.0}
    found = run(dense, [good[0], wild, good[1]], splits, teachers, **options)
    assert [found[n].finite for n in range(3)] == [True, False, True]
    alone = run(dense, good, splits, teachers, **options)
    assert gap({0: found[0], 1: found[2]}, alone) < 1e-12


def test_torchs_generators_stay_as_they_were_and_cannot_disturb(splits: Splits) -> None:
    make = partial(mlp, (8, 8, 1), 10, "12", dropout=0.5)
    scale = measure(splits.train.images, "standard")
    for engine in ("sequential", "stacked", "auto"):
        torch.manual_seed(99)
        expected = torch.rand(4)
        torch.manual_seed(99)
        events = ensemble(make, [Student(seed=1), Student(seed=2)], splits.train, scale, NAMES, engine=engine, epochs=1)
        drawn = [torch.rand(1) for _, _ in zip(range(4), events, strict=False)]
        assert torch.equal(torch.cat(drawn), expected[: len(drawn)])
        list(events)
    quiet = run(make, [Student(seed=1)], splits, [], engine="sequential")
    torch.manual_seed(1234)
    assert gap(run(make, [Student(seed=1)], splits, [], engine="sequential"), quiet) == 0


def test_a_class_the_teacher_gives_no_probability(splits: Splits, teachers: list[np.ndarray]) -> None:
    """A logit of -∞ is 0 at every T: no NaN, in no engine."""
    closed = teachers[0].copy()
    closed[:, 3] = -np.inf
    for engine in ("sequential", "stacked"):
        found = run(dense, [Student(teacher=0, seed=s) for s in range(2)], splits, [closed], engine=engine)
        assert all(done.finite for done in found.values())


@pytest.mark.parametrize("engine", ["stacked", pytest.param("unfolded", marks=pytest.mark.slow)])
def test_noise_is_the_same_in_every_engine_and_new_at_every_step(
    splits: Splits, teachers: list[np.ndarray], engine: str
) -> None:
    """Students with and without noise, of both kinds, on batches of unequal sizes, some of whom end before others."""
    kinds: list[dict[str, Any]] = [
        {"teacher": 0, "noise_scale": 0.2},
        {"teacher": 1, "noise": "normal", "noise_scale": 0.05, "temperature": 4.0},
        {"alpha": 0.4, "noise_scale": 0.1},
        {"teacher": 0},
    ]
    rows = [without(splits, 3), None, np.arange(40)]
    students = [Student(seed=s, rows=r, **k) for k in kinds for s in range(2) for r in rows]
    make = small if engine == "unfolded" else dense
    found = run(make, students, splits, teachers, engine=engine, epochs=3)
    truth = run(make, students, splits, teachers, engine="sequential", epochs=3)
    assert gap(found, truth) < 1e-10
    quiet = run(make, [replace(s, noise_scale=0.0) for s in students], splits, teachers, engine=engine, epochs=3)
    moved = [gap({n: found[n]}, {n: quiet[n]}) > 1e-4 for n in range(len(students))]
    assert moved == [s.noise_scale > 0 for s in students]


def test_noise_is_a_function_of_seed_and_step(teachers: list[np.ndarray]) -> None:
    students = [
        Student(teacher=0, seed=seed, noise=noise, noise_scale=scale)  # type: ignore[arg-type]
        for seed, noise, scale in (
            (0, "uniform", 0.1),
            (0, "uniform", 0.3),
            (1, "uniform", 0.1),
            (0, "normal", 0.2),
            (5, "normal", 0),
        )
    ]
    targets = Targets(students, teachers, torch.arange(COUNT) % 10, 10, torch.float64)
    of = targets.of(np.arange(5))
    first, again, later = (targets.noise(of, step, 2000, 1999) for step in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert later is not None
    assert torch.equal(first, again)
    assert first.shape == (5, 1999, 10)
    assert torch.allclose(first[1], 3 * first[0])
    assert not torch.isclose(first[0], first[2]).any()
    assert not torch.isclose(first[:4], later[:4]).any()
    assert (first[4] == 0).all()
    assert float(first[0].abs().max()) <= 0.1
    assert abs(float(first[0].std()) - 0.1 / np.sqrt(3)) < 1e-3  # of U[-s, s]
    assert abs(float(first[3].std()) - 0.2) < 3e-3
    assert max(abs(float(f.mean())) for f in first) < 3e-3
    alone = targets.noise(targets.of(np.array(1)), 0, 2000, 7)
    assert alone is not None
    assert torch.equal(alone, first[1, :7])


def test_noise_is_clipped_and_shares_are_taken_anew(teachers: list[np.ndarray]) -> None:
    """Vats' equation 4.4, by hand on three classes: (.5, .3, .2) + (.1, -.4, .2) is (.6, 0, .4)."""
    student = Student(teacher=0, temperature=1.0, ce_weight=0.0, kd_weight=1.0, noise_scale=1.0)
    logits = np.log(np.array([[0.5, 0.3, 0.2]]))
    targets = Targets([student], [logits], torch.zeros(1, dtype=torch.int64), 3, torch.float64)
    z = torch.tensor([[0.3, -1.0, 0.8]], dtype=torch.float64)
    rows, of = torch.zeros(1, dtype=torch.int64), targets.of(np.array(0))
    found = targets.loss(z, rows, of, noise=torch.tensor([[0.1, -0.4, 0.2]], dtype=torch.float64))
    log_p = z.log_softmax(-1)[0]
    assert float(found) == pytest.approx(float(-(0.6 * log_p[0] + 0.4 * log_p[2])))
    gone = targets.loss(z, rows, of, noise=torch.full((1, 3), -1.0, dtype=torch.float64))
    assert float(gone) == pytest.approx(float(targets.loss(z, rows, of)))


def test_auto_measures_and_says_what_it_picked(splits: Splits, teachers: list[np.ndarray]) -> None:
    students = [Student(seed=s, order_seed=0, teacher=0) for s in range(6)]
    scale = measure(splits.train.images, "standard")
    events = list(ensemble(small, students, splits.train, scale, NAMES, teachers=teachers, epochs=1, test=splits.test))
    first, last = events[0], [e for e in events if isinstance(e, StudentDone)]
    assert isinstance(first, Chosen)
    assert not first.asked
    assert set(first.seconds) | set(first.refused) == {"sequential", "stacked", "unfolded", "graph"}
    assert first.engine == min(first.seconds, key=lambda n: first.seconds[n])
    assert len(last) == 6
    progress = [e for e in events if isinstance(e, Advanced)]
    assert progress[-1].seen <= progress[-1].total == 6 * COUNT
    (alone, *_) = ensemble(dense, students[:1], splits.train, scale, NAMES, teachers=teachers, epochs=1)
    assert isinstance(alone, Chosen)
    if not torch.cuda.is_available():
        assert alone.engine == "sequential"


def test_what_cannot_be_stacked_is_refused_or_trained_in_sequence(splits: Splits) -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) * (2.0 if x.sum() > 0 else 1.0)

    def make() -> Classifier:
        return Classifier(Branching(), 64, 10)

    scale = measure(splits.train.images, "standard")
    students = [Student(seed=s) for s in range(3)]
    with pytest.raises(UsageError, match="engine stacked cannot train"):
        list(ensemble(make, students, splits.train, scale, NAMES, engine="stacked", epochs=1))
    (first, *_) = ensemble(make, students, splits.train, scale, NAMES, epochs=1)
    assert isinstance(first, Chosen)
    assert first.engine == "sequential" or torch.cuda.is_available()
    assert "stacked" in first.refused
    with pytest.raises(UsageError, match="no convolutions"):
        list(ensemble(dense, students, splits.train, scale, NAMES, engine="unfolded", epochs=1))


def test_the_recorded_step_needs_cuda(splits: Splits) -> None:
    with pytest.raises(UsageError, match="CUDA"):
        run(dense, [Student()], splits, [], engine="graph")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("engine", ["graph", "stacked", "unfolded"])
@pytest.mark.parametrize("options", [SGD, ADAM])
def test_engines_agree_on_cuda(
    splits: Splits, teachers: list[np.ndarray], engine: str, options: dict[str, Any]
) -> None:
    students = mixed(splits)
    more = {**options, "epochs": 4, "clip_norm": 1.5, "schedule": "cosine", "device": "cuda"}
    found = run(small, students, splits, teachers, engine=engine, **more)
    truth = run(small, students, splits, teachers, engine="sequential", **more)
    assert gap(found, truth) < 1e-9

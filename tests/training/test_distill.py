"""Teachers: what they say reaches the right examples, and nothing they are changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fierce_tools import arrayfile, recipe
from fierce_tools.data import digits
from fierce_tools.data._dataset import Dataset
from fierce_tools.data._splits import Split, split
from fierce_tools.errors import DataError, UsageError
from fierce_tools.experiments._record import Prepared, prepare
from fierce_tools.models._classifier import Classifier
from fierce_tools.training._taught import combined, mixture
from fierce_tools.training._teachers import SoftLabels, Teacher, load_soft_labels, load_teacher
from fierce_tools.training._transfer import restrict
from fierce_tools.training.batches import Examples, Normalization, measure
from fierce_tools.training.distill import METHODS, Teachers, formula, teach
from fierce_tools.training.infer import infer
from fierce_tools.training.loop import EpochDone
from fierce_tools.training.train import setup, train

CPU = torch.device("cpu")
DATA = digits()
SPLITS = split(DATA)
UNIT = measure(SPLITS.train.images, "unit")
SOME = replace(SPLITS, train=Split(SPLITS.train.images[:96], SPLITS.train.labels[:96], SPLITS.train.index[:96]))


def model(seed: int = 0) -> Classifier:
    """A net whose BatchNorm and dropout show whether it is in eval mode."""
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5))
    return Classifier(layers, 16, 10).eval().requires_grad_(False)


def teacher(seed: int = 0, normalization: Normalization = UNIT) -> Teacher:
    return Teacher("t", "/t/model.safetensors", "0" * 64, "t", model(seed), normalization, recipe.resolve({}), 1)


def teachers(
    *models: Teacher, cache: str = "auto", combine: str = "probabilities", temperature: float = 4.0
) -> Teachers:
    return Teachers(models, None, SOME, combine, cache, temperature, None)


def made(**options: object) -> recipe.Recipe:
    said = {"data.name": "digits", "model.name": "mlp:8", "train.device": "cpu", "distill.method": "kd"}
    return recipe.resolve({}, said | {k.replace("__", "."): v for k, v in options.items()})


def test_what_is_looked_up_is_what_the_teacher_says() -> None:
    group = teachers(teacher())
    ready = setup(made(), SOME, teach=group.bring, device="cpu")
    expected = infer(teacher().model, SOME.train, UNIT, SOME.class_names).logits
    taught = group.bring(ready.train, ready.val, ready.normalization)
    for batch in ready.train.epoch(3, 1, 20):
        torch.testing.assert_close(taught(batch)["teacher_logits"].numpy(), expected[batch.rows.numpy()])
    assert ready.val is not None
    batch = next(ready.val.in_order(7))
    expected = infer(teacher().model, SOME.val, UNIT, SOME.class_names).logits[:7]
    torch.testing.assert_close(taught(batch)["teacher_logits"].numpy(), expected)
    assert group.cached == {"train": True, "val": True}


def test_in_the_loop_a_teacher_gets_its_own_normalisation() -> None:
    ours = measure(SPLITS.train.images, "standard")
    train_examples = Examples(SOME.train, ours, CPU)
    loop, once = (teachers(teacher(), cache=c).bring(train_examples, None, ours) for c in ("no", "yes"))
    batch = next(train_examples.epoch(0, 0, 32))
    torch.testing.assert_close(loop(batch)["teacher_logits"], once(batch)["teacher_logits"], rtol=1e-4, atol=1e-4)
    wrong = teachers(teacher(normalization=ours), cache="no").bring(train_examples, None, ours)
    assert not torch.allclose(wrong(batch)["teacher_logits"], once(batch)["teacher_logits"], atol=0.01)


def test_with_augmentation_the_teacher_sees_the_same_batch() -> None:
    group = teachers(teacher(normalization=measure(SOME.train.images, "standard")))
    ready = setup(made(), SOME, teach=group.bring, device="cpu", augment=("shift:2",))
    assert group.cached == {"train": False, "val": True}
    taught = group.bring(ready.train, ready.val, ready.normalization)
    batch = next(ready.train.epoch(0, 0, 32))
    said = taught(batch)["teacher_logits"]
    torch.testing.assert_close(said, teacher().model(batch.inputs))
    plain = next(b for b in ready.train.in_order(96)).inputs[batch.rows]
    assert not torch.allclose(said, teacher().model(plain), atol=0.01)


def test_a_fixed_teacher_of_mixed_examples_is_mixed_as_they_are() -> None:
    group = teachers(teacher(), cache="yes")
    ready = setup(made(), SOME, teach=group.bring, device="cpu", augment=("mixup:1",))
    taught = group.bring(ready.train, ready.val, ready.normalization)
    batch = next(ready.train.epoch(0, 0, 32))
    assert batch.partner is not None
    known = torch.from_numpy(infer(teacher().model, SOME.train, UNIT, SOME.class_names).logits)
    soft = (known[batch.rows] / 4).softmax(1)
    expected = batch.lam * soft + (1 - batch.lam) * soft.roll(1, 0)
    torch.testing.assert_close((taught(batch)["teacher_logits"] / 4).softmax(1), expected)
    assert torch.equal(batch.labels.roll(1, 0), batch.partner)


def test_known_logits_of_mixed_examples_are_mixed_as_logits_where_those_are_learned() -> None:
    """Logits keep their level, which a softmax does not."""
    group = replace(teachers(teacher(), cache="yes", temperature=1.0), matched=True)
    ready = setup(made(distill__method="logits"), SOME, teach=group.bring, device="cpu", augment=("mixup:1",))
    taught = group.bring(ready.train, ready.val, ready.normalization)
    batch = next(ready.train.epoch(0, 0, 32))
    known = torch.from_numpy(infer(teacher().model, SOME.train, UNIT, SOME.class_names).logits)[batch.rows]
    expected = batch.lam * known + (1 - batch.lam) * known.roll(1, 0)
    torch.testing.assert_close(taught(batch)["teacher_logits"], expected)


def test_a_recipe_of_logits_says_so(digits_run: Path) -> None:
    for method in ("kd", "logits"):
        brought = begin(digits_run, distill__method=method).teachers
        assert brought is not None
        assert brought.matched == (method == "logits")


@pytest.mark.parametrize("cache", ["yes", "no"])
def test_a_teacher_is_never_updated_and_never_leaves_eval(cache: str) -> None:
    own = teacher()
    before = {k: v.clone() for k, v in own.model.state_dict().items()}
    modes: list[bool] = []
    for part in own.model.modules():
        part.register_forward_hook(lambda m, *_: modes.append(m.training))
    group = teachers(own, cache=cache)
    ready = setup(made(loss__t2=False), SOME, teach=group.bring, device="cpu")
    students: list[tuple[bool, bool]] = []
    ready.model.head.register_forward_hook(lambda m, *_: students.append((m.training, torch.is_grad_enabled())))
    training = train(ready, epochs=3, batch_size=32, optimizer="sgd", lr=0.1, weight_decay=0.1)
    done = [e for e in training.events if isinstance(e, EpochDone)]
    assert len(done) == 3
    assert modes
    assert not any(modes)
    assert all(torch.equal(v, before[k]) for k, v in own.model.state_dict().items())
    assert all(p.grad is None for p in own.model.parameters())
    in_steps = [training for training, grad in students if grad]
    assert len(in_steps) == 9, "three steps of three epochs"
    assert all(in_steps), "the student trains in every epoch"
    assert not any(training for training, grad in students if not grad)


def test_the_student_comes_to_say_what_its_teacher_says() -> None:
    """Without labels, from a teacher whose labels are shifted by one: nothing else can have told it."""
    own = teacher()
    own.model.head.weight.data = own.model.head.weight.roll(1, 0)
    ready = setup(
        made(loss__ce_weight=0.0, train__normalization="unit"), SOME, teach=teachers(own, temperature=9.0).bring
    )
    losses = [
        e.train["loss"] for e in train(ready, epochs=40, batch_size=16, lr=0.01).events if isinstance(e, EpochDone)
    ]
    assert losses[-1] < losses[0] / 20


def test_several_teachers_by_hand() -> None:
    a, b = (torch.randn(5, 3, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    torch.testing.assert_close(combined([a, b], "logits", 4.0), (a + b) / 2)
    found = combined([a, b], "probabilities", 4.0)
    torch.testing.assert_close((found / 4).softmax(1), ((a / 4).softmax(1) + (b / 4).softmax(1)) / 2)
    assert combined([a], "probabilities", 4.0) is a
    sure = torch.tensor([[0.0, -torch.inf, -torch.inf]])
    torch.testing.assert_close(
        (mixture((sure, a[:1]), (0.5, 0.5), 1.0)).softmax(1), (sure.softmax(1) + a[:1].softmax(1)) / 2
    )
    group = teachers(teacher(0), teacher(1))
    one, two = (teachers(teacher(s)).logits(SOME.test) for s in (0, 1))
    mean = (torch.from_numpy(one / 4).softmax(1) + torch.from_numpy(two / 4).softmax(1)) / 2
    torch.testing.assert_close(torch.from_numpy(group.logits(SOME.test) / 4).softmax(1), mean)


def test_vectors_are_renormalised_too() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(3, 5, (40, 6)).astype(np.float32)
    theirs, ours = Normalization(np.full(6, 1, np.float32), np.full(6, 2, np.float32)), measure(vectors, "standard")
    net = Classifier(nn.Identity(), 6, 10).eval().requires_grad_(False)
    part = Split(vectors, np.arange(40) % 10, np.arange(40))
    own = replace(teacher(normalization=theirs), model=net)
    group = Teachers((own,), None, replace(SOME, train=part), "probabilities", "no", 1.0, None)
    examples = Examples(part, ours, CPU)
    batch = next(examples.in_order(40))
    said = group.bring(examples, None, ours)(batch)["teacher_logits"]
    torch.testing.assert_close(said, net.head(torch.from_numpy((vectors - 1) / 2)), rtol=1e-4, atol=1e-4)


def test_transfer_sets_and_dropped_classes(tmp_path: Path) -> None:
    chosen = SPLITS.train.index[[5, 3, 3, 100]]
    arrayfile.save_arrays(tmp_path / "t.safetensors", {"index": chosen}, {})
    found = restrict(SPLITS, transfer_set=str(tmp_path / "t.safetensors"))
    np.testing.assert_array_equal(found.train.index, SPLITS.train.index[[3, 5, 100]])
    np.testing.assert_array_equal(found.train.images, SPLITS.train.images[[3, 5, 100]])
    assert found.val is SPLITS.val
    for said in (("3", "8"), ("08", "3")):
        names = tuple("08" if n == "8" and said[0] == "08" else n for n in SPLITS.class_names)
        found = restrict(replace(SPLITS, class_names=names), drop_class=said)
        assert set(found.train.labels.tolist()) == set(range(10)) - {3, 8}
        assert len(found.class_names) == 10
    np.save(tmp_path / "t.npy", SPLITS.val.index[:2])
    with pytest.raises(
        DataError, match=r"2 of 2 examples are not in the training split; .* is in the validation split"
    ):
        restrict(SPLITS, transfer_set=str(tmp_path / "t.npy"))
    np.savez(tmp_path / "t.npz", logits=np.zeros((2, 2)))
    with pytest.raises(DataError, match="holds logits float64"):
        restrict(SPLITS, transfer_set=str(tmp_path / "t.npz"))
    with pytest.raises(UsageError, match="unknown class in --drop-class: '12'"):
        restrict(SPLITS, drop_class=("12",))
    with pytest.raises(UsageError, match="no training example is left"):
        restrict(SPLITS, drop_class=SPLITS.class_names)


def human(rows: np.ndarray) -> np.ndarray:
    """Label distributions with zeros, as from few people."""
    return np.random.default_rng(0).multinomial(5, np.full(10, 0.1), len(rows)) / 5


def soft(path: Path, **keys: str | None) -> SoftLabels:
    return load_soft_labels(str(path), DATA, **{"logits": None, "probabilities": None, **keys})


def test_soft_labels_of_a_file_find_their_examples(tmp_path: Path) -> None:
    assert DATA.train_index is not None
    order = np.random.default_rng(1).permutation(len(DATA.train_index))
    p = human(order)
    np.savez(tmp_path / "h.npz", people=p[order], index=DATA.train_index[order])
    np.save(tmp_path / "h.npy", p)
    for path in (tmp_path / "h.npz", tmp_path / "h.npy"):
        found = soft(path, probabilities="people").of(SPLITS.train)
        assert np.isneginf(found).any()
        rank = np.searchsorted(DATA.train_index, SPLITS.train.index)
        np.testing.assert_allclose(np.exp(found), p[rank], atol=1e-6)
    np.savez(tmp_path / "some.npz", logits=np.full((3, 10), 0.3), index=SPLITS.train.index[[4, 2, 9]])
    assert (~np.isnan(soft(tmp_path / "some.npz").of(SPLITS.train)).any(axis=1)).nonzero()[0].tolist() == [2, 4, 9]


SOFT = np.full((5, 10), 0.3)


@pytest.mark.parametrize(
    ("arrays", "document", "keys", "said"),
    [
        ({"logits": SOFT}, {}, {}, "has 5 soft labels and no `index`; digits has 1437"),
        ({"logits": SOFT[:, :9], "index": np.arange(5)}, {}, {}, "expected \\[N, 10\\]"),
        ({"logits": SOFT, "index": np.zeros(5, int)}, {}, {}, "names 4 examples twice"),
        ({"logits": SOFT, "index": np.zeros(4, int)}, {}, {}, "index is int64 \\[4\\]"),
        ({"logits": np.full((5, 10), np.nan), "index": np.arange(5)}, {}, {}, "logits\\[0, 0\\] is nan"),
        ({"p": np.zeros((5, 10)), "index": np.arange(5)}, {}, {}, "no array 'logits'; it holds index \\[5\\], p"),
        ({"logits": np.zeros((5, 10)), "index": np.arange(5)}, {}, {}, "whole numbers: they may be counts, or logits"),
        ({"logits": np.full((5, 10), 0.1), "index": np.arange(5)}, {}, {}, "say --teacher-probabilities logits"),
        (
            {"p": np.full((5, 10), 0.5), "index": np.arange(5)},
            {},
            {"counts": "p"},
            "expected whole numbers of 0 or more",
        ),
        ({"p": np.zeros((5, 10)), "index": np.arange(5)}, {}, {"counts": "p"}, "row 0 counts nothing"),
        ({"p": np.full((5, 10), 0.2), "index": np.arange(5)}, {}, {"probabilities": "p"}, "row 0 sums to 2"),
        ({"p": np.zeros((5, 10)), "index": np.arange(5)}, {}, {"probabilities": "p"}, "row 0 sums to 0"),
        ({"logits": SOFT}, {"dataset_sha256": "ab"}, {}, "of other data than digits"),
        ({"logits": SOFT}, {"class_names": list("aacdefghij")}, {}, "classes 0, 1 are all named 'a'"),
    ],
)
def test_soft_labels_that_do_not_fit(tmp_path: Path, arrays: dict, document: dict, keys: dict, said: str) -> None:
    arrayfile.save_arrays(tmp_path / "s.safetensors", arrays, document)
    with pytest.raises(DataError, match=said):
        soft(tmp_path / "s.safetensors", **keys)


def test_a_teacher_of_other_data_is_refused_with_both_named(digits_run: Path) -> None:
    path = str(digits_run / "model.safetensors")
    assert load_teacher(path, DATA).sha256 == arrayfile.load_arrays(Path(path))[1]["content_sha256"]  # type: ignore[index]
    cases: list[tuple[Dataset, str]] = [
        (replace(DATA, class_names=(*DATA.class_names, "ten")), "11 and 10 classes"),
        (replace(DATA, train_images=DATA.train_images[:, :6], test_images=DATA.test_images[:, :6]), "\\[8, 8, 1\\], the student's data digits has \\[6, 8, 1\\]"),
    ]  # fmt: skip
    for data, said in cases:
        with pytest.raises(DataError, match=said):
            load_teacher(path, data)


def begin(digits_run: Path | None, **options: object) -> Prepared:
    paths = () if digits_run is None else (str(digits_run / "model.safetensors"),)
    return prepare(made(**{"distill__teachers": paths, **options}))


def test_a_recipe_brings_its_teacher(digits_run: Path) -> None:
    ready = begin(digits_run)
    facts = ready.distillation()
    assert facts["formula"] == "0.99·T²·KL(teacher ‖ student), T=9 (T²=81) + 0.01·CE"
    assert facts["teacher_outputs"] == "once"
    assert facts["teachers"] == [
        {"path": str(digits_run / "model.safetensors"), "sha256": ready.teachers.models[0].sha256, "run": "demo"}  # type: ignore[union-attr]
    ]
    assert begin(digits_run, distill__cache="no").distillation()["teacher_outputs"] == "in the loop"
    assert begin(digits_run, train__augment="shift:1").distillation()["teacher_outputs"] == "in the loop"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"distill__method": "dkd", "loss__name": "kd"}, "method dkd trains with loss dkd, and the recipe's is kd"),
        ({"distill__teachers": ()}, "method kd learns from a teacher"),
        ({"distill__method": "smoothed-labels"}, "method smoothed-labels has no teacher"),
        ({"distill__teacher_outputs": "x.npz"}, "not both at once"),
        ({"distill__teacher_probabilities": "p"}, "name an array of a file; add --teacher-outputs FILE"),
        ({"distill__method": "self"}, "of its own architecture: demo is cnn .*, the student mlp:8"),
        ({"distill__unlabelled": True, "loss__ce_weight": 0.5}, "without labels there is no cross-entropy"),
        ({"distill__unlabelled": True, "distill__method": "dkd"}, "by method kd, logits, self or noisy"),
        ({"loss__student_temperature": 1.0}, "add --no-t2"),
    ],
)
def test_what_does_not_go_together(digits_run: Path, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        begin(digits_run, **options)


def test_mean_probabilities_have_no_logits(digits_run: Path) -> None:
    two = {"distill__teachers": (str(digits_run), str(digits_run)), "distill__method": "logits"}
    with pytest.raises(UsageError, match="--combine logits"):
        begin(digits_run, **two)
    assert begin(digits_run, **two, distill__combine="logits").teachers


def test_a_self_is_a_finished_run(digits_run: Path) -> None:
    same = {"distill__method": "self", "model__name": "cnn"}
    assert begin(digits_run, **same).recipe.loss["name"] == "kd"
    with pytest.raises(UsageError, match="finished run"):
        begin(digits_run, **same, distill__teachers=(str(digits_run / "epochs" / "0001.safetensors"),))


def test_losses_without_a_teacher_say_where_to_get_one() -> None:
    for loss in ("kd", "dkd", "logit-matching"):
        with pytest.raises(UsageError, match="fierce distill --teacher"):
            prepare(recipe.resolve({}, {"loss.name": loss, "model.name": "linear"}))
    with pytest.raises(UsageError, match="--noise-on smoothed"):
        prepare(recipe.resolve({}, {"loss.name": "noisy-labels", "model.name": "linear"}))


def test_every_method_has_its_loss() -> None:
    from fierce_tools.menu import LOSSES

    assert set(METHODS) == set(recipe.spec("distill").option("method").choices)
    assert set(METHODS.values()) <= set(LOSSES.names())
    for method, loss in METHODS.items():
        resolved = made(distill__method=method)
        assert resolved.loss["name"] == loss
        assert (formula(resolved) is None) == (method == "none")


def test_unlabelled_is_a_weight_of_none(digits_run: Path) -> None:
    ready = begin(digits_run, distill__unlabelled=True)
    assert ready.recipe.loss["ce_weight"] == 0
    assert ready.distillation()["formula"].endswith("+ 0·CE")


def test_a_loss_gets_the_epochs_that_are_done() -> None:
    """The warm-up of the decoupled loss: without it at first, whole at its end; on validation whole from the first."""
    group = teachers(teacher())
    ready = setup(made(distill__method="dkd", loss__dkd_warmup=2), SOME, teach=group.bring, device="cpu")
    whole = setup(made(distill__method="dkd", loss__dkd_warmup=0), SOME, teach=group.bring, device="cpu")
    batch = next(ready.train.in_order(30))
    ce = nn.functional.cross_entropy(ready.model(batch.inputs), batch.labels)

    def loss(ready: object, epoch: float) -> torch.Tensor:
        return ready.step_loss(ready.model.eval(), batch._replace(epoch=epoch)).loss  # type: ignore[attr-defined]

    torch.testing.assert_close(loss(ready, 0.0), ce)
    torch.testing.assert_close(loss(ready, 5.0), loss(whole, 0.0))
    torch.testing.assert_close(loss(ready, 1.0), (ce + loss(whole, 0.0)) / 2)
    batch = batch._replace(split="val")
    torch.testing.assert_close(loss(ready, 0.0), loss(whole, 0.0), msg="or patience would wait in vain")


def test_teach_takes_no_file_for_a_checkpoint(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.zeros((3, 10)))
    with pytest.raises(UsageError, match="--teacher-outputs FILE"):
        teach(made(), DATA, SPLITS, teachers=(str(tmp_path / "z.npy"),))

"""`fierce import`: weights of anybody's training become a checkpoint that says what their module said."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fierce_tools import checkpoints, files, outputs
from fierce_tools.errors import DataError

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
NET = """
from pathlib import Path
import torch
from torch import nn

Path("imported").touch()

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.fc = nn.Linear(4 * 900, classes)

    def forward(self, x):
        return self.fc(self.body(x))

class Soft(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)

def make(num_classes=4): return Net(num_classes)
def three(): return Net(3)
def soft(num_classes): return Soft(num_classes)
"""


def randomise(net: nn.Module) -> nn.Module:
    """Running statistics of a net that was trained; else nobody could tell training mode from eval."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return net.eval()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    from torchvision import models

    torch.manual_seed(0)
    return randomise(models.resnet18(weights=None, num_classes=4))


@pytest.fixture
def pictures(tmp_path: Path) -> np.ndarray:
    """Test images of a dataset of four classes, pictures.npz."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8), np.arange(24) % 4
    np.savez(
        tmp_path / "pictures.npz", train_images=images, train_labels=labels, test_images=images[:9],
        test_labels=labels[:9], class_names=np.array(["ant", "bee", "cat", "dog"]),
    )  # fmt: skip
    return images[:9]


@pytest.fixture
def nets(tmp_path: Path) -> Iterator[object]:
    """A module of factories in the current folder; `forget` lets it be imported anew, and says so by a file."""
    (tmp_path / "fierce_nets.py").write_text(NET)

    def forget() -> None:
        sys.modules.pop("fierce_nets", None)
        Path("imported").unlink(missing_ok=True)

    yield forget
    forget()


def own_net(classes: int = 4) -> nn.Module:
    """What the factories make, made without them."""
    space: dict[str, object] = {}
    exec(NET.replace('Path("imported").touch()', ""), space)
    torch.manual_seed(0)
    return randomise(space["Net"](classes))  # type: ignore[operator]


@torch.no_grad()
def said(net: nn.Module, images: np.ndarray, mean: torch.Tensor | float, std: torch.Tensor | float) -> np.ndarray:
    x = (torch.from_numpy(images).float() / 255 - mean) / std
    return net(x.permute(0, 3, 1, 2)).numpy()


def write(path: Path, state: dict[str, torch.Tensor]) -> None:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)


@pytest.mark.parametrize("suffix", [".pth", pytest.param(".pt", marks=pytest.mark.slow), ".safetensors"])
def test_a_resnet_says_what_it_said(fierce, resnet: nn.Module, pictures: np.ndarray, suffix: str) -> None:
    write(Path("r" + suffix), resnet.state_dict())
    code, out, err = fierce(
        "import",
        "r" + suffix,
        "--model",
        "torchvision:resnet18",
        "--data",
        "arrays:pictures.npz",
        "--val-fraction",
        "0.2",
    )
    assert code == 0, err
    assert out == "r.fierce.safetensors\n"
    err_of_import = err
    assert "11,178,564 parameters); head 'fc': 512 features, 4 classes" in err
    assert "inputs are bytes / 255 - 0.485,0.456,0.406, divided by 0.229,0.224,0.225" in err
    code, _, err = fierce("infer", "r.fierce.safetensors", "--features", "--out", "o.safetensors", "--device", "cpu")
    assert code == 0, err
    made = outputs.load("o.safetensors")
    np.testing.assert_allclose(made.logits, said(resnet, pictures, MEAN, STD), rtol=0, atol=1e-4)
    np.testing.assert_array_equal(made.get("labels"), np.arange(9) % 4)
    np.testing.assert_array_equal(made.get("head_weight"), resnet.fc.weight.detach())  # type: ignore[union-attr]
    np.testing.assert_allclose(
        made.get("features") @ made.get("head_weight").T + made.get("head_bias"), made.logits, atol=1e-4
    )
    assert made.class_names == ("ant", "bee", "cat", "dog")
    code, out, err = fierce("analyze", "entropy", "r.fierce.safetensors", "--split", "val")
    assert code == 0, err
    assert "Soft-label entropy" in out
    _, document = files.read_header(Path("r.fierce.safetensors"))
    assert document is not None
    assert set(document["recipe"]) == {"data", "model"}, "nothing is made up of how it was trained"
    assert document["recipe"]["model"] == {
        "name": "torchvision:resnet18", "head": "fc", "stem": "standard", "linear_bottleneck": False,
    }  # fmt: skip
    assert document["recipe"]["data"]["val_fraction"] == 0.2
    assert (document["seed"], document["epoch"]) == (None, None)
    assert document["origin"] == {
        "file": "r" + suffix, "sha256": files.file_sha256(Path("r" + suffix)), "trained_on": "unknown",
    }  # fmt: skip
    assert "trained on: unknown, perhaps validation examples too (--trained-on)" in err_of_import


def test_without_data_it_is_asked_about_what_is_named(fierce, resnet: nn.Module, pictures: np.ndarray) -> None:
    write(Path("r.pth"), resnet.state_dict())
    code, out, err = fierce(
        "import", "r.pth", "--model", "torchvision:resnet18", "--shape", "32x32x3", "--mean", "0.5", "--std", "0.25,0.5,1",
        "--out", "elsewhere/r.safetensors", "--format", "json",
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(out)
    assert document == {
        "checkpoint": "elsewhere/r.safetensors", "model": "torchvision:resnet18", "parameters": 11_178_564, "head": "fc",
        "features": 512, "classes": 4, "input_shape": [32, 32, 3], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.5, 1.0],
        "missing": [], "unexpected": [], "unwrapped": None, "prefix": None, "dataset_sha256": "",
        "trained_on": "unknown",
    }  # fmt: skip
    for command in (("infer",), ("analyze", "entropy")):
        code, out, err = fierce(*command, "elsewhere/r.safetensors", "--device", "cpu")
        assert (code, out) == (3, "")
        assert "r was imported without its data; say which with --data NAME" in err
    named = ("elsewhere/r.safetensors", "--data", "arrays:pictures.npz", "--device", "cpu")
    code, _, err = fierce("infer", *named, "--out", "o.safetensors")
    assert code == 0, err
    expected = said(resnet, pictures, 0.5, torch.tensor([0.25, 0.5, 1]))
    np.testing.assert_allclose(outputs.load("o.safetensors").logits, expected, rtol=0, atol=1e-4)
    assert fierce("analyze", "entropy", *named)[0] == 0


def test_small_numbers_become_float32(fierce, pictures: np.ndarray, nets: object) -> None:
    net = own_net()
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        name = str(dtype).partition(".")[2]
        state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in net.state_dict().items()}
        write(Path(f"{name}.safetensors"), state)
        code, _, err = fierce("import", f"{name}.safetensors", "--model", "fierce_nets:make", "--shape", "32x32x3")
        assert code == 0, err
        loaded = checkpoints.load(Path(f"{name}.fierce.safetensors"), trusted="fierce_nets:make")
        assert all(t.dtype in (torch.float32, torch.int64) for t in loaded.model.state_dict().values())
        rounded = {n: t.float() for n, t in state.items()}
        torch.testing.assert_close(loaded.model.head.weight.detach(), rounded["fc.weight"], rtol=0, atol=0)
        assert not loaded.model.training


def test_a_factory_of_the_current_folder(fierce, pictures: np.ndarray, nets: object) -> None:
    net = own_net()
    torch.save(net.state_dict(), "n.pt")
    code, _, err = fierce("import", "n.pt", "--model", "fierce_nets:make", "--data", "arrays:pictures.npz")
    assert code == 0, err
    assert "inputs are bytes / 255 - 0,0,0, divided by 1,1,1" in err
    assert "next: fierce analyze entropy n.fierce.safetensors --factory fierce_nets:make" in err
    trust = ("--factory", "fierce_nets:make", "--device", "cpu")
    code, _, err = fierce("infer", "n.fierce.safetensors", *trust, "--out", "o.safetensors")
    assert code == 0, err
    np.testing.assert_allclose(outputs.load("o.safetensors").logits, said(net, pictures, 0, 1), rtol=0, atol=1e-4)
    assert (
        fierce("import", "n.pt", "--model", "factory:fierce_nets:make", "--shape", "32x32x3", "--out", "m.safetensors")[
            0
        ]
        == 0
    )


@pytest.mark.usefixtures("pictures")
def test_a_factory_is_imported_only_when_it_is_named(fierce, nets) -> None:
    torch.save(own_net().state_dict(), "n.pt")
    assert not Path("imported").exists()
    assert fierce("import", "n.pt", "--model", "fierce_nets:make", "--data", "arrays:pictures.npz")[0] == 0
    assert Path("imported").exists()
    nets()
    for more in ((), ("--factory", "fierce_nets:three"), ("--factory", "other:make"), ("--factory", "")):
        for command in (("infer",), ("analyze", "entropy"), ("analyze", "entropy", "--data", "arrays:pictures.npz")):
            code, out, err = fierce(command[0], *command[1:2], "n.fierce.safetensors", *command[2:], *more)
            assert (code, out) == (3, "")
            assert "n.fierce.safetensors: its model is made by fierce_nets:make, code" in err
            assert "add --factory fierce_nets:make" in err
    with pytest.raises(DataError, match="imported only if you name it"):
        checkpoints.load(Path("n.fierce.safetensors"))
    assert fierce("runs")[0] == 0
    assert not Path("imported").exists(), "nobody named it"
    assert "fierce_nets" not in sys.modules
    code, _, err = fierce("infer", "n.fierce.safetensors", "--factory", "fierce_nets:make")
    assert code == 0, err
    nets()
    Path("fierce_nets.py").rename("moved.py")
    code, _, err = fierce("infer", "n.fierce.safetensors", "--factory", "fierce_nets:make", "--split", "train")
    assert (code, err.count("\n"), "no module fierce_nets here or among what is installed; go to its" in err) == (
        3,
        1,
        True,
    )
    code, _, err = fierce("analyze", "entropy", "n.fierce.safetensors")
    assert code == 0, err
    assert not Path("imported").exists(), "kept outputs need no model"


@pytest.mark.usefixtures("pictures")
def test_a_factory_is_trained_only_when_it_is_named(fierce, nets) -> None:
    short = ("--data", "arrays:pictures.npz", "--epochs", "1", "--device", "cpu", "--progress", "off")
    Path("r.toml").write_text('[model]\nname = "factory:fierce_nets:make"\n')
    code, _, err = fierce("train", "r.toml", *short, "--name", "no")
    assert (code, "add --factory fierce_nets:make" in err) == (3, True), err
    assert not Path("imported").exists()
    assert not Path("runs").exists()
    code, _, err = fierce("train", "r.toml", *short, "--name", "a", "--factory", "fierce_nets:make")
    assert code == 0, err
    assert Path("imported").exists()
    nets()
    code, _, err = fierce("train", *short, "--name", "b", "--model", "factory:fierce_nets:make")
    assert code == 0, err
    nets()
    code, _, err = fierce("analyze", "entropy", "a", "b")
    assert code == 0, err
    assert not Path("imported").exists()
    loaded = [checkpoints.load(Path(f"runs/{n}/model.safetensors"), trusted="fierce_nets:make") for n in "ab"]
    assert loaded[0].content_sha256 == loaded[1].content_sha256


class Evil:
    """Unpickled, it would make a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_pickled_code_is_refused_and_never_run(fierce) -> None:
    torch.save({"state_dict": {"fc.weight": Evil()}}, "zip.pth")
    torch.save(Evil(), "old.pth", _use_new_zipfile_serialization=False)
    Path("plain.pt").write_bytes(pickle.dumps(Evil()))
    torch.save(nn.Linear(3, 2), "module.pt")
    torch.jit.save(torch.jit.script(nn.Linear(3, 2)), "script.pt")
    for name, words in {
        "zip.pth": "holds Python objects (posix.mkdir), and to read those is to run code",
        "old.pth": "holds Python objects (posix.mkdir)",
        "plain.pt": "is no file that torch.save wrote",
        "module.pt": "holds Python objects (torch.nn.modules.linear.Linear)",
        "script.pt": "is a TorchScript program",
    }.items():
        code, out, err = fierce("import", name, "--model", "linear", "--shape", "3")
        assert (code, out, err.count("\n")) == (3, "", 1), err
        assert words in err, err
        assert "torch.save(model.state_dict(), FILE)" in err
    assert not Path("executed").exists()
    pickle.loads(Path("plain.pt").read_bytes())
    assert Path("executed").exists(), "had it been run, this test would know"


def test_what_lies_around_a_state_dict_is_taken_off(fierce) -> None:
    torch.manual_seed(0)
    net = nn.DataParallel(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)))
    state = {n.replace("1.", "head."): t for n, t in net.state_dict().items()}
    ways = {
        "state_dict": {"state_dict": state, "epoch": 3, "best": 0.5, "args": {"lr": 0.1}},
        "model": {"model": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        "model_state_dict": {"model_state_dict": state},
        "model.state_dict": {"model": {"state_dict": state, "epoch": 1}},
    }
    for number, (under, document) in enumerate(ways.items()):
        torch.save(document, f"{number}.pt")
        code, out, err = fierce("import", f"{number}.pt", "--model", "linear", "--shape", "12", "--format", "json")
        assert code == 0, err
        made = json.loads(out)
        assert (made["unwrapped"], made["prefix"], made["classes"]) == (under, "module.", 5)
        assert f"what lies under {under!r}" in err
        assert "'module.' before every name was left out" in err
        loaded = checkpoints.load(Path(f"{number}.fierce.safetensors"))
        assert torch.equal(loaded.model.head.weight, state["module.head.weight"])
        np.testing.assert_array_equal(loaded.mean, np.zeros(12))
        np.testing.assert_array_equal(loaded.std, np.ones(12))


def test_a_prefix_that_is_the_models_own_stays(fierce, tmp_path: Path) -> None:
    (tmp_path / "fierce_inner.py").write_text(
        "from torch import nn\nclass Outer(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.module = nn.Linear(6, 2)\n    def forward(self, x):\n        return self.module(x)\n"
    )
    torch.save({"module.weight": torch.ones(2, 6), "module.bias": torch.zeros(2)}, "i.pt")
    code, out, err = fierce("import", "i.pt", "--model", "fierce_inner:Outer", "--shape", "6", "--format", "json")
    sys.modules.pop("fierce_inner", None)
    assert code == 0, err
    assert (json.loads(out)["prefix"], json.loads(out)["head"]) == (None, "module")


def test_a_model_of_fierces_own(fierce, pictures: np.ndarray) -> None:
    from fierce_tools.menu import MODELS

    torch.manual_seed(0)
    net = MODELS.get("mlp")((32, 32, 3), 4, "7").eval()
    torch.save(net.state_dict(), "m.pt")
    code, out, err = fierce("import", "m.pt", "--model", "mlp:7", "--data", "arrays:pictures.npz")
    assert code == 0, err
    assert fierce("infer", out.strip(), "--out", "o.safetensors", "--device", "cpu")[0] == 0
    np.testing.assert_allclose(outputs.load("o.safetensors").logits, said(net, pictures, 0, 1), rtol=0, atol=1e-4)
    code, _, err = fierce(
        "import", "m.pt", "--model", "mlp:7", "--shape", "32x32x3", "--head", "head", "--out", "x.safetensors"
    )
    assert (code, "--head is for models of others" in err) == (2, True)


def test_modules_that_ask_for_their_version(fierce) -> None:
    """mnasnet refuses a state dict that does not say of which version it is; safetensors cannot say."""
    from torchvision import models

    torch.manual_seed(0)
    net = randomise(models.mnasnet0_5(weights=None, num_classes=3))
    save_file(net.state_dict(), "v.safetensors")
    code, out, err = fierce("import", "v.safetensors", "--model", "torchvision:mnasnet0_5", "--shape", "32x32x3")
    assert code == 0, err
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(checkpoints.load(Path(out.strip())).model(x), net(x))


@pytest.mark.usefixtures("pictures", "nets")
def test_names_that_are_missing_or_left_over(fierce) -> None:
    state = own_net().state_dict()
    few = {n: t for n, t in state.items() if "num_batches_tracked" not in n}
    torch.save(few | {f"extra.{i}": torch.zeros(1) for i in range(7)}, "more.pt")
    arguments = ("--model", "fierce_nets:make", "--shape", "32x32x3")
    code, out, err = fierce("import", "more.pt", *arguments, "--format", "json")
    assert code == 0, err
    assert json.loads(out)["missing"] == ["body.1.num_batches_tracked"]
    assert json.loads(out)["unexpected"] == [f"extra.{i}" for i in range(7)]
    assert (
        "warning: 7 tensors of more.pt are not of the model and left out: extra.0, extra.1, extra.2, extra.3, extra.4, …"
        in err
    )
    torch.save({"fc.weight": state["fc.weight"], "fc.bais": state["fc.bias"]}, "less.pt")
    code, out, err = fierce("import", "less.pt", *arguments)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert (
        "lacks 7 of the 9 tensors of factory:fierce_nets:make with 4 classes: body.0.weight, body.0.bias, "
        "body.1.weight, body.1.bias, body.1.running_mean, …, and has 1 that are not of it: fc.bais"
    ) in err
    assert not Path("less.fierce.safetensors").exists()


@pytest.mark.usefixtures("pictures", "nets")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--classes", "10"), 3, "fc.weight is [4, 3600], in factory:fierce_nets:make with 10 classes it is [10, 3600], and 1 more do not fit"),
        (("--model", "fierce_nets:three", "--shape", "32x32x3"), 2, "no linear layer with 4 outputs"),
        (("--model", "fierce_nets:three", "--shape", "32x32x3", "--classes", "3"), 3, "fc.weight is [4, 3600]"),
        (("--model", "fierce_nets:three", "--data", "arrays:pictures.npz"), 2, "no linear layer with 4 outputs to be its head; it has fc (3)"),
        (("--model", "fierce_nets:soft", "--data", "arrays:pictures.npz"), 2, "its logits are not what its layer 'fc' makes"),
        (("--model", "fierce_nets:soft", "--shape", "32x32x3"), 2, "needs the number of classes; say --classes"),
        (("--model", "fierce_nets:make", "--shape", "28x28x3"), 2, "does not take inputs of shape [2, 3, 28, 28]"),
        (("--model", "fierce_nets:make", "--data", "arrays:pictures.npz", "--head", "body.0"), 2, "unknown linear layer of factory:fierce_nets:make: 'body.0'; choose from fc"),
        (("--model", "fierce_nets:make"), 2, "add --data NAME, or --shape"),
        (("--model", "fierce_nets:make", "--shape", "32x32"), 2, "--shape is '32x32', expected HxWxC"),
        (("--model", "fierce_nets:make", "--shape", "0x3x3"), 2, "--shape is '0x3x3'"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--classes", "1"), 2, "2 classes or more, not 1"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--classes", "0"), 2, "2 classes or more, not 0"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--data", "digits"), 2, "leave out --shape"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--val-fraction", "0.2"), 2, "add --data NAME"),
        (("--model", "fierce_nets:make", "--data", "arrays:pictures.npz", "--val-fraction", "1"), 2, "--val-fraction is 1.0"),
        (("--model", "fierce_nets:make", "--data", "digts"), 2, "did you mean 'digits'"),
        (("--model", "fierce_nets:make", "--data", "arrays:none.npz"), 3, "none.npz does not exist"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--mean", "1,2"), 2, "--mean has 2 values, expected 1 or 3"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--mean", "127.5"), 2, "--mean is 127.5, expected 0 to 1"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--std", "0"), 2, "--std is 0, expected above 0"),
        (("--model", "fierce_nets:make", "--shape", "32x32x3", "--out", "n.pth"), 2, "name it FILE.safetensors"),
        (("--model", "resnet18", "--shape", "32x32x3"), 2, "unknown model 'resnet18'"),
        (("--model", "torchvison:resnet18", "--shape", "32x32x3"), 2, "did you mean 'torchvision'"),
        (("--model", "torchvision:resnet81", "--shape", "32x32x3"), 2, "did you mean 'resnet"),
        (("--model", "torchvision", "--shape", "32x32x3"), 2, "write torchvision:NAME"),
        (("--model", "torchvision:resnet18", "--shape", "32x32x1"), 2, "takes images of 3 channels, these have 1"),
        (("--model", "fierce_absent:make", "--shape", "32x32x3"), 2, "there is no module fierce_absent"),
        (("--model", "fierce_nets:maek", "--shape", "32x32x3"), 2, "module fierce_nets has no maek"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(fierce, arguments: tuple[str, ...], code: int, words: str) -> None:
    torch.save(own_net().state_dict(), "n.pt")
    got, out, err = fierce("import", "n.pt", *arguments)
    assert (got, words in err, err.count("\n")) == (code, True, 1), err
    assert not out
    assert not list(Path().glob("*.safetensors")), "nothing was written"


def test_files_that_hold_no_weights(fierce) -> None:
    def imported(name: str) -> tuple[int, str]:
        code, out, err = fierce("import", name, "--model", "linear", "--shape", "12", "--out", "x.safetensors")
        assert not out
        assert err.count("\n") == 1
        return code, err

    save_file({"head.weight": torch.zeros(5, 12), "head.bias": torch.zeros(5)}, "w.safetensors")
    assert fierce("import", "w.safetensors", "--model", "linear", "--shape", "12", "--out", "c.safetensors")[0] == 0
    Path("text.pt").write_text("no weights at all")
    Path("empty.pt").touch()
    torch.save(torch.zeros(3), "tensor.pt")
    torch.save({"epoch": 3, "lr": 0.1}, "numbers.pt")
    torch.save({"head.weight": torch.full((5, 12), torch.nan), "head.bias": torch.zeros(5)}, "nan.pt")
    torch.save({"head.weight": torch.zeros(5, 12).to_sparse(), "head.bias": torch.zeros(5)}, "sparse.pt")
    torch.save({}, "nothing.pt")
    torch.save({"w": torch.zeros(3)}, "whole.pt")
    Path("cut.pt").write_bytes(Path("whole.pt").read_bytes()[:200])
    Path("cut.safetensors").write_bytes(b"\x10\x00")
    for name, words in {
        "none.pt": "none.pt does not exist",
        "none.safetensors": "does not exist",
        "net.h5": "expected .safetensors, .pt",
        "text.pt": "is no file that torch.save wrote",
        "empty.pt": "not a whole file of torch's",
        "cut.pt": "not a whole file of torch's: PytorchStreamReader failed reading zip archive",
        "cut.safetensors": "not a whole safetensors file",
        "tensor.pt": "holds a Tensor, expected a state dict",
        "numbers.pt": "no state dict: epoch, lr is no tensor",
        "nothing.pt": "no state dict: it is empty",
        "nan.pt": "head.weight holds NaN",
        "sparse.pt": "head.weight is sparse",
        "c.safetensors": "is a fierce checkpoint file already",
    }.items():
        code, err = imported(name)
        assert (code, words in err) == (3, True), err
    assert not Path("x.safetensors").exists()


def test_nothing_is_overwritten(fierce) -> None:
    state = {"head.weight": torch.zeros(5, 12), "head.bias": torch.zeros(5)}
    torch.save(state, "w.pt")
    Path("w.fierce.safetensors").write_text("precious")
    code, _, err = fierce("import", "w.pt", "--model", "linear", "--shape", "12")
    assert (code, "w.fierce.safetensors exists already" in err) == (2, True)
    assert Path("w.fierce.safetensors").read_text() == "precious"
    save_file(state, "s.safetensors")
    before = Path("s.safetensors").read_bytes()
    code, _, err = fierce("import", "s.safetensors", "--model", "linear", "--shape", "12", "--out", "s.safetensors")
    assert (code, "exists already" in err) == (2, True)
    assert Path("s.safetensors").read_bytes() == before


def test_two_of_torchvisions_own_were_trained_otherwise(fierce) -> None:
    from torchvision import models

    net = models.googlenet(weights=None, num_classes=3, init_weights=False)
    torch.save(net.state_dict(), "g.pth")
    arguments = ("import", "g.pth", "--model", "torchvision:googlenet", "--shape", "32x32x3")
    code, _, err = fierce(*arguments)
    assert code == 0, err
    assert "torchvision's own weights of googlenet need --mean 0.5 --std 0.5" in err
    assert "tensors of g.pth are not of the model and left out: aux1.conv.conv.weight" in err
    code, _, err = fierce(*arguments, "--mean", "0.5", "--std", "0.5", "--out", "h.safetensors")
    assert (code, "need --mean" in err) == (0, False)

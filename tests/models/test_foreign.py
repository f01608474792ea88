"""Anybody's module as a Classifier: the same logits, and a clear word where it is none."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fierce_tools.errors import UsageError
from fierce_tools.menu import MODELS
from fierce_tools.models._foreign import find_head, wrap

SHAPE = (8, 8, 3)


class Net(nn.Module):
    """Convolution, batch normalisation, dropout and a head, with whatever comes behind."""

    def __init__(self, classes: int = 5, behind: Callable[[Tensor], object] = lambda z: z, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.aside = nn.Linear(2, 3)
        self.top = nn.Sequential(nn.Linear(4 * 36, 6), nn.ReLU(), nn.Linear(6, classes, bias=bias))
        self.behind = behind

    def forward(self, x: Tensor) -> object:
        return self.behind(self.top(self.drop(self.norm(self.conv(x)).flatten(1))))


def trained(**options: object) -> Net:
    torch.manual_seed(1)
    net = Net(**options)  # type: ignore[arg-type]
    net.norm.running_mean.normal_()  # type: ignore[union-attr]
    net.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return net


@pytest.mark.parametrize("bias", [True, False])
def test_it_says_what_the_module_said(bias: bool) -> None:
    net = trained(bias=bias)
    x = torch.randn(7, 3, 8, 8)
    expected = copy.deepcopy(net).eval()(x)
    made = wrap(net, "top.2", SHAPE, "net").eval()
    assert torch.equal(made(x), expected)
    assert made.features(x).shape == (7, 6)
    assert torch.equal(made.head(made.features(x)), expected)
    assert (made.head.bias.abs().sum() > 0) == bias
    assert set(made.state_dict()) == {
        "head.weight", "head.bias", "features.body.conv.weight", "features.body.conv.bias", "features.body.norm.weight",
        "features.body.norm.bias", "features.body.norm.running_mean", "features.body.norm.running_var",
        "features.body.norm.num_batches_tracked", "features.body.aside.weight", "features.body.aside.bias",
        "features.body.top.0.weight", "features.body.top.0.bias",
    }  # fmt: skip


def test_nothing_else_is_touched() -> None:
    """Neither the mode of any part, nor what batch normalisation remembers, nor the global generator's next numbers."""
    net = trained()
    net.norm.eval()
    before = {n: t.clone() for n, t in net.norm.state_dict().items()}
    torch.manual_seed(3)
    nn.Linear(6, 5)  # the head that a Classifier makes
    expected = torch.rand(3)
    torch.manual_seed(3)
    made = wrap(net, "top.2", SHAPE, "net")
    assert torch.equal(torch.rand(3), expected)
    assert made.training
    body = made.features.body  # type: ignore[union-attr]
    assert all(torch.equal(before[n], t) for n, t in body.norm.state_dict().items())  # type: ignore[union-attr]
    assert made.head.weight.requires_grad


def test_the_last_that_fits_is_the_head() -> None:
    assert find_head(Net(5), 5, None, "net") == "top.2"
    assert find_head(Net(5), None, None, "net") == "top.2"
    assert find_head(Net(5), 3, None, "net") == "aside"
    assert find_head(Net(5), 6, "top.0", "net") == "top.0"
    assert find_head(nn.Linear(4, 2), 2, None, "net") == ""


def test_a_single_layer_is_a_classifier() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 2)
    x = torch.randn(3, 4)
    expected = net(x)
    made = wrap(net, "", (4,), "net")
    assert torch.equal(made(x), expected)
    assert torch.equal(made.features(x), x)


def test_a_parametrised_head_becomes_a_plain_one() -> None:
    net = trained()
    nn.utils.parametrizations.weight_norm(net.top[2])
    x = torch.randn(2, 3, 8, 8)
    expected = copy.deepcopy(net).eval()(x)
    made = wrap(net, "top.2", SHAPE, "net").eval()
    torch.testing.assert_close(made(x), expected, rtol=0, atol=1e-6)
    assert "head.weight" in made.state_dict()


@pytest.mark.parametrize(
    ("classes", "name", "said"),
    [
        (7, None, r"no linear layer with 7 outputs.* it has aside \(3\), top.0 \(6\), top.2 \(5\)"),
        (7, "top.2", "top.2 has 5 outputs, expected one for each of 7 classes"),
        (5, "top.1", "did you mean 'top.2'"),
        (5, "conv", "unknown linear layer of net: 'conv'"),
        (5, "fc", "unknown linear layer of net: 'fc'"),
    ],
)
def test_layers_that_are_no_head(classes: int, name: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_head(Net(5), classes, name, "net")
    with pytest.raises(UsageError, match="none at all"):
        find_head(nn.Conv2d(1, 1, 1), 5, None, "net")


@pytest.mark.parametrize(
    "behind",
    [
        lambda z: z.softmax(1),
        lambda z: z.log_softmax(1),
        lambda z: z.relu(),
        lambda z: z.clamp(min=-5),
        lambda z: z / 2,
        lambda z: z.flip(1),
        lambda z: z - z.mean(1, keepdim=True),
    ],
    ids=["softmax", "log-softmax", "relu", "clamp", "temperature", "flip", "centre"],
)
def test_a_head_that_is_not_last_is_refused_by_name(behind: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(UsageError, match=r"net: its logits are not what its layer 'top\.2' makes"):
        wrap(trained(behind=behind), "top.2", SHAPE, "net")


def test_a_relu_behind_is_found_even_where_all_logits_are_positive() -> None:
    net = trained(behind=lambda z: z.relu())
    nn.init.constant_(net.top[2].bias, 1000.0)
    with pytest.raises(UsageError, match=r"'top\.2'"):
        wrap(net, "top.2", SHAPE, "net")


def test_a_layer_on_the_way_is_no_head() -> None:
    with pytest.raises(UsageError, match=r"'top\.0'|\[2, 5\] for 2 examples"):
        wrap(trained(), "top.0", SHAPE, "net")


def test_a_module_that_reads_its_heads_weight_itself_is_refused() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.fc.weight, self.fc.bias)

    with pytest.raises(UsageError, match="'fc'"):
        wrap(Tied(), "fc", (4,), "net")


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        (lambda z: (z, z), "gives a tuple, expected a tensor of logits"),
        (lambda z: z[:, :2], r"gives \[2, 2\] for 2 examples"),
        (lambda z: z.view(2, 5, 1), r"gives \[2, 5, 1\] for 2 examples"),
    ],
)
def test_what_is_no_tensor_of_logits(behind: Callable[[Tensor], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        wrap(trained(behind=behind), "top.2", SHAPE, "net")


def test_inputs_it_does_not_take() -> None:
    with pytest.raises(UsageError, match=r"does not take inputs of shape \[2, 1, 8, 8\]: RuntimeError") as caught:
        wrap(trained(), "top.2", (8, 8, 1), "net")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "features", "published"),
    [("mnasnet0_5", 1280, 2_218_512), ("shufflenet_v2_x0_5", 1024, 1_366_792), ("googlenet", 1024, 6_624_904)],
)
def test_other_classifiers_of_torchvision(name: str, features: int, published: int) -> None:
    """Parameters as torchvision publishes them for 1,000 classes, without auxiliary classifiers."""
    model = MODELS.get("torchvision")((32, 32, 3), 7, name)
    assert model.head.in_features == features
    assert sum(p.numel() for p in model.parameters()) == published - (1000 - 7) * (features + 1)
    assert model.train()(torch.randn(4, 3, 32, 32)).shape == (4, 7)


def test_names_and_sizes_torchvision_has_not() -> None:
    build = MODELS.get("torchvision")
    with pytest.raises(UsageError, match="unknown architecture 'resnet19'; did you mean 'resnet1"):
        build((32, 32, 3), 7, "resnet19")
    with pytest.raises(UsageError, match="unknown architecture 'fasterrcnn_resnet50_fpn'"):
        build((32, 32, 3), 7, "fasterrcnn_resnet50_fpn")
    with pytest.raises(UsageError, match="no linear layer with 7 outputs"):
        build((64, 64, 3), 7, "squeezenet1_1")
    with pytest.raises(UsageError, match="torchvision:alexnet does not take inputs"):
        build((16, 16, 3), 7, "alexnet")
    with pytest.raises(UsageError, match="does not take images of 30×30"):
        build((30, 30, 3), 7, "vit_b_32")

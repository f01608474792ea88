"""A module made by somebody's function: how it is called, and what is said where it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from fierce_tools.errors import UsageError
from fierce_tools.menu import MODELS

SOURCE = """
import torch
from torch import nn

print("a factory's own talk")
asked = []

def nothing(): return nn.Linear(4, 3)
def number(num_classes): return nn.Linear(4, num_classes)
def default(num_classes=10): return nn.Linear(4, num_classes)
def position(n, /): return nn.Linear(4, n)
def other(width=6): return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 3))
def options(**kwargs): return nn.Linear(4, kwargs["num_classes"])
def lazy(num_classes): return nn.Sequential(nn.LazyLinear(5), nn.Dropout(), nn.LazyLinear(num_classes))
def half(): return nn.Linear(4, 3).half()
def two(a, b): return nn.Linear(a, b)
def keyword(*, classes): return nn.Linear(4, classes)
def broken(): raise KeyError("no such thing")
def words(): return "a net"
class Nets:
    @staticmethod
    def inner(): return nn.Linear(4, 3)
constant = 3
"""


@pytest.fixture
def made(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A module of factories in the current folder, unknown again afterwards."""
    (tmp_path / "fierce_test_nets.py").write_text(SOURCE)
    (tmp_path / "fierce_test_bad.py").write_text("import fierce_test_absent\n")
    (tmp_path / "fierce_test_worse.py").write_text("1 / 0\n")
    yield lambda function, classes=3, **o: MODELS.get("factory")((4,), classes, function, **o)
    for name in [n for n in sys.modules if n.startswith("fierce_test_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    ["nothing", "number", "default", "position", "other", "options", "lazy", "half", "Nets.inner"],
)
def test_ways_to_write_one(made, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = list(sys.path)
    model = made(f"fierce_test_nets:{name}").eval()
    assert model(torch.randn(5, 4)).shape == (5, 3)
    assert model.head.out_features == 3
    assert model.head.weight.dtype == torch.float32
    assert sys.path == path
    captured = capsys.readouterr()
    assert captured.out == "", "stdout is for results"


def test_lazy_layers_train(made) -> None:
    model = made("fierce_test_nets:lazy")
    assert all(m.training for m in model.modules())
    assert sum(p.numel() for p in model.parameters()) == 4 * 5 + 5 + 5 * 3 + 3


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("fierce_test_nets:two", "needs a, b; write one that needs nothing"),
        ("fierce_test_nets:keyword", "needs classes"),
        ("fierce_test_nets:broken", "failed: KeyError: 'no such thing'"),
        ("fierce_test_nets:words", "gives a str, expected a torch.nn.Module"),
        ("fierce_test_nets:none", "module fierce_test_nets has no none"),
        ("fierce_test_nets:constant", "is a int, expected a function"),
        ("fierce_test_nets", "write package.module:function"),
        ("fierce_test_nets:", "write package.module:function"),
        ("fierce test:x", "write package.module:function"),
        ("fierce_test_nowhere:x", "no module fierce_test_nowhere here"),
        ("fierce_test_nowhere.deeper:x", "no module fierce_test_nowhere.deeper here"),
        ("fierce_test_bad:x", "fierce_test_bad needs fierce_test_absent, which is not installed"),
        ("fierce_test_worse:x", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_is_one_line(made, function: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(function)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_number_of_classes(made) -> None:
    with pytest.raises(UsageError, match="no linear layer with 4 outputs"):
        made("fierce_test_nets:nothing", classes=4)
    assert isinstance(made("fierce_test_nets:default", classes=4), nn.Module)

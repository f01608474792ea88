from __future__ import annotations

import pytest

from fierce_tools import binding
from fierce_tools.binding import Option
from fierce_tools.errors import UsageError
from fierce_tools.menu import LOSSES, MODELS


def test_fierce_is_read_with_its_anchors() -> None:
    spec = binding.read(LOSSES, "fierce")
    assert spec.arrays == ("logits", "labels", "features", "anchors")
    assert spec.option("lam").default == 0.1
    assert spec.option("num-anchors").default == 100
    assert spec.option("tau").optional


def test_the_argument_behind_a_colon() -> None:
    assert binding.read(MODELS, "mlp:10").argument is not None
    with pytest.raises(UsageError, match="mlp:HIDDEN"):
        binding.read(MODELS, "mlp")
    with pytest.raises(UsageError, match="takes nothing after a colon"):
        binding.read(MODELS, "linear:3")


@pytest.mark.parametrize(
    ("option", "given", "value"),
    [
        (Option("n", "int", 1, "h"), "12", 12),
        (Option("n", "int", 1, "h"), 3.0, 3),
        (Option("x", "float", 1.0, "h"), "1e-3", 0.001),
        (Option("x", "float", 1.0, "h"), 2, 2.0),
        (Option("x", "float", None, "h", optional=True), "none", None),
        (Option("b", "bool", False, "h"), "true", True),
        (Option("b", "bool", False, "h"), False, False),
        (Option("c", "choice", "a", "h", ("a", "b")), "b", "b"),
        (Option("v", "ints", (), "h"), "1:4", (1, 2, 3, 4)),
        (Option("v", "floats", (), "h"), [0.5, 1], (0.5, 1)),
        (Option("v", "strs", (), "h"), "cat, dog", ("cat", "dog")),
        (Option("s", "str", "", "h"), "x:y", "x:y"),
    ],
)
def test_values_from_flags_and_from_toml(option: Option, given: object, value: object) -> None:
    assert option.convert(given) == value


@pytest.mark.parametrize(
    ("option", "given"),
    [
        (Option("n", "int", 1, "h"), "1.5"),
        (Option("n", "int", 1, "h"), True),
        (Option("n", "int", 1, "h"), "1,2"),
        (Option("n", "int", 1, "h"), "1:20"),
        (Option("n", "int", 1, "h"), float("inf")),
        (Option("v", "ints", (), "h"), [float("inf")]),
        (Option("x", "float", 1.0, "h"), "nan"),
        (Option("x", "float", 1.0, "h"), "warm"),
        (Option("x", "float", 1.0, "h"), None),
        (Option("b", "bool", False, "h"), "maybe"),
        (Option("c", "choice", "a", "h", ("alpha", "b")), "alpa"),
        (Option("v", "ints", (), "h"), "0.5"),
        (Option("v", "ints", (), "h"), ["a"]),
    ],
)
def test_wrong_values_are_one_line(option: Option, given: object) -> None:
    with pytest.raises(UsageError) as caught:
        option.convert(given)
    assert "\n" not in str(caught.value)


def test_a_wrong_option_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'lam'"):
        binding.read(LOSSES, "fierce").resolve({"lamb": 1})


def test_presets_give_way_to_what_was_said() -> None:
    spec = binding.read(LOSSES, "fierce")
    assert spec.resolve({"preset": "few-shot"})["lam"] == 1.5
    assert spec.resolve({"preset": "few-shot", "lam": "2"})["lam"] == 2.0
    with pytest.raises(UsageError, match="few-shot"):
        spec.resolve({"preset": "fewshot"})

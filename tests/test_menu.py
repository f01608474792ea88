from __future__ import annotations

import subprocess
import sys

import pytest

from fierce_tools.errors import UsageError
from fierce_tools.menu import ANALYSES, DATASETS, LOSSES, MODELS, Menu, split


@pytest.mark.parametrize("menu", [DATASETS, MODELS, LOSSES, ANALYSES], ids=lambda m: m.folder)
def test_every_member_is_there(menu: Menu) -> None:
    names = menu.names()
    assert names == tuple(sorted(names))
    assert names
    for name in names:
        assert callable(menu.get(name)), name


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(UsageError, match="did you mean 'fierce'"):
        LOSSES.get("feirce")
    with pytest.raises(UsageError, match="fierce list models"):
        MODELS.get("zzz")
    with pytest.raises(UsageError, match="`fierce list losses`"):
        LOSSES.get("zzz")


def test_underscores_and_arguments() -> None:
    assert split("mlp:100-100") == ("mlp", "100-100")
    assert LOSSES.get("label_smoothing") is LOSSES.get("label-smoothing")


@pytest.mark.slow
def test_the_function_is_offered_whatever_was_imported_first() -> None:
    code = (
        "import fierce_tools.losses.fierce; from fierce_tools.losses import fierce, ce; import fierce_tools.losses as l;"
        "assert callable(fierce) and callable(ce) and l.fierce is fierce and 'label_smoothing' in dir(l)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_no_member_is_no_attribute() -> None:
    import fierce_tools.losses

    with pytest.raises(AttributeError):
        _ = fierce_tools.losses.nothing

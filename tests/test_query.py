from __future__ import annotations

import pytest

from fierce_tools import query
from fierce_tools.errors import UsageError

ROW = {"name": "digits-fierce-s0", "loss": "fierce", "acc": 0.91, "tags": ["keep", "paper"], "ece": None, "epoch": 5}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("fierce", True),
        ("mnist", False),
        ("-mnist", True),
        ("loss:fierce acc>0.9", True),
        ("loss:fierce acc>0.95", False),
        ("acc>=0.91 epoch=5", True),
        ("epoch!=5", False),
        ("tags:keep", True),
        ("-tags:keep", False),
        ("ece>0", False),
        ("ece<1", False),
        ("mnist | tags:paper", True),
        ("mnist | loss:ce", False),
        ("FIERCE", True),
        ("loss=fierc", False),
    ],
)
def test_terms(text: str, holds: bool) -> None:
    assert query.matches(query.parse(text), ROW) is holds


def test_a_comparison_with_a_word_is_refused() -> None:
    with pytest.raises(UsageError, match="not a number"):
        query.parse("acc>high")

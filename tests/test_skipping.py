"""What is skipped, and what may not be."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parent.parent
TESTS = """
import pytest
@pytest.mark.skipif(True, reason="needs a GPU")
def test_gpu(): pass
@pytest.mark.skipif(True, reason="slow today")
def test_mood(): pass
def test_package(): pytest.importorskip("no_such_package")
@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""


@pytest.mark.parametrize(("strict", "outcomes"), [
    ("", {"skipped": 3, "xfailed": 1, "failed": 0, "errors": 0}),
    ("1", {"skipped": 1, "xfailed": 1, "failed": 1, "errors": 1}),
])  # fmt: skip
def test_a_skip_that_no_machine_excuses_is_a_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, strict: str, outcomes: dict[str, int]
) -> None:
    monkeypatch.setenv("FIERCE_NO_SKIP", strict)
    pytester.makeconftest("from skipping import *")
    pytester.makepyfile(TESTS)
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(**outcomes)


def test_a_whole_file_too(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIERCE_NO_SKIP", "1")
    pytester.makeconftest("from skipping import *")
    pytester.makepyfile("import pytest\npytest.importorskip('no_such_package')\ndef test_a(): pass\n")
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(errors=1)


def test_developers_have_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {name for line in extras["dev"] for name in re.findall(r"fierce-tools\[([\w,-]+)\]", line)}
    assert {part for name in named for part in name.split(",")} == set(extras) - {"dev"}

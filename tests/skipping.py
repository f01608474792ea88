"""Nothing is skipped in silence: under FIERCE_NO_SKIP=1 only for want of what a machine may lack.

A reason begins with "needs" and one of LACKS. A skip for anything else, such as a package that is not installed, is a
failure there. `tests/conftest.py` takes the hooks from here.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

LACKS = ("a GPU", "no GPU", "a compiler", "Chromium", "another user than root")


def _judge(report: Any) -> Any:
    """A report of a skip as one of a failure, where that is what it is."""
    if os.environ.get("FIERCE_NO_SKIP") != "1" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(tuple(f"needs {what}" for what in LACKS)):
        report.outcome = "failed"
        report.longrepr = f"skipped under FIERCE_NO_SKIP=1: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Of a test."""
    return _judge((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Of a whole file."""
    return _judge((yield))

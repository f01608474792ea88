"""Waiting for what must come true, in tests: for a condition, never for so many seconds.

The limit only says when to give up. FIERCE_TEST_PATIENCE multiplies it, for a machine that is slow or busy.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = float(os.environ.get("FIERCE_TEST_PATIENCE", "1"))
LIMIT = 90.0 * PATIENCE
STEP = 0.02

T = TypeVar("T")


def wait_until(condition: Callable[[], T], state: Callable[[], object] = lambda: "") -> T:
    """The first true value of `condition`. Raises AssertionError with the last `state` when the limit is over."""
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"did not come true in {LIMIT:.0f} s: {state()}")
        time.sleep(STEP)
    return value


async def until(condition: Callable[[], T], state: Callable[[], object] = lambda: "") -> T:
    """The same while the event loop goes on."""
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"did not come true in {LIMIT:.0f} s: {state()}")
        await asyncio.sleep(STEP)
    return value

"""Waiting in tests: for a condition, up to a deadline, never for a length of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_AGAIN_S = 0.01


def eventually(condition: Callable[[], T], what: str, within_s: float = 30.0) -> T:
    """The condition's first truthy value; fails, saying `what` never came, after `within_s`."""
    give_up = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < give_up, f"not within {within_s} s: {what}"
        time.sleep(LOOK_AGAIN_S)
    return value

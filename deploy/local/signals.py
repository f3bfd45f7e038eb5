"""Turns the signals that end the runner into one KeyboardInterrupt, so that cleanup runs."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_once() -> None:
    """Make the first signal raise KeyboardInterrupt, and ignore those after it.

    `make` passes on a SIGTERM that its whole process group got as well. The second must neither
    cut the cleanup short nor count as a second Ctrl-C.
    """
    for number in _ENDING:
        # Ignored from the start, as nohup ignores SIGHUP, means: not to be stopped by it. Shells
        # ignore SIGINT for all that they start in the background, which means less.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def interrupt_again() -> None:
    """Make a second Ctrl-C raise KeyboardInterrupt again, so that the user can skip the wait."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt

"""Signals that ask the runner to end become one KeyboardInterrupt, so that all is cleaned up."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_once() -> None:
    """Have the first signal raise KeyboardInterrupt, and those after it do nothing.

    `make` passes on a SIGTERM that its whole process group got as well. The second must neither
    cut the cleaning up short nor count as impatience.
    """
    for number in _ENDING:
        # Ignored from the start, as nohup ignores SIGHUP, means: not to be stopped by it. Shells
        # ignore SIGINT for all that they start in the background, which means less.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def interrupt_again() -> None:
    """Have a Ctrl-C raise KeyboardInterrupt once more, from a person who will not wait."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt

"""The error that ends the runner with a message instead of a traceback."""

from __future__ import annotations


class RunnerError(Exception):
    """The user can correct the cause; the text says what is wrong and how to correct it."""

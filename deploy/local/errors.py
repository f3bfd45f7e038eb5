"""What stops the runner with a message instead of a traceback."""

from __future__ import annotations


class RunnerError(Exception):
    """Something the person at the terminal can put right; the text says what and how."""

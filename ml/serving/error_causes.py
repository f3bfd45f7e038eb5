"""Errors of a pipeline's code as a log may have them: which and where, without their text.

The text of an error often quotes what the code was given, and no input belongs in a log.
"""

from __future__ import annotations

import traceback


def place_of(error: BaseException) -> str:
    """Such as "ValueError in predict (tiers.py:24)": its type and the innermost frame."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return name
    last = frames[-1]
    file = last.filename.rpartition("/")[2]
    return f"{name} in {last.name} ({file}:{last.lineno})"


def stack_of(error: BaseException) -> str:
    """Its frames, outermost first, and its type."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__

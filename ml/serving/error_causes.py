"""Describes errors of a pipeline's code for logs: type and place, without their text.

The text of an error often quotes what the code was given, and no input belongs in a log.
"""

from __future__ import annotations

import traceback


def error_location(error: BaseException) -> str:
    """Type and innermost frame of the error, such as "ValueError in predict (tiers.py:24)"."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return name
    last = frames[-1]
    file = last.filename.rpartition("/")[2]
    return f"{name} in {last.name} ({file}:{last.lineno})"


def stack_of(error: BaseException) -> str:
    """The frames of the error, outermost first, and its type."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__

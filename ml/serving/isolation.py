"""Calls a batch function and bisects failing batches, so that one bad member fails alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ml.serving.device_faults import DeviceLost

T = TypeVar("T")
R = TypeVar("R")


class WrongLengthError(Exception):
    """A batch function returned more or fewer results than it was given members."""


class StopBisecting(Exception):
    """Raised by a batch function whose failure says nothing about single members."""


def isolated(call: Callable[[Sequence[T]], Sequence[R]], members: Sequence[T]) -> list[R | Failed]:
    """Call the function on the batch; one result or failure per member, in order.

    A batch that fails is halved until the bad member is alone; that also halves a batch for
    which the device has too little memory. StopBisecting fails all members that are left.

    Raises:
        DeviceLost: from `call`; no member caused it, and none can be tried again in this process.
    """
    try:
        return _as_many(call(members), len(members))
    except StopBisecting as signal:
        return [Failed(signal)] * len(members)
    except DeviceLost:
        raise
    except Exception as error:
        if len(members) == 1:
            return [Failed(error)]
    middle = len(members) // 2
    return isolated(call, members[:middle]) + isolated(call, members[middle:])


class Failed:
    """The result of a member that failed."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __str__(self) -> str:
        """For clients and logs: the kind of error and the start of its text."""
        return f"{type(self.error).__name__}: {self.error}"[:300]


def _as_many(results: Sequence[R], count: int) -> list[R | Failed]:
    if len(results) != count:
        raise WrongLengthError(f"{len(results)} results for {count} inputs")
    return list(results)

"""How often the same failure is told: once a minute, however often it happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

AGAIN_S = 60.0
MOST_KINDS = 1_000  # of failures that are remembered


@dataclass(slots=True)
class _Told:
    at: float
    held_back: int = 0


class Throttle:
    """Counts for one process, whatever its threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[Hashable, _Told] = {}
        self._lock = threading.Lock()

    def take(self, kind: Hashable, lasting: bool = False) -> int | None:
        """How many of this kind were held back since the last one that was told; None: hold back.

        lasting: a state and no accident, such as an outage. It is told again only after it has
        not been seen for a minute.
        """
        now = self._clock()
        with self._lock:
            told = self._told.get(kind)
            if told and now - told.at < AGAIN_S:
                told.held_back += 1
                if lasting:
                    told.at = now
                return None
            self._told.pop(kind, None)
            self._told[kind] = _Told(now)
            if len(self._told) > MOST_KINDS:
                del self._told[next(iter(self._told))]
        return told.held_back if told else 0

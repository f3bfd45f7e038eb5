"""Throttle for Sentry events: each kind of failure is sent once a minute at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

PERIOD_S = 60.0
MOST_KINDS = 1_000  # kinds of failures that are remembered


@dataclass(slots=True)
class _Sent:
    at: float
    held_back: int = 0


class Throttle:
    """Counts the failures of one process by kind. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: dict[Hashable, _Sent] = {}
        self._lock = threading.Lock()

    def take(self, kind: Hashable, lasting: bool = False) -> int | None:
        """Ask to send: how many of this kind were held back since the last; None: hold back.

        lasting: a state, such as an outage, and not a single event. It is sent again only after it
        has not been seen for a minute.
        """
        now = self._clock()
        with self._lock:
            sent = self._sent.get(kind)
            if sent and now - sent.at < PERIOD_S:
                sent.held_back += 1
                if lasting:
                    sent.at = now
                return None
            self._sent.pop(kind, None)
            self._sent[kind] = _Sent(now)
            if len(self._sent) > MOST_KINDS:
                del self._sent[next(iter(self._sent))]
        return sent.held_back if sent else 0

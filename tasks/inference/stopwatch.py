"""Stopwatch that several threads share: measures the time in which at least one is inside."""

from __future__ import annotations

import threading
import time
from types import TracebackType


class Stopwatch:
    """Context manager that runs while at least one thread is inside; overlaps count once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._since = 0.0
        self._before = 0.0

    @property
    def seconds(self) -> float:
        """Seconds measured so far."""
        with self._lock:
            return self._before + (time.monotonic() - self._since if self._inside else 0.0)

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._since = time.monotonic()
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._before += time.monotonic() - self._since

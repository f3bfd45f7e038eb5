"""Base class of what a child runs for its lane, with the health values the watchdog reads."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

AWAKE_MARGIN_MS = 25  # a worker busy for longer counts as asleep: wake-ups are sent for its lane


class LaneExecutor(ABC):
    """Drains a lane when a wake-up comes; one thread at a time."""

    def __init__(self) -> None:
        # Called with the current Sentry tags whenever they change
        self.publish_tags: Callable[[Mapping[str, str]], None] = lambda _: None
        self._draining = threading.Lock()
        self._last_drained = time.monotonic()

    def run_batches(self) -> int:
        """Drain the lane for up to `drain_ms`; a new wake-up is sent for what is left.

        Returns the number of batches; 0 also if another thread drains the lane.

        Raises:
            redis.RedisError: Redis is out of reach; claimed units are left to their lease.
            ml.serving.device_faults.DeviceLost: this process must end; claimed units are left
                to their lease.
        """
        if not self._draining.acquire(blocking=False):
            return 0
        try:
            return self._drain()
        finally:
            self._last_drained = time.monotonic()
            self._draining.release()

    def stop_draining(self, within_s: float) -> bool:
        """Stop after the current batch; False if it did not finish in time."""
        return self._draining.acquire(timeout=within_s)

    def stop(self) -> None:  # noqa: B027 - most executors have nothing to stop
        """Stop what goes on outside `run_batches`, before the leases are given up."""

    @property
    def idle_s(self) -> float:
        """Seconds since the lane was last drained; 0 while it is being drained."""
        return 0.0 if self._draining.locked() else time.monotonic() - self._last_drained

    @property
    @abstractmethod
    def busy_s(self) -> float:
        """Seconds for which the current batch has shown no progress; beyond a limit it hangs."""

    @property
    @abstractmethod
    def stuck_s(self) -> float:
        """Seconds for which the longest call or request has gone on beyond its own time limit."""

    @property
    def current_tags(self) -> Mapping[str, str]:
        """Sentry tags of what has been running for longest; empty if nothing runs."""
        return {}

    @abstractmethod
    def _drain(self) -> int:
        """Drain the lane as `run_batches` says, while this thread alone does."""

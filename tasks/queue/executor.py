"""What a pool child does with its lane, and what `tasks.worker.watchdog` may ask of it."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

AWAKE_MARGIN_MS = 25  # a batch longer than this leaves its lane to be woken for others


class LaneExecutor(ABC):
    """Drains a lane when it is woken; one thread at a time."""

    def __init__(self) -> None:
        self.note: Callable[[Mapping[str, str]], None] = lambda _: None  # told what is under way
        self._turn = threading.Lock()
        self._ended = time.monotonic()  # when the lane was last drained

    def run_batches(self) -> int:
        """Drain the lane for up to `drain_ms`; what is left is announced by another wake-up.

        Returns the number of batches; 0 also if another thread is at it.

        Raises:
            redis.RedisError: Redis is out of reach; what was claimed is left to its lease.
            ml.serving.device_faults.DeviceLost: this process must end; claimed units are left
                to their lease.
        """
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            return self._drain()
        finally:
            self._ended = time.monotonic()
            self._turn.release()

    def retire(self, within_s: float) -> bool:
        """Drain no more, from the end of what is under way on; False if that did not end."""
        return self._turn.acquire(timeout=within_s)

    @property
    def idle_s(self) -> float:
        """Seconds since the lane was last drained; 0 while it is."""
        return 0.0 if self._turn.locked() else time.monotonic() - self._ended

    @property
    @abstractmethod
    def busy_s(self) -> float:
        """Seconds for which what is under way has shown no progress; beyond a limit it hangs."""

    @property
    @abstractmethod
    def stuck_s(self) -> float:
        """Seconds for which the longest call or attempt has gone on beyond its own time limit."""

    @property
    def doing(self) -> Mapping[str, str]:
        """`tasks.inference.failures.tags_of` what has been under way for longest."""
        return {}

    @abstractmethod
    def _drain(self) -> int:
        """As `run_batches`, alone."""

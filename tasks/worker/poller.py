"""Fallback poller of a worker process: runs batches when no wake-up has come for a while.

Celery's messages may stop coming: a broker whose memory is full, a consumer that missed a
reconnect. So an idle child polls its lane on its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from tasks.config.settings import Settings
from tasks.queue.executor import LaneExecutor
from tasks.telemetry.logs import get_logger
from tasks.worker.heartbeat import BEAT_S

log = get_logger(__name__)


class FallbackPoller(threading.Thread):
    """A thread that runs batches once the executor has been idle for `rescue_ms`."""

    def __init__(
        self, executor: LaneExecutor, run_batches: Callable[[], int], settings: Settings
    ) -> None:
        super().__init__(name="poller", daemon=True)
        self._executor = executor
        self._run_batches = run_batches
        self._settings = settings
        self._stopping = threading.Event()

    def run(self) -> None:
        idle_limit_s = self._settings.rescue_ms / 1000
        while not self._stopping.wait(min(BEAT_S, idle_limit_s)):
            if self._executor.idle_s >= idle_limit_s:
                while self._run_batches() and not self._stopping.is_set():
                    log.info("batches found without a wake-up")

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

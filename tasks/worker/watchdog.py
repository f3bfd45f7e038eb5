"""Hang watchdog of a worker process: ends the process when a batch or a call hangs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from tasks.config.settings import Settings
from tasks.queue.executor import LaneExecutor
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import client as sentry
from tasks.worker import failures
from tasks.worker.heartbeat import BEAT_S

log = get_logger(__name__)


class Watchdog(threading.Thread):
    """A thread that kills a hanging process and sends heartbeats of a healthy one.

    The units that the process held are claimed by others when their leases run out.
    """

    def __init__(
        self,
        executor: LaneExecutor,
        beat: Callable[[], None],
        settings: Settings,
        unregister: Callable[[], None],
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._executor = executor
        self._beat = beat
        self._unregister = unregister
        self._limit_s = settings.hard_limit_s
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the thread, with a first heartbeat."""
        self._beat()  # before the first batch, which may hang
        super().start()

    def run(self) -> None:
        while not self._stopping.wait(BEAT_S):
            self._beat()
            if self._executor.busy_s > self._limit_s:
                log.critical("a batch hangs: killing this process", limit_s=self._limit_s)
                self._kill("a batch")
            elif self._executor.stuck_s > self._limit_s and self._executor.stop_draining(BEAT_S):
                log.critical("a tier hangs: killing this process", limit_s=self._limit_s)
                self._kill("a call of a tier")

    def _kill(self, what: str) -> None:
        """Report the hang in a thread, as anything may block here; then kill this process."""
        report = threading.Thread(
            target=failures.hung,
            args=(what, self._limit_s, self._executor.current_tags),
            daemon=True,
        )
        report.start()
        report.join(sentry.FLUSH_S)
        self._unregister()
        os.kill(os.getpid(), signal.SIGKILL)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

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

LOOK_S = BEAT_S


class Watchdog(threading.Thread):
    """Ends a process that hangs, and shows that it does not; leases do the rest."""

    def __init__(
        self,
        work: LaneExecutor,
        beat: Callable[[], None],
        settings: Settings,
        goodbye: Callable[[], None],
    ) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._work = work
        self._beat = beat
        self._goodbye = goodbye
        self._limit_s = settings.hard_limit_s
        self._stopping = threading.Event()

    def start(self) -> None:
        self._beat()  # before any work: the first batch may be the one that hangs
        super().start()

    def run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self._beat()
            if self._work.busy_s > self._limit_s:
                log.critical("a batch hangs: ending this process", limit_s=self._limit_s)
                self._end("a batch")
            elif self._work.stuck_s > self._limit_s and self._work.retire(LOOK_S):
                log.critical("a tier hangs: ending this process", limit_s=self._limit_s)
                self._end("a call of a tier")

    def _end(self, what: str) -> None:
        """Tell of it, but not for long: on a thread of its own, as anything may be held up here."""
        told = threading.Thread(
            target=failures.hung, args=(what, self._limit_s, self._work.doing), daemon=True
        )
        told.start()
        told.join(sentry.FLUSH_S)
        self._goodbye()
        os.kill(os.getpid(), signal.SIGKILL)

    def stop(self) -> None:
        self._stopping.set()

"""Graceful exit of a pool child that its autoscaled pool no longer needs.

billiard ends a child with SIGTERM, and its own handler would interrupt what runs on the main
thread. It does so only to idle children, but it takes a child for idle while a wake-up is on its
way to it, or while it runs batches without one (`tasks.worker.poller.FallbackPoller`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Final

from tasks.queue.executor import LaneExecutor
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

SIGNALS: Final = {signal.SIGTERM}
REPLY_S: Final = 0.5  # for the main thread to tell the pool that its last task is done


def block_sigterm() -> None:
    """Block SIGTERM, so that `GracefulExit` gets it; call it before a second thread starts.

    A handler would not do: billiard installs its own later.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


class GracefulExit(threading.Thread):
    """A thread that waits for SIGTERM, then for the current batch, and ends the process.

    executor: starts no more batches from then on. exit_process: must not return. patience_s: after
    that, the units of a hung batch are left to their lease.
    """

    def __init__(
        self, executor: LaneExecutor, exit_process: Callable[[], None], patience_s: float
    ) -> None:
        super().__init__(name="graceful-exit", daemon=True)
        self._executor = executor
        self._exit_process = exit_process
        self._patience_s = patience_s

    def run(self) -> None:
        signal.sigwait(SIGNALS)
        finished = self._executor.stop_draining(self._patience_s)
        # The main thread may have run the last batch and not yet told the pool, which would take
        # this process for a crashed one. Tasks that still arrive return at once.
        time.sleep(REPLY_S)
        log.info("child no longer needed: ending it", finished=finished)
        self._exit_process()

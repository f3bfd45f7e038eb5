"""How a child ends that its pool no longer wants: it holds nothing then, and says so.

billiard ends it by SIGTERM, which by billiard's own handler would break off what runs on the main
thread. It means it for idle children, but takes one for idle to which a wake-up is on its way, or
that found its work without one (`tasks.worker.poller.FallbackPoller`).
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

ASKED: Final = {signal.SIGTERM}
REPLY_S: Final = 0.5


def block_sigterm() -> None:
    """Keep the signal for `GracefulExit`; to be called before the process has a second thread.

    billiard sets its handler after this process's start, so that no handler of ours would stay.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKED)


class GracefulExit(threading.Thread):
    """Waits for the signal, then for the end of what is under way, and ends the process.

    work: begins nothing more from then on. end: must not return. patience_s: after that, what a
    hung batch holds is left to its lease.
    """

    def __init__(self, work: LaneExecutor, end: Callable[[], None], patience_s: float) -> None:
        super().__init__(name="graceful-exit", daemon=True)
        self._work = work
        self._end = end
        self._patience_s = patience_s

    def run(self) -> None:
        signal.sigwait(ASKED)
        finished = self._work.retire(self._patience_s)
        # The main thread may have run the last batch and not yet told the pool, which would take
        # this process for a crashed one. What still arrives is answered at once, having no turn.
        time.sleep(REPLY_S)
        log.info("child retires", finished=finished)
        self._end()

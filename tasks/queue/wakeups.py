"""Wake-ups: Celery messages that tell a lane's workers to claim. A sweep repairs lost ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from queue import SimpleQueue

from celery import Celery
from kombu.exceptions import OperationalError

from tasks.celery import RUN_BATCHES, queue_of
from tasks.jobs.lanes import Lane
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import failures
from tasks.threads import LazyThread

log = get_logger(__name__)

MAX_WAKEUPS = 16  # at once; one wake-up drains many batches, so more would find nothing


def wake(celery: Celery, lane: Lane | str, times: int = 1) -> None:
    """Publish wake-ups now, without a retry."""
    try:
        for _ in range(min(times, MAX_WAKEUPS)):
            celery.send_task(
                RUN_BATCHES, args=[lane], queue=queue_of(lane), retry=False, ignore_result=True
            )
    except (OperationalError, OSError) as error:
        log.warning("wake-up not published", lane=str(lane), error=str(error))


class Waker:
    """Publishes wake-ups in a thread of its own, so that a submit never waits for the broker."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._requests: SimpleQueue[tuple[Lane, int]] = SimpleQueue()
        self._thread = LazyThread("waker", self._run)

    def wake(self, lane: Lane, times: int) -> None:
        """Queue wake-ups to publish; starts the thread at first use."""
        self._thread.start()
        self._requests.put((lane, times))

    def _run(self) -> None:
        while True:
            try:
                for lane, times in self._next_requests().items():
                    wake(self._celery, lane, times)
            except Exception as error:  # nothing would start the thread again
                log.exception("waker failed")
                failures.unexpected(error, "waker")

    def _next_requests(self) -> Mapping[Lane, int]:
        """Wake-ups requested since the last call, by lane; waits for at least one."""
        lane, times = self._requests.get()
        wanted = Counter({lane: times})
        while not self._requests.empty():
            lane, times = self._requests.get()
            wanted[lane] += times
        return wanted

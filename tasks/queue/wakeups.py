"""Wake-ups: tell a lane's workers that there is work. Best effort: the sweep repairs the lost."""

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

MOST_AT_ONCE = 16  # one wake-up drains many batches, so more would only be spurious


def wake(celery: Celery, lane: Lane | str, times: int = 1) -> None:
    """Publish wake-ups now, without retrying."""
    try:
        for _ in range(min(times, MOST_AT_ONCE)):
            celery.send_task(
                RUN_BATCHES, args=[lane], queue=queue_of(lane), retry=False, ignore_result=True
            )
    except (OperationalError, OSError) as error:
        log.warning("wake-up not published", lane=str(lane), error=str(error))


class Waker:
    """Publishes from a thread of its own, so that a submit never waits for the broker."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._asked: SimpleQueue[tuple[Lane, int]] = SimpleQueue()
        self._thread = LazyThread("waker", self._run)

    def wake(self, lane: Lane, times: int) -> None:
        self._thread.start()
        self._asked.put((lane, times))

    def _run(self) -> None:
        while True:
            try:
                for lane, times in self._wanted().items():
                    wake(self._celery, lane, times)
            except Exception as error:  # nobody would start the thread again
                log.exception("waker failed")
                failures.unexpected(error, "waker")

    def _wanted(self) -> Mapping[Lane, int]:
        """What was asked for since, at least one wake-up; waits for it."""
        lane, times = self._asked.get()
        wanted = Counter({lane: times})
        while not self._asked.empty():
            lane, times = self._asked.get()
            wanted[lane] += times
        return wanted

"""Maintenance thread of a pool child: heartbeat, lease renewal, sweep, exit with the parent."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

from celery import Celery
from redis import RedisError

from tasks.autoscaling.decisions import decide
from tasks.jobs.finished import FinishedJob
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.queue.wakeups import wake
from tasks.store import keys
from tasks.store.scripts.queue import SWEEP, SweepArgs
from tasks.store.series import series_key
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import failures
from tasks.telemetry.sinks import JobSinks

log = get_logger(__name__)


class Maintenance(threading.Thread):
    """One thread per child. torch releases the GIL, so it runs while a model computes.

    parent: process id of the parent, as the parent saw it. worked_s: seconds in which a pipeline's
    code ran; None in a child that runs no models.
    """

    def __init__(
        self,
        consumer: Consumer,
        celery: Celery,
        parent: int,
        job_sinks: JobSinks,
        worked_s: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(name="maintenance", daemon=True)
        self._job_sinks = job_sinks
        self._worked_s = worked_s
        self._last_counted = (time.monotonic(), 0.0)
        self._consumer = consumer
        self._celery = celery
        self._parent = parent  # not getppid(): the parent may be gone by now
        self._stopping = threading.Event()
        self._reachable = True

    def run(self) -> None:
        settings = self._consumer.store.settings
        renew_at = 0.0
        while True:
            self._exit_without_parent()
            try:
                if time.monotonic() >= renew_at:
                    self.renew()
                    renew_at = time.monotonic() + settings.renew_ms / 1000
                self.sweep()
            except RedisError as error:
                self._report_outage(error)
            else:
                self._reachable = True
            if self._stopping.wait(settings.sweep_ms / 1000):
                return

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

    def renew(self) -> None:
        """Send the heartbeat, renew the leases, and count busy and idle time."""
        lost = self._consumer.renew()
        if lost:
            log.warning("leases lost", units=len(lost), worker=self._consumer.name)
        self._count_time()

    def _count_time(self) -> None:
        """Add busy and idle time since the last call to the counters of the lane."""
        if self._worked_s is None:
            return
        now, worked = time.monotonic(), self._worked_s()
        busy = worked - self._last_counted[1]
        idle = now - self._last_counted[0] - busy
        self._last_counted = (now, worked)
        pipe = self._consumer.store.redis.pipeline(transaction=False)
        for state, seconds in (("busy", busy), ("idle", idle)):
            series = series_key("worker", self._consumer.lane, state)
            pipe.hincrby(keys.SERIES, series, max(0, round(seconds * 1e6)))
        pipe.execute()

    def sweep(self) -> None:
        """Repair the lanes: expire jobs, move units, renew lost wake-ups; one worker at a time."""
        settings = self._consumer.store.settings
        args = SweepArgs(
            caller=self._consumer.name,
            interval_ms=settings.sweep_ms,
            lease_ms=settings.lease_ms,
            result_ttl_ms=settings.result_ttl_s * 1000,
            gpu_patience_ms=settings.gpu_patience_ms,
        )
        swept = self._consumer.store.run(SWEEP, args, [list(Lane)])
        lanes, ended = swept or ((), ())
        self._job_sinks.report([FinishedJob.read(raw) for raw in ended])
        for lane in lanes:
            wake(self._celery, lane)
        if swept:
            decide(self._consumer.store)

    def _exit_without_parent(self) -> None:
        """Exit if the parent was killed: an orphan would go on computing for nobody."""
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)

    def _report_outage(self, error: RedisError) -> None:
        if self._reachable:
            log.error("maintenance failed: error of Redis", error=str(error))
            failures.redis_failed(error)
        self._reachable = False

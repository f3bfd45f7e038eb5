"""What a worker child does beside its batches: beat, keep leases, sweep, die with its parent."""

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
    """A thread per child; torch releases the GIL, so it runs while the model computes."""

    def __init__(
        self,
        worker: Consumer,
        celery: Celery,
        parent: int,
        job_sinks: JobSinks,
        worked_s: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(name="maintenance", daemon=True)
        self._job_sinks = job_sinks
        self._worked_s = worked_s  # a child that runs no models does not say
        self._told = (time.monotonic(), 0.0)
        self._worker = worker
        self._celery = celery
        self._parent = parent  # as the parent itself knew it: it may be gone by now
        self._stopping = threading.Event()
        self._reachable = True

    def run(self) -> None:
        settings = self._worker.store.settings
        renew_at = 0.0
        while True:
            self._die_with_parent()
            try:
                if time.monotonic() >= renew_at:
                    self.beat()
                    renew_at = time.monotonic() + settings.renew_ms / 1000
                self.sweep()
            except RedisError as error:
                self._lost_redis(error)
            else:
                self._reachable = True
            if self._stopping.wait(settings.sweep_ms / 1000):
                return

    def stop(self) -> None:
        self._stopping.set()

    def beat(self) -> None:
        lost = self._worker.renew()
        if lost:
            log.warning("leases lost", units=len(lost), worker=self._worker.name)
        self._count_time()

    def _count_time(self) -> None:
        """Add to what this lane's children were busy and idle, for utilisation and cost."""
        if self._worked_s is None:
            return
        now, worked = time.monotonic(), self._worked_s()
        busy = worked - self._told[1]
        idle = now - self._told[0] - busy
        self._told = (now, worked)
        pipe = self._worker.store.redis.pipeline(transaction=False)
        for state, seconds in (("busy", busy), ("idle", idle)):
            series = series_key("worker", self._worker.lane, state)
            pipe.hincrby(keys.SERIES, series, max(0, round(seconds * 1e6)))
        pipe.execute()

    def sweep(self) -> None:
        settings = self._worker.store.settings
        args = SweepArgs(
            caller=self._worker.name,
            interval_ms=settings.sweep_ms,
            lease_ms=settings.lease_ms,
            result_ttl_ms=settings.result_ttl_s * 1000,
            gpu_patience_ms=settings.gpu_patience_ms,
        )
        swept = self._worker.store.run(SWEEP, args, [list(Lane)])
        lanes, ended = swept or ((), ())
        self._job_sinks.report([FinishedJob.read(raw) for raw in ended])
        for lane in lanes:
            wake(self._celery, lane)
        if swept:
            decide(self._worker.store)

    def _die_with_parent(self) -> None:
        """A parent killed outright leaves orphans that would compute for nobody."""
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)

    def _lost_redis(self, error: RedisError) -> None:
        if self._reachable:
            log.error("redis failed the housekeeping", error=str(error))
            failures.redis_failed(error)
        self._reachable = False

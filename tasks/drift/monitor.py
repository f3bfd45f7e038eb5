"""Drift monitor: a thread of a worker child that sends samples and makes due comparisons."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from celery import Celery
from redis import RedisError

from ml.pipeline import Pipeline
from tasks.drift.reports import compare_if_due
from tasks.drift.sampler import Sampler
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.queue.wakeups import wake
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

SEND_S = 1.0
CHECKS_PER_INTERVAL = 60  # a comparison whose worker died is made a 60th of an interval later


class DriftMonitor(threading.Thread):
    """A thread of its own, so that a comparison does not delay the renewal of leases."""

    def __init__(
        self, worker: Consumer, celery: Celery, sampler: Sampler, pipelines: Iterable[Pipeline]
    ) -> None:
        super().__init__(name="drift", daemon=True)
        self._worker = worker
        self._celery = celery
        self._sampler = sampler
        self._pipelines = tuple(pipelines)
        self._stopping = threading.Event()
        self._failure_logged = False

    def run(self) -> None:
        settings = self._worker.store.settings
        every_s = max(SEND_S, settings.drift_interval_s / CHECKS_PER_INTERVAL)
        check_at = time.monotonic()
        while not self._stopping.wait(SEND_S):
            try:
                self._sampler.send(self._worker.store)
                if time.monotonic() >= check_at:
                    check_at = time.monotonic() + every_s
                    self.compare_due()
            except RedisError as error:  # at debug level: the maintenance thread warns of outages
                log.debug("drift is not monitored", error=str(error))
            except Exception:
                self._log_failure()

    def compare_due(self) -> None:
        """Make the comparisons that are due in this window."""
        if compare_if_due(self._worker.store, self._pipelines, self._worker.name):
            wake(self._celery, Lane.WEBHOOKS)

    def stop(self) -> None:
        self._stopping.set()

    def _log_failure(self) -> None:
        """Log the first failure only: the next check fails again, and the child goes on."""
        if not self._failure_logged:
            log.exception("drift could not be compared")
        self._failure_logged = True

"""The thread of a worker child that sends its samples and, when it is its turn, compares them."""

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
CHECKS_PER_INTERVAL = 60  # in an interval: so late may a comparison be whose worker died over it


class DriftMonitor(threading.Thread):
    """Beside the housekeeper, which must not wait for a comparison to keep its leases."""

    def __init__(
        self, worker: Consumer, celery: Celery, sampler: Sampler, pipelines: Iterable[Pipeline]
    ) -> None:
        super().__init__(name="drift", daemon=True)
        self._worker = worker
        self._celery = celery
        self._sampler = sampler
        self._pipelines = tuple(pipelines)
        self._stopping = threading.Event()
        self._complained = False

    def run(self) -> None:
        settings = self._worker.store.settings
        every_s = max(SEND_S, settings.drift_interval_s / CHECKS_PER_INTERVAL)
        look_at = time.monotonic()
        while not self._stopping.wait(SEND_S):
            try:
                self._sampler.send(self._worker.store)
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + every_s
                    self.look()
            except RedisError as error:
                log.debug("drift is not watched", error=str(error))  # the housekeeper complains
            except Exception:
                self._complain()

    def look(self) -> None:
        """Compare what has not been compared in this window."""
        if compare_if_due(self._worker.store, self._pipelines, self._worker.name):
            wake(self._celery, Lane.WEBHOOKS)

    def stop(self) -> None:
        self._stopping.set()

    def _complain(self) -> None:
        """Once: it will fail again at the next look, and the work of the child goes on."""
        if not self._complained:
            log.exception("drift could not be compared")
        self._complained = True

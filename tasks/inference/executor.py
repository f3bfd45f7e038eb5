"""The life of a batch: claim -> prepare -> predict -> commit.

While batch n is computed, n+1 is claimed and prepared and n-1 is committed, as long as more units
wait in the lane. When none wait, nothing is claimed ahead: a later claim makes a fuller batch.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from celery import Celery
from redis import RedisError

from ml.serving.runtime import Runtime
from tasks.drift.sampler import Sampler
from tasks.inference import settlement
from tasks.inference.batch import Group, gather
from tasks.inference.batch_report import BatchReporter, BatchTimeline
from tasks.inference.failures import tags_of
from tasks.inference.stopwatch import Stopwatch
from tasks.queue.circuit_breakers import CircuitBreakers
from tasks.queue.consumer import CommitResult, Consumer
from tasks.queue.executor import AWAKE_MARGIN_MS, LaneExecutor
from tasks.queue.units import SettledUnit, Unit
from tasks.queue.wakeups import wake
from tasks.telemetry.logs import get_logger
from tasks.telemetry.metrics.process import process_metrics
from tasks.telemetry.sinks import JobSinks

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer

log = get_logger(__name__)

COMMIT_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """A claimed and prepared batch.

    settled: units that no model can answer. waiting: units left in the lane. suspect: its unit was
    held when a worker died, so it runs alone: a crash is then known to be its doing. began_ns: time
    of the claim.
    """

    groups: Sequence[Group]
    settled: Sequence[SettledUnit]
    waiting: int
    suspect: bool
    began_ns: int


@dataclass(frozen=True, slots=True)
class PredictedBatch:
    """A batch ready to be committed. device_us: microseconds that tiers took, by series."""

    settled: Sequence[SettledUnit]
    device_us: Mapping[str, int]
    timeline: BatchTimeline


class InferenceExecutor(LaneExecutor):
    """Executor of the lanes gpu and cpu, for one pool child."""

    def __init__(
        self,
        consumer: Consumer,
        runtimes: Mapping[str, Runtime],
        celery: Celery,
        job_sinks: JobSinks | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__()
        self._job_sinks = job_sinks or JobSinks(())
        self._batch_reporter = BatchReporter(consumer, tracer)
        self._consumer = consumer
        self._runtimes = runtimes
        self._celery = celery
        self._settings = consumer.store.settings
        self._batch_items = max(r.batch_items for r in runtimes.values())
        self._breakers = CircuitBreakers(consumer.store)
        self._metrics = process_metrics()
        pipelines = [runtime.pipeline for runtime in runtimes.values()]
        self.sampler = Sampler(pipelines, self._settings.drift_samples)
        self._wait_for_more = False  # the last claim had several units: a short wait brings more
        # Thread id -> since when it runs code of a pipeline, and for which units
        self._running: dict[int, tuple[float, Sequence[Unit]]] = {}
        self._worked = Stopwatch()
        self._claim_thread = ThreadPoolExecutor(1, "claim-ahead")
        self._commit_thread = ThreadPoolExecutor(1, "commit-behind")

    @property
    def busy_s(self) -> float:
        """Seconds for which a pipeline's code has run on the current batch; 0 if none runs.

        Waiting for Redis does not count: an outage must not look like a hung model.
        """
        began = [began for began, _ in list(self._running.values())]
        return time.monotonic() - min(began, default=time.monotonic())

    @property
    def worked_s(self) -> float:
        """Seconds in which a pipeline's code ran, since this process started."""
        return self._worked.seconds

    @property
    def stuck_s(self) -> float:
        """Seconds for which the longest call of a tier has gone on beyond its time limit."""
        return max(runtime.stuck_s() for runtime in self._runtimes.values())

    @property
    def current_tags(self) -> Mapping[str, str]:
        if running := list(self._running.values()):
            return tags_of(min(running, key=itemgetter(0))[1])
        stuck = [r.pipeline.name for r in self._runtimes.values() if r.stuck_s()]
        return {"pipeline": stuck[0]} if stuck else {}

    def _drain(self) -> int:
        try:
            return self._run_until_empty()
        finally:
            for thread in (self._claim_thread, self._commit_thread):
                thread.submit(int).result()  # one thread each: earlier calls are done now
            if dropped := self._consumer.drop_leases():
                log.warning("units left to their lease", units=dropped, worker=self._consumer.name)

    def _run_until_empty(self) -> int:
        """Run batches until the lane is empty or the time is up; returns their number."""
        until = time.monotonic() + self._settings.drain_ms / 1000
        committing: Future[None] | None = None
        batches = 0
        batch = self._next_batch(until)
        while batch:
            batches += 1
            if batch.suspect and committing:
                committing.result()
            claiming = self._claim_ahead(batch, until)
            predicted = self._predict(batch)
            if committing:
                committing.result()
            committing = self._commit_thread.submit(self._commit, predicted)
            if not claiming:
                committing.result()
            batch = claiming.result() if claiming else None
            batch = batch or self._next_batch(until)
        if committing:
            committing.result()
        return batches

    def _next_batch(self, until: float) -> Batch | None:
        """Claim a batch, waiting briefly for one: cheaper than a Celery message for each."""
        while time.monotonic() < until:
            if self._wait_for_more:
                time.sleep(self._settings.batch_wait_ms / 1000)
            if batch := self._claim(self._awake_ms):
                return batch
            linger_s = self._settings.linger_ms / 1000
            if not linger_s or not self._consumer.wait_for_wakeup(linger_s):
                return self._claim(0)
        wake(self._celery, self._consumer.lane)
        return None

    def _claim_ahead(self, batch: Batch, until: float) -> Future[Batch | None] | None:
        """Claim the next batch in a thread while this one runs, if units wait and time is left."""
        if batch.waiting > 0 and not batch.suspect and time.monotonic() < until:
            return self._claim_thread.submit(self._claim, self._awake_ms, False)
        return None

    @property
    def _awake_ms(self) -> int:
        return self._settings.linger_ms + AWAKE_MARGIN_MS

    def _claim(self, awake_ms: int, suspects: bool = True) -> Batch | None:
        claim = self._consumer.claim(self._batch_items, awake_ms, suspects)
        self._job_sinks.report(claim.ended)
        self._breakers.update(claim.breakers)
        self._wait_for_more = len(claim.units) > 1
        return self._prepare(claim.units, claim.waiting) if claim.units else None

    def _prepare(self, units: Sequence[Unit], waiting: int) -> Batch:
        """Prepare the questions of each pipeline; units of a pipeline not served here fail."""
        began_ns = time.time_ns()
        with self._running_for(units):
            groups: list[Group] = []
            settled: list[SettledUnit] = []
            for name, members in _by_pipeline(units).items():
                if runtime := self._runtimes.get(name):
                    groups.append(gather(members, runtime, self._consumer.store.redis))
                else:
                    settled += self._fail_unserved(members, name)
        return Batch(groups, settled, waiting, any(unit.suspect for unit in units), began_ns)

    def _fail_unserved(self, units: Sequence[Unit], pipeline: str) -> Iterator[SettledUnit]:
        text = f"No worker of this lane serves the pipeline {pipeline!r}."
        return settlement.fail(units, self._consumer.lane, "unknown_pipeline", text)

    def _predict(self, batch: Batch) -> PredictedBatch:
        """Run every group's questions and settle its units."""
        settled, device_us = list(batch.settled), Counter[str]()
        timeline = BatchTimeline(batch.began_ns)
        lane = self._consumer.lane
        with self._running_for([unit for group in batch.groups for unit in group.units]):
            for group in batch.groups:
                name = group.runtime.pipeline.name
                result = settlement.run(group, self._breakers, lane, self.sampler)
                self._metrics.batches(name, lane, group.prepared)
                settled += result.settled
                device_us += result.device_us
                timeline.add_calls(name, result.calls)
        return PredictedBatch(settled, device_us, timeline)

    @contextmanager
    def _running_for(self, units: Sequence[Unit]) -> Iterator[None]:
        """Mark this thread as running a pipeline's code, for the watchdog and for Sentry."""
        thread = threading.get_ident()
        self._running[thread] = (time.monotonic(), units)
        self.publish_tags(self.current_tags)
        try:
            with self._worked:
                yield
        finally:
            del self._running[thread]
            self.publish_tags(self.current_tags)

    def _commit(self, batch: PredictedBatch) -> None:
        """Commit a batch, report the jobs that it finished, wake the lanes that need it."""
        batch.timeline.commit_ns = time.time_ns()
        committed = self._commit_with_retries(batch)
        self._job_sinks.report(committed.ended)
        for lane in committed.wake:
            wake(self._celery, lane)
        if committed.stale:
            log.warning("stale units dropped", units=committed.stale, worker=self._consumer.name)
        self._batch_reporter.report(batch.timeline, batch.settled, committed.stale)

    def _commit_with_retries(self, batch: PredictedBatch) -> CommitResult:
        """Commit, trying again while Redis restarts: until the leases are lost anyway."""
        give_up = time.monotonic() + self._settings.lease_ms / 1000
        while True:
            try:
                return self._consumer.commit(batch.settled, batch.device_us)
            except RedisError as error:
                if time.monotonic() > give_up:
                    raise
                log.warning("commit failed, trying again", error=str(error))
                time.sleep(COMMIT_RETRY_S)


def _by_pipeline(units: Sequence[Unit]) -> Mapping[str, list[Unit]]:
    found: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        found[unit.payload.pipeline].append(unit)
    return found

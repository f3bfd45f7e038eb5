"""The life of a batch: claim -> prepare -> predict -> commit.

While batch n is computed, n+1 is claimed and prepared and n-1 committed, as long as the lane is
deep. When it is not, claiming later makes a fuller batch, so nothing is claimed ahead.
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
from tasks.queue.consumer import Consumer
from tasks.queue.executor import AWAKE_MARGIN_MS, LaneExecutor
from tasks.queue.units import SettledUnit, Unit
from tasks.queue.wakeups import wake
from tasks.telemetry.logs import get_logger
from tasks.telemetry.metrics.process import process_metrics
from tasks.telemetry.sinks import JobSinks

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer

log = get_logger(__name__)

COMMIT_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed and prepared.

    settled: units that need no model. waiting: units left in the lane. suspect: what ends this
    process now must be the batch's doing, so nothing else may be under way beside it. began_ns:
    when it had been claimed.
    """

    groups: Sequence[Group]
    settled: Sequence[SettledUnit]
    waiting: int
    suspect: bool
    began_ns: int


@dataclass(frozen=True, slots=True)
class PredictedBatch:
    """Ready to be committed. spent: microseconds that tiers took, by series. story: for the log."""

    settled: Sequence[SettledUnit]
    spent: Mapping[str, int]
    story: BatchTimeline


class InferenceExecutor(LaneExecutor):
    """One pool child's path for the lanes gpu and cpu."""

    def __init__(
        self,
        worker: Consumer,
        runtimes: Mapping[str, Runtime],
        celery: Celery,
        job_sinks: JobSinks | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__()
        self._job_sinks = job_sinks or JobSinks(())
        self._batches = BatchReporter(worker, tracer)
        self._worker = worker
        self._runtimes = runtimes
        self._celery = celery
        self._settings = worker.store.settings
        self._batch_items = max(r.batch_items for r in runtimes.values())
        self._breakers = CircuitBreakers(worker.store)
        self._metrics = process_metrics()
        pipelines = [runtime.pipeline for runtime in runtimes.values()]
        self.sampler = Sampler(pipelines, self._settings.drift_samples)
        self._together = False  # jobs come together: waiting for more of them makes fuller batches
        # Since when each thread runs code of a pipeline, and for which units
        self._under_way: dict[int, tuple[float, Sequence[Unit]]] = {}
        self._worked = Stopwatch()
        self._ahead = ThreadPoolExecutor(1, "claim-ahead")
        self._behind = ThreadPoolExecutor(1, "commit-behind")

    @property
    def busy_s(self) -> float:
        """Seconds that a pipeline's code has run on a batch so far; 0 if none does.

        Waiting for Redis is not in it: an outage must not look like a hung model.
        """
        began = [began for began, _ in list(self._under_way.values())]
        return time.monotonic() - min(began, default=time.monotonic())

    @property
    def worked_s(self) -> float:
        """Seconds in which a pipeline's code ran, since this process began."""
        return self._worked.seconds

    @property
    def stuck_s(self) -> float:
        """Seconds for which the longest call of a tier has been stuck beyond its time limit."""
        return max(runtime.stuck_s() for runtime in self._runtimes.values())

    @property
    def doing(self) -> Mapping[str, str]:
        if under_way := list(self._under_way.values()):
            return tags_of(min(under_way, key=itemgetter(0))[1])
        stuck = [r.pipeline.name for r in self._runtimes.values() if r.stuck_s()]
        return {"pipeline": stuck[0]} if stuck else {}

    def _drain(self) -> int:
        try:
            return self._run_all()
        finally:
            for thread in (self._ahead, self._behind):
                thread.submit(int).result()  # one thread each: what was begun before is done now
            if lost := self._worker.drop_leases():
                log.warning("units left to their lease", units=lost, worker=self._worker.name)

    def _run_all(self) -> int:
        until = time.monotonic() + self._settings.drain_ms / 1000
        committing: Future[None] | None = None
        batches = 0
        batch = self._next(until)
        while batch:
            batches += 1
            if batch.suspect and committing:
                committing.result()
            deep = batch.waiting > 0 and not batch.suspect and time.monotonic() < until
            ahead = self._ahead.submit(self._claim, self._awake_ms, False) if deep else None
            answered = self._predict(batch)
            if committing:
                committing.result()
            committing = self._behind.submit(self._commit, answered)
            if not ahead:
                committing.result()
            batch = ahead.result() if ahead else None
            batch = batch or self._next(until)
        if committing:
            committing.result()
        return batches

    @property
    def _awake_ms(self) -> int:
        return self._settings.linger_ms + AWAKE_MARGIN_MS

    def _next(self, until: float) -> Batch | None:
        """The next batch, waiting briefly for one: a bell is far cheaper than a Celery message."""
        while time.monotonic() < until:
            if self._together:
                time.sleep(self._settings.batch_wait_ms / 1000)
            if batch := self._claim(self._awake_ms):
                return batch
            linger_s = self._settings.linger_ms / 1000
            if not linger_s or not self._worker.wait_for_notification(linger_s):
                return self._claim(0)
        wake(self._celery, self._worker.lane)
        return None

    def _claim(self, awake_ms: int, suspects: bool = True) -> Batch | None:
        claim = self._worker.claim(self._batch_items, awake_ms, suspects)
        self._job_sinks.report(claim.ended)
        self._breakers.learn(claim.breakers)
        self._together = len(claim.units) > 1
        return self._prepare(claim.units, claim.waiting) if claim.units else None

    def _prepare(self, units: Sequence[Unit], waiting: int) -> Batch:
        with self._timed(units):
            return self._gather(units, waiting)

    def _gather(self, units: Sequence[Unit], waiting: int) -> Batch:
        began_ns = time.time_ns()
        by_pipeline: dict[str, list[Unit]] = defaultdict(list)
        for unit in units:
            by_pipeline[unit.payload.pipeline].append(unit)
        groups: list[Group] = []
        settled: list[SettledUnit] = []
        for name, members in by_pipeline.items():
            if runtime := self._runtimes.get(name):
                groups.append(gather(members, runtime, self._worker.store.redis))
            else:
                text = f"No worker of this lane serves the pipeline {name!r}."
                settled += settlement.fail(members, self._worker.lane, "unknown_pipeline", text)
        return Batch(groups, settled, waiting, any(unit.suspect for unit in units), began_ns)

    def _predict(self, batch: Batch) -> PredictedBatch:
        settled, spent = list(batch.settled), Counter[str]()
        story = BatchTimeline(batch.began_ns)
        with self._timed([unit for group in batch.groups for unit in group.units]):
            for group in batch.groups:
                answers, took, calls = settlement.run(
                    group, self._breakers, self._worker.lane, self.sampler
                )
                name, lane = group.runtime.pipeline.name, self._worker.lane
                self._metrics.batches(name, lane, group.prepared)
                settled += answers
                spent += took
                story.add(group.runtime.pipeline.name, calls)
        return PredictedBatch(settled, spent, story)

    @contextmanager
    def _timed(self, units: Sequence[Unit]) -> Iterator[None]:
        thread = threading.get_ident()
        self._under_way[thread] = (time.monotonic(), units)
        self.note(self.doing)
        try:
            with self._worked:
                yield
        finally:
            del self._under_way[thread]
            self.note(self.doing)

    def _commit(self, answered: PredictedBatch) -> None:
        """Commit, through a restart of Redis if need be: until the leases are lost anyway."""
        give_up = time.monotonic() + self._settings.lease_ms / 1000
        answered.story.commit_ns = time.time_ns()
        while True:
            try:
                committed = self._worker.commit(answered.settled, answered.spent)
                break
            except RedisError as error:
                if time.monotonic() > give_up:
                    raise
                log.warning("commit failed, trying again", error=str(error))
                time.sleep(COMMIT_AGAIN_S)
        self._job_sinks.report(committed.ended)
        for lane in committed.wake:
            wake(self._celery, lane)
        if committed.stale:
            log.warning("stale units dropped", units=committed.stale, worker=self._worker.name)
        self._batches.tell(answered.story, answered.settled, committed.stale)

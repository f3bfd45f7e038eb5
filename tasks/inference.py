"""The life of a batch: claim -> prepare -> predict -> commit.

While batch n is computed, n+1 is claimed and prepared and n-1 committed, as long as the lane is
deep. When it is not, claiming later makes a fuller batch, so nothing is claimed ahead.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from celery import Celery
from redis import RedisError

from ml.runtime import Runtime
from tasks.batch import Group, answer, fail, gather
from tasks.lanes import Settled, Unit
from tasks.leases import LaneWorker
from tasks.logs import get_logger
from tasks.publish import wake

log = get_logger(__name__)

COMMIT_AGAIN_S = 1.0
AWAKE_MARGIN_MS = 25  # a batch longer than this leaves its lane to be woken for others


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed and prepared. settled: units that need no model. waiting: units left in the lane."""

    groups: Sequence[Group]
    settled: Sequence[Settled]
    waiting: int


class Inference:
    """One pool child's path for the lanes gpu and cpu."""

    def __init__(self, worker: LaneWorker, runtimes: Mapping[str, Runtime], celery: Celery) -> None:
        self._worker = worker
        self._runtimes = runtimes
        self._celery = celery
        self._settings = worker.store.settings
        self._batch_items = max(r.pipeline.batch_items for r in runtimes.values())
        self._busy = False  # jobs come together: waiting for more of them makes fuller batches
        self._ahead = ThreadPoolExecutor(1, "claim-ahead")
        self._behind = ThreadPoolExecutor(1, "commit-behind")

    def run_batches(self) -> None:
        """Drain the lane for up to `drain_ms`; what is left is announced by another wake-up.

        Raises:
            redis.RedisError: Redis is out of reach; what was claimed is left to its lease.
        """
        try:
            self._drain()
        finally:
            for thread in (self._ahead, self._behind):
                thread.submit(int).result()  # one thread each: what was begun before is done now
            if lost := self._worker.let_go():
                log.warning("units left to their lease", units=lost, worker=self._worker.name)

    def _drain(self) -> None:
        until = time.monotonic() + self._settings.drain_ms / 1000
        committing: Future[None] | None = None
        batch = self._next(until)
        while batch:
            deep = batch.waiting > 0 and time.monotonic() < until
            ahead = self._ahead.submit(self._claim, self._awake_ms) if deep else None
            settled = self._predict(batch)
            if committing:
                committing.result()
            committing = self._behind.submit(self._commit, settled)
            if not ahead:
                committing.result()
            batch = ahead.result() if ahead else None
            batch = batch or self._next(until)
        if committing:
            committing.result()

    @property
    def _awake_ms(self) -> int:
        return self._settings.linger_ms + AWAKE_MARGIN_MS

    def _next(self, until: float) -> Batch | None:
        """The next batch, waiting briefly for one: a bell is far cheaper than a Celery message."""
        while time.monotonic() < until:
            if self._busy:
                time.sleep(self._settings.batch_wait_ms / 1000)
            if batch := self._claim(self._awake_ms):
                return batch
            linger_s = self._settings.linger_ms / 1000
            if not linger_s or not self._worker.wait_for_bell(linger_s):
                return self._claim(0)
        wake(self._celery, self._worker.lane)
        return None

    def _claim(self, awake_ms: int) -> Batch | None:
        claim = self._worker.claim(self._batch_items, awake_ms)
        self._busy = len(claim.units) > 1
        return self._prepare(claim.units, claim.waiting) if claim.units else None

    def _prepare(self, units: Sequence[Unit], waiting: int) -> Batch:
        by_pipeline: dict[str, list[Unit]] = defaultdict(list)
        for unit in units:
            by_pipeline[unit.payload.pipeline].append(unit)
        groups: list[Group] = []
        settled: list[Settled] = []
        for name, members in by_pipeline.items():
            if runtime := self._runtimes.get(name):
                groups.append(gather(members, runtime, self._worker.store.redis))
            else:
                text = f"No worker of this lane serves the pipeline {name!r}."
                settled += fail(members, "unknown_pipeline", text)
        return Batch(groups, settled, waiting)

    def _predict(self, batch: Batch) -> list[Settled]:
        settled = list(batch.settled)
        for group in batch.groups:
            settled += answer(group)
        return settled

    def _commit(self, settled: Sequence[Settled]) -> None:
        """Commit, through a restart of Redis if need be: until the leases are lost anyway."""
        give_up = time.monotonic() + self._settings.lease_ms / 1000
        while True:
            try:
                stale = self._worker.commit(settled)
                break
            except RedisError as error:
                if time.monotonic() > give_up:
                    raise
                log.warning("commit failed, trying again", error=str(error))
                time.sleep(COMMIT_AGAIN_S)
        if stale:
            log.warning("stale units dropped", units=stale, worker=self._worker.name)

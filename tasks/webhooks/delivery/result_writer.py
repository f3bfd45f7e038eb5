"""The thread that records what has become of deliveries: as much at once as has gathered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from redis import RedisError

from tasks.queue.consumer import Consumer
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import failures
from tasks.webhooks import endpoints
from tasks.webhooks.deliveries import OF_JOB, Result, tell_disabled
from tasks.webhooks.delivery.attempts import Attempt, FailingEndpoint, record
from tasks.webhooks.delivery.request import DeliveryRequest
from tasks.webhooks.delivery.retry_policy import GONE

log = get_logger(__name__)

MOST_AT_ONCE = 128
AGAIN_S = 1.0

_Item = tuple[Attempt, DeliveryRequest | None]


class ResultWriter:
    """settled: told of the number of units that this worker holds no more."""

    def __init__(self, worker: Consumer, settled: Callable[[int], None]) -> None:
        self._worker = worker
        self._settled = settled
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="result-writer", daemon=True)
        self._thread.start()

    def put(self, attempt: Attempt, order: DeliveryRequest | None = None) -> None:
        self._queue.put((attempt, order))

    def stop(self, within_s: float) -> None:
        """Record all there is, and end."""
        self._queue.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        while batch := self._gathered():
            try:
                self._record(batch)
            except Exception as error:
                log.exception("attempts left to their leases")
                failures.unexpected(error, "result writer")
                self._worker.forget(attempt.unit for attempt, _ in batch)
            finally:
                self._settled(len(batch))

    def _gathered(self) -> list[_Item]:
        """At least one; none when all is done."""
        batch: list[_Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == MOST_AT_ONCE:
                return batch
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)
        return batch

    def _record(self, batch: Sequence[_Item]) -> None:
        stale, failing = self._record_for_sure([attempt for attempt, _ in batch])
        if stale:
            log.warning("stale attempts dropped", attempts=stale, worker=self._worker.name)
        for attempt, order in batch:
            if attempt.result is Result.FAILED and order:
                self._given_up(attempt, order)
        limit_ms = self._worker.store.settings.webhook_failing_s * 1000
        for one in {one.endpoint: one for one in failing if one.for_ms >= limit_ms}.values():
            self._disable(one.owner, one.endpoint, endpoints.FAILING)

    def _record_for_sure(self, attempts: Sequence[Attempt]) -> tuple[int, list[FailingEndpoint]]:
        """Through a restart of Redis if need be: until the leases are lost anyway."""
        give_up = time.monotonic() + self._worker.store.settings.lease_ms / 1000
        while True:
            try:
                return record(self._worker, attempts)
            except RedisError as error:
                if time.monotonic() > give_up:
                    raise
                log.warning("attempts not recorded, trying again", error=str(error))
                time.sleep(AGAIN_S)

    def _given_up(self, attempt: Attempt, order: DeliveryRequest) -> None:
        delivery, entry = order.delivery, attempt.entry
        log.info("webhook given up", delivery=delivery.id, owner=delivery.owner, **entry)
        if entry.get("status") == GONE and delivery.endpoint != OF_JOB:
            self._disable(delivery.owner, delivery.endpoint, endpoints.GONE)

    def _disable(self, owner: str, endpoint: str, reason: str) -> None:
        try:
            if disabled := endpoints.disable(self._worker.store, owner, endpoint, reason):
                log.warning("endpoint disabled", endpoint=endpoint, owner=owner, reason=reason)
                self._tell_others(disabled)
        except RedisError as error:  # the next failure says so again
            log.warning("endpoint not disabled", endpoint=endpoint, error=str(error))

    def _tell_others(self, disabled: endpoints.Endpoint) -> None:
        """All that the owner still has, whatever events they chose: nobody asks for this one."""
        store, owner = self._worker.store, disabled.owner
        news = {"id": disabled.id, "url": disabled.url, "disabled_reason": disabled.disabled_reason}
        for other in endpoints.endpoints_of(store, owner):
            if other.enabled:
                tell_disabled(store, owner, other.id, news)

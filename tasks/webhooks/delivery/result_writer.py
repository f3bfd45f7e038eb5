"""Writes the results of deliveries to Redis, in batches, in a thread of its own."""

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
from tasks.webhooks.deliveries import OF_JOB, Result, queue_disabled_event
from tasks.webhooks.delivery.attempts import Attempt, FailingEndpoint, record
from tasks.webhooks.delivery.request import DeliveryRequest
from tasks.webhooks.delivery.retry_policy import GONE

log = get_logger(__name__)

MAX_BATCH = 128
RETRY_S = 1.0

_Item = tuple[Attempt, DeliveryRequest | None]


class ResultWriter:
    """A queue of results and the thread that writes them.

    on_written: called with the number of units that this worker no longer holds.
    """

    def __init__(self, consumer: Consumer, on_written: Callable[[int], None]) -> None:
        self._consumer = consumer
        self._on_written = on_written
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="result-writer", daemon=True)
        self._thread.start()

    def put(self, attempt: Attempt, request: DeliveryRequest | None = None) -> None:
        """Queue a result; may be called from any thread."""
        self._queue.put((attempt, request))

    def stop(self, within_s: float) -> None:
        """Write what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join(within_s)

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                self._write(batch)
            except Exception as error:
                log.exception("results not recorded: the leases run out")
                failures.unexpected(error, "result writer")
                self._consumer.forget(attempt.unit for attempt, _ in batch)
            finally:
                self._on_written(len(batch))

    def _next_batch(self) -> list[_Item]:
        """All queued results, at least one, up to MAX_BATCH; empty after `stop`."""
        batch: list[_Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) == MAX_BATCH:
                return batch
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)
        return batch

    def _write(self, batch: Sequence[_Item]) -> None:
        stale, failing = self._record_with_retries([attempt for attempt, _ in batch])
        if stale:
            log.warning("stale results dropped", attempts=stale, worker=self._consumer.name)
        for attempt, request in batch:
            if attempt.result is Result.FAILED and request:
                self._give_up(attempt, request)
        limit_ms = self._consumer.store.settings.webhook_failing_s * 1000
        for one in {one.endpoint: one for one in failing if one.for_ms >= limit_ms}.values():
            self._disable(one.owner, one.endpoint, endpoints.FAILING)

    def _record_with_retries(
        self, attempts: Sequence[Attempt]
    ) -> tuple[int, list[FailingEndpoint]]:
        """Record results, trying again while Redis restarts: until the leases are lost anyway."""
        give_up = time.monotonic() + self._consumer.store.settings.lease_ms / 1000
        while True:
            try:
                return record(self._consumer, attempts)
            except RedisError as error:
                if time.monotonic() > give_up:
                    raise
                log.warning("results not recorded, trying again", error=str(error))
                time.sleep(RETRY_S)

    def _give_up(self, attempt: Attempt, request: DeliveryRequest) -> None:
        delivery, entry = request.delivery, attempt.entry
        log.info("webhook given up", delivery=delivery.id, owner=delivery.owner, **entry)
        if entry.get("status") == GONE and delivery.endpoint != OF_JOB:
            self._disable(delivery.owner, delivery.endpoint, endpoints.GONE)

    def _disable(self, owner: str, endpoint: str, reason: str) -> None:
        try:
            if disabled := endpoints.disable(self._consumer.store, owner, endpoint, reason):
                log.warning("endpoint disabled", endpoint=endpoint, owner=owner, reason=reason)
                self._notify_other_endpoints(disabled)
        except RedisError as error:  # the next failure tries again
            log.warning("endpoint not disabled", endpoint=endpoint, error=str(error))

    def _notify_other_endpoints(self, disabled: endpoints.Endpoint) -> None:
        """Queue an event for all enabled endpoints of the owner, whatever events they chose.

        No endpoint can choose this event.
        """
        store, owner = self._consumer.store, disabled.owner
        data = {
            "id": disabled.id,
            "url": disabled.url,
            "disabled_reason": disabled.disabled_reason,
        }
        for other in endpoints.endpoints_of(store, owner):
            if other.enabled:
                queue_disabled_event(store, owner, other.id, data)

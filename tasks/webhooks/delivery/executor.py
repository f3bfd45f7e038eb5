"""The life of a delivery: claim -> build the request -> send -> record the result.

Three threads share it, so that none waits for another: the caller of `run_batches` claims and
builds requests, the dispatcher's event loop sends them, and the result writer records. A unit stays
leased from its claim until its result is recorded, so what a worker sent but did not record before
it died is sent again by another worker, with the same id.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from celery import Celery
from redis import RedisError

from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.queue.executor import AWAKE_MARGIN_MS, LaneExecutor
from tasks.queue.units import Unit
from tasks.queue.wakeups import wake
from tasks.telemetry.logs import get_logger
from tasks.webhooks.delivery.dispatcher import Dispatcher
from tasks.webhooks.delivery.http_client import WebhookClient
from tasks.webhooks.delivery.request import build_requests
from tasks.webhooks.delivery.result_writer import ResultWriter

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer

log = get_logger(__name__)

MAX_CLAIM = 24  # units of one claim: a burst must not hold up who comes after it
HELD_PER_SLOT = 8  # units held for each concurrent request; most of them wait for slow endpoints
POLL_S = 0.05
STOP_MARGIN_S = 2.0


class DeliveryExecutor(LaneExecutor):
    """Executor of the webhooks lane.

    A claim counts as a batch here. Requests may still be running when `run_batches` returns.
    """

    def __init__(
        self,
        consumer: Consumer,
        celery: Celery,
        make_client: Callable[[Settings], WebhookClient] = WebhookClient,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__()
        self._consumer = consumer
        self._celery = celery
        self._settings = consumer.store.settings
        self._held = 0  # units claimed and not yet recorded
        self._slots = threading.Condition()
        self._writer = ResultWriter(consumer, self._free_slots)
        self._dispatcher = Dispatcher(self._settings, self._writer.put, make_client, tracer)

    @property
    def busy_s(self) -> float:
        """Seconds since the event loop last showed that it runs."""
        return self._dispatcher.silent_s

    @property
    def stuck_s(self) -> float:
        """Seconds for which the longest request has gone on beyond its deadline."""
        return self._dispatcher.stuck_s

    def stop(self) -> None:
        """Stop cleanly: record what was sent, and release the units that were never started."""
        self.stop_draining(self._settings.drain_ms / 1000 + STOP_MARGIN_S)
        left = self._dispatcher.stop(self._settings.webhook_timeout_ms / 1000 + STOP_MARGIN_S)
        self._writer.stop(STOP_MARGIN_S)
        try:
            self._consumer.release([request.unit for request in left])
        except RedisError as error:
            log.warning("deliveries not released: their leases run out", error=str(error))

    def _drain(self) -> int:
        until = time.monotonic() + self._settings.drain_ms / 1000
        awake_ms = self._settings.linger_ms + AWAKE_MARGIN_MS
        claims = 0
        while slots := self._wait_for_slots(until):
            if self._claim(slots, awake_ms):
                claims += 1
            elif not self._may_get_more():
                if not self._claim(slots, 0):
                    return claims
                claims += 1
        wake(self._celery, Lane.WEBHOOKS)
        return claims

    def _may_get_more(self) -> bool:
        """Wait briefly for more deliveries; False if none was announced and none is held."""
        if linger_s := self._settings.linger_ms / 1000:
            return self._consumer.wait_for_wakeup(linger_s) or self._held > 0
        with self._slots:
            return self._held > 0 and (self._slots.wait(POLL_S) or self._held > 0)

    def _wait_for_slots(self, until: float) -> int:
        """How many units may be claimed now; 0 when the time is up."""
        max_held = self._settings.webhook_concurrency * HELD_PER_SLOT
        left_s = until - time.monotonic()
        with self._slots:
            if left_s <= 0 or not self._slots.wait_for(lambda: self._held < max_held, left_s):
                return 0
            return min(max_held - self._held, MAX_CLAIM)

    def _claim(self, slots: int, awake_ms: int) -> bool:
        units = self._consumer.claim(slots, awake_ms).units
        if units:
            with self._slots:
                self._held += len(units)
            self._dispatch(units)
        return bool(units)

    def _dispatch(self, units: Sequence[Unit]) -> None:
        """Send the units that can be delivered; record at once why the others cannot."""
        try:
            requests, attempts = build_requests(self._consumer, units)
        except BaseException:
            self._consumer.forget(units)
            self._free_slots(len(units))
            raise
        for attempt in attempts:
            self._writer.put(attempt)
        self._dispatcher.submit(requests)

    def _free_slots(self, units: int) -> None:
        with self._slots:
            self._held -= units
            self._slots.notify()

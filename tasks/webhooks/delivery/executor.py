"""The life of a delivery: claim -> prepare -> send -> record.

Three threads share it, so that none waits for another: who runs batches claims and prepares, the
courier's event loop sends, and the recorder records. A unit stays leased from its claim to its
record, so what a dead worker had sent but not recorded is sent again by another, with the same id.
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
from tasks.webhooks.delivery.request import prepare
from tasks.webhooks.delivery.result_writer import ResultWriter

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer

log = get_logger(__name__)

MOST_AT_ONCE = 24  # claimed at once, so that a burst does not hold up who comes after it
HELD_PER_PLACE = 8  # most of them wait for endpoints that are slow
LOOK_AGAIN_S = 0.05
STOP_MARGIN_S = 2.0


class DeliveryExecutor(LaneExecutor):
    """One pool child's path for the lane of webhooks.

    What a batch is to other lanes is a claim here; attempts may go on when `run_batches` returns.
    """

    def __init__(
        self,
        worker: Consumer,
        celery: Celery,
        sender: Callable[[Settings], WebhookClient] = WebhookClient,
        tracer: Tracer | None = None,
    ) -> None:
        super().__init__()
        self._worker = worker
        self._celery = celery
        self._settings = worker.store.settings
        self._held = 0  # claimed and not yet recorded
        self._room = threading.Condition()
        self._recorder = ResultWriter(worker, self._free_slots)
        self._courier = Dispatcher(self._settings, self._recorder.put, sender, tracer)

    @property
    def busy_s(self) -> float:
        """Seconds for which the event loop has been held up."""
        return self._courier.silent_s

    @property
    def stuck_s(self) -> float:
        """Seconds for which the longest attempt has gone on beyond its deadline."""
        return self._courier.stuck_s

    def stop(self) -> None:
        """End in good order: what was sent is recorded, and what was not begun is handed back."""
        self.retire(self._settings.drain_ms / 1000 + STOP_MARGIN_S)
        orders = self._courier.stop(self._settings.webhook_timeout_ms / 1000 + STOP_MARGIN_S)
        self._recorder.stop(STOP_MARGIN_S)
        try:
            self._worker.release([order.unit for order in orders])
        except RedisError as error:
            log.warning("deliveries left to their leases", error=str(error))

    def _drain(self) -> int:
        until = time.monotonic() + self._settings.drain_ms / 1000
        awake_ms = self._settings.linger_ms + AWAKE_MARGIN_MS
        claims = 0
        while room := self._wait_for_room(until):
            if self._claim(room, awake_ms):
                claims += 1
            elif not self._more_may_come():
                if not self._claim(room, 0):
                    return claims
                claims += 1
        wake(self._celery, Lane.WEBHOOKS)
        return claims

    def _more_may_come(self) -> bool:
        """Wait briefly for more: new ones ring, and those held make room for others."""
        if linger_s := self._settings.linger_ms / 1000:
            return self._worker.wait_for_notification(linger_s) or self._held > 0
        with self._room:
            return self._held > 0 and (self._room.wait(LOOK_AGAIN_S) or self._held > 0)

    def _wait_for_room(self, until: float) -> int:
        """How many units may be claimed now; 0 when the time is up."""
        most = self._settings.webhook_concurrency * HELD_PER_PLACE
        left_s = until - time.monotonic()
        with self._room:
            if left_s <= 0 or not self._room.wait_for(lambda: self._held < most, left_s):
                return 0
            return min(most - self._held, MOST_AT_ONCE)

    def _claim(self, room: int, awake_ms: int) -> bool:
        units = self._worker.claim(room, awake_ms).units
        if units:
            with self._room:
                self._held += len(units)
            self._hand_out(units)
        return bool(units)

    def _hand_out(self, units: Sequence[Unit]) -> None:
        try:
            orders, attempts = prepare(self._worker, units)
        except BaseException:
            self._worker.forget(units)
            self._free_slots(len(units))
            raise
        for attempt in attempts:
            self._recorder.put(attempt)
        self._courier.accept(orders)

    def _free_slots(self, units: int) -> None:
        with self._room:
            self._held -= units
            self._room.notify()

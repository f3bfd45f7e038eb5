"""The event loop that sends webhooks: many at once, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tasks.config.settings import Settings
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import failures
from tasks.webhooks.deliveries import Result
from tasks.webhooks.delivery.attempts import Attempt
from tasks.webhooks.delivery.concurrency import ConcurrencyLimiter
from tasks.webhooks.delivery.http_client import DeliveryResponse, WebhookClient
from tasks.webhooks.delivery.request import DeliveryRequest, spread
from tasks.webhooks.delivery.retry_policy import conclude
from tasks.webhooks.delivery.spans import begin_attempt, end_attempt

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer

log = get_logger(__name__)

BEAT_S = 1.0

Done = Callable[[Attempt, DeliveryRequest], None]


class Dispatcher:
    """Takes orders from other threads, and tells `done` in its own what became of each."""

    def __init__(
        self,
        settings: Settings,
        done: Done,
        sender: Callable[[Settings], WebhookClient] = WebhookClient,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._settings = settings
        self._done = done
        self._make_sender = sender
        self._places: ConcurrencyLimiter[DeliveryRequest] = ConcurrencyLimiter(
            settings.webhook_concurrency, settings.webhook_line_concurrency
        )
        self._tasks: dict[asyncio.Task[None], float] = {}  # since when each is under way
        self._beat = time.monotonic()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()
        self._begun.wait()

    def accept(self, orders: Sequence[DeliveryRequest]) -> None:
        self._loop.call_soon_threadsafe(self._enter, orders)

    @property
    def silent_s(self) -> float:
        """Seconds since the event loop last showed that it runs; about a second while it does."""
        return time.monotonic() - self._beat

    @property
    def stuck_s(self) -> float:
        """Seconds for which the longest attempt has gone on beyond its deadline."""
        since = min(list(self._tasks.values()), default=time.monotonic())
        return max(0.0, time.monotonic() - since - self._settings.webhook_timeout_ms / 1000)

    def stop(self, within_s: float) -> list[DeliveryRequest]:
        """Send nothing more, and wait for what is under way; returns the orders never begun."""
        left: list[DeliveryRequest] = []
        self._loop.call_soon_threadsafe(lambda: left.extend(self._places.dismiss_all()))
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(within_s)
        return left

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self._sender = self._make_sender(self._settings)
        beating = asyncio.create_task(self._show_life())
        self._begun.set()
        await self._ending.wait()
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        beating.cancel()
        await self._sender.close()

    async def _show_life(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_S)

    def _enter(self, orders: Sequence[DeliveryRequest]) -> None:
        for order in orders:
            if not self._places.enter(order.delivery.line, order):
                self._postpone(order)
        self._begin()

    def _begin(self) -> None:
        for order in self._places.take():
            task = self._loop.create_task(self._deliver(order))
            self._tasks[task] = time.monotonic()
            task.add_done_callback(self._tasks.pop)

    async def _deliver(self, order: DeliveryRequest) -> None:
        reply = await self._send(order)
        self._done(conclude(order, reply, self._settings), order)
        for waiting in self._places.leave(order.delivery.line, reply.error is None):
            self._postpone(waiting)
        self._begin()

    async def _send(self, order: DeliveryRequest) -> DeliveryResponse:
        span = begin_attempt(self._tracer, order) if self._tracer else None
        reply = await self._post(order, span.traceparent if span else None)
        if span:
            end_attempt(span, reply)
        return reply

    async def _post(self, order: DeliveryRequest, traceparent: str | None) -> DeliveryResponse:
        try:
            return await self._sender.send(order.url, order.body, order.headers(traceparent))
        except Exception as error:
            log.exception("a webhook was not sent", delivery=order.delivery.id)
            failures.unexpected(error, "dispatcher", delivery=order.delivery.id)
            return DeliveryResponse(None, "internal", 0)

    def _postpone(self, order: DeliveryRequest) -> None:
        cool_down_ms = self._settings.breaker_cool_down_ms
        self._done(order.attempt(Result.POSTPONED, spread(cool_down_ms)), order)

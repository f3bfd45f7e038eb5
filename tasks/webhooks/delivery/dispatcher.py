"""Runs the event loop that sends webhooks: many requests at once, in a thread of its own."""

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
from tasks.webhooks.delivery.request import DeliveryRequest, with_jitter
from tasks.webhooks.delivery.retry_policy import conclude
from tasks.webhooks.delivery.spans import begin_attempt, end_attempt

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Tracer

log = get_logger(__name__)

BEAT_S = 1.0

OnResult = Callable[[Attempt, DeliveryRequest], None]


class Dispatcher:
    """Sends the requests that other threads hand over, within the concurrency limits.

    on_result: called in the dispatcher's thread with the result of each request.
    """

    def __init__(
        self,
        settings: Settings,
        on_result: OnResult,
        make_client: Callable[[Settings], WebhookClient] = WebhookClient,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._settings = settings
        self._on_result = on_result
        self._make_client = make_client
        self._limiter: ConcurrencyLimiter[DeliveryRequest] = ConcurrencyLimiter(
            settings.webhook_concurrency, settings.webhook_line_concurrency
        )
        self._running: dict[asyncio.Task[None], float] = {}  # task -> monotonic time of its start
        self._last_beat = time.monotonic()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()
        self._started.wait()

    def submit(self, requests: Sequence[DeliveryRequest]) -> None:
        """Hand over requests to send; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._enqueue, requests)

    @property
    def silent_s(self) -> float:
        """Seconds since the event loop last showed that it runs; about a second while it does."""
        return time.monotonic() - self._last_beat

    @property
    def stuck_s(self) -> float:
        """Seconds for which the longest request has gone on beyond its deadline."""
        since = min(list(self._running.values()), default=time.monotonic())
        return max(0.0, time.monotonic() - since - self._settings.webhook_timeout_ms / 1000)

    def stop(self, within_s: float) -> list[DeliveryRequest]:
        """Start no more requests and wait for the running ones; returns those never started."""
        left: list[DeliveryRequest] = []
        self._loop.call_soon_threadsafe(lambda: left.extend(self._limiter.remove_all_waiting()))
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(within_s)
        return left

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._client = self._make_client(self._settings)
        heartbeat = asyncio.create_task(self._beat())
        self._started.set()
        await self._stopping.wait()
        while self._running:
            await asyncio.wait(list(self._running))
        heartbeat.cancel()
        await self._client.close()

    async def _beat(self) -> None:
        while True:
            self._last_beat = time.monotonic()
            await asyncio.sleep(BEAT_S)

    def _enqueue(self, requests: Sequence[DeliveryRequest]) -> None:
        for request in requests:
            if not self._limiter.enqueue(request.delivery.target, request):
                self._postpone(request)
        self._start_ready()

    def _start_ready(self) -> None:
        for request in self._limiter.start_ready():
            task = self._loop.create_task(self._deliver(request))
            self._running[task] = time.monotonic()
            task.add_done_callback(self._running.pop)

    async def _deliver(self, request: DeliveryRequest) -> None:
        """The life of one request: send it, conclude, free its slot, start the next."""
        response = await self._send(request)
        self._on_result(conclude(request, response, self._settings), request)
        for waiting in self._limiter.finish(request.delivery.target, response.error is None):
            self._postpone(waiting)
        self._start_ready()

    async def _send(self, request: DeliveryRequest) -> DeliveryResponse:
        """Send a request, within a span if traces are exported."""
        span = begin_attempt(self._tracer, request) if self._tracer else None
        response = await self._post(request, span.traceparent if span else None)
        if span:
            end_attempt(span, response)
        return response

    async def _post(self, request: DeliveryRequest, traceparent: str | None) -> DeliveryResponse:
        try:
            headers = request.headers(traceparent)
            return await self._client.send(request.url, request.body, headers)
        except Exception as error:
            log.exception("webhook not sent", delivery=request.delivery.id)
            failures.unexpected(error, "dispatcher", delivery=request.delivery.id)
            return DeliveryResponse(None, "internal", 0)

    def _postpone(self, request: DeliveryRequest) -> None:
        """Put a request off without an attempt, as its target is failing."""
        cool_down_ms = self._settings.breaker_cool_down_ms
        self._on_result(request.attempt(Result.POSTPONED, with_jitter(cool_down_ms)), request)

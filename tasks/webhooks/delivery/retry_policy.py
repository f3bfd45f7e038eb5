"""Retry policy of deliveries: succeeded, retried later, or given up."""

from __future__ import annotations

from tasks.config.settings import Settings
from tasks.webhooks.deliveries import A_PING, Result
from tasks.webhooks.delivery.attempts import Attempt
from tasks.webhooks.delivery.http_client import DeliveryResponse
from tasks.webhooks.delivery.request import DeliveryRequest, with_jitter

GONE = 410


def conclude(request: DeliveryRequest, response: DeliveryResponse, settings: Settings) -> Attempt:
    """The result of a delivery after a request, with the wait before the next attempt."""
    entry = {"status": response.status, "error": response.error, "ms": response.ms}
    asked = response.error != "internal"
    if response.error is None:
        return request.attempt(Result.SUCCEEDED, 0, entry)
    if _is_last(request, response, settings):
        return request.attempt(Result.FAILED, 0, entry, asked)
    return request.attempt(Result.RETRY, _wait_ms(request, response, settings), entry, asked)


def _is_last(request: DeliveryRequest, response: DeliveryResponse, settings: Settings) -> bool:
    delivery = request.delivery
    exhausted = delivery.tries >= len(settings.webhook_schedule_s)
    return exhausted or response.status == GONE or delivery.event == A_PING


def _wait_ms(request: DeliveryRequest, response: DeliveryResponse, settings: Settings) -> int:
    """The scheduled wait, or longer if the endpoint asks for it: up to the schedule's longest."""
    schedule = settings.webhook_schedule_s
    scheduled_ms = with_jitter(schedule[request.delivery.tries] * 1000, 0.9)
    return max(scheduled_ms, with_jitter(min(response.retry_after_s or 0, max(schedule)) * 1000))

"""What becomes of a delivery after an attempt: it has succeeded, is tried again, or is given up."""

from __future__ import annotations

from tasks.config.settings import Settings
from tasks.webhooks.deliveries import A_PING, Result
from tasks.webhooks.delivery.attempts import Attempt
from tasks.webhooks.delivery.http_client import DeliveryResponse
from tasks.webhooks.delivery.request import DeliveryRequest, spread

GONE = 410


def conclude(order: DeliveryRequest, reply: DeliveryResponse, settings: Settings) -> Attempt:
    entry = {"status": reply.status, "error": reply.error, "ms": reply.ms}
    asked = reply.error != "internal"
    if reply.error is None:
        return order.attempt(Result.SUCCEEDED, 0, entry)
    if _is_last(order, reply, settings):
        return order.attempt(Result.FAILED, 0, entry, asked)
    return order.attempt(Result.RETRY, _wait_ms(order, reply, settings), entry, asked)


def _is_last(order: DeliveryRequest, reply: DeliveryResponse, settings: Settings) -> bool:
    delivery = order.delivery
    exhausted = delivery.tries >= len(settings.webhook_schedule_s)
    return exhausted or reply.status == GONE or delivery.event == A_PING


def _wait_ms(order: DeliveryRequest, reply: DeliveryResponse, settings: Settings) -> int:
    """As scheduled, or longer if the endpoint asks for it, up to the schedule's longest."""
    schedule = settings.webhook_schedule_s
    scheduled_ms = spread(schedule[order.delivery.tries] * 1000, 0.9)
    return max(scheduled_ms, spread(min(reply.retry_after_s or 0, max(schedule)) * 1000))

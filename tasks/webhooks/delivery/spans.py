"""A span for each attempt to deliver a webhook; its receiver is told that it is the parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.telemetry.tracing.context import Kind
from tasks.webhooks.delivery.http_client import DeliveryResponse
from tasks.webhooks.delivery.request import DeliveryRequest

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Span, Tracer


def begin_attempt(tracer: Tracer, order: DeliveryRequest) -> Span:
    delivery = order.delivery
    request_id, traceparent = order.origin
    about = {
        "http.request.method": "POST",
        "penstock.delivery": delivery.id,
        "penstock.job": delivery.job or None,
        "penstock.request_id": request_id,
        "penstock.owner": delivery.owner,
        "penstock.endpoint": delivery.endpoint,
        "penstock.event": delivery.event,
        "penstock.attempt": delivery.tries + 1,
    }
    return tracer.begin("webhook", Kind.CLIENT, traceparent, about)


def end_attempt(span: Span, reply: DeliveryResponse) -> None:
    span.end({"http.response.status_code": reply.status}, reply.error or "")

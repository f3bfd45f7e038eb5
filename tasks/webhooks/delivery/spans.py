"""Trace spans of delivery attempts; the receiver gets the span as its parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.telemetry.tracing.context import Kind
from tasks.webhooks.delivery.http_client import DeliveryResponse
from tasks.webhooks.delivery.request import DeliveryRequest

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Span, Tracer


def begin_attempt(tracer: Tracer, request: DeliveryRequest) -> Span:
    """Start the span of one attempt, as a child of the job's span."""
    delivery = request.delivery
    request_id, traceparent = request.origin
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


def end_attempt(span: Span, response: DeliveryResponse) -> None:
    """End the span with the status of the response, or the error."""
    span.end({"http.response.status_code": response.status}, response.error or "")

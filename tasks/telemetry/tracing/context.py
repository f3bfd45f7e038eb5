"""Trace context: what every process knows of a request's trace, with or without OpenTelemetry.

    request (API) --> queue, webhook (an attempt)         one trace: the client's, or a new one
    batch --> tier, commit                                a trace of its own, linked to its jobs'

A trace is propagated by a W3C traceparent (https://www.w3.org/TR/trace-context/): version, trace
id, span id of the parent, flags. It is copied from the request to the job's record, its units and
its webhooks. Only `tasks.telemetry.tracing.tracer` imports OpenTelemetry, and it is imported only
if there is an endpoint to send spans to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

Attributes = Mapping[str, str | int | float | bool | Sequence[str] | None]


class Kind(Enum):
    """Kind of a span; the values are the names of OpenTelemetry's SpanKind."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    CONSUMER = "CONSUMER"
    INTERNAL = "INTERNAL"


def trace_id(traceparent: str | None) -> str | None:
    """The trace id in a well-formed traceparent."""
    return traceparent[3:35] if traceparent else None


def is_sampled(traceparent: str) -> bool:
    """Whether the flags of a traceparent say that its spans are recorded."""
    return bool(int(traceparent[53:55], 16) & 1)

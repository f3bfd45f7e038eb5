"""Where a request's trace goes: what all processes know of it, with or without OpenTelemetry.

    request (API) --> queue, webhook (an attempt)         one trace: the client's, or a new one
    batch --> tier, commit                                a trace of its own, linked to its jobs'

What carries a trace on is a W3C traceparent (https://www.w3.org/TR/trace-context/): version, trace
id, span id of the parent, flags. It goes from the request to the job's record, its units and its
webhooks. OpenTelemetry itself is imported by `tasks.telemetry.tracing.tracer` alone, and that only
if there is an endpoint to send spans to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum

Attributes = Mapping[str, str | int | float | bool | Sequence[str] | None]


class Kind(Enum):
    """Values: the names of OpenTelemetry's SpanKind."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    CONSUMER = "CONSUMER"
    INTERNAL = "INTERNAL"


def trace_id(traceparent: str | None) -> str | None:
    """The trace that a well-formed traceparent names."""
    return traceparent[3:35] if traceparent else None


def is_sampled(traceparent: str) -> bool:
    """Whether its spans are recorded, as its flags say."""
    return bool(int(traceparent[53:55], 16) & 1)

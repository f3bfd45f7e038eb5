"""Tracer: records spans with OpenTelemetry and sends them by OTLP over HTTP.

A thread sends the spans from a bounded queue. If the collector is slow or unreachable, spans are
lost and nothing else happens. OpenTelemetry's own variables set the size of the queue
(OTEL_BSP_MAX_QUEUE_SIZE), headers for the collector (OTEL_EXPORTER_OTLP_HEADERS) and, optionally, a
sampler (OTEL_TRACES_SAMPLER).

A recorded span costs 40 to 100 us, up to a tenth of a job. So each process records at most
`PENSTOCK_TRACES_PER_S` new traces a second, unless a sampler is set. Spans of traces that are not
recorded cost next to nothing.
"""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Sequence
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from tasks.telemetry.logs import get_logger
from tasks.telemetry.tracing.context import Attributes, Kind, is_sampled
from tasks.telemetry.tracing.rate_limit import TokenBucket

log = get_logger(__name__)

EXPORT_S = 5.0  # timeout of one request to the collector; its spans are dropped then
FLUSH_S = 2.0  # for which the end of a process may wait for the last spans
NO_PARENT = trace.INVALID_SPAN_CONTEXT


class Span:
    """A span that has started. traceparent: for its children."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: trace.Span | None, traceparent: str = "") -> None:
        self._span = span
        self.traceparent = traceparent
        if span:
            context = span.get_span_context()
            ids = f"{context.trace_id:032x}-{context.span_id:016x}"
            self.traceparent = f"00-{ids}-{int(context.trace_flags):02x}"

    def end(
        self, attributes: Attributes | None = None, error: str = "", end_ns: int | None = None
    ) -> None:
        """End the span. error: description of a failure. end_ns: since the epoch; None: now."""
        if not self._span:
            return
        self._span.set_attributes(_without_none(attributes))
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end(end_ns)


class Tracer:
    """Starts the spans of one process. per_s: new traces to record per second."""

    def __init__(self, endpoint: str, role: str, instance: str, per_s: int) -> None:
        # It would log each failed export, and each span that does not fit into the queue.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        who = Resource.create({"service.name": f"penstock-{role}", "service.instance.id": instance})
        self._provider = TracerProvider(resource=who, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Exporter(endpoint)))
        self._tracer = self._provider.get_tracer("penstock")
        self._rate = None if os.environ.get("OTEL_TRACES_SAMPLER") else TokenBucket(per_s)

    def begin(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        parent: str | None = None,
        attributes: Attributes | None = None,
        start_ns: int | None = None,
    ) -> Span:
        """Start a span at `start_ns` since the epoch (None: now).

        parent: a traceparent; without one the span starts a new trace.
        """
        if not (is_sampled(parent) if parent else self._may_start_trace()):
            return Span(None, parent or _unrecorded())
        above = trace.NonRecordingSpan(_context(parent) if parent else NO_PARENT)
        span = self._tracer.start_span(
            name,
            trace.set_span_in_context(above),
            SpanKind[kind.value],
            _without_none(attributes),
            start_time=start_ns,
        )
        return Span(span)

    def begin_for(
        self, links: Sequence[str], name: str, kind: Kind, start_ns: int | None = None
    ) -> Span | None:
        """Start a new trace that links to the spans in `links`; None if none is recorded."""
        if not any(map(is_sampled, links)):
            return None
        above = trace.set_span_in_context(trace.NonRecordingSpan(NO_PARENT))
        linked = [trace.Link(_context(one)) for one in links]
        kind_of = SpanKind[kind.value]
        return Span(self._tracer.start_span(name, above, kind_of, None, linked, start_ns))

    def _may_start_trace(self) -> bool:
        return self._rate is None or self._rate.take()

    def stop(self) -> None:
        """Send the remaining spans; give up after FLUSH_S."""
        thread = threading.Thread(target=self._provider.shutdown, name="flush", daemon=True)
        thread.start()
        thread.join(FLUSH_S)


class _Exporter(SpanExporter):
    """OTLP exporter that logs only the first of consecutive failures."""

    def __init__(self, endpoint: str) -> None:
        self._host = urlsplit(endpoint).netloc.rpartition("@")[2]
        self._otlp = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
        self._failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._otlp.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failed:
            log.warning("traces are lost: the collector does not accept them", collector=self._host)
        self._failed = failed
        return result

    def shutdown(self) -> None:
        self._otlp.shutdown()  # type: ignore[no-untyped-call]


def _unrecorded() -> str:
    """A traceparent of a new trace that is not recorded."""
    return f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00"


def _context(traceparent: str) -> SpanContext:
    return SpanContext(
        trace_id=int(traceparent[3:35], 16),
        span_id=int(traceparent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(traceparent[53:55], 16)),
    )


def _without_none(
    attributes: Attributes | None,
) -> dict[str, str | int | float | bool | Sequence[str]]:
    return {name: value for name, value in (attributes or {}).items() if value is not None}

"""A collector of traces on this machine: takes OTLP over HTTP and remembers the spans."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


@dataclass(frozen=True)
class Spanned:
    """A span as it came. Ids are hexadecimal. links: (trace id, span id). Times: ns."""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    links: frozenset[tuple[str, str]]
    start: int
    end: int
    failed: bool

    @property
    def place(self) -> tuple[str, str]:
        return (self.trace_id, self.span_id)


class Collector:
    """`with Collector() as it:` listens. status: of its answers."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.spans: list[Spanned] = []
        self.requests = 0
        self._open = threading.Event()
        self._open.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """While it lasts, requests are read and not answered."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def named(self, name: str) -> list[Spanned]:
        return [span for span in list(self.spans) if span.name == name]

    def take(self, path: str, body: bytes) -> int:
        """The status of the answer."""
        self.requests += 1
        self._open.wait()
        if path != "/v1/traces":
            return 404
        if self.status == 200:
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return self.status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(collector.take(self.path, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        return Handler


def _spans(request: ExportTraceServiceRequest) -> list[Spanned]:
    found = []
    for resource in request.resource_spans:
        about = {one.key: _value(one.value) for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            found += [_read(span, about["service.name"]) for span in scope.spans]
    return found


def _read(span: Any, service: str) -> Spanned:
    return Spanned(
        name=span.name,
        service=service,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes={one.key: _value(one.value) for one in span.attributes},
        links=frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None

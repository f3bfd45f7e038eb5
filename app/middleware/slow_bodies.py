"""Timeout for request bodies: a client that sends too slowly is answered 408 and disconnected.

The server hands a request to a thread once its headers are there; reading the body then blocks that
thread for as long as the client likes (granian has no timeout for it, its issue 728). So:

1. Each read is registered here with its deadline: `body_timeout_s` in all, and a second more for
   every `body_min_bytes_per_s` received (the rule of Apache's mod_reqtimeout).
2. A watchdog answers 408 in the place of the blocked thread when the deadline passes, or, oldest
   first, when more than `max_uploads` bodies are being read. A body counts as slow after a second,
   or after a tenth of one while bodies hold most of the threads.
3. That response is one byte shorter than its Content-Length. The server takes this for a failed
   response and drops the connection, which ends the blocked read. A complete response would leave
   both open until the client closes, which a hostile one does not.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from flask import Flask, g, has_request_context

from app.http.errors import RequestTimeout
from app.http.responses import NO_STORE
from app.middleware.security_headers import SECURITY_HEADERS
from tasks.config.settings import Settings
from tasks.telemetry.logs import get_logger
from tasks.threads import LazyThread

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger(__name__)

PROTOCOL = "penstock.protocol"  # key of the environ: the server's response object, if it gave one
TOO_SLOW = "The body came too slowly; nothing was done. Send it again."
LOOK_S = 0.25  # how often the deadlines are checked
SLOW_S = 1.0  # from then on a read counts as slow
FLOODED_S = 0.1  # the same while bodies hold most of the threads
FLUSH_S = 0.25  # from the last byte to the end: the server drops what it has not sent by then
MOST_CUT = 40  # surplus bodies at one check: their clients retry, and each retry costs a request
MOST_SHARE = 0.75  # of the threads; reads beyond it are ended early, or others would be refused
MOST_BYTES = 64 * 1024  # of one read


class ServerProtocol(Protocol):
    """The part of granian's WSGIProtocol that is used. Only the first response is sent."""

    def response_iter(self, status: int, headers: list[tuple[str, str]], body: Any) -> None: ...


class TimedBody(io.RawIOBase):
    """The body of one request as a stream whose reads have a deadline.

    Reading raises `RequestTimeout` if the body came too slowly and was cut off.
    """

    def __init__(self, source: Any, protocol: ServerProtocol, guard: SlowBodyGuard) -> None:
        self._source = source
        self._guard = guard
        self._received = 0
        self._waited_s = 0.0
        self.protocol = protocol
        self.began = self.deadline = 0.0
        self.request_id = ""
        self.cut = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        room = memoryview(buffer)
        self.began = time.monotonic()
        self.deadline = self.began + self._guard.allowance_s(self._received) - self._waited_s
        self._guard.enter(self)
        try:
            data = self._source.read(min(len(room), self._guard.step))
        finally:
            self._guard.leave(self)
        if self.cut:
            raise RequestTimeout(TOO_SLOW)
        self._waited_s += time.monotonic() - self.began
        self._received += len(data)
        room[: len(data)] = data
        return len(data)


class SlowBodyGuard:
    """The reads of this process that wait for their clients, oldest first, and their watchdog."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.body_timeout_s
        self._rate = settings.body_min_bytes_per_s
        self._most = settings.max_uploads
        self._room = int(settings.web_threads * MOST_SHARE)
        self._reads: dict[TimedBody, None] = {}
        self._lock = threading.Lock()
        self._flooded = threading.Event()  # bodies hold more than MOST_SHARE of the threads
        self._watchdog = LazyThread("slow-bodies", self._watch)
        # A client at the lowest allowed rate fills one read within its deadline.
        self.step = min(MOST_BYTES, self._timeout_s * self._rate)

    def allowance_s(self, received: int) -> float:
        """Seconds that may be spent waiting for a body of which `received` bytes have come."""
        return self._timeout_s + received / self._rate

    def enter(self, body: TimedBody) -> None:
        """Register a read that is about to block."""
        if has_request_context():
            body.request_id = g.get("request_id", "")
        self._watchdog.start()
        with self._lock:
            self._reads[body] = None
            if len(self._reads) > self._room:
                self._flooded.set()

    def leave(self, body: TimedBody) -> None:
        """Remove a read that has returned."""
        with self._lock:
            self._reads.pop(body, None)

    def _watch(self) -> None:
        while True:
            if self._flooded.wait(LOOK_S):
                self._flooded.clear()
                time.sleep(FLOODED_S)
            for body in self._take_overdue():
                threading.Thread(
                    target=_send_timeout, args=(body,), name="cut", daemon=True
                ).start()

    def _take_overdue(self) -> list[TimedBody]:
        """Remove the reads that are to be cut off, and mark their bodies."""
        with self._lock:
            overdue = self._overdue(time.monotonic())
            for body in overdue:
                del self._reads[body]
                body.cut = True
        if overdue:
            log.info("slow bodies cut off", bodies=len(overdue), waiting=len(self._reads))
        return overdue

    def _overdue(self, now: float) -> list[TimedBody]:
        """Reads past their deadline, and the oldest slow ones if there are too many."""
        surplus = min(len(self._reads) - self._most, MOST_CUT)  # beyond max_uploads
        flood = len(self._reads) - self._room  # beyond their share of the threads
        return [
            body
            for position, body in enumerate(self._reads)
            if now > body.deadline
            or (position < surplus and now > body.began + SLOW_S)
            or (position < flood and now > body.began + FLOODED_S / 2)
        ]


class _Truncated:
    """A response body that ends FLUSH_S after its content, one byte short of its Content-Length."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        content, self._content = self._content, None
        if content is None:
            time.sleep(FLUSH_S)
            raise StopIteration
        return content

    def close(self) -> None: ...


def _send_timeout(body: TimedBody) -> None:
    """Send 408 in the place of the thread that is blocked in reading `body`."""
    content = orjson.dumps(
        {
            "type": f"urn:penstock:error:{RequestTimeout.code}",
            "title": "Request Timeout",
            "status": RequestTimeout.status,
            "code": RequestTimeout.code,
            "detail": TOO_SLOW,
            "request_id": body.request_id,
        }
    )
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(content) + 1),
        "Connection": "close",
        "X-Request-ID": body.request_id,
        NO_STORE[0]: NO_STORE[1],
        **SECURITY_HEADERS,
    }
    body.protocol.response_iter(RequestTimeout.status, list(headers.items()), _Truncated(content))


class _TimedBodyMiddleware:
    """WSGI middleware that gives each request a `TimedBody` to read from."""

    def __init__(self, wsgi_app: WSGIApplication, guard: SlowBodyGuard) -> None:
        self._wsgi_app = wsgi_app
        self._guard = guard

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        protocol = environ.get(PROTOCOL)
        if protocol is not None and _has_body(environ):
            source = environ["wsgi.input"]
            environ["wsgi.input"] = TimedBody(source, protocol, self._guard)
        return self._wsgi_app(environ, start_response)


def _has_body(environ: WSGIEnvironment) -> bool:
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def install(app: Flask, settings: Settings) -> None:
    """Time the bodies that `app` reads, if the server puts its PROTOCOL into the environ."""
    guard = SlowBodyGuard(settings)
    app.wsgi_app = _TimedBodyMiddleware(app.wsgi_app, guard)  # type: ignore[method-assign]

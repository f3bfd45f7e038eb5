"""Bodies on their way: a client that sends too slowly is cut off before it costs others their turn.

The server hands a request to a thread once its head is there; reading the body then blocks that
thread for as long as the client likes (granian has no timeout for it, its issue 728). So:

1. Each read is written down here with its deadline: `body_timeout_s` in all, and a second more for
   every `body_min_bytes_per_s` received (the rule of Apache's mod_reqtimeout).
2. A watchman answers 408 in the place of the blocked thread when the deadline passes, or, oldest
   first, when more than `max_uploads` bodies are waited for. A body counts as slow after a second,
   or after a tenth of one while bodies hold most of the threads.
3. That answer is one byte shorter than it says. The server takes this for a failed response and
   drops the connection, which ends the blocked read. A whole answer would leave both open until
   the client closes, which a hostile one does not.
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
from tasks.threads import ThreadOnUse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = get_logger(__name__)

PROTOCOL = "penstock.protocol"  # of the environ: the server's side of the request, if it gave one
TOO_SLOW = "The body came too slowly; nothing was done. Send it again."
LOOK_S = 0.25
SLOW_S = 1.0
CROWDED_S = 0.1  # that a body may take while they hold most of the threads
FLUSH_S = 0.25  # from the last byte to the end: the server drops what it has not sent by then
MOST_CUT = 40  # of those that are too many, at one look: they come back, and each costs a request
MOST_SHARE = 0.75  # of the threads; what is beyond is cut at once, or others would be refused
MOST_BYTES = 64 * 1024  # of one read


class ServerProtocol(Protocol):
    """What is used of granian's WSGIProtocol. Whoever answers first, answers."""

    def response_iter(self, status: int, headers: list[tuple[str, str]], body: Any) -> None: ...


class Upload(io.RawIOBase):
    """The body of one request as a stream.

    Raises, when read: RequestTimeout, if it came too slowly and was cut off.
    """

    def __init__(self, source: Any, protocol: ServerProtocol, uploads: Uploads) -> None:
        self._source = source
        self._uploads = uploads
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
        self.deadline = self.began + self._uploads.allowance_s(self._received) - self._waited_s
        self._uploads.enter(self)
        try:
            data = self._source.read(min(len(room), self._uploads.step))
        finally:
            self._uploads.leave(self)
        if self.cut:
            raise RequestTimeout(TOO_SLOW)
        self._waited_s += time.monotonic() - self.began
        self._received += len(data)
        room[: len(data)] = data
        return len(data)


class Uploads:
    """All the reads of this process that are waiting for their clients, oldest first."""

    def __init__(self, settings: Settings) -> None:
        self._timeout_s = settings.body_timeout_s
        self._rate = settings.body_min_bytes_per_s
        self._most = settings.max_uploads
        self._room = int(settings.web_threads * MOST_SHARE)
        self._reads: dict[Upload, None] = {}
        self._lock = threading.Lock()
        self._crowded = threading.Event()  # more bodies are read than there is room for
        self._watchman = ThreadOnUse("uploads", self._watch)
        # What arrives at the lowest rate fills a read within its time.
        self.step = min(MOST_BYTES, self._timeout_s * self._rate)

    def allowance_s(self, received: int) -> float:
        """Seconds that may be spent waiting for a body of which this many bytes came."""
        return self._timeout_s + received / self._rate

    def enter(self, upload: Upload) -> None:
        if has_request_context():
            upload.request_id = g.get("request_id", "")
        self._watchman.begin()
        with self._lock:
            self._reads[upload] = None
            if len(self._reads) > self._room:
                self._crowded.set()

    def leave(self, upload: Upload) -> None:
        with self._lock:
            self._reads.pop(upload, None)

    def _watch(self) -> None:
        while True:
            if self._crowded.wait(LOOK_S):
                self._crowded.clear()
                time.sleep(CROWDED_S)
            for upload in self._to_cut():
                threading.Thread(target=_cut, args=(upload,), name="cut", daemon=True).start()

    def _to_cut(self) -> list[Upload]:
        """Those past their deadline, and the oldest of the slow ones if there are too many."""
        now = time.monotonic()
        with self._lock:
            surplus = min(len(self._reads) - self._most, MOST_CUT)
            flood = len(self._reads) - self._room
            chosen = [
                upload
                for place, upload in enumerate(self._reads)
                if now > upload.deadline
                or (place < surplus and now > upload.began + SLOW_S)
                or (place < flood and now > upload.began + CROWDED_S / 2)
            ]
            for upload in chosen:
                del self._reads[upload]
                upload.cut = True
        if chosen:
            log.info("slow bodies cut off", bodies=len(chosen), waiting=len(self._reads))
        return chosen


class _Truncated:
    """A response body that ends before it should, a moment after what there is was sent."""

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


def _cut(upload: Upload) -> None:
    content = orjson.dumps(
        {
            "type": f"urn:penstock:error:{RequestTimeout.code}",
            "title": "Request Timeout",
            "status": RequestTimeout.status,
            "code": RequestTimeout.code,
            "detail": TOO_SLOW,
            "request_id": upload.request_id,
        }
    )
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(content) + 1),
        "Connection": "close",
        "X-Request-ID": upload.request_id,
        NO_STORE[0]: NO_STORE[1],
        **SECURITY_HEADERS,
    }
    upload.protocol.response_iter(RequestTimeout.status, list(headers.items()), _Truncated(content))


class _Middleware:
    def __init__(self, wsgi_app: WSGIApplication, uploads: Uploads) -> None:
        self._wsgi_app = wsgi_app
        self._uploads = uploads

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        protocol = environ.get(PROTOCOL)
        if protocol is not None and _has_body(environ):
            source = environ["wsgi.input"]
            environ["wsgi.input"] = Upload(source, protocol, self._uploads)
        return self._wsgi_app(environ, start_response)


def _has_body(environ: WSGIEnvironment) -> bool:
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def install(app: Flask, settings: Settings) -> None:
    """Watch the bodies that `app` reads, wherever the server lets requests be answered early."""
    app.wsgi_app = _Middleware(app.wsgi_app, Uploads(settings))  # type: ignore[method-assign]

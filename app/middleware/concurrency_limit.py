"""Concurrency limit of a process: more requests at once are refused with 503 `overloaded`.

The server has some more threads than requests are admitted (`SPARE_THREADS`), so that refusals and
probes find a thread when all others are busy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.wsgi import ClosingIterator

from app.http.errors import Shedding

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SPARE_THREADS = 40
RETRY_AFTER_S = 1
_OVER_LIMIT = "penstock.over_limit"
_STREAMS = "penstock.streams"
_PROBES = {"/livez", "/readyz"}  # a busy process is alive: a restart would not help


class ConcurrencyLimit:
    """WSGI middleware that counts requests until their response is ready, streams to their end."""

    def __init__(self, wsgi_app: WSGIApplication, most: int) -> None:
        self._wsgi_app = wsgi_app
        self._most = most
        self._lock = threading.Lock()
        self.under_way = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._lock:
            self.under_way += 1
            environ[_OVER_LIMIT] = self.under_way > self._most
        try:
            answer = self._wsgi_app(environ, start_response)
        except BaseException:
            self._leave()
            raise
        if environ.get(_STREAMS):
            return ClosingIterator(answer, self._leave)
        self._leave()  # a complete response holds its thread no longer, read or not
        return answer

    def _leave(self) -> None:
        with self._lock:
            self.under_way -= 1


def install(app: Flask, most: int) -> None:
    """Refuse requests beyond `most` at once with 503 `overloaded`."""
    app.wsgi_app = ConcurrencyLimit(app.wsgi_app, most)  # type: ignore[method-assign]

    @app.before_request
    def refuse() -> None:
        if request.environ.get(_OVER_LIMIT) and request.path not in _PROBES:
            detail = f"This process already handles {most} requests at once; nothing was done."
            raise Shedding(detail, RETRY_AFTER_S)

    @app.after_request
    def mark_stream(response: Response) -> Response:
        if response.is_streamed:
            request.environ[_STREAMS] = True
        return response

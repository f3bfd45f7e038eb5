"""How many requests a process works on at once; beyond that they are refused, and at once.

The server keeps a few threads more than requests are let in (`SPARE_THREADS`), so that a refusal
and a probe find one when all others are taken.
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
_CROWDED = "penstock.crowded"
_STREAMS = "penstock.streams"
_PROBES = {"/livez", "/readyz"}  # a full process is alive: restarting it would help nobody


class ConcurrencyLimit:
    """WSGI middleware that counts requests until their answer is ready, streams until their end."""

    def __init__(self, wsgi_app: WSGIApplication, most: int) -> None:
        self._wsgi_app = wsgi_app
        self._most = most
        self._lock = threading.Lock()
        self.under_way = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._lock:
            self.under_way += 1
            environ[_CROWDED] = self.under_way > self._most
        try:
            answer = self._wsgi_app(environ, start_response)
        except BaseException:
            self._leave()
            raise
        if environ.get(_STREAMS):
            return ClosingIterator(answer, self._leave)
        self._leave()  # what is ready takes its thread no longer, whether or not anybody reads it
        return answer

    def _leave(self) -> None:
        with self._lock:
            self.under_way -= 1


def install(app: Flask, most: int) -> None:
    """Refuse what would be more than `most` requests at once with 503 `overloaded`."""
    app.wsgi_app = ConcurrencyLimit(app.wsgi_app, most)  # type: ignore[method-assign]

    @app.before_request
    def refuse() -> None:
        if request.environ.get(_CROWDED) and request.path not in _PROBES:
            detail = f"This process works on {most} requests already; nothing was done."
            raise Shedding(detail, RETRY_AFTER_S)

    @app.after_request
    def tell_streams(response: Response) -> Response:
        if response.is_streamed:
            request.environ[_STREAMS] = True
        return response

"""How long requests take, by route and status.

A request is counted once, when its answer is ready and before any of it is sent, so that each to
which a client has an answer was counted, whatever becomes of the process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import Flask, Response, g, request

from tasks.telemetry.metrics.process import process_metrics

NOWHERE: Final = "none"  # a path that no route has: paths are a client's, and without number
OTHER: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def install(app: Flask) -> None:
    """To be called first: what is installed later runs in between."""
    durations = process_metrics().http

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        method = request.method if request.method in _METHODS else OTHER
        route = request.url_rule.rule if request.url_rule else NOWHERE
        seconds = time.perf_counter() - g.began - g.get("held_s", 0.0)
        durations.labels(method, route, response.status_code).observe(max(0.0, seconds))
        return response


@contextmanager
def exclude_wait() -> Iterator[None]:
    """Around what a client asked to wait for: it says nothing of how fast the API is."""
    began = time.perf_counter()
    try:
        yield
    finally:
        g.held_s = g.get("held_s", 0.0) + time.perf_counter() - began

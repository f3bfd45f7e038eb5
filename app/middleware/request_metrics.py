"""Request durations by method, route and status, as a Prometheus histogram.

A request is counted once, when its response is ready and before any of it is sent. So every request
that was answered has been counted, even if the process dies then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flask import Flask, Response, g, request

from tasks.telemetry.metrics.process import process_metrics

NOWHERE: Final = "none"  # no route matched: paths of clients would make unbounded labels
OTHER: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def install(app: Flask) -> None:
    """Measure every request. To be called first: what is installed later is measured, too."""
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
    """Context manager around a wait that the client asked for: it is not part of the duration."""
    began = time.perf_counter()
    try:
        yield
    finally:
        g.held_s = g.get("held_s", 0.0) + time.perf_counter() - began

"""Request id: the client's if well-formed, else a new one; in every response and log line.

Also reads the client's trace context (W3C traceparent), if it sent a well-formed one.
"""

from __future__ import annotations

import random
import re

from flask import Flask, Response, g, request

_WELL_FORMED = re.compile(r"[A-Za-z0-9._~+/=-]{1,128}", re.ASCII)
_TRACEPARENT = re.compile(  # W3C Trace Context: version ff and ids of zeros are not valid
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII
)


def install(app: Flask) -> None:
    """Set `g.request_id` and `g.traceparent`, and return the id as X-Request-ID."""

    @app.before_request
    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _WELL_FORMED.fullmatch(given) else f"{random.getrandbits(128):032x}"
        g.traceparent = _traceparent()

    @app.after_request
    def echo(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id", "")
        return response


def _traceparent() -> str | None:
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else None

"""Pages of other origins: their browsers may call the API if the settings name them.

Keys travel in a header that a page's own script sets, never in cookies, so no answer ever allows
credentials, and `*` is safe. A preflight needs no key: Flask answers OPTIONS before any view.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Flask
from flask_cors import CORS

ANY = "*"
NOT_THE_CONSOLE = re.compile(
    r"/(?!console(?:/|\Z))"
)  # there browsers send a password by themselves
PREFLIGHT_S = 600
METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE")
REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Idempotency-Key", "Prefer", "X-Request-ID", "traceparent"),
    *("If-None-Match", "Last-Event-ID", "Cache-Control"),
)
RESPONSE_HEADERS = (
    *("Location", "Retry-After", "ETag", "RateLimit", "RateLimit-Policy", "X-Request-ID", "Link"),
    "Preference-Applied",
)


def install(app: Flask, origins: Sequence[str] | None) -> None:
    """Let the pages of `origins` call `app`; None: those of no other origin."""
    if not origins:
        return
    CORS(
        app,
        resources=NOT_THE_CONSOLE,
        # flask-cors guesses which texts are patterns, so it gets patterns
        origins=[o if o == ANY else re.compile(re.escape(o) + r"\Z") for o in origins],
        send_wildcard=True,  # `*` as `*`, not as an echo of whoever asks
        always_send=False,
        supports_credentials=False,
        methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=RESPONSE_HEADERS,
        max_age=PREFLIGHT_S,
    )

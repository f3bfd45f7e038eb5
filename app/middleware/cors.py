"""CORS: pages of the origins in the settings may call the API.

Keys are sent in a header that the page's own script sets, never in cookies. So no response allows
credentials, and `*` is safe. A preflight needs no key: Flask answers OPTIONS before any view.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import Flask
from flask_cors import CORS

ANY = "*"
# For the console browsers send a password by themselves.
NOT_THE_CONSOLE = re.compile(r"/(?!console(?:/|\Z))")
PREFLIGHT_S = 600  # how long a browser may keep the answer to a preflight
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
    """Allow the pages of `origins` to call `app`; None: no other origin."""
    if not origins:
        return
    CORS(
        app,
        resources=NOT_THE_CONSOLE,
        # flask-cors guesses which strings are patterns, so it is given patterns
        origins=[o if o == ANY else re.compile(re.escape(o) + r"\Z") for o in origins],
        send_wildcard=True,  # send `*` itself, not the origin of the request
        always_send=False,
        supports_credentials=False,
        methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=RESPONSE_HEADERS,
        max_age=PREFLIGHT_S,
    )

"""Answers: JSON by orjson, never cached by anything between us and the client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from flask import Response


def respond(document: Any, status: int = 200, media_type: str = "application/json") -> Response:
    response = Response(orjson.dumps(document), status, content_type=media_type)
    response.headers["Cache-Control"] = "no-store"
    return response


def stream_lines(lines: Iterable[Any]) -> Response:
    """Newline-delimited JSON, produced while it is sent."""

    def encoded() -> Iterator[bytes]:
        for line in lines:
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)

    response = Response(encoded(), content_type="application/x-ndjson")
    response.headers["Cache-Control"] = "no-store"
    return response

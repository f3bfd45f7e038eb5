"""Answers: JSON by orjson, never cached by anything between us and the client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from flask import Response

NO_STORE = ("Cache-Control", "no-store")


def respond(document: Any, status: int = 200, media_type: str = "application/json") -> Response:
    headers = [("Content-Type", media_type), NO_STORE]
    return Response(orjson.dumps(document), status, headers)


def stream_lines(lines: Iterable[Any]) -> Response:
    """Newline-delimited JSON, produced while it is sent."""

    def encoded() -> Iterator[bytes]:
        for line in lines:
            yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)

    return Response(encoded(), headers=[("Content-Type", "application/x-ndjson"), NO_STORE])

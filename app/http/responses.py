"""Builds responses: JSON by orjson, with `Cache-Control: no-store`, and streamed lines of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson
from flask import Response, g, request
from redis import RedisError

from app.http import error_reports
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

NO_STORE = ("Cache-Control", "no-store")

_CUT_SHORT = {
    "error": {
        "code": "unavailable",
        "message": "The job store stopped answering; the lines that follow are missing. Ask again.",
    }
}


def respond(document: Any, status: int = 200, media_type: str = "application/json") -> Response:
    """Build a JSON response."""
    headers = [("Content-Type", media_type), NO_STORE]
    return Response(orjson.dumps(document), status, headers)


def make_conditional(response: Response) -> Response:
    """Add a strong ETag of the body; 304 if the client has the same (RFC 9110, section 13)."""
    response.add_etag()
    response.make_conditional(request)
    return response


def stream_lines(lines: Iterable[Any]) -> Response:
    """Build a response of newline-delimited JSON that is produced while it is sent.

    The status is sent before the first line, and the server ends even a failed response as if it
    were complete. So if Redis fails midway, the last line says so; its only member is `error`.
    """

    request_id = g.get("request_id", "")

    def encoded() -> Iterator[bytes]:
        try:
            for line in lines:
                yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        except RedisError as error:
            log.warning("redis failed while lines were sent", error=str(error))
            yield orjson.dumps(_CUT_SHORT, option=orjson.OPT_APPEND_NEWLINE)
        except Exception as error:
            error_reports.report_broken_stream(error, request_id)
            raise

    return Response(encoded(), headers=[("Content-Type", "application/x-ndjson"), NO_STORE])

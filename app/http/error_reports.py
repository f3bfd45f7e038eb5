"""Reports errors of requests to Sentry: route, ids and headers, never the inputs.

The SDK's Flask integration is not used: its middleware costs every request 50 to 75 microseconds,
a tenth of the whole, and our error handler sees everything that it would.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from multiprocessing.util import Finalize
from typing import Any

import orjson
from flask import g, request

from tasks.config.settings import Settings
from tasks.telemetry.sentry import client as sentry
from tasks.telemetry.sentry.scrubber import texts_of
from tasks.telemetry.tracing.context import trace_id


def start_reporting(settings: Settings) -> None:
    """Start Sentry, once per process.

    Processes that granian forks end by `os._exit`, which runs no atexit function: so a finalizer of
    multiprocessing flushes the events.
    """
    sentry.install(settings, "api")
    if settings.sentry_dsn:
        Finalize(None, sentry.flush, exitpriority=0)


def report_failure(error: Exception, pipelines: Collection[str]) -> None:
    """Report the failure of the current request. pipelines: the names that may be told."""
    route = str(request.url_rule or "")
    document = _document()
    inputs = None if document is None else [*texts_of(document), *texts_of(request.args.to_dict())]
    parts = {
        "transaction": f"{request.method} {route}",
        "request": {
            "method": request.method,
            "url": request.base_url,
            "headers": dict(request.headers),
        },
    }
    about = sentry.EventDetails(dict(_tags(route, document, pipelines)), inputs, parts=parts)
    sentry.capture_error(error, ("api", route, type(error).__name__), about)


def report_broken_stream(error: Exception, request_id: str) -> None:
    """Report that a streamed response failed after its request context had ended."""
    about = sentry.EventDetails({"request_id": request_id}, inputs=None)
    sentry.capture_error(error, ("api", "stream", type(error).__name__), about)


def report_redis_outage(error: Exception) -> None:
    """Report an outage of Redis: one event, however many requests fail in it."""
    about = sentry.EventDetails({"request_id": g.get("request_id", "")})
    sentry.capture_error(error, ("redis", type(error).__name__), about, lasting=True)


def _document() -> Any:
    """The body as JSON, {} if there is none; None if it was not read or is not JSON."""
    if not g.get("body_is_read"):
        has_body = request.content_length or "Transfer-Encoding" in request.headers
        return None if has_body else {}
    try:
        return orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        return None


def _tags(route: str, document: Any, pipelines: Collection[str]) -> Iterable[tuple[str, str]]:
    yield "route", route
    if request_id := g.get("request_id"):
        yield "request_id", request_id
    if trace := trace_id(g.get("traceparent")):
        yield "trace_id", trace
    given = request.view_args or {}
    if "job_id" in given:
        yield "job", given["job_id"]
    pipeline = given.get("name") or (document.get("pipeline") if isinstance(document, dict) else "")
    if isinstance(pipeline, str) and pipeline in pipelines:
        yield "pipeline", pipeline

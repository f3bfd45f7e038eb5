"""Access log: a line for every request and, where traces are exported, a span.

They have the route, but neither path nor query, which may hold private data.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, request

from tasks.telemetry.logs import ACCESS_LOG, get_logger
from tasks.telemetry.tracing.context import Kind, trace_id

if TYPE_CHECKING:
    from tasks.telemetry.tracing.tracer import Span, Tracer

log = get_logger(ACCESS_LOG)

QUIET = {"/livez", "/readyz", "/metrics"}  # polled every few seconds
_JOB = re.compile(r"job_[0-9A-Z]{26}", re.ASCII)


def install(app: Flask, tracer: Tracer | None) -> None:
    """Log every request. To be called after `request_metrics.install` and `request_id.install`."""

    @app.before_request
    def begin() -> None:
        if tracer and request.path not in QUIET:
            g.span = _begin_span(tracer)
            g.traceparent = g.span.traceparent

    @app.after_request
    def log_request(response: Response) -> Response:
        end = partial(_end, _facts(response), g.get("began"), g.get("span"))
        if response.is_streamed:
            response.call_on_close(end)
        else:
            end()
        return response


def _facts(response: Response) -> dict[str, Any]:
    """The fields of the log line; unknown ones are left out."""
    rule, arguments, here = request.url_rule, request.view_args or {}, g.get
    facts = {
        "method": request.method,
        "route": rule.rule if rule else None,
        "status": response.status_code,
        "code": here("problem"),
        "request_id": here("request_id"),
        "trace_id": trace_id(here("traceparent")),
        "job": here("job") or arguments.get("job_id"),
    }
    if principal := here("principal"):
        facts |= {"owner": principal.owner, "key": principal.key_id}
    if held_s := here("held_s"):
        facts["held_ms"] = _ms(held_s)
    if facts["job"] and not _JOB.fullmatch(facts["job"]):
        del facts["job"]  # not an id of ours: a client made it up
    return {name: value for name, value in facts.items() if value is not None}


def _end(facts: dict[str, Any], began: float | None, span: Span | None) -> None:
    """Write the line and end the span: when the response is ready, or its stream has ended."""
    ms = None if began is None else _ms(time.perf_counter() - began)
    quiet = facts.get("route") in QUIET and facts["status"] < 400
    (log.debug if quiet else log.info)("request", **facts, ms=ms)
    if span:
        _end_span(span, facts)


def _begin_span(tracer: Tracer) -> Span:
    route = request.url_rule.rule if request.url_rule else None
    name = f"{request.method} {route}" if route else request.method
    known = {
        "http.request.method": request.method,
        "http.route": route,
        "penstock.request_id": g.request_id,
    }
    return tracer.begin(name, Kind.SERVER, g.traceparent, known)


def _end_span(span: Span, facts: dict[str, Any]) -> None:
    status = facts["status"]
    found = {
        "http.response.status_code": status,
        "penstock.owner": facts.get("owner"),
        "penstock.job": facts.get("job"),
    }
    span.end(found, facts.get("code", str(status)) if status >= 500 else "")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)

"""Error handlers: every error of a request leaves as a problem document (RFC 9457)."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g
from redis import RedisError
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge

from app.http import error_reports
from app.http.errors import ApiError, BodyTooLarge, FieldErrors, Unauthorized, Unavailable
from app.http.responses import respond
from ml.serving.error_causes import stack_of
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)


def install(app: Flask, pipelines: Collection[str]) -> None:
    """Turn every error of `app` into a problem document. pipelines: the names that are served."""

    @app.errorhandler(ApiError)
    def known(error: ApiError) -> Response:
        return problem(error.status, error.code, error.detail, error.errors, error.retry_after_s)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        response = problem(status, _code_of(status), error.description or "")
        if allowed := getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    @app.errorhandler(NotFound)
    def nowhere(_: NotFound) -> Response:
        detail = "No route has this path; no path ends in a slash. /docs lists all routes."
        return problem(404, "not_found", detail)

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_: RequestEntityTooLarge) -> Response:
        limit = app.config["MAX_CONTENT_LENGTH"]
        return problem(413, BodyTooLarge.code, f"The body must be at most {limit} bytes.")

    @app.errorhandler(RedisError)
    def store_down(error: RedisError) -> Response:
        log.error("redis failed a request", error=str(error), request_id=g.get("request_id"))
        error_reports.report_redis_outage(error)
        text = (
            "The job store does not answer. A job that was being submitted may still have been "
            "accepted: send it again with the same Idempotency-Key."
        )
        return problem(503, Unavailable.code, text, retry_after_s=Unavailable.retry_after_s)

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        # Without the error's text, which may quote the input.
        log.error("request failed", request_id=g.get("request_id"), exception=stack_of(error))
        error_reports.report_failure(error, pipelines)
        return problem(
            500, ApiError.code, "Internal error. Quote the request id when you report it."
        )


def problem(
    status: int,
    code: str,
    detail: str,
    errors: FieldErrors = (),
    retry_after_s: int | None = None,
) -> Response:
    """Build a problem document (RFC 9457), and note its code for the access log."""
    g.problem = code
    document: dict[str, Any] = {
        "type": f"urn:penstock:error:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": g.get("request_id"),
    }
    if errors:
        document["errors"] = list(errors)
    response = respond(document, status, media_type="application/problem+json")
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    if status == Unauthorized.status:
        response.headers["WWW-Authenticate"] = 'Bearer realm="penstock"'
    return response


def _code_of(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")

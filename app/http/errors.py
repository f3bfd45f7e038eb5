"""Errors of the API, and the one place that turns any error into a problem document (RFC 9457).

ApiError
├── BadRequest            400 invalid_request       names each field
│   └── MalformedBody     400 malformed_body        not JSON at all
├── Unauthorized          401 unauthorized
├── Forbidden             403 forbidden             the key lacks a scope
├── JobNotFound           404 job_not_found         also another owner's
├── PipelineNotFound      404 pipeline_not_found
├── LaneNotFound          404 lane_not_found
├── EndpointNotFound      404 endpoint_not_found    also another owner's
├── DeliveryNotFound      404 delivery_not_found    likewise
├── RequestTimeout        408 request_timeout       the body came too slowly
├── AlreadyFinished       409 already_finished
├── KeyInFlight           409 idempotency_in_flight
├── TooManyEndpoints      409 too_many_endpoints
├── EndpointDisabled      409 endpoint_disabled
├── SecretIsASetting      409 secret_is_a_setting
├── ResultExpired         410 result_expired
├── BodyTooLarge          413 body_too_large
├── WrongMediaType        415 unsupported_media_type
├── KeyReused             422 idempotency_mismatch
├── RateLimited           429 rate_limited          of this key, whichever address
├── OverQuota             429 quota_exceeded
├── TooManyWrongKeys      429 too_many_wrong_keys   from an address, or of a key's id
├── Shedding              503 overloaded
└── Unavailable           503 unavailable           Redis is down or full
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from flask import Flask, Response, g
from redis import RedisError
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge

from app.http import error_reports
from app.http.responses import respond
from ml.serving.error_causes import stack_of
from tasks.telemetry.logs import get_logger

log = get_logger(__name__)

# {"pointer" or "parameter" or "header", "detail"}, and of an upload the "line", from 1
FieldErrors = Sequence[Mapping[str, Any]]


class ApiError(Exception):
    """An answer to the client: owns its HTTP status, its stable code and whether to try again."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after_s: int | None = None

    def __init__(self, detail: str, errors: FieldErrors = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class BadRequest(ApiError):
    status, code = 400, "invalid_request"


class MalformedBody(BadRequest):
    code = "malformed_body"


class Unauthorized(ApiError):
    status, code = 401, "unauthorized"


class Forbidden(ApiError):
    status, code = 403, "forbidden"


class JobNotFound(ApiError):
    status, code = 404, "job_not_found"


class PipelineNotFound(ApiError):
    status, code = 404, "pipeline_not_found"


class LaneNotFound(ApiError):
    status, code = 404, "lane_not_found"


class EndpointNotFound(ApiError):
    status, code = 404, "endpoint_not_found"


class DeliveryNotFound(ApiError):
    status, code = 404, "delivery_not_found"


class RequestTimeout(ApiError):
    status, code = 408, "request_timeout"


class AlreadyFinished(ApiError):
    status, code = 409, "already_finished"


class KeyInFlight(ApiError):
    status, code = 409, "idempotency_in_flight"


class TooManyEndpoints(ApiError):
    status, code = 409, "too_many_endpoints"


class EndpointDisabled(ApiError):
    status, code = 409, "endpoint_disabled"


class SecretIsASetting(ApiError):
    status, code = 409, "secret_is_a_setting"


class ResultExpired(ApiError):
    status, code = 410, "result_expired"


class BodyTooLarge(ApiError):
    status, code = 413, "body_too_large"


class WrongMediaType(ApiError):
    status, code = 415, "unsupported_media_type"


class KeyReused(ApiError):
    status, code = 422, "idempotency_mismatch"


class _Later(ApiError):
    """Refused for now; the answer says when to try again."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(_Later):
    status, code = 429, "rate_limited"


class TooManyWrongKeys(_Later):
    status, code = 429, "too_many_wrong_keys"


class OverQuota(_Later):
    status, code = 429, "quota_exceeded"


class Shedding(_Later):
    status, code = 503, "overloaded"


class Unavailable(ApiError):
    status, code, retry_after_s = 503, "unavailable", 5


def install(app: Flask) -> None:
    """Make every error of `app` leave as a problem document."""

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
        detail = "No route has this path; none ends in a slash. /docs shows those there are."
        return problem(404, "not_found", detail)

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_: RequestEntityTooLarge) -> Response:
        limit = app.config["MAX_CONTENT_LENGTH"]
        return problem(413, BodyTooLarge.code, f"The body must be at most {limit} bytes.")

    @app.errorhandler(RedisError)
    def store_down(error: RedisError) -> Response:
        log.error("redis failed a request", error=str(error), request_id=g.get("request_id"))
        error_reports.store_failed(error)
        text = (
            "The job store does not answer. A job that was being submitted may have been accepted "
            "all the same: send it again with the same Idempotency-Key."
        )
        return problem(503, Unavailable.code, text, retry_after_s=Unavailable.retry_after_s)

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        # Without its text, which may quote what was sent.
        log.error("request failed", request_id=g.get("request_id"), exception=stack_of(error))
        error_reports.failed(error)
        return problem(500, ApiError.code, "Something failed here; the request id leads to it.")


def problem(
    status: int,
    code: str,
    detail: str,
    errors: FieldErrors = (),
    retry_after_s: int | None = None,
) -> Response:
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

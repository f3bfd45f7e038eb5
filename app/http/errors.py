"""The error classes of the API; each one owns its HTTP status and its stable code.

`app.middleware.error_handlers` turns them, and any other error, into problem documents (RFC 9457).

ApiError
├── BadRequest            400 invalid_request       names each field
│   └── MalformedBody     400 malformed_body        not JSON at all
├── Unauthorized          401 unauthorized
├── Forbidden             403 forbidden             the key lacks a scope
├── JobNotFound           404 job_not_found         also another owner's
├── PipelineNotFound      404 pipeline_not_found
├── LaneNotFound          404 lane_not_found
├── EndpointNotFound      404 endpoint_not_found    also another owner's
├── DeliveryNotFound      404 delivery_not_found    also another owner's
├── RequestTimeout        408 request_timeout       the body came too slowly
├── AlreadyFinished       409 already_finished
├── KeyInFlight           409 idempotency_in_flight
├── EndpointLimitReached  409 too_many_endpoints
├── EndpointDisabled      409 endpoint_disabled
├── SecretNotRotatable    409 secret_is_a_setting
├── ResultExpired         410 result_expired
├── BodyTooLarge          413 body_too_large
├── WrongMediaType        415 unsupported_media_type
├── KeyReused             422 idempotency_mismatch
├── RateLimited           429 rate_limited          of this key, from any address
├── OverQuota             429 quota_exceeded
├── TooManyWrongKeys      429 too_many_wrong_keys   from an address, or of a key's id
├── Shedding              503 overloaded
└── Unavailable           503 unavailable           Redis is down or full
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

# {"pointer" or "parameter" or "header": where, "detail": text}; for uploads also "line", from 1
FieldErrors = Sequence[Mapping[str, Any]]


class ApiError(Exception):
    """An error response: owns its HTTP status, its stable code and when to retry."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after_s: int | None = None

    def __init__(self, detail: str, errors: FieldErrors = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class BadRequest(ApiError):
    """The request is not valid: a field, a parameter, a header or the size of the job."""

    status, code = 400, "invalid_request"


class MalformedBody(BadRequest):
    """The body is not a JSON document that the API reads: syntax, encoding, nesting or length."""

    code = "malformed_body"


class Unauthorized(ApiError):
    """The request has no API key, or one that is unknown, revoked or expired."""

    status, code = 401, "unauthorized"


class Forbidden(ApiError):
    """The credentials are valid, but they do not allow this request; often a scope is missing."""

    status, code = 403, "forbidden"


class JobNotFound(ApiError):
    """The job does not exist, or it belongs to another owner."""

    status, code = 404, "job_not_found"


class PipelineNotFound(ApiError):
    """No pipeline served here has the name in the path."""

    status, code = 404, "pipeline_not_found"


class LaneNotFound(ApiError):
    """No lane that is scaled has the name in the path."""

    status, code = 404, "lane_not_found"


class EndpointNotFound(ApiError):
    """No webhook endpoint of this owner has the given id."""

    status, code = 404, "endpoint_not_found"


class DeliveryNotFound(ApiError):
    """The job or endpoint has no webhook delivery with the id in the path."""

    status, code = 404, "delivery_not_found"


class RequestTimeout(ApiError):
    """The client sent the body too slowly, so the server stopped reading."""

    status, code = 408, "request_timeout"


class AlreadyFinished(ApiError):
    """The job to cancel has already ended."""

    status, code = 409, "already_finished"


class KeyInFlight(ApiError):
    """An upload with the same Idempotency-Key is still in progress."""

    status, code = 409, "idempotency_in_flight"


class EndpointLimitReached(ApiError):
    """The owner has as many webhook endpoints as are allowed."""

    status, code = 409, "too_many_endpoints"


class EndpointDisabled(ApiError):
    """The webhook endpoint is disabled, so it gets neither retries nor pings."""

    status, code = 409, "endpoint_disabled"


class SecretNotRotatable(ApiError):
    """The signing secret comes from the server's settings, so no request can rotate it."""

    status, code = 409, "secret_is_a_setting"


class ResultExpired(ApiError):
    """The job ended so long ago that its results have been deleted."""

    status, code = 410, "result_expired"


class BodyTooLarge(ApiError):
    """The body has more bytes or lines than the server accepts."""

    status, code = 413, "body_too_large"


class WrongMediaType(ApiError):
    """The Content-Type, charset or Content-Encoding of the body is not supported."""

    status, code = 415, "unsupported_media_type"


class KeyReused(ApiError):
    """The Idempotency-Key was used before with another body."""

    status, code = 422, "idempotency_mismatch"


class _RetryLater(ApiError):
    """Refused for now; the response has Retry-After."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(_RetryLater):
    """The key has spent its rate limit of requests or items; it refills with time."""

    status, code = 429, "rate_limited"


class TooManyWrongKeys(_RetryLater):
    """Too many authentication attempts failed from this address or for this key's id."""

    status, code = 429, "too_many_wrong_keys"


class OverQuota(_RetryLater):
    """The job would give the key's owner more unfinished items than the key allows."""

    status, code = 429, "quota_exceeded"


class Shedding(_RetryLater):
    """Load shedding: the server has too much to do and refuses work until later."""

    status, code = 503, "overloaded"


class Unavailable(ApiError):
    """Redis does not answer or has no memory left; the request may be sent again."""

    status, code, retry_after_s = 503, "unavailable", 5

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


class EndpointLimitReached(ApiError):
    status, code = 409, "too_many_endpoints"


class EndpointDisabled(ApiError):
    status, code = 409, "endpoint_disabled"


class SecretNotRotatable(ApiError):
    status, code = 409, "secret_is_a_setting"


class ResultExpired(ApiError):
    status, code = 410, "result_expired"


class BodyTooLarge(ApiError):
    status, code = 413, "body_too_large"


class WrongMediaType(ApiError):
    status, code = 415, "unsupported_media_type"


class KeyReused(ApiError):
    status, code = 422, "idempotency_mismatch"


class _RetryLater(ApiError):
    """Refused for now; the response has Retry-After."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(_RetryLater):
    status, code = 429, "rate_limited"


class TooManyWrongKeys(_RetryLater):
    status, code = 429, "too_many_wrong_keys"


class OverQuota(_RetryLater):
    status, code = 429, "quota_exceeded"


class Shedding(_RetryLater):
    status, code = 503, "overloaded"


class Unavailable(ApiError):
    status, code, retry_after_s = 503, "unavailable", 5

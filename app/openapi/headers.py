"""Parameters and response headers, by the name that operations.py and its answers use."""

from __future__ import annotations

from typing import Any

from app.openapi import examples
from tasks.settings import Settings

Described = dict[str, dict[str, Any]]


def parameters(settings: Settings) -> Described:
    """OpenAPI parameter objects; the key is also the component's name.

    Swagger UI fills an example in: there is none where using it twice would surprise.
    """
    longest = settings.max_wait_s
    return {
        "JobId": {
            "name": "job_id",
            "in": "path",
            "required": True,
            "description": "As `id` of the answer to a submit.",
            "schema": {"type": "string", "pattern": "^job_[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
            "example": examples.JOB_ID,
        },
        "PipelineName": {
            "name": "name",
            "in": "path",
            "required": True,
            "description": "As `name` of a pipeline in the list.",
            "schema": {"type": "string", "minLength": 1},
            "example": "moderation",
        },
        "Wait": {
            "name": "wait",
            "in": "query",
            "description": f"Seconds to hold the answer until the job ends; more than {longest} "
            f"counts as {longest}.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
            "example": 30,
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "1 to 255 visible ASCII characters, fresh for each new job. The same "
            "key with the same body answers with the job it made; with another body 422. Kept "
            f"{settings.idempotency_ttl_s} s.",
            "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
        },
        "Prefer": {
            "name": "Prefer",
            "in": "header",
            "description": f"`wait=N` (RFC 7240): hold the answer up to N seconds, at most "
            f"{longest}, and answer 200 with the finished job if it ends by then. Anything else "
            "is ignored.",
            "schema": {"type": "string"},
            "example": "wait=10",
        },
        "RequestId": {
            "name": "X-Request-ID",
            "in": "header",
            "description": "Your own id of this request: 1 to 128 letters, digits or `._~+/=-`. "
            "Anything else is replaced by one of ours.",
            "schema": {"type": "string"},
        },
        "Traceparent": {
            "name": "traceparent",
            "in": "header",
            "description": "W3C trace context, carried to workers; ignored if malformed.",
            "schema": {"type": "string"},
        },
    }


# OpenAPI header objects; the key is the header's own name.
HEADERS: Described = {
    "X-Request-ID": {
        "description": "Yours if it was well-formed, else one of ours; it is in our logs.",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "Cache-Control": {
        "description": "Nothing between us and you may keep the answer.",
        "required": True,
        "schema": {"const": "no-store"},
    },
    "Location": {
        "description": "The job.",
        "required": True,
        "schema": {"type": "string", "pattern": "^/v1/jobs/job_"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next request.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Policy": {
        "description": "The quotas of your key: `q` tokens in `w` seconds.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "How your key stands: `r` tokens are left, the window ends in `t` seconds.",
        "schema": {"type": "string"},
    },
    "Preference-Applied": {
        "description": "The `Prefer` that was honoured, as it was understood.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
    },
    "WWW-Authenticate": {
        "description": "How to present a key.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    },
    "Content-Security-Policy": {
        "description": "What the page may load: itself, and nothing from elsewhere.",
        "required": True,
        "schema": {"type": "string"},
    },
}

"""Parameters and response headers of the document, by the names that operations.py uses."""

from __future__ import annotations

from typing import Any

from app.openapi import examples
from app.openapi.usage import USAGE_PARAMETERS
from app.schemas.list_query import DEFAULT_PAGE
from app.schemas.upload_query import OnError
from ml.pipeline import Mode
from tasks.config.settings import Settings
from tasks.jobs.lanes import Priority
from tasks.jobs.model import Status

Described = dict[str, dict[str, Any]]

# Query parameters of an upload: name of the component, name of the parameter, JSON Schema.
_OF_UPLOADS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("UploadPipeline", "pipeline", {"type": "string"}),
    ("UploadPriority", "priority", {"enum": list(Priority), "default": Priority.NORMAL}),
    ("UploadDeadline", "deadline_ms", {"type": "integer", "minimum": 1}),
    ("UploadLanguage", "language", {"type": "string", "pattern": "^[a-z]{2,3}$"}),
    ("UploadTemperature", "temperature", {"type": "number", "minimum": 0.05, "maximum": 20}),
    ("UploadMaxTokens", "max_tokens", {"type": "integer", "minimum": 1, "maximum": 4_096}),
    ("UploadMinTier", "min_tier", {"type": "string"}),
    ("UploadMode", "mode", {"enum": list(Mode)}),
    ("UploadOnError", "on_error", {"enum": list(OnError), "default": OnError.FAIL}),
    ("UploadLines", "lines", {"type": "integer", "minimum": 1}),
)
UPLOAD = tuple(name for name, *_ in _OF_UPLOADS)


_IN_PATHS: Described = {
    "JobId": {
        "name": "job_id",
        "in": "path",
        "required": True,
        "description": "The `id` in the response to a submit.",
        "schema": {"type": "string", "pattern": "^job_[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
        "example": examples.JOB_ID,
    },
    "EndpointId": {
        "name": "endpoint_id",
        "in": "path",
        "required": True,
        "description": "The `id` of a webhook endpoint.",
        "schema": {"type": "string", "pattern": "^we_[0-9A-Za-z]{20}$"},
    },
    "DeliveryId": {
        "name": "delivery_id",
        "in": "path",
        "required": True,
        "description": "The `id` of a delivery.",
        "schema": {"type": "string", "pattern": "^msg_[0-9A-HJKMNP-TV-Z]{26}_[0-9A-Za-z_]+$"},
    },
    "PipelineName": {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The `name` of a pipeline.",
        "schema": {"type": "string", "minLength": 1},
        "example": "moderation",
    },
    "LaneName": {
        "name": "lane",
        "in": "path",
        "required": True,
        "description": "One of the lanes in which models run.",
        "schema": {"type": "string", "enum": ["gpu", "cpu"]},
        "example": "gpu",
    },
}

_FILTERS: Described = {
    "Status": {
        "name": "status",
        "in": "query",
        "description": "Only jobs with this status.",
        "schema": {"enum": list(Status)},
    },
    "CreatedAfter": {
        "name": "created_after",
        "in": "query",
        "description": "Only jobs accepted at this time or later (RFC 3339).",
        "schema": {"type": "string", "format": "date-time"},
    },
    "CreatedBefore": {
        "name": "created_before",
        "in": "query",
        "description": "Only jobs accepted before this time (RFC 3339).",
        "schema": {"type": "string", "format": "date-time"},
    },
    "Cursor": {
        "name": "cursor",
        "in": "query",
        "description": "The `next_cursor` of the previous page, with the same filters.",
        "schema": {"type": "string", "pattern": "^A[Q-Za-f][A-Za-z0-9_-]{21}$"},
    },
}

_OF_READS: Described = {
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "An `ETag` of the job: 304 without a body if it has not changed.",
        "schema": {"type": "string"},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "As browsers send it when they reconnect.",
        "schema": {"type": "string"},
    },
}

_OF_ALL: Described = {
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Your own id of this request: 1 to 128 letters, digits or `._~+/=-`. "
        "Anything else is replaced by a new id.",
        "schema": {"type": "string"},
    },
    "Traceparent": {
        "name": "traceparent",
        "in": "header",
        "description": "W3C trace context, passed on to workers; ignored if malformed.",
        "schema": {"type": "string"},
    },
}


def parameters(settings: Settings) -> Described:
    """OpenAPI parameter objects; the key is also the component's name.

    Swagger UI fills in the example. So parameters that should differ each time have none.
    """
    return {
        **_of_uploads(),
        **USAGE_PARAMETERS,
        **_IN_PATHS,
        **_wait(settings),
        **_FILTERS,
        **_limit(settings),
        **_OF_READS,
        **_of_submits(settings),
        **_OF_ALL,
    }


def _wait(settings: Settings) -> Described:
    """How long a read waits for the end of the job."""
    longest = settings.max_wait_s
    return {
        "Wait": {
            "name": "wait",
            "in": "query",
            "description": f"Seconds to hold the response until the job ends; more than {longest} "
            f"counts as {longest}.",
            "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
            "example": 30,
        },
    }


def _limit(settings: Settings) -> Described:
    """How long a page is."""
    return {
        "Limit": {
            "name": "limit",
            "in": "query",
            "description": "Jobs on a page.",
            "schema": {
                "type": "integer",
                "minimum": 1,
                "maximum": settings.max_page,
                "default": min(DEFAULT_PAGE, settings.max_page),
            },
        },
    }


def _of_submits(settings: Settings) -> Described:
    """Headers of a submit."""
    longest = settings.max_wait_s
    return {
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "1 to 255 visible ASCII characters but no comma, new for each new "
            "job. The same key with the same body returns the job that it created; with another "
            f"body 422. Kept {settings.idempotency_ttl_s} s.",
            "schema": {"type": "string", "pattern": "^[\\x21-\\x2b\\x2d-\\x7e]{1,255}$"},
        },
        "Prefer": {
            "name": "Prefer",
            "in": "header",
            "description": f"`wait=N` (RFC 7240): hold the response up to N seconds, at most "
            f"{longest}, and respond 200 with the job if it ends by then. Anything else "
            "is ignored.",
            "schema": {"type": "string"},
            "example": "wait=10",
        },
    }


def _of_uploads() -> Described:
    return {
        component: {
            "name": name,
            "in": "query",
            "description": "For uploads (application/x-ndjson) only.",
            "schema": schema,
        }
        for component, name, schema in _OF_UPLOADS
    }


# OpenAPI header objects; the key is the header's own name.
HEADERS: Described = {
    "X-Request-ID": {
        "description": "Your id if it was well-formed, else a new one; errors are logged with it.",
        "required": True,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "Cache-Control": {
        "description": "No cache may store the response.",
        "required": True,
        "schema": {"const": "no-store"},
    },
    "Location": {
        "description": "The job, endpoint or ping.",
        "required": True,
        "schema": {"type": "string", "pattern": "^/v1/(jobs/job|webhook-endpoints/we)_"},
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
        "description": "What your key has left: `r` tokens; the window ends in `t` seconds.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Identifies the present state of the job, for `If-None-Match`.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Link": {
        "description": "The next page, if there is one (RFC 8288).",
        "schema": {"type": "string"},
    },
    "Preference-Applied": {
        "description": "The preference that was applied.",
        "schema": {"type": "string", "pattern": "^wait=[0-9]+$"},
    },
    "WWW-Authenticate": {
        "description": "How to send a key.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer "},
    },
    "Content-Security-Policy": {
        "description": "What the page may load: only files of this server.",
        "required": True,
        "schema": {"type": "string"},
    },
}

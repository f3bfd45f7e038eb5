"""The table: parameters, responses and errors of each route. Texts are the views' docstrings."""

from __future__ import annotations

from typing import Any

from app.http import errors
from app.openapi import examples, headers
from app.openapi.drift import DRIFT
from app.openapi.lanes import LANE
from app.openapi.operation import JSON, NDJSON, OF_A_JOB, Operation, ResponseEntry
from app.openapi.usage import USAGE
from app.openapi.webhooks import WEBHOOKS

TAGS = {
    "Jobs": "Submit, follow, cancel and read.",
    "Webhooks": "Receive an event when a job ends; docs/webhooks.md explains how.",
    "Pipelines": "The served pipelines and their inputs.",
    "Usage": "Usage and its cost; docs/cost.md explains the figures.",
    "Service": "Probes, metrics and this document, for operators and tools.",
}

# OpenAPI link objects: operations that follow a submit or a new endpoint.
LINKS: dict[str, dict[str, Any]] = {
    name: {
        "operationId": operation,
        "parameters": {parameter: "$response.body#/id"},
        "description": says,
    }
    for name, operation, parameter, says in (
        ("Job", "showJob", "job_id", "Follow the job."),
        ("Cancel", "cancelJob", "job_id", "Cancel the job."),
        ("Results", "readResults", "job_id", "Read the result of each input."),
        ("Endpoint", "showEndpoint", "endpoint_id", "Read the endpoint."),
        ("Change", "changeEndpoint", "endpoint_id", "Change the endpoint."),
        ("Rotate", "rotateEndpointSecret", "endpoint_id", "Create a new secret."),
        ("Ping", "pingEndpoint", "endpoint_id", "Send a test event."),
        ("Delete", "deleteEndpoint", "endpoint_id", "Delete the endpoint."),
    )
}
OF_NEW_JOBS = ("Job", "Cancel", "Results")

OPERATIONS: dict[str, Operation] = {
    **WEBHOOKS,
    **DRIFT,
    **USAGE,
    **LANE,
    "jobs.create": Operation(
        id="submitJob",
        tag="Jobs",
        parameters=("IdempotencyKey", "Prefer", "Traceparent", *headers.UPLOAD),
        body={JSON: "JobRequest", NDJSON: "JobLines"},
        responses=(
            ResponseEntry(
                200,
                "The job has ended: its answer was cached, it was submitted before, or it ended "
                "within the time to wait.",
                "Job",
                {"succeeded": examples.SUCCEEDED},
                headers=("Cache-Control", "Location", "Preference-Applied"),
                links=OF_NEW_JOBS,
            ),
            ResponseEntry(
                202,
                "The job is accepted; its URL is in `Location`.",
                "Job",
                {"queued": examples.QUEUED},
                headers=("Cache-Control", "Location", "Retry-After", "Preference-Applied"),
                links=OF_NEW_JOBS,
            ),
        ),
        errors=(
            *(errors.MalformedBody, errors.RequestTimeout, errors.BodyTooLarge),
            *(errors.WrongMediaType, errors.KeyReused, errors.KeyInFlight, errors.OverQuota),
            errors.Shedding,
            *OF_A_JOB,
        ),
    ),
    "jobs.index": Operation(
        id="listJobs",
        tag="Jobs",
        parameters=("Status", "CreatedAfter", "CreatedBefore", "Cursor", "Limit"),
        responses=(
            ResponseEntry(
                200,
                "A page, newest first. It may be short or empty even if there is a `next_cursor`.",
                "JobPage",
                {"last": {"jobs": [examples.SUCCEEDED], "next_cursor": None}},
                headers=("Cache-Control", "Link"),
            ),
        ),
    ),
    "jobs.show": Operation(
        id="showJob",
        tag="Jobs",
        parameters=("JobId", "Wait", "IfNoneMatch"),
        responses=(
            ResponseEntry(
                200,
                "The job.",
                "Job",
                {"succeeded": examples.SUCCEEDED, "bulk": examples.BULK_RUNNING},
                headers=("Cache-Control", "ETag"),
            ),
            ResponseEntry(
                304,
                "The job has not changed since the `ETag` in `If-None-Match`.",
                None,
                headers=("ETag",),
            ),
        ),
        errors=(errors.Shedding, *OF_A_JOB),
    ),
    "jobs.cancel": Operation(
        id="cancelJob",
        tag="Jobs",
        parameters=("JobId",),
        responses=(
            ResponseEntry(200, "The job has ended.", "Job", {"cancelled": examples.CANCELLED}),
        ),
        errors=(errors.AlreadyFinished, *OF_A_JOB),
    ),
    "jobs.results": Operation(
        id="readResults",
        tag="Jobs",
        parameters=("JobId",),
        responses=(
            ResponseEntry(
                200,
                "Lines of JSON, each a Result.",
                {"type": "string", "x-line-schema": {"$ref": "#/components/schemas/Result"}},
                {"one": examples.lines(examples.RESULT)},
                media_type=NDJSON,
            ),
        ),
        errors=OF_A_JOB,
    ),
    "jobs.events": Operation(
        id="followJob",
        tag="Jobs",
        parameters=("JobId", "LastEventId"),
        responses=(
            ResponseEntry(
                200,
                "Events `status` (data: the job) and `progress` (data: its progress), as they "
                "happen; the last event has a final status.",
                "Event",
                {"one": examples.EVENT},
                media_type="text/event-stream",
            ),
            ResponseEntry(204, "`Last-Event-ID` was the last event; there are no more.", None),
        ),
        errors=(errors.Shedding, *OF_A_JOB),
    ),
    "pipelines.index": Operation(
        id="listPipelines",
        tag="Pipelines",
        responses=(
            ResponseEntry(
                200,
                "The pipelines.",
                "Pipelines",
                {"one": {"pipelines": [examples.PIPELINE]}},
            ),
        ),
    ),
    "pipelines.show": Operation(
        id="showPipeline",
        tag="Pipelines",
        parameters=("PipelineName",),
        responses=(
            ResponseEntry(200, "The pipeline.", "Pipeline", {"moderation": examples.PIPELINE}),
        ),
        errors=(errors.PipelineNotFound,),
    ),
    "ops.live": Operation(
        id="live",
        tag="Service",
        keyless=True,
        responses=(ResponseEntry(200, "It answers.", "Liveness", {"ok": {"status": "ok"}}),),
    ),
    "ops.ready": Operation(
        id="ready",
        tag="Service",
        keyless=True,
        responses=(
            ResponseEntry(
                200,
                "A job could finish.",
                "Readiness",
                {"ready": examples.READY, "degraded": examples.DEGRADED},
            ),
            ResponseEntry(503, "No job could finish.", "Readiness", {"unready": examples.UNREADY}),
        ),
    ),
    "ops.metrics": Operation(
        id="metrics",
        tag="Service",
        responses=(
            ResponseEntry(
                200,
                "Prometheus text exposition.",
                {"type": "string"},
                {"one": examples.METRICS},
                media_type="text/plain",
                headers=(),
            ),
        ),
    ),
    "docs.openapi": Operation(
        id="openapi",
        tag="Service",
        keyless=True,
        responses=(
            ResponseEntry(
                200,
                "OpenAPI 3.1.",
                {"type": "object", "required": ["openapi", "info", "paths"]},
                {"start": {"openapi": "3.1.0", "info": {"title": "Penstock"}, "paths": {}}},
                headers=(),
            ),
        ),
    ),
    "docs.page": Operation(
        id="docs",
        tag="Service",
        keyless=True,
        responses=(
            ResponseEntry(
                200,
                "HTML.",
                {"type": "string"},
                {"start": "<!doctype html>"},
                media_type="text/html",
                headers=("Content-Security-Policy",),
            ),
        ),
    ),
}
NOT_DESCRIBED = {
    "docs.asset",  # files of a page
    # The console and what its own scripts request; it changes with the page.
    *(f"console.{view}" for view in ("page", "asset", "data", "job", "submit", "metrics")),
}

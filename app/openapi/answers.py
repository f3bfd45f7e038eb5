"""Schemas of the API's responses, for the OpenAPI document alone.

Responses are not serialised by them; tests validate real responses against them. Members may be
added to any of them, so clients must ignore unknown members.
"""

from __future__ import annotations

from typing import Any

from marshmallow import INCLUDE, Schema, fields
from marshmallow.validate import OneOf, Range

from tasks.jobs.lanes import Lane
from tasks.jobs.model import Status
from tasks.queue.circuit_breakers import BreakerState


def text(says: str, **more: Any) -> fields.String:
    """A required string of the schema, with a description."""
    return fields.String(required=True, metadata={"description": says}, **more)


def count(says: str) -> fields.Integer:
    """A required integer from 0."""
    return fields.Integer(required=True, validate=Range(0), metadata={"description": says})


def moment(says: str, none: bool = False) -> fields.DateTime:
    """A required time, in ISO 8601; it may be null if `none`."""
    return fields.DateTime(required=True, allow_none=none, metadata={"description": says})


def ms(says: str) -> fields.Float:
    """A required duration in milliseconds, or null."""
    return fields.Float(
        required=True, allow_none=True, validate=Range(0), metadata={"description": says}
    )


class Shape(Schema):
    """Base of the schemas; the component of `JobShape` is named `Job`."""

    class Meta:
        unknown = INCLUDE


class ProgressShape(Shape):
    """A job's progress: items done, failed and in all."""

    done = count("Items that have an outcome.")
    failed = count("Those of them that failed.")
    total = count("Items of the job.")


class OutputShape(Shape):
    """Members of every output; the others are the pipeline's own (label, action, scores, ...)."""

    tier = text("The tier that answered.")
    model_version = text("The model version that answered.")
    degraded = fields.Boolean(
        required=True,
        metadata={"description": "Whether a lower tier than the pipeline's best answered."},
    )
    reason = text("Why it is degraded, or which rule overruled the model.", allow_none=True)


class FailureShape(Shape):
    """Why a job or an item failed: a code for programs and a message for people."""

    code = text("Stable; docs/api.md lists all codes.")
    message = text("A text for people.")


class LinksShape(Shape):
    """URLs of a job and of what belongs to it."""

    self = text("The job.")
    deliveries = text("Its webhook deliveries.")
    results = fields.String(metadata={"description": "A bulk job's results."})


class JobShape(Shape):
    """A job: its status, times, progress and, once it has ended, its output or error."""

    id = text("`job_` and a ULID.")
    pipeline = text("The pipeline that runs it.")
    status = text("queued and running change; the others are final.", validate=OneOf(list(Status)))
    created_at = moment("When it was accepted.")
    started_at = moment("When a worker first claimed it.", none=True)
    finished_at = moment("When it ended.", none=True)
    queue_ms = ms("From created to started.")
    run_ms = ms("From started to finished.")
    lane = text("The lane in which it waits or ran.", validate=OneOf([Lane.GPU, Lane.CPU]))
    attempts = count("How often workers have claimed it.")
    cached = fields.Boolean(
        required=True, metadata={"description": "Whether the answer came from the result cache."}
    )
    progress = fields.Nested(ProgressShape, required=True)
    output = fields.Nested(
        OutputShape,
        required=True,
        allow_none=True,
        metadata={"description": "The answer to a single job; a bulk job's are its results."},
    )
    error = fields.Nested(FailureShape, required=True, allow_none=True)
    metadata = fields.Dict(required=True, metadata={"description": "As the client sent it."})
    links = fields.Nested(LinksShape, required=True)


class JobPageShape(Shape):
    """A page of an owner's jobs, and the cursor of the next page."""

    jobs = fields.List(fields.Nested(JobShape), required=True)
    next_cursor = text("For `cursor` of the next page; null: there is none.", allow_none=True)


class ResultShape(Shape):
    """A line of a job's results."""

    index = count("The index of the item in `inputs`, from 0.")
    status = text(
        "The item's status once it has ended, else that of its job.", validate=OneOf(list(Status))
    )
    output = fields.Nested(OutputShape, required=True, allow_none=True)
    error = fields.Nested(FailureShape, required=True, allow_none=True)


class EventShape(Shape):
    """A server-sent event."""

    event = fields.String(validate=OneOf(["status", "progress"]))
    id = fields.String(metadata={"description": "Status, items done and items failed."})
    data = fields.String(metadata={"description": "JSON: a Job, or a Progress."})


class TierShape(Shape):
    """A model of a pipeline's cascade, with its timeout and circuit breaker."""

    name = text("As in `options.min_tier` and in outputs.")
    timeout_ms = ms("How long a batch may take; null: no limit.")
    breaker = text(
        "The circuit breaker; open: the tier is skipped for now.",
        validate=OneOf(list(BreakerState)),
    )


class PipelineShape(Shape):
    """Members of every pipeline; the others are its own (classes, metrics, policy, card, ...)."""

    name = text("As in `pipeline` of a job.")
    version = text("The model version served.")
    tiers = fields.List(
        fields.Nested(TierShape), required=True, metadata={"description": "Best first."}
    )
    input = fields.Dict(required=True, metadata={"description": "JSON Schema of an input."})
    example = fields.Dict(required=True, metadata={"description": "A valid input."})


class PipelinesShape(Shape):
    """All pipelines served here."""

    pipelines = fields.List(fields.Nested(PipelineShape), required=True)


class LivenessShape(Shape):
    """The liveness probe's answer: the process serves requests."""

    status = text("Always ok.", validate=OneOf(["ok"]))


class ReadinessShape(Shape):
    """The readiness probe's answer: whether jobs can be run, and if not, why."""

    status = text(
        "degraded: only one lane works, so some answers come from a lower tier.",
        validate=OneOf(["ready", "degraded", "unready"]),
    )
    reasons = fields.List(
        fields.String(), required=True, metadata={"description": "What is missing."}
    )
    workers = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(validate=Range(0)),
        metadata={"description": "Live worker children by lane."},
    )


class FieldErrorShape(Shape):
    """An invalid field: pointer, parameter or header names it; in an upload also the line."""

    line = fields.Integer(validate=Range(1), metadata={"description": "Line of an upload."})
    pointer = fields.String(metadata={"description": "JSON pointer into the body (RFC 6901)."})
    parameter = fields.String(metadata={"description": "Name of a query parameter."})
    header = fields.String(metadata={"description": "Name of a header."})
    detail = text("What is wrong with it and what would be right.")


class ProblemShape(Shape):
    """RFC 9457 problem details."""

    type = text("`urn:penstock:error:` and the code.")
    title = text("The phrase of the status.")
    status = fields.Integer(
        required=True, validate=Range(400, 599), metadata={"description": "As in the status line."}
    )
    code = text("Stable; docs/api.md has its meaning and remedy.")
    detail = text("A text for people.")
    request_id = text("The same as X-Request-ID; quote it when you report a problem.")
    errors = fields.List(
        fields.Nested(FieldErrorShape), metadata={"description": "The invalid fields."}
    )


OF_JOBS: tuple[type[Schema], ...] = (
    *(ProgressShape, OutputShape, FailureShape, LinksShape),
    *(JobShape, JobPageShape, ResultShape, EventShape),
)
OF_SERVICE: tuple[type[Schema], ...] = (
    *(TierShape, PipelineShape, PipelinesShape),
    *(LivenessShape, ReadinessShape, FieldErrorShape, ProblemShape),
)

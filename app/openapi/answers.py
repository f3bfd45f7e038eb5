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
from tasks.webhooks.deliveries import A_PING
from tasks.webhooks.endpoints import BY_OWNER, DRIFT_EVENT, EVENTS, FAILING, GONE


def _text(says: str, **more: Any) -> fields.String:
    return fields.String(required=True, metadata={"description": says}, **more)


def _count(says: str) -> fields.Integer:
    return fields.Integer(required=True, validate=Range(0), metadata={"description": says})


def _moment(says: str, none: bool = False) -> fields.DateTime:
    return fields.DateTime(required=True, allow_none=none, metadata={"description": says})


def _ms(says: str) -> fields.Float:
    return fields.Float(
        required=True, allow_none=True, validate=Range(0), metadata={"description": says}
    )


class Shape(Schema):
    """Base of the schemas; the component of `JobShape` is named `Job`."""

    class Meta:
        unknown = INCLUDE


class ProgressShape(Shape):
    done = _count("Items that have an outcome.")
    failed = _count("Those of them that failed.")
    total = _count("Items of the job.")


class OutputShape(Shape):
    """Members of every output; the others are the pipeline's own (label, action, scores, ...)."""

    tier = _text("The tier that answered.")
    model_version = _text("The model version that answered.")
    degraded = fields.Boolean(
        required=True,
        metadata={"description": "Whether a lower tier than the pipeline's best answered."},
    )
    reason = _text("Why it is degraded, or which rule overruled the model.", allow_none=True)


class FailureShape(Shape):
    code = _text("Stable; docs/api.md lists all codes.")
    message = _text("A text for people.")


class LinksShape(Shape):
    self = _text("The job.")
    deliveries = _text("Its webhook deliveries.")
    results = fields.String(metadata={"description": "A bulk job's results."})


class JobShape(Shape):
    id = _text("`job_` and a ULID.")
    pipeline = _text("The pipeline that runs it.")
    status = _text("queued and running change; the others are final.", validate=OneOf(list(Status)))
    created_at = _moment("When it was accepted.")
    started_at = _moment("When a worker first claimed it.", none=True)
    finished_at = _moment("When it ended.", none=True)
    queue_ms = _ms("From created to started.")
    run_ms = _ms("From started to finished.")
    lane = _text("The lane in which it waits or ran.", validate=OneOf([Lane.GPU, Lane.CPU]))
    attempts = _count("How often workers have claimed it.")
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
    jobs = fields.List(fields.Nested(JobShape), required=True)
    next_cursor = _text("For `cursor` of the next page; null: there is none.", allow_none=True)


class ResultShape(Shape):
    """A line of a job's results."""

    index = _count("The index of the item in `inputs`, from 0.")
    status = _text(
        "The item's status once it has ended, else that of its job.", validate=OneOf(list(Status))
    )
    output = fields.Nested(OutputShape, required=True, allow_none=True)
    error = fields.Nested(FailureShape, required=True, allow_none=True)


class EventShape(Shape):
    """A server-sent event."""

    event = fields.String(validate=OneOf(["status", "progress"]))
    id = fields.String(metadata={"description": "Status, items done and items failed."})
    data = fields.String(metadata={"description": "JSON: a Job, or a Progress."})


class EndpointLinksShape(Shape):
    self = _text("The endpoint.")


class EndpointShape(Shape):
    id = _text("`we_` and 20 letters and digits.")
    url = _text("The URL to which events are sent.")
    events = fields.List(fields.String(validate=OneOf([*EVENTS, DRIFT_EVENT])), required=True)
    description = _text("A text of your own.")
    enabled = fields.Boolean(
        required=True, metadata={"description": "Whether anything is sent to it."}
    )
    disabled_reason = _text(
        "by_owner; gone: it answered 410; failing: no attempt succeeded for days.",
        allow_none=True,
        validate=OneOf([BY_OWNER, GONE, FAILING, None]),
    )
    created_at = _moment("When it was created.")
    links = fields.Nested(EndpointLinksShape, required=True)


class NewEndpointShape(EndpointShape):
    secret = _text("The secret that signs its deliveries; not shown again.")


class RotatedEndpointShape(NewEndpointShape):
    old_secrets_expire_at = _moment("Until then the older secrets sign as well.", none=True)


class EndpointsShape(Shape):
    endpoints = fields.List(fields.Nested(EndpointShape), required=True)


class WebhookSecretShape(Shape):
    secret = _text("null: it cannot be decrypted any more; rotate it.", allow_none=True)


class RotatedSecretShape(Shape):
    secret = _text("The new secret.")
    old_secrets_expire_at = _moment("Until then the older secrets sign as well.")


class AttemptShape(Shape):
    at = _moment("When it ended.", none=True)
    status = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "HTTP status of the response, if there was one."},
    )
    error = _text("null after a success; docs/webhooks.md lists them.", allow_none=True)
    latency_ms = _ms("From the start of the attempt until the status or the failure.")
    trigger = _text("manual: a retry by request; test: a ping; null: automatic.", allow_none=True)


class DeliveryShape(Shape):
    id = _text("The `webhook-id` of every attempt.")
    job_id = _text("null: it is a ping.", allow_none=True)
    endpoint_id = _text("null: it is for the webhook given with the job.", allow_none=True)
    event = _text("The event that it reports.", validate=OneOf([*EVENTS, A_PING, DRIFT_EVENT]))
    status = _text(
        "queued: it waits for its first or next attempt.",
        validate=OneOf(["queued", "running", "succeeded", "failed"]),
    )
    created_at = _moment("When the job ended.")
    finished_at = _moment("When it succeeded or finally failed.", none=True)
    next_attempt_at = _moment("When the next attempt is due; null: at once, or never.", none=True)
    attempts = fields.List(
        fields.Nested(AttemptShape), required=True, metadata={"description": "Oldest first."}
    )


class DeliveriesShape(Shape):
    deliveries = fields.List(fields.Nested(DeliveryShape), required=True)


class TierShape(Shape):
    name = _text("As in `options.min_tier` and in outputs.")
    timeout_ms = _ms("How long a batch may take; null: no limit.")
    breaker = _text(
        "The circuit breaker; open: the tier is skipped for now.",
        validate=OneOf(list(BreakerState)),
    )


class PipelineShape(Shape):
    """Members of every pipeline; the others are its own (classes, metrics, policy, card, ...)."""

    name = _text("As in `pipeline` of a job.")
    version = _text("The model version served.")
    tiers = fields.List(
        fields.Nested(TierShape), required=True, metadata={"description": "Best first."}
    )
    input = fields.Dict(required=True, metadata={"description": "JSON Schema of an input."})
    example = fields.Dict(required=True, metadata={"description": "A valid input."})


class PipelinesShape(Shape):
    pipelines = fields.List(fields.Nested(PipelineShape), required=True)


class LivenessShape(Shape):
    status = _text("Always ok.", validate=OneOf(["ok"]))


class ReadinessShape(Shape):
    status = _text(
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
    detail = _text("What is wrong with it and what would be right.")


class ProblemShape(Shape):
    """RFC 9457 problem details."""

    type = _text("`urn:penstock:error:` and the code.")
    title = _text("The phrase of the status.")
    status = fields.Integer(
        required=True, validate=Range(400, 599), metadata={"description": "As in the status line."}
    )
    code = _text("Stable; docs/api.md has its meaning and remedy.")
    detail = _text("A text for people.")
    request_id = _text("The same as X-Request-ID; quote it when you report a problem.")
    errors = fields.List(
        fields.Nested(FieldErrorShape), metadata={"description": "The invalid fields."}
    )


COMPONENTS: tuple[type[Schema], ...] = (
    *(
        ProgressShape,
        OutputShape,
        FailureShape,
        LinksShape,
        JobShape,
        JobPageShape,
        ResultShape,
        EventShape,
    ),
    *(
        EndpointLinksShape,
        EndpointShape,
        NewEndpointShape,
        RotatedEndpointShape,
        EndpointsShape,
        WebhookSecretShape,
    ),
    *(RotatedSecretShape, AttemptShape, DeliveryShape, DeliveriesShape),
    *(TierShape, PipelineShape, PipelinesShape),
    *(LivenessShape, ReadinessShape, FieldErrorShape, ProblemShape),
)

"""Webhooks in the document: schemas and entries of the table."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from app.http import errors
from app.openapi import examples
from app.openapi.answers import Shape, moment, ms, text
from app.openapi.operation import JSON, OF_A_JOB, Errors, Operation, ResponseEntry
from tasks.webhooks.deliveries import A_PING
from tasks.webhooks.endpoints import BY_OWNER, DRIFT_EVENT, EVENTS, FAILING, GONE

TAG = "Webhooks"
OF_A_BODY: Errors = (
    *(errors.MalformedBody, errors.RequestTimeout, errors.BodyTooLarge, errors.WrongMediaType),
)


class EndpointLinksShape(Shape):
    """URLs of a webhook endpoint."""

    self = text("The endpoint.")


class EndpointShape(Shape):
    """A webhook endpoint: where events are sent, which ones, and whether it is enabled."""

    id = text("`we_` and 20 letters and digits.")
    url = text("The URL to which events are sent.")
    events = fields.List(fields.String(validate=OneOf([*EVENTS, DRIFT_EVENT])), required=True)
    description = text("A text of your own.")
    enabled = fields.Boolean(
        required=True, metadata={"description": "Whether anything is sent to it."}
    )
    disabled_reason = text(
        "by_owner; gone: it answered 410; failing: no attempt succeeded for days.",
        allow_none=True,
        validate=OneOf([BY_OWNER, GONE, FAILING, None]),
    )
    created_at = moment("When it was created.")
    links = fields.Nested(EndpointLinksShape, required=True)


class NewEndpointShape(EndpointShape):
    """A webhook endpoint just created, with its signing secret."""

    secret = text("The secret that signs its deliveries; not shown again.")


class RotatedEndpointShape(NewEndpointShape):
    """A webhook endpoint with a new signing secret, and when the older ones expire."""

    old_secrets_expire_at = moment("Until then the older secrets sign as well.", none=True)


class EndpointsShape(Shape):
    """All webhook endpoints of an owner."""

    endpoints = fields.List(fields.Nested(EndpointShape), required=True)


class WebhookSecretShape(Shape):
    """The secret that signs the webhooks given with an owner's jobs."""

    secret = text("null: it cannot be decrypted any more; rotate it.", allow_none=True)


class RotatedSecretShape(Shape):
    """The owner's new signing secret, and when the older ones expire."""

    secret = text("The new secret.")
    old_secrets_expire_at = moment("Until then the older secrets sign as well.")


class AttemptShape(Shape):
    """One attempt to deliver a webhook: its time, HTTP status or error, and latency."""

    at = moment("When it ended.", none=True)
    status = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "HTTP status of the response, if there was one."},
    )
    error = text("null after a success; docs/webhooks.md lists them.", allow_none=True)
    latency_ms = ms("From the start of the attempt until the status or the failure.")
    trigger = text("manual: a retry by request; test: a ping; null: automatic.", allow_none=True)


class DeliveryShape(Shape):
    """A webhook delivery: one event for one endpoint, with the log of its attempts."""

    id = text("The `webhook-id` of every attempt.")
    job_id = text("null: it is a ping.", allow_none=True)
    endpoint_id = text("null: it is for the webhook given with the job.", allow_none=True)
    event = text("The event that it reports.", validate=OneOf([*EVENTS, A_PING, DRIFT_EVENT]))
    status = text(
        "queued: it waits for its first or next attempt.",
        validate=OneOf(["queued", "running", "succeeded", "failed"]),
    )
    created_at = moment("When the job ended.")
    finished_at = moment("When it succeeded or finally failed.", none=True)
    next_attempt_at = moment("When the next attempt is due; null: at once, or never.", none=True)
    attempts = fields.List(
        fields.Nested(AttemptShape), required=True, metadata={"description": "Oldest first."}
    )


class DeliveriesShape(Shape):
    """All webhook deliveries of a job."""

    deliveries = fields.List(fields.Nested(DeliveryShape), required=True)


COMPONENTS: tuple[type[Schema], ...] = (
    *(EndpointLinksShape, EndpointShape, NewEndpointShape, RotatedEndpointShape, EndpointsShape),
    *(WebhookSecretShape, RotatedSecretShape, AttemptShape, DeliveryShape, DeliveriesShape),
)


def _endpoint(says: str, example: dict[str, Any]) -> ResponseEntry:
    return ResponseEntry(200, says, "Endpoint", {"one": example})


WEBHOOKS: dict[str, Operation] = {
    "deliveries.index": Operation(
        id="listDeliveries",
        tag=TAG,
        parameters=("JobId",),
        responses=(
            ResponseEntry(
                200,
                "The deliveries, in the order in which they were queued.",
                "Deliveries",
                {"one": {"deliveries": [examples.DELIVERY]}},
            ),
        ),
        errors=OF_A_JOB,
    ),
    "deliveries.retry": Operation(
        id="retryDelivery",
        tag=TAG,
        parameters=("JobId", "DeliveryId"),
        responses=(
            ResponseEntry(202, "The delivery is retried.", "Delivery", {"one": examples.RETRIED}),
        ),
        errors=(
            *(errors.DeliveryNotFound, errors.EndpointNotFound, errors.EndpointDisabled),
            *OF_A_JOB,
        ),
    ),
    "webhook_endpoints.create": Operation(
        id="createEndpoint",
        tag=TAG,
        body={JSON: "EndpointRequest"},
        responses=(
            ResponseEntry(
                201,
                "The endpoint, which receives events from now on.",
                "NewEndpoint",
                {"one": examples.ENDPOINT | examples.SECRET},
                headers=("Cache-Control", "Location"),
                links=("Endpoint", "Change", "Rotate", "Ping", "Delete"),
            ),
        ),
        errors=(errors.EndpointLimitReached, *OF_A_BODY),
    ),
    "webhook_endpoints.index": Operation(
        id="listEndpoints",
        tag=TAG,
        responses=(
            ResponseEntry(
                200, "All endpoints.", "Endpoints", {"one": {"endpoints": [examples.ENDPOINT]}}
            ),
        ),
    ),
    "webhook_endpoints.show": Operation(
        id="showEndpoint",
        tag=TAG,
        parameters=("EndpointId",),
        responses=(_endpoint("The endpoint.", examples.DISABLED),),
        errors=(errors.EndpointNotFound,),
    ),
    "webhook_endpoints.update": Operation(
        id="changeEndpoint",
        tag=TAG,
        parameters=("EndpointId",),
        body={JSON: "EndpointChanges"},
        responses=(_endpoint("The changed endpoint.", examples.ENDPOINT),),
        errors=(errors.EndpointNotFound, *OF_A_BODY),
    ),
    "webhook_endpoints.delete": Operation(
        id="deleteEndpoint",
        tag=TAG,
        parameters=("EndpointId",),
        responses=(ResponseEntry(204, "The endpoint is deleted.", None),),
        errors=(errors.EndpointNotFound,),
    ),
    "webhook_endpoints.rotate": Operation(
        id="rotateEndpointSecret",
        tag=TAG,
        parameters=("EndpointId",),
        responses=(
            ResponseEntry(
                200,
                "The endpoint with its new secret; the old ones sign as well for a while.",
                "RotatedEndpoint",
                {"one": examples.ENDPOINT | examples.ROTATED},
            ),
        ),
        errors=(errors.EndpointNotFound,),
    ),
    "webhook_endpoints.ping": Operation(
        id="pingEndpoint",
        tag=TAG,
        parameters=("EndpointId",),
        responses=(
            ResponseEntry(
                202,
                "The ping is queued.",
                "Delivery",
                {"one": examples.PINGED},
                headers=("Cache-Control", "Location"),
            ),
        ),
        errors=(errors.EndpointNotFound, errors.EndpointDisabled),
    ),
    "webhook_endpoints.show_ping": Operation(
        id="showPing",
        tag=TAG,
        parameters=("EndpointId", "DeliveryId"),
        responses=(ResponseEntry(200, "The ping.", "Delivery", {"one": examples.PINGED}),),
        errors=(errors.EndpointNotFound, errors.DeliveryNotFound),
    ),
    "webhook_secret.show": Operation(
        id="showWebhookSecret",
        tag=TAG,
        responses=(ResponseEntry(200, "The secret.", "WebhookSecret", {"one": examples.SECRET}),),
    ),
    "webhook_secret.rotate": Operation(
        id="rotateWebhookSecret",
        tag=TAG,
        responses=(
            ResponseEntry(200, "The new secret.", "RotatedSecret", {"one": examples.ROTATED}),
        ),
        errors=(errors.SecretNotRotatable,),
    ),
}

"""Webhooks in the document: entries of the table."""

from __future__ import annotations

from typing import Any

from app.http import errors
from app.openapi import examples
from app.openapi.operation import JSON, OF_A_JOB, Errors, Operation, ResponseEntry

TAG = "Webhooks"
OF_A_BODY: Errors = (
    *(errors.MalformedBody, errors.RequestTimeout, errors.BodyTooLarge, errors.WrongMediaType),
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

"""/v1/webhook-endpoints: URLs to which an owner's events are sent.

A secret is in the response that creates it and in no other.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request
from marshmallow import Schema

from app.access_control.authentication import requires
from app.access_control.ownership import find_enabled_endpoint, find_own_endpoint, require_endpoint
from app.api_keys.principal import Scope
from app.http.errors import BadRequest, DeliveryNotFound, EndpointLimitReached, Forbidden
from app.http.request_body import read_json
from app.http.responses import NO_STORE, respond
from app.routes.deliveries import delivery_view, find_own_delivery
from app.schemas.messages import INVALID, error_list, load_with_errors, merge_errors
from app.schemas.webhook import EndpointChanges, EndpointSchema, url_errors
from app.services import services
from tasks.jobs.lanes import Lane
from tasks.jobs.model import timestamp
from tasks.webhooks import deliveries, endpoints
from tasks.webhooks.endpoints import DRIFT_EVENT, Endpoint

webhook_endpoints = Blueprint("webhook_endpoints", __name__, url_prefix="/v1/webhook-endpoints")

_NEW = EndpointSchema()
_CHANGES = EndpointChanges(partial=True)


@webhook_endpoints.post("")
@requires(Scope.JOBS)
def create() -> Response:
    """Create an endpoint; only this response has its signing secret.

    From now on the endpoint receives the chosen `events` of all jobs of the key's owner. The event
    `pipeline.drift` belongs to a pipeline, not to a job, and needs a key with the scope `admin`.
    """
    request_body = _read(_NEW, '{"url": "https://..."}')
    try:
        made = endpoints.create(services().store, g.principal.owner, **request_body)
    except endpoints.TooManyEndpoints as error:
        text = f"The key's owner has {error.most} endpoints, the most allowed; delete one first."
        raise EndpointLimitReached(text) from None
    response = respond({**endpoint_view(made), "secret": made.secrets[0]}, 201)
    response.headers["Location"] = _path(made)
    return response


@webhook_endpoints.get("")
@requires(Scope.JOBS)
def index() -> Response:
    """The endpoints of the key's owner, oldest first."""
    found = endpoints.endpoints_of(services().store, g.principal.owner)
    return respond({"endpoints": [endpoint_view(endpoint) for endpoint in found]})


@webhook_endpoints.get("/<endpoint_id>")
@requires(Scope.JOBS)
def show(endpoint_id: str) -> Response:
    """An endpoint, and whether it is disabled and why."""
    return respond(endpoint_view(find_own_endpoint(endpoint_id)))


@webhook_endpoints.patch("/<endpoint_id>")
@requires(Scope.JOBS)
def update(endpoint_id: str) -> Response:
    """Change the members in the body: URL, events, description, or whether it is enabled.

    A new URL, or enabling it, resets the count of its failures.
    """
    changes = _read(_CHANGES, '{"enabled": true}')
    changed = endpoints.update(services().store, g.principal.owner, endpoint_id, **changes)
    return respond(endpoint_view(require_endpoint(changed)))


@webhook_endpoints.delete("/<endpoint_id>")
@requires(Scope.JOBS)
def delete(endpoint_id: str) -> Response:
    """Delete an endpoint; its queued deliveries fail."""
    found = find_own_endpoint(endpoint_id)
    endpoints.delete(services().store, found.owner, found.id)
    return Response(status=204, headers=[NO_STORE])


@webhook_endpoints.post("/<endpoint_id>/rotate")
@requires(Scope.JOBS)
def rotate(endpoint_id: str) -> Response:
    """Create a new signing secret; only this response has it.

    Until `old_secrets_expire_at` the older secrets sign as well, so that receivers can change over.
    """
    store = services().store
    rotated = require_endpoint(endpoints.rotate(store, g.principal.owner, endpoint_id))
    (new, *_), (_, *older) = rotated.secrets, rotated.kept
    until = max((one.expires or 0 for one in older), default=None)
    more = {"secret": new, "old_secrets_expire_at": timestamp(until)}
    return respond({**endpoint_view(rotated), **more})


@webhook_endpoints.post("/<endpoint_id>/ping")
@requires(Scope.JOBS)
def ping(endpoint_id: str) -> Response:
    """Send the endpoint a signed event `ping`, once; its delivery is at `Location`."""
    here, found = services(), find_enabled_endpoint(endpoint_id)
    sent = deliveries.ping(here.store, found.owner, found.id)
    if sent.wake:
        here.waker.wake(Lane.WEBHOOKS, 1)
    response = respond(delivery_view(find_own_delivery(sent.id, job_id="")), 202)
    response.headers["Location"] = f"{_path(found)}/pings/{sent.id}"
    return response


@webhook_endpoints.get("/<endpoint_id>/pings/<delivery_id>")
@requires(Scope.JOBS)
def show_ping(endpoint_id: str, delivery_id: str) -> Response:
    """The delivery of a ping."""
    found, sent = find_own_endpoint(endpoint_id), find_own_delivery(delivery_id, job_id="")
    if sent.endpoint != found.id:
        raise DeliveryNotFound("There is no such ping of this endpoint.")
    return respond(delivery_view(sent))


def endpoint_view(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as its owner sees it."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "created_at": timestamp(endpoint.created),
        "links": {"self": _path(endpoint)},
    }


def _path(endpoint: Endpoint) -> str:
    return f"/v1/webhook-endpoints/{endpoint.id}"


def _read(schema: Schema, such_as: str) -> dict[str, Any]:
    """Read and validate the body.

    Raises:
        BadRequest: it names every field that is wrong.
        Forbidden: it has the event of drift, and the key lacks the scope admin.
    """
    settings = services().settings
    given, errors = load_with_errors(schema, read_json(request, settings, such_as))
    merge_errors(errors, url_errors(given, settings))
    if errors:
        raise BadRequest(INVALID, error_list(errors))
    if DRIFT_EVENT in given.get("events", ()) and not g.principal.may(Scope.ADMIN):
        raise Forbidden(f"The event {DRIFT_EVENT!r} needs a key with the scope '{Scope.ADMIN}'.")
    return dict(given)

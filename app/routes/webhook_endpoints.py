"""/v1/webhook-endpoints: where an owner is told of the ends of all its jobs.

A secret is in the answer that makes it and in no other.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request
from marshmallow import Schema

from app.access_control.authentication import requires
from app.access_control.ownership import existing, find_enabled_endpoint, find_own_endpoint
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
    """Make an endpoint; the answer has its signing secret, this once.

    It is told of the ends of all jobs of the key's owner from now on, as far as `events` says.
    `pipeline.drift`, of a pipeline and no job, needs a key with the scope `admin`.
    """
    wish = _read(_NEW, '{"url": "https://..."}')
    try:
        made = endpoints.create(services().store, g.principal.owner, **wish)
    except endpoints.TooManyEndpoints as error:
        text = f"The key's owner has {error.most} endpoints, as many as it may; delete one first."
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
    """Change what the body names: URL, events, description, or whether it is enabled.

    A new URL, or enabling it, makes a fresh start: its earlier failures are forgotten.
    """
    changes = _read(_CHANGES, '{"enabled": true}')
    changed = endpoints.update(services().store, g.principal.owner, endpoint_id, **changes)
    return respond(endpoint_view(existing(changed)))


@webhook_endpoints.delete("/<endpoint_id>")
@requires(Scope.JOBS)
def delete(endpoint_id: str) -> Response:
    """Take an endpoint away; what waits for it is given up."""
    found = find_own_endpoint(endpoint_id)
    endpoints.delete(services().store, found.owner, found.id)
    return Response(status=204, headers=[NO_STORE])


@webhook_endpoints.post("/<endpoint_id>/rotate")
@requires(Scope.JOBS)
def rotate(endpoint_id: str) -> Response:
    """Make a new signing secret; the answer has it, this once.

    Until `old_secrets_expire_at` the secrets before it sign too, so that receivers may follow.
    """
    store = services().store
    rotated = existing(endpoints.rotate(store, g.principal.owner, endpoint_id))
    (new, *_), (_, *older) = rotated.secrets, rotated.kept
    until = max((one.expires or 0 for one in older), default=None)
    more = {"secret": new, "old_secrets_expire_at": timestamp(until)}
    return respond({**endpoint_view(rotated), **more})


@webhook_endpoints.post("/<endpoint_id>/ping")
@requires(Scope.JOBS)
def ping(endpoint_id: str) -> Response:
    """Send the endpoint a signed event `ping`, once; `Location` says what becomes of it."""
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
    """What became of a ping."""
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
    """The body, or `BadRequest` naming every field that is wrong."""
    settings = services().settings
    given, errors = load_with_errors(schema, read_json(request, settings, such_as))
    merge_errors(errors, url_errors(given, settings))
    if errors:
        raise BadRequest(INVALID, error_list(errors))
    if DRIFT_EVENT in given.get("events", ()) and not g.principal.may(Scope.ADMIN):
        raise Forbidden(f"The event {DRIFT_EVENT!r} needs a key with the scope '{Scope.ADMIN}'.")
    return dict(given)

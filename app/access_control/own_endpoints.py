"""The webhook endpoints of whoever asks; all others look as if they did not exist."""

from __future__ import annotations

from flask import g

from app.http.errors import EndpointDisabled, EndpointNotFound
from app.services import services
from tasks.webhooks import endpoints
from tasks.webhooks.endpoints import Endpoint


def existing(endpoint: Endpoint | None) -> Endpoint:
    """What was found.

    Raises:
        EndpointNotFound: it was not.
    """
    if endpoint is None:
        raise EndpointNotFound("There is no such webhook endpoint.")
    return endpoint


def own_endpoint(endpoint_id: str) -> Endpoint:
    """The owner's endpoint of that id, or `EndpointNotFound`."""
    return existing(endpoints.find(services().store, g.principal.owner, endpoint_id))


def enabled_endpoint(endpoint_id: str) -> Endpoint:
    """Likewise, one that may be sent to; `EndpointDisabled` if it may not."""
    found = own_endpoint(endpoint_id)
    if not found.enabled:
        raise EndpointDisabled(
            f"The endpoint is disabled ({found.disabled_reason}), so nothing is sent to it. Enable "
            'it first: PATCH it with {"enabled": true}.'
        )
    return found

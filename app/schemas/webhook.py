"""Validates webhooks: the `webhook` of a job, and webhook endpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf, Regexp

from app.schemas.fields import StrictBoolean, StrictString
from tasks.config.settings import Settings
from tasks.webhooks.endpoints import DRIFT_EVENT, EVENTS
from tasks.webhooks.url_policy import ForbiddenURL, check_url

MAX_DESCRIPTION = 256  # characters


def _unique(events: Sequence[str]) -> None:
    if len(set(events)) < len(events):
        raise ValidationError("Must not name an event twice.")


def _events(*more: str) -> fields.List[str]:
    """A list of events; all events of jobs by default. more: further events that are allowed."""
    return fields.List(
        StrictString(validate=OneOf([*EVENTS, *more])),
        load_default=list(EVENTS),
        validate=[Length(min=1, error="Must name at least one event."), _unique],
        error_messages={
            "invalid": "Must be a list of events.",
            "null": "Must be a list of events.",
        },
        metadata={"uniqueItems": True},
    )


class WebhookSchema(Schema):
    """`webhook` of a job. `url_errors` checks its URL by the settings."""

    error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "unknown": "Unknown field; there are url and events.",
        "type": "Must be an object.",
    }

    url = StrictString(required=True)
    events = _events()


class EndpointSchema(Schema):
    """A new webhook endpoint."""

    error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "unknown": "Unknown field; there are url, events, description, and enabled in a change.",
    }

    url = StrictString(required=True)
    events = _events(DRIFT_EVENT)
    description = StrictString(
        load_default="",
        validate=[
            Length(max=MAX_DESCRIPTION, error=f"Must have at most {MAX_DESCRIPTION} characters."),
            Regexp(r"[^\x00-\x1f\x7f-\x9f]*\Z", error="Must not hold control characters."),
        ],
    )


class EndpointChanges(EndpointSchema):
    """A change of a webhook endpoint; every member may be left out."""

    enabled = StrictBoolean()


def url_errors(given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The errors of its URL, nested as marshmallow nests messages; empty if it is valid."""
    try:
        if "url" in given:
            check_url(given["url"], settings)
    except ForbiddenURL as error:
        text = str(error)
        return {"url": [f"{text[0].upper()}{text[1:]}."]}
    return {}

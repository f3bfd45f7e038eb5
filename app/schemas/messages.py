"""Validation errors: from marshmallow's nested messages to the `errors` of a problem document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError
from marshmallow.exceptions import SCHEMA

from app.http.strict_json import reference

MAX_ERRORS = 100  # named in one answer; the last entry says how many more there are
INVALID = "The request is not valid; each error names a field and says what would be right."


def load_with_errors(schema: Schema, data: Any, many: bool = False) -> tuple[Any, dict[str, Any]]:
    """Load `data`; returns the part that is valid and the error messages of the rest."""
    try:
        return schema.load(data, many=many), {}
    except ValidationError as error:
        return error.valid_data, dict(error.normalized_messages())


def merge_errors(errors: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add the messages `more` to `errors`; those of one field are joined."""
    for field, messages in more.items():
        known = errors.get(field)
        if isinstance(known, dict) and isinstance(messages, dict):
            known.update(messages)
        else:
            errors[field] = messages


def error_list(messages: Any) -> list[dict[str, str]]:
    """The `errors` of a problem document: at most MAX_ERRORS, then one that counts the rest."""
    found = flatten_messages(messages)
    if len(found) <= MAX_ERRORS:
        return found
    more = f"{len(found) - MAX_ERRORS} more errors are not listed."
    return [*found[:MAX_ERRORS], {"pointer": "", "detail": more}]


def flatten_messages(messages: Any, at: str = "") -> list[dict[str, str]]:
    """Flatten marshmallow's nested messages; each names its field by JSON pointer (RFC 6901)."""
    if isinstance(messages, dict):
        flat = []
        for key, below in messages.items():
            here = key == SCHEMA and isinstance(below, list)
            flat += flatten_messages(below, at if here else f"{at}/{reference(str(key))}")
        return flat
    return [{"pointer": at, "detail": str(message)} for message in messages]

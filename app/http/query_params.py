"""Query parameters: a view declares those it takes; `app.middleware.query_check` refuses others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flask import request
from marshmallow import Schema, ValidationError

from app.http.errors import BadRequest

V = TypeVar("V", bound=Callable[..., Any])

INVALID = "The query is not valid."


def takes(*names: str) -> Callable[[V], V]:
    """Declare the query parameters of a view; one without this takes none."""

    def declare(view: V) -> V:
        view.__dict__["query_parameters"] = names
        return view

    return declare


def parameters_of(view: Callable[..., Any]) -> Sequence[str]:
    """The names that `takes` declared, also through decorators that use `functools.wraps`."""
    names: Sequence[str] = view.__dict__.get("query_parameters", ())
    return names


def load_query(schema: Schema) -> dict[str, Any]:
    """Load the query of the request.

    Raises:
        BadRequest: it names every parameter that is wrong.
    """
    if not request.query_string:
        return {}
    try:
        return dict(schema.load(request.args.to_dict()))
    except ValidationError as error:
        wrong = error.normalized_messages().items()
        errors = [{"parameter": name, "detail": " ".join(said)} for name, said in wrong]
        raise BadRequest(INVALID, errors) from None


def refuse_parameters(detail: str) -> None:
    """Refuse every parameter, for a kind of request that takes none, with `BadRequest`."""
    if request.query_string:
        raise BadRequest(INVALID, [{"parameter": name, "detail": detail} for name in request.args])

"""Query parameters: a view names those it takes, and any other is refused rather than ignored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flask import Flask, current_app, request
from marshmallow import Schema, ValidationError

from app.http.errors import BadRequest

V = TypeVar("V", bound=Callable[..., Any])

INVALID = "The query is not valid."
MOST_NAMED = 20  # errors in one answer; a client's query must not make it long
LONGEST_NAME = 100


def takes(*names: str) -> Callable[[V], V]:
    """Declare the query parameters of a view; one without this takes none."""

    def declare(view: V) -> V:
        view.__dict__["query_parameters"] = names
        return view

    return declare


def parameters_of(view: Callable[..., Any]) -> Sequence[str]:
    """What `takes` declared, also through decorators that use `functools.wraps`."""
    names: Sequence[str] = view.__dict__.get("query_parameters", ())
    return names


def read(schema: Schema) -> dict[str, Any]:
    """The query as the schema loads it, or `BadRequest` naming every parameter that is wrong."""
    if not request.query_string:
        return {}
    try:
        return dict(schema.load(request.args.to_dict()))
    except ValidationError as error:
        wrong = error.normalized_messages().items()
        errors = [{"parameter": name, "detail": " ".join(said)} for name, said in wrong]
        raise BadRequest(INVALID, errors) from None


def refuse_all(detail: str) -> None:
    """Take none of what `takes` declared after all, since the request is of another kind."""
    if request.query_string:
        raise BadRequest(INVALID, [{"parameter": name, "detail": detail} for name in request.args])


def install(app: Flask) -> None:
    @app.before_request
    def check() -> None:
        """Refuse parameters that the view does not take, or that come twice."""
        if not request.query_string or request.endpoint is None or request.method == "OPTIONS":
            return
        known = parameters_of(current_app.view_functions[request.endpoint])
        errors = [
            {"parameter": name[:LONGEST_NAME], "detail": _wrong_with(name, known)}
            for name, values in request.args.lists()
            if name not in known or len(values) > 1
        ]
        if errors:
            raise BadRequest(INVALID, errors[:MOST_NAMED])


def _wrong_with(name: str, known: Sequence[str]) -> str:
    if name in known:
        return "Must be given once."
    return f"Unknown query parameter; this route takes {', '.join(known) or 'none'}."

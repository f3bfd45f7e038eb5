"""Check of the query: parameters that a view does not take, or that come twice, are refused."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, current_app, request

from app.http.errors import BadRequest
from app.http.query_params import INVALID, parameters_of

MOST_NAMED = 20  # errors in one answer; a client's query must not make it long
LONGEST_NAME = 100  # characters of a parameter's name that an answer repeats


def install(app: Flask) -> None:
    """Refuse such a query with `BadRequest`, before the view runs."""

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

"""The classes of the table's entries; the table is in operations.py and the modules beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.http import errors

JSON = "application/json"
NDJSON = "application/x-ndjson"

Errors = tuple[type[errors.ApiError], ...]

KEYED: Errors = (  # of every operation that needs a key
    *(errors.Unauthorized, errors.Forbidden, errors.RateLimited, errors.TooManyWrongKeys),
    errors.Unavailable,
)
OF_A_JOB: Errors = (errors.JobNotFound, errors.ResultExpired)


@dataclass(frozen=True, slots=True)
class ResponseEntry:
    """A successful response.

    schema: name of a component, or a JSON Schema; None: no body. headers, links: names in
    headers.py and LINKS; X-Request-ID is added to all.
    """

    status: int
    says: str
    schema: str | Mapping[str, Any] | None
    examples: Mapping[str, Any] = field(default_factory=dict)
    media_type: str = JSON
    headers: tuple[str, ...] = ("Cache-Control",)
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """Parameters, responses and errors of a route.

    id: its operationId. errors: those it raises beside KEYED. parameters: names in headers.py;
    X-Request-ID is added to all. body: name of a component by media type. keyless: needs no key.
    """

    id: str
    tag: str
    responses: tuple[ResponseEntry, ...]
    errors: Errors = ()
    parameters: tuple[str, ...] = ()
    body: Mapping[str, str] = field(default_factory=dict)
    keyless: bool = False

    @property
    def raises(self) -> Errors:
        """All errors of the route."""
        common = () if self.keyless else KEYED
        return (
            errors.BadRequest,
            *common,
            *self.errors,
        )  # 400: every route refuses unknown parameters

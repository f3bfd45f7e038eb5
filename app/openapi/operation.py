"""What the table says of a route; see operations.py and executor.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.http import errors

JSON = "application/json"
NDJSON = "application/x-ndjson"

Errors = tuple[type[errors.ApiError], ...]

KEYED: Errors = (  # of every operation that wants a key
    *(errors.Unauthorized, errors.Forbidden, errors.RateLimited, errors.TooManyWrongKeys),
    errors.Unavailable,
)
OF_A_JOB: Errors = (errors.JobNotFound, errors.ResultExpired)


@dataclass(frozen=True, slots=True)
class ResponseEntry:
    """A response that is no problem document.

    schema: a component's name, or a JSON Schema; None: it has no body. headers, links: names in
    headers.py and LINKS; X-Request-ID goes without saying.
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
    """What a route takes and answers.

    id: its operationId. errors: what it raises beside KEYED. parameters: names in headers.py;
    X-Request-ID goes without saying. body: component's name by media type. keyless: open to all.
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
        common = () if self.keyless else KEYED
        return (errors.BadRequest, *common, *self.errors)  # 400: no route ignores a parameter

"""Builds the OpenAPI document of an application from its routes, settings and pipelines."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import chain
from typing import Any, cast

import orjson
from flask import Flask
from werkzeug.routing import Rule

from app.http.errors import ApiError
from app.openapi import examples, headers
from app.openapi.answers import OF_JOBS, OF_SERVICE
from app.openapi.convert import SchemaConverter
from app.openapi.drift import COMPONENTS as OF_DRIFT
from app.openapi.lanes import COMPONENTS as OF_LANES
from app.openapi.operation import Operation, ResponseEntry
from app.openapi.operations import LINKS, NOT_DESCRIBED, OPERATIONS, TAGS
from app.openapi.requests import add_requests, line_examples
from app.openapi.requests import examples as request_examples
from app.openapi.usage import COMPONENTS as OF_USAGE
from app.openapi.webhooks import COMPONENTS as OF_WEBHOOKS
from app.services import EXTENSION, Services

VERSION = "1.0"  # of the HTTP contract
PROBLEM = "application/problem+json"

INFO = """\
Submit inputs to a model and read its answers. A job is accepted at once (202) and ends later: poll
its `Location`, long-poll with `?wait=30`, or submit with `Prefer: wait=10`.

Errors are problem documents (RFC 9457) with a stable `code`. Each operation lists its own errors.
In addition an unknown path is 404 `not_found`, a wrong method 405 `method_not_allowed`, and an
internal error 500 `internal_error`.
"""
# Headers of problem documents by status, beside those that every response has.
RATES = ("RateLimit-Policy", "RateLimit")  # of every response to a valid key
PROBLEM_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After", *RATES), 503: ("Retry-After",)}


def document(app: Flask) -> dict[str, Any]:
    """Build the OpenAPI document of `app` as plain JSON values.

    Raises:
        LookupError: a route stands neither in OPERATIONS nor in NOT_DESCRIBED.
    """
    here: Services = app.extensions[EXTENSION]
    shapes = SchemaConverter(
        "Penstock",
        VERSION,
        info={"description": INFO, "license": {"name": "MIT", "identifier": "MIT"}},
        servers=[{"url": "/"}],
        tags=[{"name": name, "description": says} for name, says in TAGS.items()],
    )
    _add_components(shapes, here)
    bodies = {
        "JobRequest": request_examples(here.pipelines.values()),
        "JobLines": line_examples(here.pipelines.values()),
        "EndpointRequest": {"all": {"value": examples.ENDPOINT_REQUEST}},
        "EndpointChanges": {"enable": {"value": {"enabled": True}}},
    }
    for rule in app.url_map.iter_rules():
        if rule.endpoint not in NOT_DESCRIBED:
            _add_route(shapes, app, rule, bodies)
    return cast(dict[str, Any], orjson.loads(orjson.dumps(shapes.spec.to_dict())))


def _add_components(shapes: SchemaConverter, here: Services) -> None:
    components = shapes.spec.components
    described = (OF_JOBS, OF_WEBHOOKS, OF_SERVICE, OF_DRIFT, OF_USAGE, OF_LANES)
    for schema in chain.from_iterable(described):
        components.schema(schema.__name__.removesuffix("Shape"), schema=schema)
    add_requests(shapes, here.pipelines.values(), here.settings)
    for name, parameter in headers.parameters(here.settings).items():
        components.parameter(name, parameter["in"], parameter)
    for name, header in headers.HEADERS.items():
        components.header(name, header)
    key = {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <key>`"}
    components.security_scheme("key", key)
    for operation in OPERATIONS.values():
        for raised in _by_status(operation.raises).values():
            if _name_of(raised) not in components.responses:
                components.response(_name_of(raised), _problem(raised))


def _add_route(
    shapes: SchemaConverter, app: Flask, rule: Rule, bodies: Mapping[str, Mapping[str, Any]]
) -> None:
    if rule.endpoint not in OPERATIONS:
        raise LookupError(f"app/openapi/operations.py does not describe {rule.endpoint} ({rule})")
    described = _operation(
        OPERATIONS[rule.endpoint], inspect.getdoc(app.view_functions[rule.endpoint]) or "", bodies
    )
    path = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule)
    for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
        shapes.spec.path(path, operations={method.lower(): described})


def _operation(
    operation: Operation, text: str, bodies: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    summary, _, description = text.partition("\n")
    rates = () if operation.keyless else RATES
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": summary.removesuffix(".").replace("`", ""),
        "parameters": [*operation.parameters, "RequestId"],
        "responses": {
            str(answer.status): _response(answer, rates) for answer in operation.responses
        }
        | {str(status): _name_of(r) for status, r in _by_status(operation.raises).items()},
        "security": [] if operation.keyless else [{"key": []}],
    }
    if description:
        described["description"] = description.strip()
    if operation.body:
        content = {
            media_type: {"schema": _schema(name), "examples": dict(bodies[name])}
            for media_type, name in operation.body.items()
        }
        described["requestBody"] = {"required": True, "content": content}
    return described


def _response(answer: ResponseEntry, rates: tuple[str, ...]) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in answer.examples.items()}
    response: dict[str, Any] = {
        "description": answer.says,
        "headers": _headers((*answer.headers, *rates)),
    }
    if answer.schema is not None:
        content = {"schema": _schema(answer.schema), "examples": shown}
        response["content"] = {answer.media_type: content}
    if answer.links:
        response["links"] = {name: LINKS[name] for name in answer.links}
    return response


def _problem(raised: list[type[ApiError]]) -> dict[str, Any]:
    """The response for errors of one status."""
    status, codes = raised[0].status, [error.code for error in raised]
    title = HTTPStatus(status).phrase
    schema = {"allOf": [_schema("Problem"), {"properties": {"code": {"enum": codes}}}]}
    shown = {code: {"value": examples.problem(status, title, code)} for code in codes}
    return {
        "description": f"{title}: {', '.join(codes)}.",
        "headers": _headers(("Cache-Control", *PROBLEM_HEADERS.get(status, ()))),
        "content": {PROBLEM: {"schema": schema, "examples": shown}},
    }


def _by_status(raised: Iterable[type[ApiError]]) -> dict[int, list[type[ApiError]]]:
    found: dict[int, list[type[ApiError]]] = {}
    for error in sorted(raised, key=lambda error: (error.status, error.code)):
        found.setdefault(error.status, []).append(error)
    return found


def _name_of(raised: list[type[ApiError]]) -> str:
    return "-".join(error.code for error in raised)


def _headers(names: tuple[str, ...]) -> dict[str, str]:
    """Headers by name; apispec makes references of the names."""
    return {name: name for name in ("X-Request-ID", *names)}


def _schema(named: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{named}"} if isinstance(named, str) else dict(named)


def to_text(document: Mapping[str, Any]) -> bytes:
    """The document as JSON text, as it is served and checked in."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

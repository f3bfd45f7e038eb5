"""Reads JSON request bodies: checks media type, charset, encoding and length."""

from __future__ import annotations

from typing import Any

from flask import Request, g

from app.http.errors import BodyTooLarge, MalformedBody, WrongMediaType
from app.http.strict_json import parse
from tasks.config.settings import Settings

A_JOB = '{"pipeline": ..., "input": ...}'


def read_json(request: Request, settings: Settings, such_as: str = A_JOB) -> dict[str, Any]:
    """Read the body as a JSON object. such_as: an example of one, for error texts.

    Raises:
        WrongMediaType: its headers say that it is not JSON in UTF-8, or that it is compressed.
        BodyTooLarge: it has no Content-Length and is longer than the limit.
        MalformedBody, BadRequest: it is missing, or as in `app.http.strict_json.parse`.
    """
    body = request.get_data()
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        # werkzeug truncates a chunked body at the limit without an error
        raise BodyTooLarge(f"The body must be smaller than {limit} bytes.")
    g.body_is_read = True
    _check_media_type(request)
    if request.content_length not in (None, len(body)):
        # granian ends the stream without an error when a client disconnects
        raise MalformedBody(
            f"The body ended after {len(body)} of the {request.content_length} bytes announced."
        )
    if not body:
        raise MalformedBody(f"The body is missing; it must be a JSON object such as {such_as}.")
    document = parse(body, settings)
    if not isinstance(document, dict):
        raise MalformedBody(f"The body must be a JSON object such as {such_as}.")
    return document


def _check_media_type(request: Request) -> None:
    if request.mimetype != "application/json":
        given = f"not {request.mimetype[:100]}" if request.mimetype else "and none was given"
        raise WrongMediaType(
            "The content type must be application/json, or application/x-ndjson where lines are "
            f"uploaded, {given}."
        )
    check_coding(request)


def check_coding(request: Request) -> None:
    """Refuse a body that is not uncompressed UTF-8 by its headers, with `WrongMediaType`."""
    charset = request.mimetype_params.get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        raise WrongMediaType(f"The charset must be utf-8, not {charset[:100]}.")
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() not in ("identity", ""):
        raise WrongMediaType(
            f"The body must be sent as it is, without Content-Encoding, not as {coding[:100]}."
        )

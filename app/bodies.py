"""Bodies: bytes to JSON, refusing what JSON parsers quietly let through.

Python's parser accepts duplicate keys, NaN and lone surrogates, and only the interpreter bounds its
recursion; each of these is refused here, by name and place.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Request

from app.errors import BadRequest, BodyTooLarge, MalformedBody, WrongMediaType


def read_json(request: Request, max_depth: int) -> dict[str, Any]:
    """The request's body as a JSON object.

    Raises:
        WrongMediaType: the content type is not JSON.
        BodyTooLarge: it came without its length and is longer than the limit.
        MalformedBody: it is not one JSON object in UTF-8, or nests deeper than `max_depth`.
        BadRequest: a string in it is not valid Unicode.
    """
    if request.mimetype != "application/json":
        given = f"not {request.mimetype}" if request.mimetype else "and none was given"
        raise WrongMediaType(f"The content type must be application/json, {given}.")
    body = request.get_data()
    limit = request.max_content_length
    if request.content_length is None and limit is not None and len(body) >= limit:
        # werkzeug cuts a chunked body off at the limit without a word
        raise BodyTooLarge(f"The body must be smaller than {limit} bytes.")
    document = parse(body)
    if not isinstance(document, dict):
        raise MalformedBody(
            'The body must be a JSON object such as {"pipeline": ..., "input": ...}.'
        )
    check(document, max_depth)
    return document


def parse(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise MalformedBody(f"The body must be UTF-8; byte {error.start} is not.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedBody(f"The body must be JSON: {error.msg} at {place}.") from None
    except RecursionError:
        raise MalformedBody("The body nests too deep.") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise MalformedBody(f"The body holds a number that is too long: {error}.") from None


def check(document: Any, max_depth: int) -> None:
    """Walk the parsed body once: depth, text that UTF-8 and numbers that 64 bits cannot carry."""
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(max_depth):
        below: list[tuple[str, Any]] = []
        for pointer, value in level:
            if isinstance(value, str):
                _check_text(pointer, value)
            elif isinstance(value, int | float):
                _check_number(pointer, value)
            elif isinstance(value, dict):
                for key, member in value.items():
                    _check_text(pointer, key)
                    below.append((f"{pointer}/{reference(key)}", member))
            elif isinstance(value, list):
                below += [(f"{pointer}/{index}", member) for index, member in enumerate(value)]
        if not below:
            return
        level = below
    detail = f"The body must nest at most {max_depth} levels deep."
    raise BadRequest(detail, [{"pointer": level[0][0], "detail": detail}])


def _check_text(pointer: str, text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        detail = f"Must be valid Unicode; character {error.start} is a lone surrogate."
        raise BadRequest(
            "The body is not valid.", [{"pointer": pointer, "detail": detail}]
        ) from None


def _check_number(pointer: str, number: float) -> None:
    if not -(2**63) <= number < 2**63:
        detail = "Must be a finite number between -2^63 and 2^63."
        raise BadRequest("The body is not valid.", [{"pointer": pointer, "detail": detail}])


def reference(key: str) -> str:
    """A reference token of a JSON pointer (RFC 6901), cut where a client's key would flood it."""
    return key[:200].replace("~", "~0").replace("/", "~1")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedBody(f"The member {twice[:100]!r} appears twice in one object.")
    return members


# NaN and Infinity parse, so that `check` can name where they stand.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique)

"""Validates the query of an upload: everything but the inputs, which are its body."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from app.http.errors import BadRequest
from app.schemas.job import JobReader, JobRequest
from app.schemas.messages import INVALID


class OnError(StrEnum):
    """If lines are not valid: `fail` refuses the whole upload, `skip` fails those lines alone."""

    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class UploadQuery:
    """A valid query. asked: the request without inputs. lines: how many the client announces."""

    asked: JobRequest
    on_error: OnError
    lines: int | None


def read_query(reader: JobReader, query: MultiDict[str, str]) -> UploadQuery:
    """Validate the query; unknown and repeated parameters have been refused before.

    Raises:
        BadRequest: it names every parameter that is wrong.
    """
    errors: list[dict[str, str]] = []
    on_error = query.get("on_error", OnError.FAIL)
    if on_error not in list(OnError):
        errors.append({"parameter": "on_error", "detail": "Must be one of: fail, skip."})
    lines = _integer(query.get("lines", "1"))
    if not (isinstance(lines, int) and lines > 0):
        errors.append({"parameter": "lines", "detail": "Must be the number of lines of the body."})
    try:
        asked = reader.read_envelope(_as_body(query))
    except BadRequest as error:
        raise BadRequest(INVALID, [*errors, *map(_of_parameter, error.errors)]) from None
    if errors:
        raise BadRequest(INVALID, errors)
    return UploadQuery(asked, OnError(on_error), lines if "lines" in query else None)


def _integer(text: str) -> Any:
    return int(text) if re.fullmatch(r"-?\d{1,19}", text, re.ASCII) else text


def _number(text: str) -> Any:
    return float(text) if re.fullmatch(r"-?\d{1,19}(\.\d{1,19})?", text, re.ASCII) else text


_ENVELOPE: Final[Mapping[str, Callable[[str], Any]]] = {
    "pipeline": str,
    "priority": str,
    "deadline_ms": _integer,
}
_OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "language": str,
    "temperature": _number,
    "max_tokens": _integer,
    "min_tier": str,
    "mode": str,
}
PARAMETERS: Final = (*_ENVELOPE, *_OPTIONS, "on_error", "lines")


def _as_body(query: MultiDict[str, str]) -> dict[str, Any]:
    """The same as a JSON body; text that is not a number stays a string and is refused."""
    body = {name: read(query[name]) for name, read in _ENVELOPE.items() if name in query}
    options = {name: read(query[name]) for name, read in _OPTIONS.items() if name in query}
    return body | {"options": options}


def _of_parameter(error: Mapping[str, Any]) -> dict[str, str]:
    name = error["pointer"].rpartition("/")[2]
    return {"parameter": name, "detail": error["detail"]}

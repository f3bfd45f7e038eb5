"""Reads uploads: each line of an application/x-ndjson body is an input of one bulk job.

In this process only the list of the units' sizes grows with the upload. The number of a line is its
index in the results: with `on_error=skip` an invalid line keeps its index and fails; with
`on_error=fail` one invalid line refuses the whole upload. In both cases the body is read to its
end, so that one response lists the invalid lines.

The server cannot distinguish the end of a chunked body from a broken connection. So a client that
sends no Content-Length should give the number of lines (`lines`): an incomplete upload is then
refused; without `lines` it would become a job if the connection broke between two lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from flask import Request, g
from werkzeug.exceptions import ClientDisconnected

from app.http.errors import BadRequest, BodyTooLarge, FieldErrors
from app.http.ndjson import MEDIA_TYPE, split_lines
from app.http.strict_json import parse
from app.schemas.upload_query import OnError, UploadQuery
from app.services import services
from tasks.config.settings import Settings
from tasks.jobs.payload import Payload
from tasks.jobs.staged_upload import StagedUpload

CHUNK_BYTES = 64 * 1024
MOST_ERRORS = 100  # listed in a response
MOST_OF_A_LINE = 3  # errors listed of one line
MOST_MESSAGE = 300  # characters of the message of an invalid line's result

_BOM = b"\xef\xbb\xbf"
_AN_INPUT = 'a JSON object such as {"text": ...}'


@dataclass(slots=True)
class RejectedLines:
    """The invalid lines. errors: of the first ones, as {"line" (from 1), "pointer", "detail"}."""

    count: int = 0
    errors: list[dict[str, str | int]] = field(default_factory=list)

    def add(self, line: int, faults: list[dict[str, str]]) -> None:
        self.count += 1
        room = MOST_ERRORS - len(self.errors)
        self.errors += [{"line": line, **fault} for fault in faults[:room]]

    def view(self) -> dict[str, Any]:
        return {"count": self.count, "errors": self.errors}


class _UnitBuilder:
    """Collects inputs into units and stages each full one; none any more once the upload failed."""

    def __init__(self, query: UploadQuery, upload: StagedUpload) -> None:
        self._query = query
        self._upload = upload
        self._inputs: list[Mapping[str, Any]] = []
        self._rejected: dict[str, dict[str, str]] = {}
        self._failed = False

    def accept(self, entry: Mapping[str, Any]) -> None:
        self._inputs.append(entry)
        self._stage_once_full()

    def reject(self, faults: list[dict[str, str]]) -> None:
        text = "; ".join(f"{fault['pointer']}: {fault['detail']}".lstrip(": ") for fault in faults)
        outcome = {"code": "invalid_input", "message": text[:MOST_MESSAGE]}
        self._rejected[str(len(self))] = outcome
        self._failed = self._query.on_error is OnError.FAIL
        self._stage_once_full()

    def __len__(self) -> int:
        return len(self._inputs) + len(self._rejected)

    def _stage_once_full(self) -> None:
        if len(self) == self._query.asked.pipeline.batch_items:
            self.stage()

    def stage(self) -> None:
        """Hand over what there is and begin the next unit."""
        asked = self._query.asked
        if len(self) and not self._failed:
            origin = (g.request_id, self._rejected, g.traceparent)
            self._upload.add(Payload(asked.pipeline.name, asked.options, self._inputs, *origin))
        self._inputs, self._rejected = [], {}


class UploadBody:
    """The bytes of an upload, a chunk at a time, counted and hashed as they pass."""

    def __init__(self, request: Request, most_bytes: int) -> None:
        self._most = most_bytes
        self._request = request
        self._received = 0
        query = sorted(request.args.items(multi=True))
        self._hash = hashlib.blake2b(orjson.dumps([MEDIA_TYPE, query]), digest_size=20)

    @property
    def digest(self) -> str:
        """Digest of the query and all bytes read so far."""
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Read the body to its end.

        Raises:
            BodyTooLarge: it is longer than allowed.
            ClientDisconnected: it ended before its Content-Length.
        """
        length = self._request.content_length
        self._check(length or 0)
        self._request.max_content_length = self._most + 1  # the limit for other bodies is lower
        while chunk := self._request.stream.read(CHUNK_BYTES):
            self._received += len(chunk)
            self._check(self._received)
            self._hash.update(chunk)
            yield chunk
        if length is not None and self._received < length:
            raise ClientDisconnected
        g.body_is_read = True

    def _check(self, size: int) -> None:
        if size > self._most:
            raise BodyTooLarge(f"An upload must be at most {self._most} bytes.")


def receive_upload(body: UploadBody, query: UploadQuery, upload: StagedUpload) -> RejectedLines:
    """Read the body, validate its lines and stage them unit by unit; returns the invalid ones.

    Raises:
        BadRequest: a line is not valid and none may be skipped, no line is valid, or there are not
            as many lines as announced.
        BodyTooLarge: it has too many bytes or lines.
        ClientDisconnected: it is incomplete.
        InFlight, Overloaded, TooLarge: as in `StagedUpload.add`.
    """
    settings = services().settings
    units, rejected, lines = _UnitBuilder(query, upload), RejectedLines(), 0
    for line in split_lines(body.chunks(), settings.max_line_bytes):
        lines += 1
        if lines > settings.max_upload_lines:
            raise BodyTooLarge(f"An upload must have at most {settings.max_upload_lines} lines.")
        try:
            entry = _input(line, query, settings)
        except BadRequest as error:
            faults = _faults(error)
            rejected.add(lines, faults)
            units.reject(faults)
        else:
            units.accept(entry)
    units.stage()
    if query.lines not in (None, lines):
        detail = f"Must be the number of lines of the body; it has {lines}."
        raise BadRequest("The upload is incomplete.", [{"parameter": "lines", "detail": detail}])
    _refuse_if_invalid(lines, rejected, query.on_error)
    return rejected


def _input(line: bytes | None, query: UploadQuery, settings: Settings) -> Mapping[str, Any]:
    """Parse and validate the input on a line; raises `BadRequest`."""
    if line is None:
        raise BadRequest(f"The line must be at most {settings.max_line_bytes} bytes.")
    if not line.strip():
        raise BadRequest(f"The line is blank; it must be {_AN_INPUT}.")
    if line.startswith(_BOM):
        raise BadRequest("The line begins with a byte order mark; leave it out.")
    document = parse(line, settings)
    return services().job_reader.read_input(query.asked.pipeline, document)


def _faults(error: BadRequest) -> list[dict[str, str]]:
    """The first errors of a line, with texts that speak of a line instead of a body."""
    whole: FieldErrors = [{"pointer": "", "detail": error.detail}]
    found = error.errors[:MOST_OF_A_LINE] or whole
    return [{"pointer": fault["pointer"], "detail": _of_line(fault["detail"])} for fault in found]


def _of_line(detail: str) -> str:
    return detail.replace("The body", "The line", 1).replace("at line 1, column", "at column", 1)


def _refuse_if_invalid(lines: int, rejected: RejectedLines, on_error: OnError) -> None:
    if not lines:
        fault = {"line": 1, "pointer": "", "detail": f"Must be {_AN_INPUT}; the body is empty."}
        raise BadRequest("The upload has no line.", [fault])
    if rejected.count and (on_error is OnError.FAIL or rejected.count == lines):
        listed = len(rejected.errors)
        more = f" The first {listed} errors are listed." if listed == MOST_ERRORS else ""
        raise BadRequest(
            f"{rejected.count} of {lines} lines are not valid; nothing was accepted.{more}",
            rejected.errors,
        )

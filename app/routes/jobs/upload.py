"""Uploads: a body of application/x-ndjson, an input a line, becomes the units of one bulk job.

Nothing in this process grows with the upload but the list of its units' sizes. A line's place is
its index among the results, whatever becomes of the others: with `on_error=skip` a bad line keeps
its place and fails there; with `on_error=fail` one bad line refuses all. Either way the body is
read to its end, so that one answer tells of every bad line.

The server tells the end of a chunked body from a connection that broke no better than by the bytes
that came. Who sends without Content-Length should therefore say how many lines there are (`lines`):
half an upload is then refused; without, it would be a job if it broke between two lines.
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
from app.schemas.upload_query import BulkQuery, OnError
from app.services import services
from tasks.config.settings import Settings
from tasks.jobs.payload import Payload
from tasks.jobs.staged_upload import StagedUpload

CHUNK_BYTES = 64 * 1024
MOST_ERRORS = 100  # listed in an answer
MOST_OF_A_LINE = 3
MOST_MESSAGE = 300  # characters of the message of a bad line's result

_BOM = b"\xef\xbb\xbf"
_AN_INPUT = 'a JSON object such as {"text": ...}'


@dataclass(slots=True)
class RejectedLines:
    """Lines that are not valid. errors: the first, as {"line" (from 1), "pointer", "detail"}."""

    count: int = 0
    errors: list[dict[str, str | int]] = field(default_factory=list)

    def add(self, line: int, faults: list[dict[str, str]]) -> None:
        self.count += 1
        room = MOST_ERRORS - len(self.errors)
        self.errors += [{"line": line, **fault} for fault in faults[:room]]

    def view(self) -> dict[str, Any]:
        return {"count": self.count, "errors": self.errors}


class _UnitBuilder:
    """The unit that fills, and whether units are staged at all: none is once the upload failed."""

    def __init__(self, query: BulkQuery, upload: StagedUpload) -> None:
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
        """Of the query and all that was read so far."""
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """To the end.

        Raises:
            BodyTooLarge: it is longer than allowed.
            ClientDisconnected: it ended before the length that it came with.
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


def receive_upload(body: UploadBody, query: BulkQuery, upload: StagedUpload) -> RejectedLines:
    """Read the body, check its lines and stage them unit by unit; returns what is wrong with it.

    Raises:
        BadRequest: a line is not valid and none may be skipped, there is no valid one, or not as
            many as announced.
        BodyTooLarge: it has too many bytes or lines.
        ClientDisconnected: it was cut short.
        InFlight, Overloaded, TooLarge: as in `Upload.add`.
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
        detail = f"Must be the number of lines that come; {lines} came."
        raise BadRequest("The upload is not whole.", [{"parameter": "lines", "detail": detail}])
    _refuse_if_bad(lines, rejected, query.on_error)
    return rejected


def _input(line: bytes | None, query: BulkQuery, settings: Settings) -> Mapping[str, Any]:
    """The input that a line holds, as the pipeline's schema leaves it, or `BadRequest`."""
    if line is None:
        raise BadRequest(f"The line must be at most {settings.max_line_bytes} bytes.")
    if not line.strip():
        raise BadRequest(f"The line is blank; it must be {_AN_INPUT}.")
    if line.startswith(_BOM):
        raise BadRequest("The line begins with a byte order mark; leave it out.")
    document = parse(line, settings)
    return services().job_reader.read_input(query.asked.pipeline, document)


def _faults(error: BadRequest) -> list[dict[str, str]]:
    """What is wrong with a line, the first of it, in the words of bodies but of a line."""
    whole: FieldErrors = [{"pointer": "", "detail": error.detail}]
    found = error.errors[:MOST_OF_A_LINE] or whole
    return [{"pointer": fault["pointer"], "detail": _of_line(fault["detail"])} for fault in found]


def _of_line(detail: str) -> str:
    return detail.replace("The body", "The line", 1).replace("at line 1, column", "at column", 1)


def _refuse_if_bad(lines: int, rejected: RejectedLines, on_error: OnError) -> None:
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

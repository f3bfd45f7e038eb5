"""The query of `GET /v1/jobs`: filters, cursor and page size."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import Schema, ValidationError, fields
from ulid import ULID

from tasks.jobs.model import Status

PARAMETERS = ("status", "created_after", "created_before", "cursor", "limit")
DEFAULT_PAGE = 20  # jobs
CURSOR_VERSION = b"\x01"  # raised when the format changes, so that old cursors are recognised

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+ -]\d\d:\d\d))", re.ASCII
)


class Timestamp(fields.Field[int]):
    """A timestamp in RFC 3339, read as microseconds since the epoch."""

    default_error_messages = {  # noqa: RUF012 - marshmallow's own convention
        "invalid": "Must be a timestamp in RFC 3339, such as 2026-01-31T12:00:00Z.",
    }

    def _deserialize(self, value: str, *_: Any, **__: Any) -> int:
        found = _RFC_3339.fullmatch(value)
        if not found:
            raise self.make_error("invalid")
        day, clock, fraction, offset = found.groups()
        micros = ((fraction or "") + "000000")[:6]
        # a + that was not percent-encoded arrives as a space
        zone = (offset or "+00:00").replace(" ", "+")
        try:
            moment = datetime.fromisoformat(f"{day}T{clock}.{micros}{zone}")
        except ValueError:
            raise self.make_error("invalid") from None
        return (moment - _EPOCH) // timedelta(microseconds=1)


class Cursor(fields.Field[str]):
    """The `next_cursor` of an earlier page, read as the id of its last job."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> str:
        well_formed = re.fullmatch(r"[\w-]{23}", value, re.ASCII)
        raw = urlsafe_b64decode(f"{value}=") if well_formed else b""
        if raw[:1] != CURSOR_VERSION:
            raise ValidationError("Must be the next_cursor of an earlier page, unchanged.")
        return f"job_{ULID(raw[1:])}"


class Limit(fields.Field[int]):
    """How many jobs a page may hold: 1 to `most`."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def _deserialize(self, value: str, *_: Any, **__: Any) -> int:
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not 1 <= int(value) <= self._most:
            raise ValidationError(f"Must be a whole number between 1 and {self._most}.")
        return int(value)


class _Filters(Schema):
    status = fields.Enum(Status, by_value=True)
    created_after = Timestamp()
    created_before = Timestamp()
    cursor = Cursor()


def list_query(max_page: int) -> Schema:
    """Build the schema of the query. max_page: the most jobs that a page may hold."""
    return _Filters.from_dict({"limit": Limit(max_page)}, name="ListQuery")()


def make_cursor(job_id: str) -> str:
    """Make the `next_cursor` of a page whose last job is this one; opaque to clients."""
    raw = CURSOR_VERSION + ULID.from_str(job_id.removeprefix("job_")).bytes
    return urlsafe_b64encode(raw).decode().rstrip("=")

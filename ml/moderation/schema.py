"""Input schema of a text pipeline: refuses a text that is empty or longer than `MAX_CHARS`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from marshmallow import RAISE, Schema, fields, validate

from ml.text import clean

MAX_CHARS: Final = 5_000
MAX_USER_ID: Final = 128
# Matches a text of which `clean` leaves something. All JSON Schema validators read it alike: it has
# \u escapes, and unescaped characters beyond U+FFFF, which have no escape that all dialects know.
_FORMATS = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0100-\U000e01ef"
_NONCHARACTERS = "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x1_0000, 0x11_0000, 0x1_0000)
)
VISIBLE: Final = (
    r"[^\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180e"
    r"\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufdd0-\ufdef\ufeff\uffa0"
    rf"\ufff9-\ufffb\ufffe\uffff{_FORMATS}{_NONCHARACTERS}]"
)
_USER_ID = re.compile(r"[A-Za-z0-9_-]+\Z")


class CleanText(fields.Field[str]):
    """A string of 1 to `MAX_CHARS` characters once it is cleaned; loads as the cleaned text."""

    default_error_messages = {  # noqa: RUF012 (marshmallow's own convention)
        "type": "Must be a string of 1 to 5,000 characters",
        "empty": "Must have 1 to 5,000 characters; none are left without white space and "
        "control characters",
        "long": "Must have 1 to 5,000 characters; this has {length}",
    }

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        if not isinstance(value, str):
            raise self.make_error("type")
        text = clean(value)
        if not text:
            raise self.make_error("empty")
        if len(text) > MAX_CHARS:
            raise self.make_error("long", length=f"{len(text):,}")
        return text


class TextInput(Schema):
    """The input: one text, and optionally the id of its author."""

    class Meta:
        unknown = RAISE

    error_messages = {  # noqa: RUF012 (marshmallow's own convention)
        "unknown": "Unknown field; there are text and user_id.",
        "type": "Must be an object with a text",
    }

    text = CleanText(
        required=True,
        error_messages={
            "required": "Is required: a string of 1 to 5,000 characters",
            "null": "Must be a string of 1 to 5,000 characters",
        },
        metadata={
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_CHARS,
            "pattern": VISIBLE,
        },
    )
    user_id = fields.String(
        validate=[
            validate.Length(max=MAX_USER_ID, error=f"Must have 1 to {MAX_USER_ID} characters"),
            validate.Regexp(
                _USER_ID, error="Must be letters, digits, underscores and hyphens only"
            ),
        ],
        error_messages={
            "invalid": "Must be a string of letters, digits, underscores and hyphens",
            "null": "Must be a string of letters, digits, underscores and hyphens; "
            "leave it out if there is none",
        },
    )

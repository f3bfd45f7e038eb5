"""The one sanitiser of text, shared by the API's schema, by training and by serving."""

from __future__ import annotations

import re
import unicodedata

# Control and invisible format characters carry no meaning for a reader and hide words from a
# model. Zero-width (non-)joiners and emoji tags stay: they build emoji and Persian or Indic words.
# White space (\t, \n, \x1c-\x1f, \x85, ...) is not listed: folding turns it into single spaces.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb]+"
)


def clean(text: str) -> str:
    """`text` in Unicode NFC, without control characters, white space folded and stripped.

    Idempotent, never raises: lone surrogates pass through, since only the API can refuse them.
    """
    if text.isascii() and text.isprintable():
        if "  " not in text and text[:1] != " " and text[-1:] != " ":
            return text
        return " ".join(text.split())
    visible = _INVISIBLE.sub("", text)
    return " ".join(unicodedata.normalize("NFC", visible).split())

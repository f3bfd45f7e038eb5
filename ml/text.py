"""Text sanitiser, shared by the API's schema, by training and by serving."""

from __future__ import annotations

import re
import unicodedata

# Control and invisible format characters, noncharacters and ideographic variation selectors carry
# no meaning for a reader and hide words from a model. Zero-width (non-)joiners, U+FE0F and emoji
# tags stay: they build emoji and Persian or Indic words. Private use stays: a font may show it.
# White space (\t, \n, \x1c-\x1f, \x85, ...) is not listed: folding turns it into single spaces.
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x11_0000, 0x1_0000)
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b"
    "\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    f"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0100-\U000e01ef{_NONCHARACTERS}]+"
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

"""Numbers about a text for drift and business rules. Standard library only.

No tier reads them: what tiers read is in `ml.moderation.features`.
"""

from __future__ import annotations

import re
from typing import Final

_LETTER = re.compile(r"[^\W\d_]")
_LATIN_END: Final = "\u024f"  # last letter of Latin Extended-B


def watched(text: str) -> dict[str, float]:
    """The features watched for drift: number of characters, and shares of kinds of them, 0..1."""
    size = max(1, len(text))
    return {
        "length": len(text),
        "capitals": sum(map(str.isupper, text)) / size,
        "punctuation": sum(not c.isalnum() and not c.isspace() for c in text) / size,
        "non_latin": foreign_share(text),
    }


def foreign_share(text: str) -> float:
    """Share of the letters that are not Latin: a cheap sign of a language not trained on."""
    if text.isascii():
        return 0.0
    letters = _LETTER.findall(text)
    return sum(letter > _LATIN_END for letter in letters) / len(letters) if letters else 0.0

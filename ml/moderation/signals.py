"""Numbers about a text, for drift, routing and business rules. Standard library only."""

from __future__ import annotations

import re
from typing import Final

_LETTER = re.compile(r"[^\W\d_]")
_LATIN_END: Final = "\u024f"  # last letter of Latin Extended-B


def signals(text: str) -> dict[str, float]:
    """Numeric features of a cleaned text: lengths and shares of kinds of characters, 0..1."""
    size = max(1, len(text))
    words = text.split()
    return {
        "chars": float(len(text)),
        "words": float(len(words)),
        "mean_word": sum(map(len, words)) / max(1, len(words)),
        "upper_share": sum(map(str.isupper, text)) / size,
        "digit_share": sum(map(str.isdigit, text)) / size,
        "symbol_share": sum(not c.isalnum() and not c.isspace() for c in text) / size,
        "non_ascii_share": sum(c > "\x7f" for c in text) / size,
        "foreign_share": foreign_share(text),
    }


def foreign_share(text: str) -> float:
    """Share of the letters that are not Latin: a cheap sign of a language not trained on."""
    if text.isascii():
        return 0.0
    letters = _LETTER.findall(text)
    return sum(letter > _LATIN_END for letter in letters) / len(letters) if letters else 0.0


def complexity(text: str) -> float:
    """How much a text asks of a model, 0..1: grows with its length, more so if not ASCII.

    Ranks texts for the router; it is no probability.
    """
    words = text.count(" ") + 1
    return min(1.0, words / 48 + (0.0 if text.isascii() else 0.25))

"""Text normalisation: HTML entities become characters, emoji become words, look-alikes Latin.

BERT's vocabulary has no emoji, so without words for them they all become [UNK]. The names come
from the `emoji` package (Unicode CLDR short names): it knows sequences (families, skin tones,
flags) that `unicodedata.name` spells part by part, and its pinned version gives the same names
on every Python, where `unicodedata` follows the interpreter.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

import emoji

from ml.text import clean

MAX_CHARS: Final = 5_000  # after normalisation; NFKC may expand a character up to 18-fold

_MENTION = re.compile(r"@\w+|\[USER\]")
_URL = re.compile(r"(?:https?://|www\.)\S+|\[URL\]", re.IGNORECASE)
_REPEAT = re.compile(r"(.)\1{3,}", re.DOTALL)
_ZERO_WIDTH = re.compile("[\u200c\u200d\ufe00-\ufe0f\U000e0000-\U000e007f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"\w+")
_LATIN = re.compile("[a-zA-Z]")
# Squared and circled letters spell words ("F\U0001f170GS"); NFKC leaves the negative ones alone.
_LETTERS = {start + n: chr(97 + n) for start in (0x1F150, 0x1F170) for n in range(26)} | {
    0x1F4B2: "$"
}
# Cyrillic and Greek letters that look Latin (Unicode TR39 confusables, single letters only).
_LOOKALIKES = str.maketrans(
    "абвгеёіјкмнорстухѕԁԛԝһАВЕЅІЈКМНОРСТУХαβεικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "a6breeijkmhopctyxsdqwhABESIJKMHOPCTYXaBeikvoptuxABEZHIKMNOPTYX",
)


def normalise(text: str) -> str:
    """Normalise entities, emoji, mentions, links and look-alike letters of `text`.

    Never raises; returns at most `MAX_CHARS` characters, possibly none.
    """
    text = clean(_unescape(text))
    if not text.isascii():
        text = _to_plain(text)
    text = _URL.sub(" url ", text)
    text = _MENTION.sub("@user", text)
    text = _REPEAT.sub(r"\1\1\1", text)
    return " ".join(text.split())[:MAX_CHARS].rstrip()


def _unescape(text: str) -> str:
    """Characters for HTML entities, twice over, since scraped texts are often escaped twice."""
    return html.unescape(html.unescape(text)) if "&" in text else text


def _to_plain(text: str) -> str:
    text = _SURROGATE.sub("\ufffd", text).translate(_LETTERS)
    text = _ZERO_WIDTH.sub("", _emoji_to_words(text))
    return _WORD.sub(_fold_lookalikes, unicodedata.normalize("NFKC", text))


def _emoji_to_words(text: str) -> str:
    """Each emoji as its CLDR name; a run of one emoji is named once."""
    last: tuple[int, str] = (-1, "")

    def name(found: str, data: dict[str, str]) -> str:
        nonlocal last
        repeated = last == (int(data["match_start"]), found)
        last = (int(data["match_end"]), found)
        return "" if repeated else f" {data['en'].strip(':').replace('_', ' ')} "

    return emoji.replace_emoji(text, replace=name)


def _fold_lookalikes(word: re.Match[str]) -> str:
    """A word that mixes Latin with look-alike letters, all in Latin; pure scripts stay."""
    found = word.group()
    if found.isascii() or not _LATIN.search(found):
        return found
    return found.translate(_LOOKALIKES)

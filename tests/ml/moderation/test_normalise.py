"""Text as the models read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.moderation.normalise import MAX_CHARS, normalise


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("a &amp; b", "a & b"),
        ("&amp;#8220;twice&amp;#8221;", "\u201ctwice\u201d"),
        ("i \u2764\ufe0f you", "i red heart you"),
        ("&#128514;", "face with tears of joy"),
        ("\U0001f602\U0001f602\U0001f602", "face with tears of joy"),
        ("\U0001f44d\U0001f3ff", "thumbs up dark skin tone"),
        ("\U0001f1ee\U0001f1f1 flag", "Israel flag"),
        ("F\U0001f170\ufe0fGS", "FaGS"),
        ("RT @some_one: [USER] hi", "RT @user: @user hi"),
        ("see https://t.co/x?y=1 and [URL]", "see url and url"),
        ("noooooo!!!!!!", "nooo!!!"),
        ("\uff46\uff55\uff4c\uff4c \U0001d5ba", "full a"),
        ("n\u0456ce", "nice"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442", "\u043f\u0440\u0438\u0432\u0435\u0442"),
        ("zero\u200bwidth", "zerowidth"),
        ("\ud800", "\ufffd"),
    ],
)
def test_texts_become_plain(raw: str, plain: str) -> None:
    assert normalise(raw) == plain


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_any_text_becomes_folded_encodable_and_bounded(text: str) -> None:
    plain = normalise(text)
    assert plain == " ".join(plain.split())
    assert len(plain.encode("utf-8")) >= len(plain)
    assert len(plain) <= MAX_CHARS


def test_a_character_that_expands_cannot_make_a_text_too_long() -> None:
    assert len(normalise("\ufdfa" * 5_000)) <= MAX_CHARS

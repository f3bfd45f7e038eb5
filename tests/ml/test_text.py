"""The one sanitiser."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.text import clean

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("plain text", "plain text"),
        ("", ""),
        ("  two   spaces ", "two spaces"),
        ("tab\tline\r\nend", "tab line end"),
        ("nul\x00 and \x07bell\x7f", "nul and bell"),
        ("\x00\x01\x02\u200b\ufeff\u2060", ""),
        ("next\x85line\u2028para\xa0nbsp\u3000wide", "next line para nbsp wide"),
        ("cafe\u0301", "caf\u00e9"),
        ("e\u200b\u0301", "\u00e9"),
        ("soft\u00adhyphen \u202eright-to-left\u202c", "softhyphen right-to-left"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
        ("\u2764\ufe0f \U0001f1ee\U0001f1f1", "\u2764\ufe0f \U0001f1ee\U0001f1f1"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4\U000e0067\U000e007f"),
        ("private \ue000 \U0010fffd", "private \ue000 \U0010fffd"),
        ("non\ufffe\uffff\ufdd0\ufdef\U0001ffff\U0010fffecharacters", "noncharacters"),
        ("id\U000e0100i\U000e01efot \U0001d173\U0001bca0", "idiot"),
        ("\ud800", "\ud800"),
    ],
)
def test_texts_are_cleaned(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@given(ANY_TEXT)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


@given(ANY_TEXT)
def test_a_cleaned_text_is_folded_and_holds_no_control_characters(text: str) -> None:
    cleaned = clean(text)
    assert cleaned == " ".join(cleaned.split())
    assert not any(unicodedata.category(c) == "Cc" for c in cleaned)

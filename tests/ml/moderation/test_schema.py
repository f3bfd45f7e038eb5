"""What a client sends, and what it is told when that is wrong."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from marshmallow import ValidationError

from ml.moderation.schema import VISIBLE, TextInput
from ml.text import clean

SCHEMA = TextInput()
LENGTH = "1 to 5,000 characters"


def test_a_text_is_loaded_clean() -> None:
    assert SCHEMA.load({"text": " a\x00 \tb ", "user_id": "u_4-2"}) == {
        "text": "a b",
        "user_id": "u_4-2",
    }


def test_a_text_of_5000_characters_is_taken_and_one_more_is_not() -> None:
    assert len(SCHEMA.load({"text": "x" * 5_000})["text"]) == 5_000
    with pytest.raises(ValidationError) as raised:
        SCHEMA.load({"text": "x" * 5_001})
    assert raised.value.messages == {"text": [f"Must have {LENGTH}; this has 5,001"]}


def test_the_length_counts_after_cleaning() -> None:
    assert SCHEMA.load({"text": "x" * 5_000 + " \x00" * 500})["text"] == "x" * 5_000


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({}, "text", f"Is required: a string of {LENGTH}"),
        ({"text": None}, "text", f"Must be a string of {LENGTH}"),
        ({"text": 5}, "text", f"Must be a string of {LENGTH}"),
        ({"text": ["a"]}, "text", f"Must be a string of {LENGTH}"),
        ({"text": True}, "text", f"Must be a string of {LENGTH}"),
        ({"text": ""}, "text", "none are left without white space and control characters"),
        ({"text": "\x00\x07 \u200b"}, "text", "none are left"),
        ({"text": "a", "user_id": "no spaces"}, "user_id", "Must be letters, digits"),
        ({"text": "a", "user_id": "a\n"}, "user_id", "Must be letters, digits"),
        ({"text": "a", "user_id": ""}, "user_id", "Must be letters, digits"),
        ({"text": "a", "user_id": "u" * 129}, "user_id", "Must have 1 to 128 characters"),
        ({"text": "a", "user_id": 7}, "user_id", "Must be a string of letters"),
        ({"text": "a", "user_id": None}, "user_id", "leave it out if there is none"),
        ({"text": "a", "txet": "b"}, "txet", "there are text and user_id"),
    ],
)
def test_bad_input_is_told_what_would_be_right(data: Any, field: str, says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        SCHEMA.load(data)
    messages = raised.value.messages
    assert isinstance(messages, dict)
    assert list(messages) == [field]
    assert says in messages[field][0]


@pytest.mark.parametrize("data", [None, "text", 5, ["text"]])
def test_an_input_that_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError, match="Must be an object with a text"):
        SCHEMA.load(data)


def test_the_published_pattern_knows_which_characters_are_left_after_cleaning() -> None:
    surrogates = range(0xD800, 0xE000)
    wrong = [
        hex(code)
        for code in range(sys.maxunicode + 1)
        if code not in surrogates and bool(clean(chr(code))) != bool(re.search(VISIBLE, chr(code)))
    ]
    assert wrong == []

"""JSON texts are measured before they are parsed, and the measure is exact."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from app.http import strict_json
from app.http.errors import ApiError, MalformedBody
from app.http.strict_json import parse
from tasks.config.settings import Settings

LIMITS = Settings(
    redis_password="r" * 16,
    api_key="k" * 16,
    key_pepper="p" * 16,
    webhook_key="w" * 16,
    max_json_keys=10_000,
)
EIGHT_MB = 8 * 2**20
KEYS = "have at most 10000 keys in all its objects"
VALUES = "values in all, in objects and lists"
DEEP = "nest at most 16 levels deep"


def keys(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":0' % number for number in range(count)) + b"}"


def many(value: bytes, size: int = EIGHT_MB) -> bytes:
    """A list of that value, as often as it fits `size` bytes."""
    return b"[" + value + (b"," + value) * (size // (len(value) + 1)) + b"]"


@pytest.fixture
def _nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: bytes) -> Any:
        raise AssertionError(f"parsed {len(text)} bytes")

    monkeypatch.setattr(strict_json, "_decode", refuse)


@pytest.mark.usefixtures("_nothing_is_built")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(b"[" * EIGHT_MB, DEEP, id="8-MB-of-brackets"),
        pytest.param(b'{"a":' * (EIGHT_MB // 5), VALUES, id="8-MB-of-objects"),
        pytest.param(b'{"a":' * 2_000 + b"0" + b"}" * 2_000, DEEP, id="2,000-levels"),
        pytest.param(many(b"[" * 17 + b"]" * 17, 50_000), DEEP, id="often-18-levels"),
        pytest.param(keys(1_000_000), VALUES, id="a-million-keys"),
        pytest.param(keys(10_001), KEYS, id="10,001-keys"),
        pytest.param(many(keys(3), 150_000), KEYS, id="keys-of-many-objects"),
        pytest.param(many(b"0"), VALUES, id="8-MB-of-numbers"),
        pytest.param(many(b"0", 40_000), VALUES, id="20,001-numbers"),
        pytest.param(many(b'""'), VALUES, id="8-MB-of-texts"),
        pytest.param(many(b"{}"), VALUES, id="8-MB-of-empty-objects"),
        pytest.param(many(b"[[[[[[]]]]]]"), VALUES, id="8-MB-of-lists"),
        pytest.param(many(rb'"\\",0', 120_000), VALUES, id="texts-that-end-in-a-backslash"),
        pytest.param(b'["\\""' + many(b"0", 40_000)[1:], VALUES, id="after-a-quoted-quote"),
    ],
)
def test_what_is_beyond_the_limits_is_refused_before_anything_is_built_of_it(
    text: bytes, said: str
) -> None:
    with pytest.raises(MalformedBody, match=said):
        parse(text, LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(keys(10_000), id="10,000-keys"),
        pytest.param(many(keys(2), 10_000), id="objects-in-a-list"),
        pytest.param(many(b"0", 39_990), id="numbers"),
        pytest.param(many(b"[" * 15 + b"]" * 15, 20_000), id="often-16-levels"),
        pytest.param(json.dumps({"text": '":,{}[]' * 10_000}).encode(), id="signs-in-a-text"),
        pytest.param(json.dumps([r'\\",[' * 999, '"', "[" * 99_999]).encode(), id="escapes"),
        pytest.param(b" " * 99_999 + b"[]", id="white-space"),
        pytest.param(
            json.dumps(
                {"inputs": [{"text": "a: [b], {c}", "user_id": "u_1"} for _ in range(1_000)]}
            ).encode(),
            id="a-full-bulk-job",
        ),
    ],
)
def test_what_is_within_the_limits_is_parsed_whole(text: bytes) -> None:
    assert parse(text, LIMITS) == json.loads(text)


VALUE = st.recursive(
    st.none() | st.integers(-9, 9) | st.text(r'ab\\":,[]{}', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(r'a\\":,[{', max_size=4), inner)
    ),
    max_leaves=40,
)


def counts(value: Any) -> tuple[int, int, int]:
    """Keys, values below the first, and levels of containers."""
    if not isinstance(value, dict | list):
        return 0, 0, 0
    members = list(value.values() if isinstance(value, dict) else value)
    below = [counts(member) for member in members]
    own = len(members) if isinstance(value, dict) else 0
    return (
        own + sum(each[0] for each in below),
        len(members) + sum(each[1] for each in below),
        1 + max((each[2] for each in below), default=0),
    )


def refused(text: bytes, limits: Settings) -> bool:
    try:
        strict_json._measure(text, limits)
    except MalformedBody:
        return True
    return False


@bounds(max_examples=300, derandomize=True, deadline=None)
@given(
    value=st.lists(VALUE, max_size=4), shift=st.integers(-1, 1), indent=st.sampled_from([None, 1])
)
def test_keys_and_levels_are_counted_exactly(value: Any, shift: int, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    n_keys, n_values, levels = counts(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "FEW", 0)
        roomy = replace(LIMITS, max_json_keys=9_999)
        assert refused(text, replace(roomy, max_json_depth=levels + shift)) == (shift < 0)
        tight = replace(roomy, max_inputs=1, max_json_keys=max(3, n_keys + shift))
        if n_keys > tight.max_json_keys or n_values > 2 * tight.max_json_keys:
            assert refused(text, tight)
        elif 2 * n_values + 1 <= 2 * tight.max_json_keys:  # an empty container may count twice
            assert not refused(text, tight)


@bounds(max_examples=300, derandomize=True, deadline=None)
@given(text=st.text(r'ab\\"":,[]{}[]{}01 ', max_size=60).map(str.encode) | st.binary(max_size=60))
def test_any_text_is_parsed_as_json_does_it_or_refused(text: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "FEW", 0)
        try:
            value = parse(text, LIMITS)
        except ApiError:
            return
    assert value == json.loads(text)

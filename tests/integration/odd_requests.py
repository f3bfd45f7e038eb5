"""Requests that nobody should send, as hypothesis strategies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.app.middleware.test_any_body import JOBS, JSON

VALID: dict[str, Any] = {
    "pipeline": "null",
    "input": {"text": "plain words", "user_id": "u_42"},
    "options": {"language": "en", "temperature": 1.0, "max_tokens": 256, "min_tier": "null"},
    "priority": "normal",
    "deadline_ms": 30_000,
    "metadata": {"ticket": "A-17", "nested": [1, {"deep": True}, None]},
}
BULK: dict[str, Any] = {"pipeline": "echo", "inputs": [{"text": f"text {n}"} for n in range(30)]}


@dataclass(frozen=True)
class Odd:
    """One request to POST /v1/jobs; its headers go before those of a valid one."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def bodies(strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[Odd]:
    return strategy.map(Odd)


# Almost JSON: a valid body with bytes of it replaced, left out or put in.
_TOKENS = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud800", b"\x00", b"\xff"),
    *(b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\r\n", b"'", b"//"),
    *(b"NaN", b"-Infinity", b"null", b"true", b"-", b"1e999", b"0x1", b"01", b"9" * 400, b"\\/"),
    *(b'"input":', b'"pipeline":"echo",', b'{"__proto__":1}', b'"_schema":[],', b"[" * 40),
]
_EDIT = st.tuples(
    st.integers(0, 10_000), st.integers(0, 12), st.sampled_from(_TOKENS) | st.binary(max_size=4)
)


def _edited(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, gone, token in edits:
        at = place % (len(body) + 1)
        body = body[:at] + token + body[at + gone :]
    return body


almost_json = st.builds(
    _edited,
    st.sampled_from([json.dumps(VALID).encode(), json.dumps(BULK).encode()]),
    st.lists(_EDIT, min_size=1, max_size=4),
)

# Nested: any depth, closed or not, wherever a value may stand.
_PLACES = ["input", "inputs", "options", *["metadata"] * 3, "pipeline", "deadline_ms", "extra"]


def _valid_but_for(place: str, value: str) -> bytes:
    """A job with that text of JSON in one of its places."""
    members = {"pipeline": '"null"', "input": '{"text": "a"}'}
    if place == "inputs":
        del members["input"]
    members[place] = value
    return ("{" + ", ".join(f'"{key}": {text}' for key, text in members.items()) + "}").encode()


def _nested(place: str, opener: str, depth: int, core: str, unclosed: int) -> bytes:
    closers = {"[": "]", '{"a":': "}", '[{"text":': "}]", '[[0],{"b":[': "]}]"}
    value = opener * depth + core + closers[opener] * max(0, depth - unclosed)
    return _valid_but_for(place, value)


nested = st.builds(
    _nested,
    st.sampled_from(_PLACES),
    st.sampled_from(["[", '{"a":', '[{"text":', '[[0],{"b":[']),
    st.integers(0, 13) | st.integers(0, 40) | st.sampled_from([500, 990, 1_001, 5_000, 50_000]),
    st.sampled_from(["", "0", '"x"', "[]", "{}", "null"]),
    st.sampled_from([0, 0, 0, 1, 3, 100_000]),
)

# Wide: so many keys or values that their number alone is the fault, or just is not.
_WIDE = ["0", '""', "[]", "{}", '{"text":"a"}', '{"text":""}', "[0,0]", "null", '"\\u0000"']


def _wide(place: str, value: str, count: int, keyed: bool) -> bytes:
    members = (f'"k{n}":{value}' if keyed else value for n in range(count))
    opener, closer = "{}" if keyed else "[]"
    return _valid_but_for(place, f"{opener}{','.join(members)}{closer}")


wide = st.builds(
    _wide,
    st.sampled_from(_PLACES),
    st.sampled_from(_WIDE),
    st.integers(0, 120) | st.sampled_from([999, 1_000, 1_001, 9_999, 10_001, 25_000]),
    st.booleans(),
)

# Numbers: of any length and size, where a number may stand and where none may.
_DIGITS = st.one_of(
    st.text("0123456789", min_size=1, max_size=25),
    st.integers(1, 500).map("9".__mul__),
    st.integers(1, 330).map(lambda zeros: "1" + "0" * zeros),
    st.sampled_from([str(2**63 - 1), str(2**63), str(2**64), str(2**1024), "1" * 4_301]),
)
_NUMBER = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "", "-", "-", "--", "+", "-0"]),
    _DIGITS,
    st.sampled_from(["", "", "", "."]) | _DIGITS.map(".{}".format),
    st.sampled_from(["", "", "", "e"]) | _DIGITS.map("e{}".format) | _DIGITS.map("E-{}".format),
) | st.sampled_from(["NaN", "Infinity", "-Infinity", "0x10", "1_000", "١٢٣", "1e5", "0.05", "20"])
_SLOTS = [
    '{"pipeline":"null","input":{"text":"a"},"options":{"temperature":@}}',
    '{"pipeline":"null","input":{"text":"a"},"options":{"max_tokens":@}}',
    '{"pipeline":"null","input":{"text":"a"},"deadline_ms":@}',
    '{"pipeline":"null","input":{"text":"a"},"metadata":{"n":[@,@]}}',
    '{"pipeline":"null","input":{"text":@}}',
    '{"pipeline":"null","input":@}',
    '{"pipeline":"null","inputs":[{"text":"a"},@]}',
    "@",
]
numbers = st.builds(
    lambda slot, number: slot.replace("@", number).encode(), st.sampled_from(_SLOTS), _NUMBER
)

# Text: every plane, lone surrogates, controls, joiners; as it is or escaped; in every string.
_ODD_CHARACTERS = (
    st.characters(exclude_categories=())
    | st.characters(categories=["Cc", "Cf", "Cs", "Co", "Mn", "Zl", "Zp", "Zs"])
    | st.sampled_from(
        ["\x00", "\ufffe", "\U0010ffff", "\u202e", "\u200d", "\ufe0f", "\ufdfa", "\ufb2c", "\u0344"]
    )
)
_TEXT = st.text(_ODD_CHARACTERS, max_size=30) | st.builds(
    str.__mul__, st.text(_ODD_CHARACTERS, min_size=1, max_size=2), st.sampled_from([300, 5_001])
)
_WITH_TEXT: list[Callable[[str], Any]] = [
    lambda text: {**VALID, "input": {"text": text}},
    lambda text: {**VALID, "pipeline": "echo", "options": {}, "input": {"text": text}},
    lambda text: {**VALID, "input": {"text": "a", "user_id": text}},
    lambda text: {**VALID, "input": {"text": "a", text: text}},
    lambda text: {**VALID, "metadata": {text: text}},
    lambda text: {**VALID, "metadata": {"a": [text]}},
    lambda text: {**VALID, "options": {"language": text}},
    lambda text: {**VALID, "options": {"min_tier": text}},
    lambda text: {**VALID, "options": {"mode": text}},
    lambda text: {**VALID, "priority": text},
    lambda text: {**VALID, "pipeline": text},
    lambda text: {**VALID, text: 1},
    lambda text: {**BULK, "inputs": [{"text": "a"}, {"text": text}, text]},
]
odd_text = st.builds(
    lambda shape, text, escaped: json.dumps(shape(text), ensure_ascii=escaped).encode(
        "utf-8", "surrogatepass"
    ),
    st.sampled_from(_WITH_TEXT),
    _TEXT,
    st.booleans(),
)

# Headers: what any HTTP library can be made to send.
_VALUE = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=60)
_HEADERS: dict[str, list[str]] = {
    "Content-Type": ["text/plain", "application/json; charset=latin-1", "application/json;", ""],
    "Content-Encoding": ["gzip", "identity", "br, gzip"],
    "Authorization": ["Bearer", "Bearer ", "Basic eDp5", "Bearer " + "x" * 5_000, "bearer  \xff"],
    "Idempotency-Key": ["", "a,b", "x" * 256, '"quoted"', "same", "same"],
    "Prefer": ["wait=0", "wait=-1", "wait=999999999999", "wait", "respond-async, wait=1", "wait=²"],
    "X-Request-ID": ["x" * 9_000, "a b", "<script>"],
    "traceparent": ["00-" + "0" * 32 + "-" + "0" * 16 + "-00", "ff-" + "1" * 32],
    "Accept": ["text/html", "*/*;q=0", "application/json;q=nonsense"],
    "Accept-Encoding": ["gzip", "identity;q=0, *;q=0"],
    "Expect": ["200-maybe"],
    "Range": ["bytes=0-1"],
    "If-Match": ["*", '"x"'],
    "X-Forwarded-For": ["1.2.3.4, nonsense", "::1%eth0"],
    "X-HTTP-Method-Override": ["DELETE"],
    "Cookie": ["a=b; c", "\xff=\xfe"],
}
odd_headers = st.builds(
    Odd,
    st.sampled_from([json.dumps(VALID).encode(), b"", b"{}"]),
    st.lists(
        st.sampled_from(sorted(_HEADERS)).flatmap(
            lambda name: st.tuples(st.just(name), st.sampled_from(_HEADERS[name]) | _VALUE)
        ),
        min_size=1,
        max_size=4,
    ).map(dict),
)

PARTS: dict[str, tuple[int, st.SearchStrategy[Odd]]] = {
    "bytes": (1_500, bodies(st.binary(max_size=300))),
    "almost JSON": (2_500, bodies(almost_json)),
    "nested": (800, bodies(nested)),
    "wide": (700, bodies(wide)),
    "numbers": (1_500, bodies(numbers)),
    "text": (1_500, bodies(odd_text)),
    "values": (800, bodies((JOBS | JSON).map(lambda body: json.dumps(body).encode()))),
    "headers": (700, odd_headers),
}

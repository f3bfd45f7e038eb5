from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.ndjson import split_lines


def lines_of(*chunks: bytes, most: int = 10) -> list[bytes | None]:
    return list(split_lines(chunks, most))


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\n\nb\n", [b"a", b"", b"b"]),
        (b"\n", [b""]),
        (b"a\r\nb\r\n", [b"a\r", b"b\r"]),
    ],
)
def test_a_newline_ends_a_line_and_is_optional_after_the_last(
    body: bytes, lines: list[bytes]
) -> None:
    assert lines_of(body) == lines


def test_a_line_that_is_too_long_is_none_and_its_neighbours_are_whole() -> None:
    assert lines_of(b"ab\n" + b"x" * 11 + b"\ncd") == [b"ab", None, b"cd"]
    assert lines_of(b"x" * 10 + b"\n" + b"x" * 11) == [b"x" * 10, None]


def test_a_line_too_long_for_one_chunk_is_too_long_once() -> None:
    assert lines_of(*[b"x" * 9] * 5, b"\nab\n") == [None, b"ab"]


@given(
    body=st.lists(st.sampled_from([b"ab", b"\n", "é".encode(), b"x" * 7])).map(b"".join),
    cuts=st.lists(st.integers(0, 60)),
)
def test_where_chunks_end_changes_nothing(body: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(body)) for cut in cuts} | {0, len(body)})
    chunks = [body[a:b] for a, b in pairwise(places)]
    assert lines_of(*chunks) == lines_of(body)

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.client import ClientError, Conversation, Driver, Reader, Response
from tests.bench.servers import chunked, response, serving

SIZED = b'HTTP/1.1 202 Accepted\r\nContent-Type: a/b\r\nContent-Length: 9\r\n\r\n{"id": 1}'
CHUNKED = chunked(b'{"index": 0}\n', b"x" * 300, b"\r\n")


def feed(data: bytes, cuts: list[int]) -> list[Response]:
    reader = Reader()
    edges = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    return [found for piece in pieces if (found := reader.feed(piece)) is not None]


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_a_response_with_a_length_is_read_however_it_is_cut(cuts: list[int]) -> None:
    assert feed(SIZED, cuts) == [Response(202, b'{"id": 1}')]


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_a_chunked_response_is_read_however_it_is_cut(cuts: list[int]) -> None:
    assert feed(CHUNKED, cuts) == [Response(200, b'{"index": 0}\n' + b"x" * 300 + b"\r\n")]


def test_a_reader_reads_one_response_after_another() -> None:
    reader = Reader()
    assert reader.feed(CHUNKED) == Response(200, b'{"index": 0}\n' + b"x" * 300 + b"\r\n")
    assert reader.feed(SIZED) == Response(202, b'{"id": 1}')


def test_an_empty_body_is_a_response() -> None:
    assert Reader().feed(b"HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n") == Response(204, b"")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP/1.1 response"),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", "neither Content-Length nor chunked"),
        (SIZED + b"HTTP/1.1 500", "12 bytes after the response"),
    ],
)
def test_broken_framing_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(ClientError, match=says):
        Reader().feed(data)


def test_conversations_run_side_by_side_and_get_their_own_answers() -> None:
    seen: dict[str, list[bytes]] = {}

    def converse(name: str) -> Conversation:
        for number in range(20):
            reply = yield f"GET /{name}/{number} HTTP/1.1\r\n\r\n".encode()
            assert reply.status == 200
            seen.setdefault(name, []).append(reply.body)
            yield 0.0

    with serving(lambda line, _: response(line.split(" ")[1])) as address:
        driver = Driver(address)
        driver.run([converse(name) for name in ("a", "b", "c")])
    assert seen == {n: [b'"/%s/%d"' % (n.encode(), i) for i in range(20)] for n in ("a", "b", "c")}
    assert driver.requests == 60


def test_a_body_larger_than_any_buffer_arrives_whole() -> None:
    body = b"y" * 3_000_000
    lengths: list[int] = []

    def converse() -> Conversation:
        head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
        lengths.append(len((yield head + body).body))

    with serving(lambda _, sent: response("z" * len(sent))) as address:
        Driver(address).run([converse()])
    assert lengths == [3_000_002]


def ask_once() -> Conversation:
    yield b"GET / HTTP/1.1\r\n\r\n"


def test_a_server_that_hangs_up_is_an_error() -> None:
    with (
        serving(lambda _, __: None) as address,
        pytest.raises(ClientError, match="closed a keep-alive connection"),
    ):
        Driver(address).run([ask_once()])


def test_a_server_that_never_answers_is_an_error() -> None:
    with (
        serving(lambda _, __: b"") as address,
        pytest.raises(ClientError, match="no answer on 1 connections"),
    ):
        Driver(address, stall_s=0.05).run([ask_once()])


def test_what_a_conversation_raises_ends_the_run() -> None:
    def fail() -> Conversation:
        yield b"GET / HTTP/1.1\r\n\r\n"
        raise ValueError("not what was asked for")

    with serving(lambda _, __: response(1)) as address, pytest.raises(ValueError, match="not what"):
        Driver(address).run([fail(), ask_once()])

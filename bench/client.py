"""The load generator's HTTP/1.1 client: keep-alive connections driven by generators, in one thread.

The machine under test also runs the load, so a request must cost the generator little: sockets and
a selector, request bytes prepared beforehand, only the framing of RFC 9112 section 6 parsed. A
client's behaviour is a `Conversation`:

    def submit_and_wait(requests):
        for request in requests:
            response = yield request        # bytes: send, resume with the response
            while not finished(response):
                yield 0.01                  # seconds: pause, resume with None
                response = yield poll(response)
"""

from __future__ import annotations

import heapq
import re
import selectors
import socket
from collections.abc import Generator, Iterable
from time import perf_counter
from typing import Any, NamedTuple

READ_BYTES = 65_536
SOCKET_BUFFER_BYTES = 1 << 20  # a bulk body fits, so sending never waits for the server
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)


class ClientError(Exception):
    """The server broke HTTP framing, closed a connection, or did not answer in time."""


class Response(NamedTuple):
    """Status code and whole body; headers are not kept."""

    status: int
    body: bytes


Conversation = Generator[bytes | float, Response, None]


class Reader:
    """Turns received bytes into one response at a time; no pipelining."""

    __slots__ = ("_body_at", "_buffer", "_chunks", "_length", "_status")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._begin()

    def _begin(self) -> None:
        self._status = 0
        self._body_at = 0
        self._length: int | None = None
        self._chunks: list[bytes] = []

    def feed(self, data: bytes) -> Response | None:
        """Add received bytes; the response once it is complete, else None.

        Raises:
            ClientError: not HTTP/1.1, no framing header, or bytes after the response.
        """
        self._buffer += data
        if not self._status and not self._read_head():
            return None
        body = self._chunked_body() if self._length is None else self._sized_body(self._length)
        if body is None:
            return None
        if self._buffer:
            raise ClientError(f"{len(self._buffer)} bytes after the response: {self._buffer[:80]}")
        response = Response(self._status, body)
        self._begin()
        return response

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[: end + 2])
        if not head.startswith(b"HTTP/1.1 "):
            raise ClientError(f"not an HTTP/1.1 response: {head[:80]!r}")
        self._status = int(head[9:12])
        if (length := _LENGTH.search(head)) is not None:
            self._length = int(length[1])
        elif _CHUNKED.search(head) is None:
            raise ClientError(f"neither Content-Length nor chunked: {head!r}")
        self._body_at = end + 4
        return True

    def _sized_body(self, length: int) -> bytes | None:
        end = self._body_at + length
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[self._body_at : end])
        del self._buffer[:end]
        return body

    def _chunked_body(self) -> bytes | None:
        while (line_end := self._buffer.find(b"\r\n", self._body_at)) >= 0:
            size = int(self._buffer[self._body_at : line_end].split(b";")[0], 16)
            start, end = line_end + 2, line_end + 2 + size
            if len(self._buffer) < end + 2:
                return None
            if size == 0:  # the servers under test send no trailers
                del self._buffer[: end + 2]
                return b"".join(self._chunks)
            self._chunks.append(bytes(self._buffer[start:end]))
            self._body_at = end + 2
        return None


class _Connection:
    """One socket and the conversation it carries."""

    __slots__ = ("_conversation", "_reader", "socket")

    def __init__(self, address: tuple[str, int], conversation: Conversation) -> None:
        self._conversation = conversation
        self._reader = Reader()
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)

    def advance(self, response: Response | None) -> float | None:
        """Resume the conversation and send what it yields; a pause is returned in seconds.

        Raises:
            StopIteration: the conversation ended.
        """
        step = self._conversation.send(response)  # type: ignore[arg-type]  # None starts, resumes
        if isinstance(step, bytes):
            self.socket.sendall(step)
            return None
        return step

    def receive(self) -> Response | None:
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ClientError("the server closed a keep-alive connection")
        return self._reader.feed(data)


class Driver:
    """Runs conversations side by side, a connection each, until all have ended."""

    def __init__(self, address: tuple[str, int], stall_s: float = 60.0) -> None:
        self._address = address
        self._stall_s = stall_s
        self._selector = selectors.DefaultSelector()
        self._pauses: list[tuple[float, int, _Connection]] = []
        self._open: set[_Connection] = set()
        self.requests = 0  # sent so far

    def run(self, conversations: Iterable[Conversation]) -> None:
        """Run all of `conversations` to their end.

        Raises:
            ClientError: broken framing, a closed connection, or `stall_s` without any event.
            Exception: whatever a conversation raises, unchanged; every connection is closed first.
        """
        try:
            self._connect(conversations)
            while self._open:
                self._turn()
        finally:
            for connection in list(self._open):
                self._close(connection)
            self._selector.close()

    def _connect(self, conversations: Iterable[Conversation]) -> None:
        for conversation in conversations:
            connection = _Connection(self._address, conversation)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._open.add(connection)
        for connection in list(self._open):
            self._advance(connection, None)

    def _turn(self) -> None:
        wait = self._pauses[0][0] - perf_counter() if self._pauses else self._stall_s
        events = self._selector.select(max(wait, 0.0))
        if not events and not self._pauses:
            raise ClientError(f"no answer on {len(self._open)} connections for {self._stall_s} s")
        for key, _ in events:
            if (response := key.data.receive()) is not None:
                self._advance(key.data, response)
        while self._pauses and self._pauses[0][0] <= perf_counter():
            self._advance(heapq.heappop(self._pauses)[2], None)

    def _advance(self, connection: _Connection, response: Response | None) -> None:
        try:
            pause = connection.advance(response)
        except StopIteration:
            self._close(connection)
            return
        if pause is None:
            self.requests += 1
        else:
            entry: Any = (perf_counter() + pause, id(connection), connection)
            heapq.heappush(self._pauses, entry)

    def _close(self, connection: _Connection) -> None:
        self._open.discard(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()

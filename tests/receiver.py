"""A receiver of webhooks on this machine: remembers what came, and behaves as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.ports import free_port

NEXT_CHUNK_S = 1.0


@dataclass(frozen=True)
class Got:
    """A request. headers: names in lower case. at: by this machine's monotonic clock."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Behaviour = Callable[[asyncio.StreamWriter, Got], Awaitable[None]]


def answer(status: int, *headers: str, body: bytes = b"") -> Behaviour:
    lines = [f"HTTP/1.1 {status} X", *headers]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"

    async def behave(writer: asyncio.StreamWriter, _: Got) -> None:
        writer.write(head + body)
        await writer.drain()

    return behave


async def reset(writer: asyncio.StreamWriter, _: Got) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(_: asyncio.StreamWriter, __: Got) -> None:
    await asyncio.Event().wait()


async def trickle(writer: asyncio.StreamWriter, _: Got) -> None:
    """One byte a second, from the first of the status line on."""
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(NEXT_CHUNK_S)


class Flood:
    """200, and then a gigabyte. sent: bytes that were taken from us."""

    def __init__(self, status: int = 200, size: int = 2**30) -> None:
        self.status = status
        self.size = size
        self.sent = 0

    async def __call__(self, writer: asyncio.StreamWriter, _: Got) -> None:
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: {self.size}\r\n\r\n".encode())
        while self.sent < self.size:
            writer.write(b"x" * 65_536)
            await writer.drain()
            self.sent += 65_536


class Receiver:
    """`with Receiver() as it:` listens; it may stop and start again on the same port."""

    def __init__(self, behave: Behaviour | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.behave: Behaviour = behave or answer(204)
        self._tls = tls
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.got: list[Got] = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def ids(self) -> Counter[str]:
        return Counter(got.id for got in list(self.got))

    def start(self) -> None:
        self._run(self._listen())

    def stop(self) -> None:
        """Refuse connections, and break those there are."""
        self._run(self._close())

    def _run(self, work: Awaitable[None]) -> None:
        asyncio.run_coroutine_threadsafe(_await(work), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=1_024, ssl=self._tls
        )

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(list(self._open))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    got = await _request(reader)
                    self.got.append(got)
                    await self.behave(writer, got)
        finally:
            self._open.discard(task)
            writer.transport.abort()


async def _await(work: Awaitable[None]) -> None:
    await work


async def _request(reader: asyncio.StreamReader) -> Got:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Got(first.split(" ")[1], headers, body)

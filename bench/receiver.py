"""`python -m bench.receiver PORT`: webhook receiver that answers 204 and records arrival times.

It costs as little as Python allows, so that the senders are measured and not the receiver. GET
returns the arrivals since the last GET: {"id": seconds since the epoch, ...}, first arrivals.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"

came: dict[str, float] = {}


class Receiver(asyncio.Protocol):
    """One connection, kept open as long as the sender keeps it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = int(_header(head, b"content-length") or 0)
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"GET"):
            body = json.dumps(came).encode()
            came.clear()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
        else:
            came.setdefault(_header(head, b"webhook-id").decode(), time.time())
            self._transport.write(NO_CONTENT)


def _header(head: bytes, name: bytes) -> bytes:
    start = head.lower().find(b"\r\n" + name + b":")
    return head[start + len(name) + 3 :].partition(b"\r\n")[0].strip() if start >= 0 else b""


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Receiver, "127.0.0.1", port, backlog=1_024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

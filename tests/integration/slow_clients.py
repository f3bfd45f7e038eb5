"""Clients that take their time: a thousand connections, from one thread, for as long as asked."""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

TICK_S = 1.0  # every connection sends one byte in each


@dataclass
class Crowd:
    """Slow connections to one port of 127.0.0.1; whoever is thrown out comes back.

    head: what each sends at once. drip: what it then sends a byte of each second, over and over;
    empty: nothing more.
    """

    port: int
    count: int
    head: bytes
    drip: bytes
    timed_out: int = 0
    closed: int = 0
    connected: int = 0

    def run(self, done: threading.Event) -> None:
        with selectors.DefaultSelector() as selector:
            try:
                for _ in range(self.count):
                    self._join(selector)
                while not done.is_set():
                    tick_ends = time.monotonic() + TICK_S
                    while (left := tick_ends - time.monotonic()) > 0 and not done.is_set():
                        for key, _ in selector.select(min(left, 0.1)):
                            self._hear(selector, key)
                    self._drip(selector)
            finally:
                for key in list(selector.get_map().values()):
                    key.fileobj.close()  # type: ignore[union-attr]

    def _join(self, selector: selectors.BaseSelector) -> None:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(self.head)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        self.connected += 1

    def _hear(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        connection = key.fileobj
        assert isinstance(connection, socket.socket)
        try:
            heard = connection.recv(65_536)
        except OSError:
            heard = b""
        if heard:
            self.timed_out += heard.count(b"HTTP/1.1 408 ")
            return
        self.closed += 1
        selector.unregister(connection)
        connection.close()
        self._join(selector)

    def _drip(self, selector: selectors.BaseSelector) -> None:
        if not self.drip:
            return
        for key in list(selector.get_map().values()):
            try:
                key.fileobj.send(self.drip[:1])  # type: ignore[union-attr]
            except OSError:
                continue  # it is closed, which the next look hears
        self.drip = self.drip[1:] + self.drip[:1]


@contextmanager
def crowd(port: int, count: int, head: bytes, drip: bytes) -> Iterator[Crowd]:
    """A crowd that is there while this lasts."""
    _allow_files(count + 500)
    slow, done = Crowd(port, count, head, drip), threading.Event()
    thread = threading.Thread(target=partial(slow.run, done))
    thread.start()
    try:
        yield slow
    finally:
        done.set()
        thread.join()


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))

"""Ports for tests: free now, and still free when the process that is told of them binds them."""

from __future__ import annotations

import os
import random
import socket
from contextlib import closing

# Below those that systems hand out for connections (Linux: from 32,768 on), so that no client of
# another test comes to sit on one between our look and the server's bind.
FIRST, END = 10_000, 32_000


def share_of(worker: str, workers: int) -> range:
    """The ports that one of pytest-xdist's processes may hand out: no two have one in common.

    worker: its name, gw0, gw1 and so on. workers: how many there are.
    """
    size = (END - FIRST) // workers
    first = FIRST + size * int(worker.removeprefix("gw"))
    return range(first, first + size)


_SHARE = share_of(
    os.environ.get("PYTEST_XDIST_WORKER", "gw0"),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)
_unused = random.sample(_SHARE, len(_SHARE))


def free_ports(size: int) -> int:
    """The first of `size` ports in a row that are free, and that no other caller was told."""
    while True:
        first = free_port()
        others = range(first + 1, first + size)
        if all(port in _unused and _is_free(port) for port in others):
            for port in others:
                _unused.remove(port)
            return first


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on and that no other caller here was told."""
    while True:
        port = _unused.pop()
        if _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

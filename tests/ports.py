"""Ports for tests: free now, and still free when the process that is told of them binds them."""

from __future__ import annotations

import random
import socket
from contextlib import closing

# Below those that systems hand out for connections (Linux: from 32,768 on), so that no client of
# another test comes to sit on one between our look and the server's bind.
_PORTS = random.sample(range(10_000, 32_000), 22_000)


def free_ports(size: int) -> int:
    """The first of `size` ports in a row that are free."""
    while True:
        first = free_port()
        if all(_is_free(first + n) for n in range(1, size)):
            return first


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on and that no other caller here was told."""
    while True:
        port = _PORTS.pop()
        if _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

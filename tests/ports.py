"""Ports for tests: free now, and still free when the process that is told of them binds them."""

from __future__ import annotations

import random
import socket
from contextlib import closing

# Below those that systems hand out for connections (Linux: from 32,768 on), so that no client of
# another test comes to sit on one between our look and the server's bind.
_PORTS = random.sample(range(10_000, 32_000), 22_000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on and that no other caller here was told."""
    while True:
        port = _PORTS.pop()
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port

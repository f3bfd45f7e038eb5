"""Two features that granian 2.8 lacks, added from outside; tests check that they still work.

1. Its WSGI interface does not give the application the object that sends a response.
2. It has no timeout for a client that does not read its response.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from granian.server import mp

from app.middleware.slow_bodies import PROTOCOL

LOOK_AGAIN_S = 0.05  # how often the listening socket is looked for
GIVE_UP_S = 60.0  # when looking for it ends
_FILES = Path("/proc/self/fd")


def expose_protocol() -> None:
    """Make granian put its WSGIProtocol into the environ. To be called before it starts serving."""
    server: Any = mp
    wrap = server._wsgi_call_wrap

    def wrap_and_give(*args: Any) -> Callable[[Any, dict[str, Any]], Any]:
        run = wrap(*args)

        def give(protocol: Any, scope: dict[str, Any]) -> Any:
            scope[PROTOCOL] = protocol
            return run(protocol, scope)

        return give

    server._wsgi_call_wrap = wrap_and_give


def set_send_timeout(seconds: int) -> None:
    """Make the kernel close connections whose client has read nothing of a response for so long.

    TCP_USER_TIMEOUT (RFC 5482, Linux's tcp(7)) also counts while a client's window is full, and
    connections inherit it from the listening socket, which granian makes once the app is loaded.
    """
    if not (hasattr(socket, "TCP_USER_TIMEOUT") and _FILES.is_dir()):
        return  # not Linux

    def find_and_set() -> None:
        give_up = time.monotonic() + GIVE_UP_S
        while not _set_on_listeners(seconds) and time.monotonic() < give_up:
            time.sleep(LOOK_AGAIN_S)

    threading.Thread(target=find_and_set, name="listener", daemon=True).start()


def _set_on_listeners(seconds: int) -> bool:
    found = False
    for candidate in _sockets():
        with candidate, contextlib.suppress(OSError):  # not TCP
            if candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                option = (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                candidate.setsockopt(*option, seconds * 1000)
                found = True
    return found


def _sockets() -> Iterator[socket.socket]:
    """All sockets of this process, each by a duplicated descriptor."""
    for name in os.listdir(_FILES):  # noqa: PTH208 - names, not paths
        with contextlib.suppress(OSError):
            copy = os.dup(int(name))
            try:
                found = socket.socket(fileno=copy)
            except OSError:  # not a socket
                os.close(copy)
                continue
            yield found
